#include "release/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/list.h"

#define READ_BLOCK    (256 * 1024)
#define MANIFEST_NAME "manifest.json"
#define SBOM_NAME     "sbom.json"
#define BLOBS         "blobs/"
#define MEMBERS_MOST  (MANIFEST_BLOBS_MOST + 4096)
#define NAME_MOST     512

struct member {
	char *name;
	int64_t position; /* of its header in the file */
	int64_t size;
};

struct bundle {
	int fd;
	char *path;
	struct member *members; /* sorted by name once all were read */
	size_t count, capacity;
	struct buffer manifest;
};

static void free_reader(struct archive **reader)
{
	archive_read_free(*reader);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static const struct member *find_member(const struct bundle *bundle, const char *name)
{
	struct member wanted = {.name = (char *)(uintptr_t)name};
	return bsearch(&wanted, bundle->members, bundle->count, sizeof(wanted), by_name);
}

void bundle_free(struct bundle **bundle)
{
	struct bundle *old = TAKE(*bundle);
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->count; i++)
		free(old->members[i].name);
	free(old->members);
	free(old->path);
	buffer_free(&old->manifest);
	file_close(&old->fd);
	free(old);
}

/* Where one reader stands in the file: several may read one bundle at once, from several threads. */
struct place {
	int fd;
	off_t position;
	uint8_t block[READ_BLOCK];
};

static la_ssize_t read_place(struct archive *reader, void *context, const void **ret_block)
{
	struct place *place = context;
	ssize_t got;

	do
		got = pread(place->fd, place->block, sizeof(place->block), place->position);
	while (got < 0 && errno == EINTR);
	if (got < 0) {
		archive_set_error(reader, errno, "the bundle cannot be read");
		return ARCHIVE_FATAL;
	}
	place->position += got;
	*ret_block = place->block;
	return got;
}

static la_int64_t skip_place(struct archive *reader UNUSED, void *context, la_int64_t request)
{
	((struct place *)context)->position += request;
	return request;
}

static int close_place(struct archive *reader UNUSED, void *context)
{
	free(context);
	return ARCHIVE_OK;
}

/* A reader of plain tar from `position` on: any header is a place to begin. */
static int open_reader(const struct bundle *bundle, int64_t position, struct archive **ret_reader, struct error *error)
{
	CLEANUP(free_reader) struct archive *reader = archive_read_new();
	struct place *place = malloc(sizeof(*place));

	if (reader == NULL || place == NULL) {
		free(place);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", bundle->path);
	}
	place->fd = bundle->fd;
	place->position = (off_t)position;
	if (archive_read_support_format_tar(reader) != ARCHIVE_OK) {
		free(place);
		return error_set(error, ERROR_BUG, "format", "bundles cannot be read here");
	}
	/* From here on the reader closes, and so frees, its place. */
	if (archive_read_open2(reader, place, NULL, read_place, skip_place, close_place) != ARCHIVE_OK)
		return error_set(error, ERROR_DATA, "format", "%s is no bundle: %s", bundle->path,
				 archive_error_string(reader));
	*ret_reader = TAKE(reader);
	return 0;
}

static int add_member(struct bundle *bundle, struct archive *reader, struct archive_entry *entry, struct error *error)
{
	const char *name = archive_entry_pathname(entry);

	if (name == NULL || strlen(name) > NAME_MOST || !file_path_is_safe(name) ||
	    archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL ||
	    archive_entry_sparse_count(entry) > 0 || archive_entry_size(entry) < 0)
		return error_set(error, ERROR_DATA, "format", "%s has a member that no bundle has", bundle->path);
	if (bundle->count == 0 && strcmp(name, MANIFEST_NAME) != 0)
		return error_set(error, ERROR_DATA, "format", "%s is no bundle: it does not begin with " MANIFEST_NAME,
				 bundle->path);
	if (bundle->count == MEMBERS_MOST)
		return error_set(error, ERROR_DATA, "length", "%s has too many members", bundle->path);
	struct member *members = list_grow(bundle->members, bundle->count, &bundle->capacity, sizeof(*members));
	if (members == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the members of %s", bundle->path);
	bundle->members = members;
	struct member *member = &bundle->members[bundle->count];
	*member = (struct member){strdup(name), archive_read_header_position(reader), archive_entry_size(entry)};
	if (member->name == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the members of %s", bundle->path);
	bundle->count++;
	return 0;
}

static int list_members(struct bundle *bundle, struct error *error)
{
	CLEANUP(free_reader) struct archive *reader = NULL;
	struct archive_entry *entry = NULL;

	int result = open_reader(bundle, 0, &reader, error);
	while (result == 0) {
		int code = archive_read_next_header(reader, &entry);
		if (code == ARCHIVE_EOF)
			break;
		if (code != ARCHIVE_OK)
			return error_set(error, ERROR_DATA, "format", "%s is no whole bundle: %s", bundle->path,
					 archive_error_string(reader));
		result = add_member(bundle, reader, entry, error);
	}
	if (result < 0)
		return result;
	if (bundle->count == 0)
		return error_set(error, ERROR_DATA, "format", "%s is no bundle: it is empty", bundle->path);
	qsort(bundle->members, bundle->count, sizeof(*bundle->members), by_name);
	for (size_t i = 1; i < bundle->count; i++)
		if (strcmp(bundle->members[i - 1].name, bundle->members[i].name) == 0)
			return error_set(error, ERROR_DATA, "format", "%s has %s twice", bundle->path,
					 bundle->members[i].name);
	return 0;
}

int bundle_open_fd_take(int fd, const char *name, struct bundle **ret_bundle, struct error *error)
{
	CLEANUP(file_close) int owned = fd;
	CLEANUP(bundle_free) struct bundle *bundle = calloc(1, sizeof(*bundle));
	struct stat status;

	if (bundle == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", name);
	bundle->fd = owned;
	owned = -1;
	bundle->path = strdup(name);
	bundle->manifest = BUFFER_INIT(MANIFEST_BYTES_MOST);
	if (bundle->path == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", name);
	if (fstat(bundle->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "format", "%s is no file", name);
	int result = list_members(bundle, error);
	if (result < 0)
		return result;
	*ret_bundle = TAKE(bundle);
	return 0;
}

int bundle_open(const char *path, struct bundle **ret_bundle, struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, errno == ENOENT ? "missing" : "read", "%s cannot be opened",
				       path);
	int result = bundle_open_fd_take(fd, path, &bundle, error);
	if (result == 0)
		result = bundle_read(bundle, MANIFEST_NAME, MANIFEST_BYTES_MOST, &bundle->manifest, error);
	if (result < 0)
		return result;
	*ret_bundle = TAKE(bundle);
	return 0;
}

const struct buffer *bundle_manifest(const struct bundle *bundle)
{
	return &bundle->manifest;
}

bool bundle_has(const struct bundle *bundle, const char *name)
{
	return find_member(bundle, name) != NULL;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, HASH_SIZE);
}

static bool is_named_blob(const char *name, const uint8_t *hashes, size_t count)
{
	uint8_t hash[HASH_SIZE];
	struct error ignored;

	return strncmp(name, BLOBS, strlen(BLOBS)) == 0 &&
	       hash_from_hex(name + strlen(BLOBS), hash, sizeof(hash), &ignored) == 0 &&
	       bsearch(hash, hashes, count, HASH_SIZE, by_hash) != NULL;
}

/* What the chain's files are is for whoever verifies it; here only where they may lie. */
static bool is_of_chain(const char *name)
{
	static const char *const folders[] = {"metadata/", "targets/"};
	static const char *const files[] = {"entitlement.json", "offline.json"};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (strncmp(name, folders[i], strlen(folders[i])) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(name, files[i]) == 0)
			return true;
	return false;
}

int bundle_check_closed(const struct bundle *bundle, const struct manifest *manifest, struct error *error)
{
	CLEANUP(free_pointer) uint8_t *hashes = calloc(manifest->blob_count + 1, HASH_SIZE);
	const bool chain = bundle_has(bundle, "metadata/1.root.json");

	if (hashes == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the blobs of %s", bundle->path);
	for (size_t i = 0; i < manifest->blob_count; i++)
		memcpy(hashes + i * HASH_SIZE, manifest->blobs[i].hash, HASH_SIZE);
	qsort(hashes, manifest->blob_count, HASH_SIZE, by_hash);
	for (size_t i = 0; i < bundle->count; i++) {
		const char *name = bundle->members[i].name;
		if (strcmp(name, MANIFEST_NAME) != 0 && !(manifest->has_sbom && strcmp(name, SBOM_NAME) == 0) &&
		    !is_named_blob(name, hashes, manifest->blob_count) && !(chain && is_of_chain(name)))
			return error_set(error, ERROR_DATA, "closed",
					 "%s holds %.200s, which its manifest does not name", bundle->path, name);
	}
	return 0;
}

/* A reader that stands at the beginning of the member's bytes. */
static int open_member(const struct bundle *bundle, const char *name, size_t most, struct archive **ret_reader,
		       size_t *ret_size, struct error *error)
{
	CLEANUP(free_reader) struct archive *reader = NULL;
	struct archive_entry *entry = NULL;
	const struct member *member = find_member(bundle, name);

	if (member == NULL)
		return error_set(error, ERROR_DATA, "missing", "%s has no %s", bundle->path, name);
	if ((uint64_t)member->size > most)
		return error_set(error, ERROR_DATA, "length", "%s: %s has %lld bytes, more than %zu", bundle->path,
				 name, (long long)member->size, most);
	int result = open_reader(bundle, member->position, &reader, error);
	if (result < 0)
		return result;
	const char *found =
		archive_read_next_header(reader, &entry) == ARCHIVE_OK ? archive_entry_pathname(entry) : NULL;
	if (found == NULL || strcmp(found, name) != 0 || archive_entry_size(entry) != member->size)
		return error_set(error, ERROR_DATA, "format", "%s changed while it was read", bundle->path);
	*ret_reader = TAKE(reader);
	*ret_size = (size_t)member->size;
	return 0;
}

/* Exactly `size` bytes. */
static int read_bytes(const struct bundle *bundle, const char *name, struct archive *reader, uint8_t *room, size_t size,
		      struct error *error)
{
	while (size > 0) {
		la_ssize_t got = archive_read_data(reader, room, size);
		if (got <= 0)
			return error_set(error, ERROR_DATA, "length", "%s ends in the middle of %s", bundle->path,
					 name);
		room += got;
		size -= (size_t)got;
	}
	return 0;
}

int bundle_read(struct bundle *bundle, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(free_reader) struct archive *reader = NULL;
	uint8_t *room = NULL;
	size_t size = 0;

	int result = open_member(bundle, name, most, &reader, &size, error);
	if (result == 0)
		result = buffer_reserve(ret_bytes, size, &room, error);
	if (result == 0)
		result = read_bytes(bundle, name, reader, room, size, error);
	if (result == 0)
		buffer_commit(ret_bytes, size);
	return result;
}

int bundle_send(struct bundle *bundle, const char *name, size_t most, struct bundle_sink sink, struct error *error)
{
	CLEANUP(free_reader) struct archive *reader = NULL;
	uint8_t piece[128 * 1024];
	size_t left = 0;

	int result = open_member(bundle, name, most, &reader, &left, error);
	while (result == 0 && left > 0) {
		size_t size = left < sizeof(piece) ? left : sizeof(piece);
		result = read_bytes(bundle, name, reader, piece, size, error);
		if (result == 0)
			result = sink.write(sink.context, piece, size, error);
		left -= size;
	}
	return result;
}
