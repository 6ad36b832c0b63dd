#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

/* Deeper trees than this are no release of ours. The bound keeps a hostile one from stack and descriptors; what lies
 * below it is moved up, and goes in the next pass. */
#define REMOVE_DEPTH_MOST  200
#define REMOVE_PASSES_MOST 100000
#define REMOVE_NAMES_MOST  1000

struct removal {
	int top;        /* where what is too deep is moved to */
	unsigned moved; /* in this pass */
	unsigned names; /* tried in all */
};

static int remove_entries(int directory, int depth, struct removal *removal, struct error *error);

/* Beside the entries of the top, under a name that nobody has there. */
static int move_up(int directory, const char *name, struct removal *removal, struct error *error)
{
	char up[64];

	for (int tries = 0; tries < REMOVE_NAMES_MOST; tries++) {
		snprintf(up, sizeof up, ".deep.%ld.%u", (long)getpid(), removal->names++);
		if (fault_point("file.remove.up") == 0 &&
		    renameat2(directory, name, removal->top, up, RENAME_NOREPLACE) == 0) {
			removal->moved++;
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s, which is nested deeply, cannot be moved",
			       name);
}

/* All but a folder. */
static int remove_plain(int directory, const char *name, bool *ret_is_folder, struct error *error)
{
	if (fault_point("file.remove") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	bool gone = unlinkat(directory, name, 0) == 0 || errno == ENOENT;
	if (!gone && errno != EISDIR && errno != EPERM)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	*ret_is_folder = !gone;
	return 0;
}

static int remove_one(int directory, const char *name, int depth, struct removal *removal, struct error *error)
{
	bool is_folder = false;
	int status = remove_plain(directory, name, &is_folder, error);

	if (status < 0 || !is_folder)
		return status;
	if (depth > REMOVE_DEPTH_MOST)
		return move_up(directory, name, removal, error);
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be opened to remove it", name);
	status = remove_entries(fd, depth + 1, removal, error);
	if (status == 0 && unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	return status;
}

/* Takes the descriptor. */
static int remove_entries(int directory, int depth, struct removal *removal, struct error *error)
{
	DIR *entries = fdopendir(directory);
	int status = 0;

	if (!entries) {
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "a directory cannot be listed");
		close(directory);
		return status;
	}
	/* A directory its owner may not write to still goes away. */
	if (fchmod(directory, 0700) < 0)
		errno = 0;
	for (struct dirent *entry; status == 0 && (entry = readdir(entries));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = remove_one(directory, entry->d_name, depth, removal, error);
	closedir(entries);
	return status;
}

/* What the first pass moved up, and what the next ones do, until nothing is left. */
static int remove_below(int directory, const char *name, struct removal *removal, struct error *error)
{
	int status = 0;

	removal->top = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (removal->top < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be opened to remove it", name);
	for (int pass = 0; status == 0 && (pass == 0 || removal->moved > 0); pass++) {
		int fd = openat(removal->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		removal->moved = 0;
		if (fd < 0)
			status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be listed", name);
		else if (pass == REMOVE_PASSES_MOST)
			status = error_set(error, ERROR_DATA, "path", "%s: directories without end", name);
		if (status == 0)
			status = remove_entries(fd, 0, removal, error);
		else
			file_close(&fd);
	}
	return status;
}

int file_remove_tree_at(int directory, const char *name, struct error *error)
{
	struct removal removal = {.top = -1};
	bool is_folder = false;
	int status = remove_plain(directory, name, &is_folder, error);

	if (status < 0 || !is_folder)
		return status;
	status = remove_below(directory, name, &removal, error);
	file_close(&removal.top);
	if (status == 0 && unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "remove", "%s cannot be removed", name);
	return status;
}
