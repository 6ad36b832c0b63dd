#include "release/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define PATH_ROOM 4400 /* a path of the manifest, a slash and any name */

struct listing {
	const struct manifest *manifest;
	enum manifest_root root;
	listing_stranger *stranger;
	void *context;
};

static void close_directory(DIR **directory)
{
	if (*directory != NULL)
		closedir(*directory);
}

static bool type_matches(enum manifest_type type, mode_t mode)
{
	static const mode_t types[] = {
		[MANIFEST_FILE] = S_IFREG,
		[MANIFEST_DIRECTORY] = S_IFDIR,
		[MANIFEST_LINK] = S_IFLNK,
	};
	return (mode & S_IFMT) == types[type];
}

static int list_name(const struct listing *listing, int parent, const char *prefix, const char *name,
		     struct error *error)
{
	char path[PATH_ROOM];
	struct stat status;

	snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", name);
	const struct manifest_entry *entry = manifest_find(listing->manifest, listing->root, path);
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", path);
	if (entry != NULL && type_matches(entry->type, status.st_mode))
		return 0;
	return listing->stranger(listing->context, parent, name, path, error);
}

static int list_directory(const struct listing *listing, int fd, const char *prefix, struct error *error)
{
	CLEANUP(file_close) int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_directory) DIR *directory = own >= 0 ? fdopendir(own) : NULL;

	if (directory == NULL)
		return error_set_errno(error, ERROR_DATA, "tree", "directory %s cannot be listed", prefix);
	own = -1; /* the stream closes it */
	for (;;) {
		errno = 0;
		const struct dirent *found = readdir(directory);
		if (found == NULL)
			break;
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		int result = list_name(listing, fd, prefix, found->d_name, error);
		if (result < 0)
			return result;
	}
	return errno != 0 ? error_set_errno(error, ERROR_DATA, "tree", "directory %s cannot be listed", prefix) : 0;
}

int listing_strangers(int directory, const struct manifest *manifest, enum manifest_root root,
		      listing_stranger *stranger, void *context, struct error *error)
{
	const struct listing listing = {manifest, root, stranger, context};
	int result = list_directory(&listing, directory, "", error);

	for (size_t i = 0; result == 0 && i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		CLEANUP(file_close) int fd = -1;
		if (entry->root != root || entry->type != MANIFEST_DIRECTORY)
			continue;
		struct error why;
		if (file_open_beneath(directory, entry->path, O_RDONLY | O_DIRECTORY, 0, &fd, &why) == 0) {
			result = list_directory(&listing, fd, entry->path, error);
		} else if (strcmp(why.name, "missing") != 0) {
			*error = why;
			result = -(int)why.code;
		}
	}
	return result;
}
