#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"

void folder_close(struct folder *folder)
{
	file_close(&folder->fd);
	folder->root = -1;
}

static int move(struct folder *folder, int root, const char *path, size_t size, struct error *error)
{
	const char *name = NULL;

	folder_close(folder);
	int status = file_open_parent_beneath(root, path, false, &folder->fd, &name, error);
	if (status < 0)
		return status;
	folder->root = root;
	folder->size = size;
	memcpy(folder->path, path, size);
	return 0;
}

int folder_enter(struct folder *folder, int root, const char *path, int *ret_directory, const char **ret_name,
		 struct error *error)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t size = slash ? (size_t)(slash - path) : 0;

	if (!file_path_is_safe(name))
		return error_set(error, ERROR_DATA, "path", "\"%.200s\" is not a path that stays inside", path);
	bool here =
		folder->fd >= 0 && folder->root == root && folder->size == size && !memcmp(folder->path, path, size);
	int status = here || !slash ? 0 : move(folder, root, path, size, error);
	if (status < 0)
		return status;
	*ret_directory = slash ? folder->fd : root;
	*ret_name = name;
	return 0;
}

int folder_open(struct folder *folder, int root, const char *path, int flags, unsigned mode, int *ret_fd,
		struct error *error)
{
	const char *name = NULL;
	int directory = -1, fd;
	int status = folder_enter(folder, root, path, &directory, &name, error);

	if (status < 0)
		return status;
	do
		fd = openat(directory, name,
			    flags | O_NOFOLLOW | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY), mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, errno == ENOENT ? "missing" : "path",
				       "%s cannot be opened beneath its directory", path);
	*ret_fd = fd;
	return 0;
}
