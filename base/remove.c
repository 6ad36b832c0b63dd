#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

/* Deeper trees than this are no release of ours; the bound keeps a hostile one from the stack. */
#define REMOVE_DEPTH_MOST 200

static int remove_entries(int directory, int depth, struct error *error);

static int remove_one(int directory, const char *name, int depth, struct error *error)
{
	if (fault_point("file.remove") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be opened to remove it", name);
	int status = remove_entries(fd, depth + 1, error);
	if (status == 0 && unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	return status;
}

/* Takes the descriptor. */
static int remove_entries(int directory, int depth, struct error *error)
{
	DIR *entries = fdopendir(directory);
	int status = 0;

	if (!entries) {
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "a directory cannot be listed");
		close(directory);
		return status;
	}
	if (depth > REMOVE_DEPTH_MOST)
		status = error_set(error, ERROR_DATA, "path", "directories are nested more than %d deep",
				   REMOVE_DEPTH_MOST);
	/* A directory its owner may not write to still goes away. */
	if (status == 0 && fchmod(directory, 0700) < 0)
		errno = 0;
	for (struct dirent *entry; status == 0 && (entry = readdir(entries));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = remove_one(directory, entry->d_name, depth, error);
	closedir(entries);
	return status;
}

int file_remove_tree_at(int directory, const char *name, struct error *error)
{
	return remove_one(directory, name, 0, error);
}
