/* Files: read with a bound, write so that a power cut leaves the old or the new content, open beneath a directory. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>

#include "base/buffer.h"

/* CLEANUP function for descriptors: `CLEANUP(file_close) int fd = -1;` Closes when >= 0 and sets -1. */
void file_close(int *fd);

/* Reads the whole file, at most buffer->limit bytes ("length" beyond). `directory` may be AT_FDCWD.
 * A missing file is ERROR_DATA "missing". Symbolic links in the last component are refused. */
int file_read_at(int directory, const char *path, struct buffer *ret_content, struct error *error) MUST_CHECK;
int file_read_fd(int fd, const char *name, struct buffer *ret_content, struct error *error) MUST_CHECK;

/* At most `size` bytes from `offset` on, wherever the descriptor stands; *ret_got is how many, 0 at the file's end. */
int file_read_piece(int fd, const char *name, uint64_t offset, void *bytes, size_t size, size_t *ret_got,
		    struct error *error) MUST_CHECK;
/* Exactly `size` bytes from `offset` on, wherever the descriptor stands; ERROR_DATA "length" where the file ends
 * before.
 */
int file_read_exact(int fd, const char *name, uint64_t offset, void *bytes, size_t size,
		    struct error *error) MUST_CHECK;

/* A regular file to read from its start, as file_read_at opens it. */
int file_open_at(int directory, const char *path, int *ret_fd, struct error *error) MUST_CHECK;
/* A file without a name on the file system of `directory`, to write and read; it ends with its descriptor. */
int file_temporary(int directory, int *ret_fd, struct error *error) MUST_CHECK;

/* From one descriptor's position to its end, to the other's; ERROR_DATA "length" beyond `most` bytes. */
int file_copy_fd(int from, int to, const char *name, uint64_t most, struct error *error) MUST_CHECK;

/* Whole write of `size` bytes at the descriptor's position; retries short writes and EINTR. */
int file_write_fd(int fd, const char *name, const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* At `offset`; the position stays. */
int file_write_at(int fd, const char *name, uint64_t offset, const void *bytes, size_t size,
		  struct error *error) MUST_CHECK;

/* Durable replacement: temporary file beside, write, fsync, rename, fsync of the directory. */
int file_replace_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode,
		    struct error *error) MUST_CHECK;
/* The same for another owner, whose it is as soon as it stands there; (uid_t)-1, (gid_t)-1: the caller's. */
int file_replace_for_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode, uid_t uid,
			gid_t gid, struct error *error) MUST_CHECK;
/* The same with what another file has from its descriptor's position to its end. */
int file_replace_from_at(int directory, const char *path, int from, mode_t mode, struct error *error) MUST_CHECK;
/* As file_replace_at, but refuses (ERROR_CANNOT_CREATE "exists") when the file is there already. */
int file_create_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode,
		   struct error *error) MUST_CHECK;

/* openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS and O_CLOEXEC.
 * Returns the descriptor in *ret_fd. */
int file_open_beneath(int directory, const char *path, int flags, mode_t mode, int *ret_fd,
		      struct error *error) MUST_CHECK;
/* The directory that holds `path` (made with its parents, mode 0755, when `make`) and the last component. */
int file_open_parent_beneath(int directory, const char *path, bool make, int *ret_fd, const char **ret_name,
			     struct error *error) MUST_CHECK;
/* A directory, by path, for use as a `directory` argument. */
int file_open_directory(const char *path, int *ret_fd, struct error *error) MUST_CHECK;
/* mkdir -p with fsync of each parent that changed. */
int file_make_directories(const char *path, mode_t mode, struct error *error) MUST_CHECK;
int file_make_directory_at(int directory, const char *name, mode_t mode, struct error *error) MUST_CHECK;

/* Removes a file or a whole tree without following a link; a missing one is no error. */
int file_remove_tree_at(int directory, const char *name, struct error *error) MUST_CHECK;

/* Durable rename within or between directories of one file system; replaces the target. */
int file_rename_at(int from_directory, const char *from, int to_directory, const char *to,
		   struct error *error) MUST_CHECK;
int file_sync_directory(int directory, struct error *error) MUST_CHECK;
/* syncfs of the file system that holds `fd`. */
int file_sync_filesystem(int fd, struct error *error) MUST_CHECK;

/* Exclusive flock on a file that is made when missing. Waits at most `wait_ms` (0: not at all, -1: for ever);
 * ERROR_NOT_NOW "busy" when another holds it. The lock lives until *ret_fd is closed. */
int file_lock_at(int directory, const char *path, int wait_ms, int *ret_fd, struct error *error) MUST_CHECK;

/* Bytes free for this process on the file system that holds `fd`. */
int file_space_free(int fd, uint64_t *ret_bytes, struct error *error) MUST_CHECK;

/* A relative path that stays below: no empty component, no ".", no "..", no leading or trailing slash, no NUL, no
 * control character, each component at most 255 bytes, the whole at most 4,095. */
bool file_path_is_safe(const char *path);

/* malloc'd "directory/name". NULL only when memory ends. */
char *file_join(const char *directory, const char *name);

#endif
