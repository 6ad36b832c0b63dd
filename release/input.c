#include "release/input.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define READ_BLOCK (256 * 1024)

struct input {
	struct archive *archive;
	struct archive_entry *entry; /* the member just given */
	const char *name;            /* as the user gave it; borrowed */
	bool is_tree;
	size_t prefix;        /* of a tree: bytes of every path before the part inside it */
	uint64_t size, given; /* of the member's content */
	bool has_size;
	char root[4096];
};

/* libarchive turns names into the locale's charset and back; in the C locale every name beyond ASCII would be lost. */
struct names {
	locale_t utf8, before;
};

static struct names names_begin(void)
{
	struct names names = {.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)};
	if (names.utf8 != (locale_t)0)
		names.before = uselocale(names.utf8);
	return names;
}

static void names_end(struct names *names)
{
	if (names->utf8 == (locale_t)0)
		return;
	uselocale(names->before);
	freelocale(names->utf8);
}

void input_free(struct input **input)
{
	struct input *old = TAKE(*input);
	if (old == NULL)
		return;
	archive_entry_free(old->entry);
	archive_read_free(old->archive);
	free(old);
}

static int fail(const struct input *input, const char *what, struct error *error)
{
	const char *why = archive_error_string(input->archive);
	return error_set(error, ERROR_DATA, "archive", "%s: %s: %s", input->name, what,
			 why != NULL ? why : "not readable");
}

static int open_tree(struct input *input, struct error *error)
{
	size_t size = strlen(input->name);
	while (size > 1 && input->name[size - 1] == '/')
		size--;
	if (size >= sizeof(input->root))
		return error_set(error, ERROR_USAGE, "path", "%.200s… is too long", input->name);
	memcpy(input->root, input->name, size);
	input->root[size] = '\0';
	input->prefix = size;
	input->is_tree = true;
	input->archive = archive_read_disk_new();
	if (input->archive == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", input->name);
	archive_read_disk_set_symlink_physical(input->archive);
	archive_read_disk_set_behavior(input->archive, ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL |
							       ARCHIVE_READDISK_NO_FFLAGS | ARCHIVE_READDISK_NO_SPARSE);
	return archive_read_disk_open(input->archive, input->root) == ARCHIVE_OK
		       ? 0
		       : fail(input, "cannot be opened", error);
}

static int open_archive(struct input *input, struct error *error)
{
	/* Formats and filters by name, so that no filter ever starts a foreign program. */
	static int (*const supports[])(struct archive *) = {
		archive_read_support_format_tar,  archive_read_support_format_cpio,  archive_read_support_format_zip,
		archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
		archive_read_support_filter_zstd,
	};
	input->archive = archive_read_new();
	if (input->archive == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", input->name);
	for (size_t i = 0; i < ARRAY_SIZE(supports); i++)
		if (supports[i](input->archive) != ARCHIVE_OK)
			return fail(input, "a format is not built into libarchive", error);
	return archive_read_open_filename(input->archive, input->name, READ_BLOCK) == ARCHIVE_OK
		       ? 0
		       : fail(input, "is no archive that can be read", error);
}

int input_open(const char *path, struct input **ret_input, struct error *error)
{
	CLEANUP(input_free) struct input *input = calloc(1, sizeof(*input));
	CLEANUP(names_end) UNUSED struct names names = names_begin();
	struct stat status;

	if (input == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", path);
	if (stat(path, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "missing", "%s cannot be packed", path);
	input->name = path;
	input->entry = archive_entry_new();
	if (input->entry == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", path);
	int result = S_ISDIR(status.st_mode) ? open_tree(input, error) : open_archive(input, error);
	if (result < 0)
		return result;
	*ret_input = TAKE(input);
	return 0;
}

/* "./a/b/" → "a/b"; the top itself → "". A path that is not safe stays to be refused. */
static int clean_path(const struct input *input, const char *raw, char ret_path[static 4096], struct error *error)
{
	if (raw == NULL)
		return error_set(error, ERROR_DATA, "path", "%s has a name that is no UTF-8", input->name);
	if (strlen(raw) >= 4096 + input->prefix)
		return error_set(error, ERROR_DATA, "path", "%s has a path over 4,095 bytes", input->name);
	if (input->is_tree)
		raw += input->prefix + (raw[input->prefix] == '/' ? 1 : 0);
	while (raw[0] == '.' && raw[1] == '/')
		raw += 2;
	if (strcmp(raw, ".") == 0)
		raw++;
	size_t size = strlen(raw);
	if (size > 0 && raw[size - 1] == '/')
		size--;
	if (size >= 4096)
		return error_set(error, ERROR_DATA, "path", "%s has a path over 4,095 bytes", input->name);
	memcpy(ret_path, raw, size);
	ret_path[size] = '\0';
	if (size > 0 && !file_path_is_safe(ret_path))
		return error_set(error, ERROR_DATA, "path", "%s: \"%.200s\" would lie outside the release", input->name,
				 ret_path);
	return 0;
}

static int describe(struct input *input, struct input_member *member, struct error *error)
{
	struct archive_entry *entry = input->entry;
	const char *hard_link = archive_entry_hardlink(entry), *target = archive_entry_symlink(entry);
	mode_t type = archive_entry_filetype(entry);

	memset(member, 0, sizeof(*member));
	int result = clean_path(input, archive_entry_pathname(entry), member->path, error);
	if (result < 0)
		return result;
	member->executable = (archive_entry_perm(entry) & 0111) != 0;
	input->given = 0;
	input->has_size = archive_entry_size_is_set(entry) != 0;
	input->size = input->has_size ? (uint64_t)archive_entry_size(entry) : 0;
	if (hard_link != NULL) {
		member->type = MANIFEST_FILE;
		member->is_hard_link = true;
		return clean_path(input, hard_link, member->target, error);
	}
	switch (type) {
	case AE_IFREG:
		member->type = MANIFEST_FILE;
		if ((archive_entry_perm(entry) & 06000) != 0)
			return error_set(error, ERROR_DATA, "set-id",
					 "%s: %s is set-uid or set-gid; clear the bit before "
					 "packing",
					 input->name, member->path);
		return 0;
	case AE_IFDIR:
		member->type = MANIFEST_DIRECTORY;
		return 0;
	case AE_IFLNK:
		member->type = MANIFEST_LINK;
		if (target == NULL || strlen(target) >= sizeof(member->target))
			return error_set(error, ERROR_DATA, "link", "%s: link %s has no target that can be read",
					 input->name, member->path);
		snprintf(member->target, sizeof(member->target), "%s", target);
		return 0;
	default:
		return error_set(error, ERROR_DATA, "type", "%s: %s is neither file, directory nor link", input->name,
				 member->path);
	}
}

int input_next(struct input *input, struct input_member *ret_member, bool *ret_more, struct error *error)
{
	CLEANUP(names_end) UNUSED struct names names = names_begin();
	for (;;) {
		archive_entry_clear(input->entry);
		int code = archive_read_next_header2(input->archive, input->entry);
		if (code == ARCHIVE_EOF) {
			*ret_more = false;
			return 0;
		}
		if (code == ARCHIVE_RETRY)
			continue;
		if (code != ARCHIVE_OK)
			return fail(input, "cannot be read to its end", error);
		if (input->is_tree && archive_read_disk_can_descend(input->archive) &&
		    archive_read_disk_descend(input->archive) != ARCHIVE_OK)
			return fail(input, "a directory cannot be read", error);
		int result = describe(input, ret_member, error);
		if (result < 0)
			return result;
		if (ret_member->path[0] != '\0')
			break;
	}
	*ret_more = true;
	return 0;
}

int input_read(struct input *input, void *bytes, size_t capacity, size_t *ret_size, struct error *error)
{
	la_ssize_t got = archive_read_data(input->archive, bytes, capacity);
	if (got < 0)
		return fail(input, "a file in it cannot be read", error);
	if (got == 0 && input->has_size && input->given < input->size) {
		/* A hole at the end of a sparse file: libarchive stops before it. */
		uint64_t rest = input->size - input->given;
		got = (la_ssize_t)(rest < capacity ? rest : capacity);
		memset(bytes, 0, (size_t)got);
	}
	input->given += (uint64_t)got;
	if (input->has_size && input->given > input->size)
		return error_set(error, ERROR_DATA, "length", "%s: a file grew while it was packed", input->name);
	*ret_size = (size_t)got;
	return 0;
}
