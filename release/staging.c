#include "release/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "release/listing.h"
#include "release/rules.h"

#define COPY_STEP (256 * 1024)

static const char *const root_names[] = {[MANIFEST_TREE] = "tree", [MANIFEST_HOOKS] = "hooks"};

void staging_close(struct staging *staging)
{
	file_close(&staging->directory);
	file_close(&staging->roots[MANIFEST_TREE]);
	file_close(&staging->roots[MANIFEST_HOOKS]);
}

static int open_parent(const struct staging *staging, const struct manifest_entry *entry, int *ret_fd,
		       const char **ret_name, struct error *error)
{
	return file_open_parent_beneath(staging->roots[entry->root], entry->path, false, ret_fd, ret_name, error);
}

static int make_directory(const struct staging *staging, const struct manifest_entry *entry, struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	CLEANUP(file_close) int fd = -1;
	const char *name = NULL;

	int result = open_parent(staging, entry, &parent, &name, error);
	if (result < 0)
		return result;
	if (fault_point("staging.mkdir") < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "%s cannot be made", entry->path);
	result = file_open_beneath(staging->roots[entry->root], entry->path, O_RDONLY | O_DIRECTORY, 0, &fd, error);
	if (result < 0)
		return result;
	/* A finished try left the final mode, through which an owner may not be able to write. */
	if (fchmod(fd, 0755) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot be opened up", entry->path);
	return 0;
}

static int make_link(const struct staging *staging, const struct manifest_entry *entry, struct error *error)
{
	char standing[4097];
	CLEANUP(file_close) int parent = -1;
	const char *name = NULL;

	int result = open_parent(staging, entry, &parent, &name, error);
	if (result < 0)
		return result;
	ssize_t size = readlinkat(parent, name, standing, sizeof(standing) - 1);
	if (size >= 0) {
		standing[size] = '\0';
		if (strcmp(standing, entry->target) == 0)
			return 0;
		if (unlinkat(parent, name, 0) < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "link", "%s cannot be replaced",
					       entry->path);
	}
	if (fault_point("staging.link") < 0 || symlinkat(entry->target, parent, name) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "link", "link %s cannot be made", entry->path);
	return 0;
}

static int remove_stranger(void *context, int parent, const char *name, const char *path, struct error *error)
{
	(void)context;
	(void)path;
	return file_remove_tree_at(parent, name, error);
}

static int open_root(struct staging *staging, enum manifest_root root, bool fresh, struct error *error)
{
	const char *name = root_names[root];
	int result = fresh ? file_remove_tree_at(staging->directory, name, error) : 0;
	if (result == 0)
		result = file_make_directory_at(staging->directory, name, 0755, error);
	if (result == 0)
		result = file_open_beneath(staging->directory, name, O_RDONLY | O_DIRECTORY, 0, &staging->roots[root],
					   error);
	if (result == 0 && fchmod(staging->roots[root], 0755) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "staging/%s cannot be opened up", name);
	if (result == 0 && !fresh)
		result = listing_strangers(staging->roots[root], staging->manifest, root, remove_stranger, NULL, error);
	return result;
}

int staging_open(int directory, const struct manifest *manifest, bool fresh, struct staging *ret_staging,
		 struct error *error)
{
	CLEANUP(staging_close) struct staging staging = {.directory = -1, .roots = {-1, -1}, .manifest = manifest};

	staging.directory = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	if (staging.directory < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory",
				       "the staging directory cannot be kept open");
	int result = open_root(&staging, MANIFEST_TREE, fresh, error);
	if (result == 0)
		result = open_root(&staging, MANIFEST_HOOKS, fresh, error);
	for (size_t i = 0; result == 0 && i < manifest->entry_count; i++) {
		if (manifest->entries[i].type == MANIFEST_DIRECTORY)
			result = make_directory(&staging, &manifest->entries[i], error);
		else if (manifest->entries[i].type == MANIFEST_LINK)
			result = make_link(&staging, &manifest->entries[i], error);
	}
	if (result < 0)
		return result;
	*ret_staging = staging;
	staging = (struct staging){.directory = -1, .roots = {-1, -1}};
	return 0;
}

/* A regular file of the right size, open for reading; -1 otherwise. */
static int open_whole(int root, const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status;
	CLEANUP(file_close) int fd = -1;

	if (file_open_beneath(root, entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &ignored) < 0 ||
	    fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size != entry->size)
		return -1;
	int kept = fd;
	fd = -1;
	return kept;
}

static bool content_matches(int fd, const struct manifest_entry *entry)
{
	struct error ignored;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	return hash_file(HASH_BLAKE2B, fd, entry->path, hash, &size, &ignored) == 0 && size == entry->size &&
	       hash_equal(hash, entry->hash);
}

bool staging_holds(const struct staging *staging, const struct manifest_entry *entry)
{
	CLEANUP(file_close) int fd = open_whole(staging->roots[entry->root], entry);
	return fd >= 0 && content_matches(fd, entry);
}

bool staging_may_continue(const struct staging *staging, const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status;
	CLEANUP(file_close) int fd = -1;
	return file_open_beneath(staging->roots[entry->root], entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd,
				 &ignored) == 0 &&
	       fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
	       (uint64_t)status.st_size <= entry->size;
}

int staging_remove(const struct staging *staging, const struct manifest_entry *entry, struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	const char *name = NULL;
	int result = open_parent(staging, entry, &parent, &name, error);
	return result < 0 ? result : file_remove_tree_at(parent, name, error);
}

/* A new, empty file under the entry's name, whatever stood there. */
static int create_file(const struct staging *staging, const struct manifest_entry *entry, int *ret_fd,
		       struct error *error)
{
	struct error ignored;
	if (file_open_beneath(staging->roots[entry->root], entry->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
			      ret_fd, &ignored) == 0)
		return 0;
	int result = staging_remove(staging, entry, error);
	if (result == 0)
		result = file_open_beneath(staging->roots[entry->root], entry->path,
					   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, ret_fd, error);
	if (result < 0 && error->code == ERROR_DATA)
		return error_set(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made in staging", entry->path);
	return result;
}

int staging_write(const struct staging *staging, const struct manifest_entry *entry, const void *bytes, size_t size,
		  struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	int result = create_file(staging, entry, &fd, error);
	if (result == 0 && fault_point("staging.write") < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", entry->path);
	if (result == 0)
		result = file_write_fd(fd, entry->path, bytes, size, error);
	return result < 0 ? result : staging_finish_file(staging, entry, error);
}

int staging_write_at(const struct staging *staging, const struct manifest_entry *entry, uint64_t offset,
		     const void *bytes, size_t size, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	const uint8_t *rest = bytes;

	int result = file_open_beneath(staging->roots[entry->root], entry->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600,
				       &fd, error);
	if (result < 0)
		return result;
	if (fault_point("staging.write") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", entry->path);
	while (size > 0) {
		ssize_t put = pwrite(fd, rest, size, (off_t)offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written",
					       entry->path);
		rest += put;
		offset += (uint64_t)put;
		size -= (size_t)put;
	}
	return 0;
}

bool staging_read_at(const struct staging *staging, const struct manifest_entry *entry, uint64_t offset, void *bytes,
		     size_t size)
{
	struct error ignored;
	CLEANUP(file_close) int fd = -1;
	uint8_t *rest = bytes;

	if (file_open_beneath(staging->roots[entry->root], entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd,
			      &ignored) < 0)
		return false;
	while (size > 0) {
		ssize_t got = pread(fd, rest, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		rest += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return true;
}

/* Copies and hashes in one pass over the source; the name goes again when the bytes were not what they should be. */
static int copy_content(const struct staging *staging, int source, const struct manifest_entry *entry, bool *ret_taken,
			struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	CLEANUP(free_pointer) uint8_t *bytes = malloc(COPY_STEP);
	struct hash_state state;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;

	if (bytes == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to copy");
	int result = create_file(staging, entry, &fd, error);
	if (result == 0 && fault_point("staging.write") < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", entry->path);
	if (result < 0)
		return result;
	hash_begin(&state, HASH_BLAKE2B);
	for (;;) {
		ssize_t got = pread(source, bytes, COPY_STEP, (off_t)size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (uint64_t)got;
		if (size > entry->size)
			break;
		hash_update(&state, bytes, (size_t)got);
		result = file_write_fd(fd, entry->path, bytes, (size_t)got, error);
		if (result < 0)
			return result;
	}
	hash_end(&state, hash);
	*ret_taken = size == entry->size && hash_equal(hash, entry->hash);
	return *ret_taken ? staging_finish_file(staging, entry, error) : staging_remove(staging, entry, error);
}

int staging_copy(const struct staging *staging, const struct manifest_entry *from, const struct manifest_entry *entry,
		 bool *ret_taken, struct error *error)
{
	CLEANUP(file_close) int source = open_whole(staging->roots[from->root], from);
	*ret_taken = false;
	return source < 0 ? 0 : copy_content(staging, source, entry, ret_taken, error);
}

/* A second name for the running release's file: only where mode and owner are already what they are to be, for they are
 * the inode's. The kernel refuses it to a process that does not own the file (fs.protected_hardlinks); then it is
 * copied. */
static bool share_name(const struct staging *staging, int base, const struct manifest_entry *from,
		       const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status;
	CLEANUP(file_close) int source = -1;
	CLEANUP(file_close) int parent = -1;
	const struct rules_owner *owner = rules_owner(entry->owner);
	const char *source_name = NULL, *name = NULL;

	return file_open_parent_beneath(base, from->path, false, &source, &source_name, &ignored) == 0 &&
	       fstatat(source, source_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_mode & 07777) == entry->mode && owner != NULL &&
	       (geteuid() != 0 || (status.st_uid == owner->id && status.st_gid == owner->id)) &&
	       open_parent(staging, entry, &parent, &name, &ignored) == 0 &&
	       file_remove_tree_at(parent, name, &ignored) == 0 && linkat(source, source_name, parent, name, 0) == 0;
}

static bool share_extents(const struct staging *staging, int source, const struct manifest_entry *entry)
{
	struct error ignored;
	CLEANUP(file_close) int fd = -1;
	return create_file(staging, entry, &fd, &ignored) == 0 && ioctl(fd, FICLONE, source) == 0;
}

int staging_share(const struct staging *staging, int base, const struct manifest_entry *from,
		  const struct manifest_entry *entry, enum unpack_share share, bool *ret_taken, struct error *error)
{
	CLEANUP(file_close) int source = open_whole(base, from);

	*ret_taken = false;
	if (source < 0)
		return 0;
	if (share == UNPACK_HARDLINK && share_name(staging, base, from, entry)) {
		/* Its mode is the other release's too and stays as it is. */
		*ret_taken = staging_holds(staging, entry);
		return *ret_taken ? 0 : staging_remove(staging, entry, error);
	}
	if ((share == UNPACK_AUTO || share == UNPACK_REFLINK) && share_extents(staging, source, entry)) {
		*ret_taken = staging_holds(staging, entry);
		return *ret_taken ? staging_finish_file(staging, entry, error) : staging_remove(staging, entry, error);
	}
	return copy_content(staging, source, entry, ret_taken, error);
}

int staging_finish_file(const struct staging *staging, const struct manifest_entry *entry, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct stat status;
	unsigned mode = entry->mode & 0777;

	int result = file_open_beneath(staging->roots[entry->root], entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
				       &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot be looked at", entry->path);
	if ((status.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode", entry->path);
	return 0;
}

int staging_finish_directories(const struct staging *staging, struct error *error)
{
	/* From the leaves, so that a directory without write permission closes last. */
	for (size_t i = staging->manifest->entry_count; i-- > 0;) {
		const struct manifest_entry *entry = &staging->manifest->entries[i];
		CLEANUP(file_close) int fd = -1;
		if (entry->type != MANIFEST_DIRECTORY)
			continue;
		int result = file_open_beneath(staging->roots[entry->root], entry->path, O_RDONLY | O_DIRECTORY, 0, &fd,
					       error);
		if (result < 0)
			return result;
		if (fchmod(fd, entry->mode & 0777) < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode",
					       entry->path);
	}
	return 0;
}
