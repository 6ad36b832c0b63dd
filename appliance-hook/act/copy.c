#include "appliance-hook/act/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"

#define COPY_NAME_COST   4096
#define COPY_XATTRS_MOST (64 * 1024)

static int refuse(struct error *error, const char *name, const char *what)
{
	return error_set_errno(error, ERROR_CANNOT_CREATE, "copy", "%.200s: %s", name, what);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int copy_attributes(int from, int to, const char *name, struct error *error)
{
	CLEANUP(free_pointer) char *names = malloc(COPY_XATTRS_MOST);
	CLEANUP(free_pointer) char *value = malloc(COPY_XATTRS_MOST);
	ssize_t size = names && value ? flistxattr(from, names, COPY_XATTRS_MOST) : -1;

	if (!names || !value)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to copy %.200s", name);
	if (size < 0)
		return errno == ENOTSUP ? 0 : refuse(error, name, "attributes cannot be read");
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t length = fgetxattr(from, names + at, value, COPY_XATTRS_MOST);
		if (length < 0 || (fsetxattr(to, names + at, value, (size_t)length, 0) < 0 && errno != ENOTSUP))
			return refuse(error, name, "an attribute cannot be copied");
	}
	return 0;
}

/* Owner before mode (chown clears set-id bits), times last. Without root the owner is already the only one it can be.
 */
static int copy_status(int from, int to, const struct stat *status, const char *name, struct error *error)
{
	const struct timespec times[2] = {status->st_atim, status->st_mtim};

	if (fault_point("act.copy.status") < 0 || (geteuid() == 0 && fchown(to, status->st_uid, status->st_gid) < 0))
		return refuse(error, name, "the owner cannot be kept");
	int result = copy_attributes(from, to, name, error);
	if (result < 0)
		return result;
	if (fchmod(to, status->st_mode & 07777) < 0 || futimens(to, times) < 0)
		return refuse(error, name, "the mode cannot be kept");
	return 0;
}

static int copy_range(int from, int to, off_t at, off_t end, const char *name, struct error *error)
{
	CLEANUP(free_pointer) char *chunk = NULL;

	while (at < end) {
		loff_t in = at, out = at;
		ssize_t done = chunk ? -1 : copy_file_range(from, &in, to, &out, (size_t)(end - at), 0);
		if (done < 0 && !chunk && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
			return refuse(error, name, "the bytes cannot be copied");
		if (done < 0) {
			size_t want = end - at < 65536 ? (size_t)(end - at) : 65536;
			if (!chunk && !(chunk = malloc(65536)))
				return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to copy %.200s",
						 name);
			done = pread(from, chunk, want, at);
			if (done > 0 && pwrite(to, chunk, (size_t)done, at) != done)
				return refuse(error, name, "the bytes cannot be written");
			if (done < 0)
				return refuse(error, name, "the bytes cannot be read");
		}
		if (done == 0)
			return error_set(error, ERROR_NOT_NOW, "copy", "%.200s shrinks while it is copied", name);
		at += done;
	}
	return 0;
}

static int copy_content(int from, int to, off_t size, const char *name, struct error *error)
{
	off_t at = 0;

	if (size == 0)
		return 0;
	if (fault_point("act.copy.read") < 0)
		return refuse(error, name, "the bytes cannot be read");
	if (fault_point("act.copy.write") < 0)
		return refuse(error, name, "the bytes cannot be written");
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) < 0)
		return refuse(error, name, "no room");
	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (data < 0 || hole < 0) {
			data = at;
			hole = size;
		}
		if (hole > size)
			hole = size;
		int result = copy_range(from, to, data, hole, name, error);
		if (result < 0)
			return result;
		at = hole;
	}
	return 0;
}

static int copy_directory(int from, int to, unsigned depth, struct error *error);

static int copy_file(int from, int to, const char *name, struct error *error)
{
	struct stat status;
	CLEANUP(file_close) int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	CLEANUP(file_close) int out = -1;

	if (in < 0 || fstat(in, &status) < 0)
		return refuse(error, name, "cannot be read");
	if (!S_ISREG(status.st_mode))
		return error_set(error, ERROR_NOT_NOW, "copy", "%.200s changes while it is copied", name);
	int result = point_pass("act.copy.file", error);
	if (result < 0)
		return result;
	out = openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return refuse(error, name, "cannot be made");
	result = copy_content(in, out, status.st_size, name, error);
	return result < 0 ? result : copy_status(in, out, &status, name, error);
}

static int copy_link(int from, int to, const char *name, const struct stat *status, struct error *error)
{
	char target[4097];
	ssize_t size = readlinkat(from, name, target, sizeof target - 1);

	if (size < 0)
		return refuse(error, name, "the link cannot be read");
	target[size] = '\0';
	if (fault_point("act.copy.link") < 0 || symlinkat(target, to, name) < 0 ||
	    (geteuid() == 0 && fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0))
		return refuse(error, name, "the link cannot be made");
	return 0;
}

static int copy_entry(int from, int to, const char *name, unsigned depth, struct error *error)
{
	struct stat status;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(error, name, "cannot be read");
	switch (status.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(from, to, name, error);
	case S_IFLNK:
		return copy_link(from, to, name, &status, error);
	case S_IFSOCK:
		return 0; /* means nothing without the process that made it */
	case S_IFIFO:
		if (fault_point("act.copy.pipe") < 0 || mkfifoat(to, name, 0600) < 0 ||
		    (geteuid() == 0 && fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0) ||
		    fchmodat(to, name, status.st_mode & 07777, 0) < 0)
			return refuse(error, name, "the pipe cannot be made");
		return 0;
	case S_IFDIR:
		break;
	default:
		return error_set(error, ERROR_DATA, "data", "%.200s is a device node, which is not copied", name);
	}
	CLEANUP(file_close) int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return refuse(error, name, "cannot be read");
	if (fault_point("act.copy.mkdir") < 0 || mkdirat(to, name, 0700) < 0)
		return refuse(error, name, "cannot be made");
	CLEANUP(file_close) int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (out < 0)
		return refuse(error, name, "cannot be made");
	int result = copy_directory(in, out, depth + 1, error);
	return result < 0 ? result : copy_status(in, out, &status, name, error);
}

static void close_listing(DIR **listing)
{
	if (*listing)
		closedir(*listing);
}

/* A second descriptor for the listing, since closedir takes its own with it. */
static DIR *list(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !listing)
		close(fd);
	return listing;
}

static int copy_directory(int from, int to, unsigned depth, struct error *error)
{
	CLEANUP(close_listing) DIR *listing = list(from);
	int result = 0;

	if (depth > COPY_DEPTH_MOST)
		return error_set(error, ERROR_DATA, "data", "directories lie more than %d deep", COPY_DEPTH_MOST);
	if (!listing || fault_point("act.copy.read") < 0)
		return refuse(error, "a directory", "cannot be listed");
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(listing);
		if (!entry)
			return errno ? refuse(error, "a directory", "cannot be listed") : 0;
		if (is_dot(entry->d_name))
			continue;
		result = copy_entry(from, to, entry->d_name, depth, error);
		if (result < 0)
			return result;
	}
}

int copy_tree(int from, int parent, const char *name, struct error *error)
{
	CLEANUP(file_close) int to = -1;
	struct stat status;

	if (fstat(from, &status) < 0)
		return refuse(error, name, "cannot be read");
	if (fault_point("act.copy.mkdir") < 0 || mkdirat(parent, name, 0700) < 0)
		return refuse(error, name, "cannot be made");
	to = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (to < 0)
		return refuse(error, name, "cannot be opened");
	int result = copy_directory(from, to, 0, error);
	return result < 0 ? result : copy_status(from, to, &status, name, error);
}

static int measure(int directory, unsigned depth, uint64_t *bytes, struct error *error)
{
	CLEANUP(close_listing) DIR *listing = list(directory);

	if (depth > COPY_DEPTH_MOST)
		return error_set(error, ERROR_DATA, "data", "directories lie more than %d deep", COPY_DEPTH_MOST);
	if (!listing)
		return error_set_errno(error, ERROR_DATA, "data", "a directory cannot be listed");
	for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
		struct stat status;
		if (is_dot(entry->d_name))
			continue;
		if (fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue; /* the product runs on while it is measured */
			return error_set_errno(error, ERROR_DATA, "data", "%.200s cannot be read", entry->d_name);
		}
		if (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode))
			return error_set(error, ERROR_DATA, "data", "%.200s is a device node, which is not copied",
					 entry->d_name);
		*bytes += COPY_NAME_COST + (S_ISREG(status.st_mode) ? (uint64_t)status.st_blocks * 512 : 0);
		if (S_ISREG(status.st_mode) &&
		    faccessat(directory, entry->d_name, R_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS) < 0 && errno != ENOENT)
			return error_set_errno(error, ERROR_DATA, "data", "%.200s cannot be read", entry->d_name);
		if (!S_ISDIR(status.st_mode))
			continue;
		CLEANUP(file_close)
		int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (below < 0 && errno == ENOENT)
			continue;
		if (below < 0)
			return error_set_errno(error, ERROR_DATA, "data", "%.200s cannot be read", entry->d_name);
		int result = measure(below, depth + 1, bytes, error);
		if (result < 0)
			return result;
	}
	return 0;
}

int copy_measure(int directory, uint64_t *ret_bytes, struct error *error)
{
	uint64_t bytes = COPY_NAME_COST;
	int result = measure(directory, 0, &bytes, error);

	if (result == 0)
		*ret_bytes = bytes;
	return result;
}

bool copy_can_reflink(int from, int to)
{
	CLEANUP(file_close) int in = openat(from, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CLEANUP(file_close) int out = openat(to, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char block[4096] = {1};

	return in >= 0 && out >= 0 && write(in, block, sizeof block) == (ssize_t)sizeof block &&
	       ioctl(out, FICLONE, in) == 0;
}
