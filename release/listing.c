#include "release/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/file.h"
#include "base/folder.h"

#define PATH_ROOM 4400 /* a path of the manifest, a slash and any name */
#define STEP      64

struct listing {
	int directory;
	const struct manifest *manifest;
	enum manifest_root root;
	listing_stranger *stranger;
	void *context;
	struct folder folders[CREW_OF_FILES];
};

static void listing_end(struct listing *listing)
{
	for (size_t i = 0; i < CREW_OF_FILES; i++)
		folder_close(&listing->folders[i]);
}

static void close_directory(DIR **directory)
{
	if (*directory != NULL)
		closedir(*directory);
}

/* The file system says the type with the name, or has to be asked. */
static int type_of(int parent, const struct dirent *found, unsigned char *ret_type)
{
	struct stat status;

	*ret_type = found->d_type;
	if (found->d_type != DT_UNKNOWN)
		return 0;
	if (fstatat(parent, found->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	*ret_type = (unsigned char)IFTODT(status.st_mode);
	return 0;
}

static int list_name(const struct listing *listing, int parent, const char *prefix, const struct dirent *found,
		     struct error *error)
{
	static const unsigned char types[] = {
		[MANIFEST_FILE] = DT_REG,
		[MANIFEST_DIRECTORY] = DT_DIR,
		[MANIFEST_LINK] = DT_LNK,
	};
	char path[PATH_ROOM];
	unsigned char type = DT_UNKNOWN;

	snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", found->d_name);
	const struct manifest_entry *entry = manifest_find(listing->manifest, listing->root, path);
	if (type_of(parent, found, &type) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", path);
	if (entry != NULL && type == types[entry->type])
		return 0;
	return listing->stranger(listing->context, parent, found->d_name, path, error);
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
		int result = list_name(listing, fd, prefix, found, error);
		if (result < 0)
			return result;
	}
	return errno != 0 ? error_set_errno(error, ERROR_DATA, "tree", "directory %s cannot be listed", prefix) : 0;
}

/* Piece 0 is the root, the others are the manifest's entries. */
static int list_piece(void *context, size_t worker, size_t index, struct error *error)
{
	struct listing *listing = context;
	CLEANUP(file_close) int fd = -1;
	struct error why;

	if (index == 0)
		return list_directory(listing, listing->directory, "", error);
	const struct manifest_entry *entry = &listing->manifest->entries[index - 1];
	if (entry->root != listing->root || entry->type != MANIFEST_DIRECTORY)
		return 0;
	if (folder_open(&listing->folders[worker], listing->directory, entry->path, O_RDONLY | O_DIRECTORY, 0, &fd,
			&why) == 0)
		return list_directory(listing, fd, entry->path, error);
	if (strcmp(why.name, "missing") == 0)
		return 0;
	*error = why;
	return -(int)why.code;
}

int listing_strangers(int directory, const struct manifest *manifest, enum manifest_root root,
		      listing_stranger *stranger, void *context, struct error *error)
{
	CLEANUP(listing_end)
	struct listing listing = {
		.directory = directory, .manifest = manifest, .root = root, .stranger = stranger, .context = context};

	for (size_t i = 0; i < CREW_OF_FILES; i++)
		listing.folders[i] = FOLDER_CLOSED;
	return crew_run(CREW_OF_FILES, manifest->entry_count + 1, STEP, list_piece, &listing, error);
}
