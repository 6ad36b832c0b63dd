/* Many files beneath one directory, one after the other: the directory of the last one stays open, so that a file's
 * neighbour costs one look-up of its name. */
#ifndef BASE_FOLDER_H
#define BASE_FOLDER_H

#include "base/error.h"

#define FOLDER_PATH_MOST 4095

struct folder {
	int root; /* borrowed; which root `fd` lies beneath */
	int fd;   /* owned; -1: none */
	size_t size;
	char path[FOLDER_PATH_MOST + 1]; /* of the directory, without the slash at its end */
};
#define FOLDER_CLOSED ((struct folder){.root = -1, .fd = -1})
void folder_close(struct folder *folder); /* also the CLEANUP function */

/* The directory that holds `path` beneath `root`, as file_open_parent_beneath opens it, borrowed until the next call;
 * *ret_name is the last component. Errors are those of file_open_beneath. */
int folder_enter(struct folder *folder, int root, const char *path, int *ret_directory, const char **ret_name,
		 struct error *error) MUST_CHECK;

/* Opens or makes the file there; a link under its name is not followed. */
int folder_open(struct folder *folder, int root, const char *path, int flags, unsigned mode, int *ret_fd,
		struct error *error) MUST_CHECK;

#endif
