#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/secret.h"

#define FILE_PATH_MOST  4095
#define FILE_NAME_MOST  255
#define FILE_OPEN_TRIES 16
/* The kernel keeps what is written at a time in pieces of memory as large as that. The largest, of MiBs, are those that
 * nobody has touched for long: slow to fill. */
#define WRITE_PIECE     ((size_t)64 * 1024)

void file_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int unreadable(const char *name, struct error *error)
{
	return error_set_errno(error, ERROR_DATA, "read", "%s cannot be read", name);
}

int file_read_piece(int fd, const char *name, uint64_t offset, void *bytes, size_t size, size_t *ret_got,
		    struct error *error)
{
	ssize_t got;

	do
		got = pread(fd, bytes, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return unreadable(name, error);
	*ret_got = (size_t)got;
	return 0;
}

/* From where the descriptor stands: it may be a pipe. */
static int read_on(int fd, const char *name, void *bytes, size_t size, size_t *ret_got, struct error *error)
{
	ssize_t got;

	do
		got = read(fd, bytes, size);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return unreadable(name, error);
	*ret_got = (size_t)got;
	return 0;
}

static int too_long(const char *name, uint64_t most, struct error *error)
{
	return error_set(error, ERROR_DATA, "length", "%s is longer than %llu bytes", name, (unsigned long long)most);
}

/* One byte beyond the limit tells "exactly full" from "too long". */
static int expect_end(int fd, const char *name, size_t limit, struct error *error)
{
	uint8_t extra;
	size_t got = 0;
	int status = read_on(fd, name, &extra, 1, &got, error);

	return status == 0 && got > 0 ? too_long(name, limit, error) : status;
}

int file_read_fd(int fd, const char *name, struct buffer *ret_content, struct error *error)
{
	if (fault_point("file.read") < 0)
		return unreadable(name, error);
	for (;;) {
		size_t room_size = 64 * 1024, got = 0;
		uint8_t *room = NULL;
		if (ret_content->limit && ret_content->limit - ret_content->size < room_size)
			room_size = ret_content->limit - ret_content->size;
		if (room_size == 0)
			return expect_end(fd, name, ret_content->limit, error);
		int status = buffer_reserve(ret_content, room_size, &room, error);
		if (status == 0)
			status = read_on(fd, name, room, room_size, &got, error);
		if (status < 0 || got == 0)
			return status;
		buffer_commit(ret_content, got);
	}
}

int file_open_at(int directory, const char *path, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;

	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, errno == ENOENT ? "missing" : "read", "%s cannot be opened",
				       path);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "read", "%s is not a regular file", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int file_read_at(int directory, const char *path, struct buffer *ret_content, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	uint8_t *room = NULL;
	struct stat found;
	int status = file_open_at(directory, path, &fd, error);

	/* Room for all of it at once: what grows is copied. */
	if (status == 0 && fstat(fd, &found) == 0 && found.st_size > 0 &&
	    (status = buffer_reserve(ret_content, (size_t)found.st_size, &room, error)) < 0)
		return error_prefix(error, "%s", path);
	return status == 0 ? file_read_fd(fd, path, ret_content, error) : status;
}

int file_temporary(int directory, int *ret_fd, struct error *error)
{
	char name[32];
	int fd = fault_point("file.temporary") < 0 ? -1 : openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* Where the file system knows none: one that loses its name at once. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		snprintf(name, sizeof name, ".%ld.temporary", (long)getpid());
		unlinkat(directory, name, 0);
		fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0)
			unlinkat(directory, name, 0);
	}
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "no temporary file can be made");
	*ret_fd = fd;
	return 0;
}

int file_read_exact(int fd, const char *name, uint64_t offset, void *bytes, size_t size, struct error *error)
{
	uint8_t *rest = bytes;

	while (size) {
		size_t got = 0;
		int status = file_read_piece(fd, name, offset, rest, size, &got, error);
		if (status < 0)
			return status;
		if (got == 0)
			return error_set(error, ERROR_DATA, "length", "%s ends in the middle", name);
		rest += got;
		offset += got;
		size -= got;
	}
	return 0;
}

static int unwritable(const char *name, struct error *error)
{
	return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be written", name);
}

/* Where the descriptor stands, or at `offset`. */
static int write_whole(int fd, const char *name, const uint64_t *offset, const uint8_t *rest, size_t size,
		       struct error *error)
{
	uint64_t at = offset != NULL ? *offset : 0;

	if (fault_point("file.write") < 0)
		return unwritable(name, error);
	while (size > 0) {
		size_t piece = size < WRITE_PIECE ? size : WRITE_PIECE;
		ssize_t put = offset != NULL ? pwrite(fd, rest, piece, (off_t)at) : write(fd, rest, piece);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return unwritable(name, error);
		rest += put;
		at += (uint64_t)put;
		size -= (size_t)put;
	}
	return 0;
}

int file_write_fd(int fd, const char *name, const void *bytes, size_t size, struct error *error)
{
	return write_whole(fd, name, NULL, bytes, size, error);
}

int file_write_at(int fd, const char *name, uint64_t offset, const void *bytes, size_t size, struct error *error)
{
	return write_whole(fd, name, &offset, bytes, size, error);
}

int file_copy_fd(int from, int to, const char *name, uint64_t most, struct error *error)
{
	uint8_t piece[64 * 1024];
	uint64_t left = most;

	if (fault_point("file.read") < 0)
		return unreadable(name, error);
	for (;;) {
		size_t got = 0;
		int status = read_on(from, name, piece, sizeof piece, &got, error);
		if (status < 0 || got == 0)
			return status;
		if (got > left)
			return too_long(name, most, error);
		left -= got;
		status = file_write_fd(to, name, piece, got, error);
		if (status < 0)
			return status;
	}
}

/* Opens the directory that holds `path`, following the caller's own path. */
static int open_parent(int directory, const char *path, int *ret_fd, const char **ret_name, struct error *error)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(free_pointer) char *parent = NULL;

	*ret_name = slash ? slash + 1 : path;
	if (slash)
		parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	else
		parent = strdup(".");
	if (!parent)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	int fd = openat(directory, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "directory %s cannot be opened",
				       parent);
	*ret_fd = fd;
	return 0;
}

/* What is to stand in a file: bytes, or what another one has from its position on. */
struct content {
	const void *bytes;
	size_t size;
	int from; /* -1: bytes */
	mode_t mode;
	uid_t uid; /* -1, as the next: the writer's */
	gid_t gid;
};

/* The caller's mode, whatever the umask is. */
static int set_owner(int fd, const char *path, const struct content *content, struct error *error)
{
	if (fchmod(fd, content->mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s: mode", path);
	if (content->uid != (uid_t)-1 && fchown(fd, content->uid, content->gid) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "%s: owner", path);
	return 0;
}

static int write_content(int fd, const char *path, const struct content *content, struct error *error)
{
	return content->from < 0 ? file_write_fd(fd, path, content->bytes, content->size, error)
				 : file_copy_fd(content->from, fd, path, UINT64_MAX, error);
}

static int write_durable(int directory, const char *path, const struct content *content, bool replace,
			 struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	CLEANUP(file_close) int fd = -1;
	const char *name = NULL;
	uint8_t salt[6];
	char salt_text[2 * sizeof salt + 1], temporary[FILE_NAME_MOST + 1];
	int status = open_parent(directory, path, &parent, &name, error);

	if (status < 0)
		return status;
	secret_random(salt, sizeof salt);
	hash_to_hex(salt, sizeof salt, salt_text);
	snprintf(temporary, sizeof temporary, ".%.200s.%s", name, salt_text);
	if (fault_point("file.create") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be created", path);
	fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, content->mode);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be created", path);
	status = set_owner(fd, path, content, error);
	if (status == 0)
		status = write_content(fd, path, content, error);
	if (status == 0 && (fault_point("file.sync") < 0 || fsync(fd) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made durable", path);
	if (status == 0 && fault_point("file.rename") < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be put in place", path);
	if (status == 0) {
		/* A link refuses an existing name in one step; a rename replaces it in one step. */
		int placed = replace ? renameat(parent, temporary, parent, name)
				     : linkat(parent, temporary, parent, name, 0);
		if (placed < 0 && errno == EEXIST)
			status = error_set(error, ERROR_CANNOT_CREATE, "exists", "%s is there already", path);
		else if (placed < 0)
			status =
				error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be put in place", path);
	}
	if (status < 0 || !replace)
		unlinkat(parent, temporary, 0);
	if (status == 0)
		status = file_sync_directory(parent, error);
	return status;
}

static struct content bytes_of(const void *bytes, size_t size, mode_t mode)
{
	return (struct content){.bytes = bytes, .size = size, .from = -1, .mode = mode, .uid = (uid_t)-1};
}

int file_replace_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode, struct error *error)
{
	const struct content content = bytes_of(bytes, size, mode);

	return write_durable(directory, path, &content, true, error);
}

int file_replace_for_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode, uid_t uid,
			gid_t gid, struct error *error)
{
	struct content content = bytes_of(bytes, size, mode);

	content.uid = uid;
	content.gid = gid;
	return write_durable(directory, path, &content, true, error);
}

int file_replace_from_at(int directory, const char *path, int from, mode_t mode, struct error *error)
{
	const struct content content = {.from = from, .mode = mode, .uid = (uid_t)-1};

	return write_durable(directory, path, &content, true, error);
}

int file_create_at(int directory, const char *path, const void *bytes, size_t size, mode_t mode, struct error *error)
{
	const struct content content = bytes_of(bytes, size, mode);

	return write_durable(directory, path, &content, false, error);
}

int file_open_beneath(int directory, const char *path, int flags, mode_t mode, int *ret_fd, struct error *error)
{
	struct open_how how = {
		/* Without a wait: where a file is expected a hostile folder may hold a pipe. */
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY)),
		.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
		.resolve = (uint64_t)(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS),
	};
	int tries = 0;
	long fd = -1;

	if (fault_point("file.open") < 0)
		return error_set_errno(error, ERROR_DATA, "path", "%s cannot be opened beneath its directory", path);
	do /* EAGAIN: something was renamed on the way */
		fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < FILE_OPEN_TRIES)));

	if (fd < 0)
		return error_set_errno(error, ERROR_DATA,
				       errno == ENOENT   ? "missing"
				       : errno == ENOSPC ? "space"
							 : "path",
				       "%s cannot be opened beneath its directory", path);
	*ret_fd = (int)fd;
	return 0;
}

int file_open_parent_beneath(int directory, const char *path, bool make, int *ret_fd, const char **ret_name,
			     struct error *error)
{
	char part[FILE_PATH_MOST + 1];
	const char *last = strrchr(path, '/');

	if (!file_path_is_safe(path))
		return error_set(error, ERROR_DATA, "path", "\"%.200s\" is not a path that stays inside", path);
	for (const char *slash = make ? strchr(path, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		CLEANUP(file_close) int parent = -1;
		const char *name = NULL;
		int status = file_open_parent_beneath(directory, part, false, &parent, &name, error);
		if (status < 0)
			return status;
		if (fault_point("file.mkdir") < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
			return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "directory %s cannot be made",
					       part);
	}
	snprintf(part, sizeof part, "%.*s", last ? (int)(last - path) : 1, last ? path : ".");
	int status = file_open_beneath(directory, part, O_RDONLY | O_DIRECTORY, 0, ret_fd, error);
	if (status == 0)
		*ret_name = last ? last + 1 : path;
	return status;
}

int file_open_directory(const char *path, int *ret_fd, struct error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set_errno(error, ERROR_CONFIG, errno == ENOENT ? "missing" : "directory",
				       "directory %s cannot be opened", path);
	*ret_fd = fd;
	return 0;
}

int file_make_directory_at(int directory, const char *name, mode_t mode, struct error *error)
{
	if (fault_point("file.mkdir") < 0 || (mkdirat(directory, name, mode) < 0 && errno != EEXIST))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "directory %s cannot be made", name);
	return file_sync_directory(directory, error);
}

int file_make_directories(const char *path, mode_t mode, struct error *error)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return 0;
	CLEANUP(free_pointer) char *parent = strdup(path);
	if (!parent)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	size_t length = strlen(parent);
	while (length > 1 && parent[length - 1] == '/')
		parent[--length] = 0;
	char *slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = 0;
		int result = file_make_directories(parent, mode, error);
		if (result < 0)
			return result;
	}
	CLEANUP(file_close) int fd = -1;
	int result = file_open_directory(slash == parent ? "/" : slash ? parent : ".", &fd, error);
	if (result < 0)
		return result;
	return file_make_directory_at(fd, slash ? slash + 1 : parent, mode, error);
}

int file_rename_at(int from_directory, const char *from, int to_directory, const char *to, struct error *error)
{
	if (fault_point("file.rename") < 0 || renameat(from_directory, from, to_directory, to) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "rename", "%s cannot be renamed to %s", from, to);
	int status = file_sync_directory(to_directory, error);
	if (status == 0 && from_directory != to_directory)
		status = file_sync_directory(from_directory, error);
	return status;
}

int file_sync_directory(int directory, struct error *error)
{
	if (fault_point("file.sync-directory") < 0 || fsync(directory) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "a directory cannot be made durable");
	return 0;
}

int file_sync_filesystem(int fd, struct error *error)
{
	if (fault_point("file.syncfs") < 0 || syncfs(fd) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "the file system cannot be made durable");
	return 0;
}

int file_lock_at(int directory, const char *path, int wait_ms, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int fd = openat(directory, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int64_t deadline = clock_ticks_ms() + wait_ms;

	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "lock", "lock %s cannot be opened", path);
	for (;;) {
		if (flock(fd, wait_ms < 0 ? LOCK_EX : LOCK_EX | LOCK_NB) == 0)
			break;
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "lock", "lock %s cannot be taken", path);
		if (clock_ticks_ms() >= deadline)
			return error_set(error, ERROR_NOT_NOW, "busy", "%s is held by another run; wait for it to end",
					 path);
		usleep(10000);
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int file_space_free(int fd, uint64_t *ret_bytes, struct error *error)
{
	struct statvfs space;

	if (fstatvfs(fd, &space) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "space", "the free space cannot be read");
	*ret_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	return 0;
}

bool file_path_is_safe(const char *path)
{
	size_t component = 0, length = strlen(path);

	if (length == 0 || length > FILE_PATH_MOST)
		return false;
	for (size_t i = 0; i <= length; i++) {
		unsigned char byte = (unsigned char)path[i];
		if (byte != '/' && byte != 0) {
			if (byte < ' ' || byte == 127)
				return false;
			component++;
			continue;
		}
		const char *start = path + i - component;
		if (component == 0 || component > FILE_NAME_MOST || (component == 1 && start[0] == '.') ||
		    (component == 2 && start[0] == '.' && start[1] == '.'))
			return false;
		component = 0;
	}
	return true;
}

char *file_join(const char *directory, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}
