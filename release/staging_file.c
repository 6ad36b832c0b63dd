#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "release/rules.h"
#include "release/staging.h"

/* Larger files begin their way to the disk at once: then little is left for the end. */
#define EARLY_BYTES ((size_t)512 * 1024)

static int open_file(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		     int flags, unsigned mode, int *ret_fd, struct error *error)
{
	return folder_open(&hand->to, staging->roots[entry->root], entry->path, flags, mode, ret_fd, error);
}

static int need_room(struct staging_hand *hand, struct error *error)
{
	if (hand->room == NULL && (hand->room = malloc(STAGING_ROOM)) == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to copy");
	hand->holds = false;
	return 0;
}

/* A regular file of the right size, open for reading; -1 otherwise. */
static int open_whole(struct folder *folder, int root, const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status;
	CLEANUP(file_close) int fd = -1;

	if (folder_open(folder, root, entry->path, O_RDONLY, 0, &fd, &ignored) < 0 || fstat(fd, &status) < 0 ||
	    !S_ISREG(status.st_mode) || (uint64_t)status.st_size != entry->size)
		return -1;
	int kept = fd;
	fd = -1;
	return kept;
}

static bool read_at(int fd, uint64_t offset, void *bytes, size_t size)
{
	struct error ignored;
	return fault_point("staging.read") == 0 && file_read_exact(fd, "a file", offset, bytes, size, &ignored) == 0;
}

static bool content_matches(int fd, const struct manifest_entry *entry)
{
	struct error ignored;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	return hash_file(HASH_BLAKE2B, fd, entry->path, hash, &size, &ignored) == 0 && size == entry->size &&
	       hash_equal(hash, entry->hash);
}

bool staging_holds(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry)
{
	CLEANUP(file_close) int fd = open_whole(&hand->to, staging->roots[entry->root], entry);
	return fd >= 0 && content_matches(fd, entry);
}

bool staging_may_continue(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status;
	CLEANUP(file_close) int fd = -1;
	return open_file(staging, hand, entry, O_RDONLY, 0, &fd, &ignored) == 0 && fstat(fd, &status) == 0 &&
	       S_ISREG(status.st_mode) && status.st_nlink == 1 && (uint64_t)status.st_size <= entry->size &&
	       ((status.st_mode & 0200) != 0 || fchmod(fd, 0600) == 0);
}

int staging_remove(const struct staging *staging, const struct manifest_entry *entry, struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	const char *name = NULL;
	int result = file_open_parent_beneath(staging->roots[entry->root], entry->path, false, &parent, &name, error);
	return result < 0 ? result : file_remove_tree_at(parent, name, error);
}

/* A new, empty file under the entry's name, whatever stood there. */
static int create_file(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		       int *ret_fd, struct error *error)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL;
	const unsigned mode = entry->mode & 0777;
	struct error ignored;

	if (open_file(staging, hand, entry, flags, mode, ret_fd, &ignored) == 0)
		return 0;
	int result = staging_remove(staging, entry, error);
	if (result == 0)
		result = open_file(staging, hand, entry, flags, mode, ret_fd, error);
	if (result < 0 && error->code == ERROR_DATA)
		return error_set(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made in staging", entry->path);
	return result;
}

/* After create_file: what the file did not get by being made. */
static int finish_new(const struct staging *staging, int fd, const struct manifest_entry *entry, struct error *error)
{
	if ((entry->mode & staging->masked) != 0 && fchmod(fd, entry->mode & 0777) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode", entry->path);
	return 0;
}

/* A disk that will refuse the bytes says so at the end, too. */
static void write_early(int fd, uint64_t offset, uint64_t size)
{
	if (size >= EARLY_BYTES && sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE) < 0)
		errno = 0;
}

int staging_write(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		  const void *bytes, size_t size, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	int result = create_file(staging, hand, entry, &fd, error);
	if (result == 0 && fault_point("staging.write") < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", entry->path);
	if (result == 0)
		result = file_write_fd(fd, entry->path, bytes, size, error);
	if (result < 0)
		return result;
	write_early(fd, 0, size);
	return finish_new(staging, fd, entry, error);
}

int staging_write_at(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		     uint64_t offset, const void *bytes, size_t size, struct error *error)
{
	CLEANUP(file_close) int fd = -1;

	int result = open_file(staging, hand, entry, O_WRONLY | O_CREAT, 0600, &fd, error);
	if (result == 0)
		result = file_write_at(fd, entry->path, offset, bytes, size, error);
	if (result == 0)
		write_early(fd, offset, size);
	return result;
}

bool staging_read_at(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		     uint64_t offset, uint64_t size, staging_piece *piece, void *context)
{
	struct error ignored;
	CLEANUP(file_close) int fd = -1;

	if (need_room(hand, &ignored) < 0 || open_file(staging, hand, entry, O_RDONLY, 0, &fd, &ignored) < 0)
		return false;
	while (size > 0) {
		size_t part = size < STAGING_ROOM ? (size_t)size : STAGING_ROOM;
		if (!read_at(fd, offset, hand->room, part))
			return false;
		piece(context, hand->room, part);
		offset += part;
		size -= part;
	}
	return true;
}

/* The source's bytes in the hand, if they are what they should be. */
static bool load_small(struct staging_hand *hand, int source, const struct manifest_entry *entry)
{
	if (!read_at(source, 0, hand->room, (size_t)entry->size))
		return false;
	hash_bytes(HASH_BLAKE2B, hand->room, (size_t)entry->size, hand->hash);
	hand->holds = hash_equal(hand->hash, entry->hash);
	return hand->holds;
}

/* Copies and hashes in one pass over the source; the name goes again when the bytes were not what they should be. */
static int copy_large(const struct staging *staging, struct staging_hand *hand, int source,
		      const struct manifest_entry *entry, bool *ret_taken, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct hash_state state;
	uint8_t hash[HASH_SIZE];
	uint64_t at = 0;

	int result = create_file(staging, hand, entry, &fd, error);
	if (result == 0 && fault_point("staging.write") < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", entry->path);
	if (result < 0)
		return result;
	hash_begin(&state, HASH_BLAKE2B);
	while (at < entry->size) {
		size_t part = entry->size - at < STAGING_ROOM ? (size_t)(entry->size - at) : STAGING_ROOM;
		if (!read_at(source, at, hand->room, part))
			break;
		hash_update(&state, hand->room, part);
		result = file_write_fd(fd, entry->path, hand->room, part, error);
		if (result < 0)
			return result;
		write_early(fd, at, part);
		at += part;
	}
	hash_end(&state, hash);
	*ret_taken = at == entry->size && hash_equal(hash, entry->hash);
	return *ret_taken ? finish_new(staging, fd, entry, error) : staging_remove(staging, entry, error);
}

static int copy_content(const struct staging *staging, struct staging_hand *hand, int source,
			const struct manifest_entry *entry, bool *ret_taken, struct error *error)
{
	int result = need_room(hand, error);
	if (result < 0)
		return result;
	if (entry->size > STAGING_ROOM)
		return copy_large(staging, hand, source, entry, ret_taken, error);
	*ret_taken = load_small(hand, source, entry);
	return *ret_taken ? staging_write(staging, hand, entry, hand->room, (size_t)entry->size, error) : 0;
}

int staging_copy(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *from,
		 const struct manifest_entry *entry, bool *ret_taken, struct error *error)
{
	CLEANUP(file_close) int source = -1;

	*ret_taken = false;
	if (hand->holds && hash_equal(hand->hash, entry->hash)) {
		*ret_taken = true;
		return staging_write(staging, hand, entry, hand->room, (size_t)entry->size, error);
	}
	source = open_whole(&hand->from, staging->roots[from->root], from);
	return source < 0 ? 0 : copy_content(staging, hand, source, entry, ret_taken, error);
}

/* What an earlier try left under the name goes. */
static bool link_over(int source, const char *source_name, int parent, const char *name)
{
	struct error ignored;

	if (fault_point("staging.share") < 0)
		return false;
	return linkat(source, source_name, parent, name, 0) == 0 ||
	       (errno == EEXIST && file_remove_tree_at(parent, name, &ignored) == 0 &&
		linkat(source, source_name, parent, name, 0) == 0);
}

/* A second name for the running release's file, open as `file`: only where mode and owner are already what they are to
 * be, for they are the inode's. The kernel refuses it to a process that does not own the file
 * (fs.protected_hardlinks); then it is copied. */
static bool share_name(const struct staging *staging, struct staging_hand *hand, int base, int file,
		       const struct manifest_entry *from, const struct manifest_entry *entry)
{
	struct error ignored;
	struct stat status, shared;
	const struct rules_owner *owner = rules_owner(entry->owner);
	const char *source_name = NULL, *name = NULL;
	int source = -1, parent = -1;

	return fstat(file, &status) == 0 && (status.st_mode & 07777) == entry->mode && owner != NULL &&
	       (geteuid() != 0 || (status.st_uid == owner->id && status.st_gid == owner->id)) &&
	       folder_enter(&hand->from, base, from->path, &source, &source_name, &ignored) == 0 &&
	       folder_enter(&hand->to, staging->roots[entry->root], entry->path, &parent, &name, &ignored) == 0 &&
	       link_over(source, source_name, parent, name) &&
	       fstatat(parent, name, &shared, AT_SYMLINK_NOFOLLOW) == 0 && shared.st_dev == status.st_dev &&
	       shared.st_ino == status.st_ino;
}

static bool share_extents(struct staging *staging, struct staging_hand *hand, int source,
			  const struct manifest_entry *entry)
{
	struct error ignored;
	CLEANUP(file_close) int fd = -1;

	if (create_file(staging, hand, entry, &fd, &ignored) < 0)
		return false;
	if (ioctl(fd, FICLONE, source) == 0)
		return finish_new(staging, fd, entry, &ignored) == 0;
	/* What it cannot for one it can for none. */
	if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV)
		atomic_store(&staging->no_extents, true);
	return false;
}

int staging_share(struct staging *staging, struct staging_hand *hand, int base, const struct manifest_entry *from,
		  const struct manifest_entry *entry, enum unpack_share share, bool *ret_taken, struct error *error)
{
	CLEANUP(file_close) int source = open_whole(&hand->from, base, from);

	*ret_taken = false;
	hand->holds = false;
	if (source < 0)
		return 0;
	/* A shared name's mode is the other release's too and stays as it is. */
	if (share == UNPACK_HARDLINK && share_name(staging, hand, base, source, from, entry))
		*ret_taken = content_matches(source, entry);
	else if ((share == UNPACK_AUTO || share == UNPACK_REFLINK) && !atomic_load(&staging->no_extents) &&
		 share_extents(staging, hand, source, entry))
		*ret_taken = staging_holds(staging, hand, entry);
	else
		return copy_content(staging, hand, source, entry, ret_taken, error);
	return *ret_taken ? 0 : staging_remove(staging, entry, error);
}

int staging_finish_file(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
			struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct stat status;
	unsigned mode = entry->mode & 0777;

	int result = open_file(staging, hand, entry, O_RDONLY, 0, &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot be looked at", entry->path);
	if ((status.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode", entry->path);
	return 0;
}
