#include "release/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/fault.h"
#include "base/file.h"
#include "release/listing.h"

/* Directories that one thread makes at a time: neighbours, as their names go. */
#define DIRECTORY_STEP 32
/* Of directories that are being filled, and mostly of those that are done. */
#define DIRECTORY_MODE 0755u

static const char *const root_names[] = {[MANIFEST_TREE] = "tree", [MANIFEST_HOOKS] = "hooks"};

void staging_hand_free(struct staging_hand *hand)
{
	folder_close(&hand->to);
	folder_close(&hand->from);
	free(hand->room);
	hand->room = NULL;
}

void staging_close(struct staging *staging)
{
	file_close(&staging->directory);
	file_close(&staging->roots[MANIFEST_TREE]);
	file_close(&staging->roots[MANIFEST_HOOKS]);
}

static int make_directory(const struct staging *staging, struct folder *folder, const struct manifest_entry *entry,
			  struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	const char *name = NULL;
	int parent = -1;

	int result = folder_enter(folder, staging->roots[entry->root], entry->path, &parent, &name, error);
	if (result < 0)
		return result;
	if (fault_point("staging.mkdir") == 0 && mkdirat(parent, name, DIRECTORY_MODE) == 0)
		return 0;
	if (errno != EEXIST)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "%s cannot be made", entry->path);
	/* A finished try left the final mode, through which an owner may not be able to write. */
	result = folder_open(folder, staging->roots[entry->root], entry->path, O_RDONLY | O_DIRECTORY, 0, &fd, error);
	if (result == 0 && fchmod(fd, DIRECTORY_MODE) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot be opened up", entry->path);
	return result;
}

static int make_link(const struct staging *staging, struct folder *folder, const struct manifest_entry *entry,
		     struct error *error)
{
	char standing[4097];
	const char *name = NULL;
	int parent = -1;

	int result = folder_enter(folder, staging->roots[entry->root], entry->path, &parent, &name, error);
	if (result < 0)
		return result;
	ssize_t size = readlinkat(parent, name, standing, sizeof(standing) - 1);
	if (size >= 0) {
		standing[size] = '\0';
		if (strcmp(standing, entry->target) == 0)
			return 0;
		if (unlinkat(parent, name, 0) < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "link", "%s cannot be replaced",
					       entry->path);
	}
	if (fault_point("staging.link") < 0 || symlinkat(entry->target, parent, name) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "link", "link %s cannot be made", entry->path);
	return 0;
}

static int remove_stranger(void *context, int parent, const char *name, const char *path, struct error *error)
{
	(void)context;
	(void)path;
	return file_remove_tree_at(parent, name, error);
}

static int open_root(struct staging *staging, enum manifest_root root, bool fresh, struct error *error)
{
	const char *name = root_names[root];
	int result = fresh ? file_remove_tree_at(staging->directory, name, error) : 0;
	if (result == 0)
		result = file_make_directory_at(staging->directory, name, DIRECTORY_MODE, error);
	if (result == 0)
		result = file_open_beneath(staging->directory, name, O_RDONLY | O_DIRECTORY, 0, &staging->roots[root],
					   error);
	if (result == 0 && fchmod(staging->roots[root], DIRECTORY_MODE) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "staging/%s cannot be opened up", name);
	if (result == 0 && !fresh)
		result = listing_strangers(staging->roots[root], staging->manifest, root, remove_stranger, NULL, error);
	return result;
}

/* What umask and the like take from a new file, seen on one without a name: where they take nothing that is wanted no
 * file needs a second call for its mode. */
static unsigned masked_bits(const struct staging *staging)
{
	CLEANUP(file_close) int fd = openat(staging->roots[MANIFEST_TREE], ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0777);
	struct stat status;
	return fd >= 0 && fstat(fd, &status) == 0 ? 0777 & ~status.st_mode : 0777;
}

/* Directories by their depth, so that those of one depth can be made at the same time. */
struct layer {
	size_t entry, depth;
};

struct layout {
	const struct staging *staging;
	struct layer *layers;
	size_t count, first; /* of the depth that is being made */
	struct folder folders[CREW_OF_FILES];
};

static void layout_end(struct layout *layout)
{
	for (size_t i = 0; i < CREW_OF_FILES; i++)
		folder_close(&layout->folders[i]);
	free(layout->layers);
}

static int by_depth(const void *a, const void *b)
{
	const struct layer *x = a, *y = b;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

static size_t depth_of(const char *path)
{
	size_t depth = 0;
	for (; (path = strchr(path, '/')) != NULL; path++)
		depth++;
	return depth;
}

static int lay_out(struct layout *layout, struct error *error)
{
	const struct manifest *manifest = layout->staging->manifest;

	layout->layers = calloc(manifest->entry_count + 1, sizeof(*layout->layers));
	if (layout->layers == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the directories of release %s",
				 manifest->version);
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].type == MANIFEST_DIRECTORY)
			layout->layers[layout->count++] = (struct layer){i, depth_of(manifest->entries[i].path)};
	qsort(layout->layers, layout->count, sizeof(*layout->layers), by_depth);
	return 0;
}

static int make_piece(void *context, size_t worker, size_t piece, struct error *error)
{
	struct layout *layout = context;
	const struct layer *layer = &layout->layers[layout->first + piece];
	return make_directory(layout->staging, &layout->folders[worker],
			      &layout->staging->manifest->entries[layer->entry], error);
}

static int make_directories(const struct staging *staging, struct error *error)
{
	CLEANUP(layout_end) struct layout layout = {.staging = staging};

	for (size_t i = 0; i < CREW_OF_FILES; i++)
		layout.folders[i] = FOLDER_CLOSED;
	int result = lay_out(&layout, error);
	for (size_t end = 0; result == 0 && end < layout.count; layout.first = end) {
		while (end < layout.count && layout.layers[end].depth == layout.layers[layout.first].depth)
			end++;
		result = crew_run(CREW_OF_FILES, end - layout.first, DIRECTORY_STEP, make_piece, &layout, error);
	}
	return result;
}

static int make_links(const struct staging *staging, struct error *error)
{
	CLEANUP(folder_close) struct folder folder = FOLDER_CLOSED;
	int result = 0;

	for (size_t i = 0; result == 0 && i < staging->manifest->entry_count; i++)
		if (staging->manifest->entries[i].type == MANIFEST_LINK)
			result = make_link(staging, &folder, &staging->manifest->entries[i], error);
	return result;
}

int staging_open(int directory, const struct manifest *manifest, bool fresh, struct staging *ret_staging,
		 struct error *error)
{
	CLEANUP(staging_close) struct staging staging = {.directory = -1, .roots = {-1, -1}, .manifest = manifest};

	staging.directory = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	if (staging.directory < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory",
				       "the staging directory cannot be kept open");
	int result = open_root(&staging, MANIFEST_TREE, fresh, error);
	if (result == 0)
		result = open_root(&staging, MANIFEST_HOOKS, fresh, error);
	if (result == 0)
		result = make_directories(&staging, error);
	if (result == 0)
		result = make_links(&staging, error);
	if (result < 0)
		return result;
	staging.masked = masked_bits(&staging);
	*ret_staging = staging;
	staging = (struct staging){.directory = -1, .roots = {-1, -1}};
	return 0;
}

/* It has its mode since make_directory. */
static bool is_as_made(const struct staging *staging, const struct manifest_entry *entry)
{
	return (entry->mode & 0777) == DIRECTORY_MODE && (staging->masked & DIRECTORY_MODE) == 0;
}

int staging_finish_directories(const struct staging *staging, struct error *error)
{
	CLEANUP(folder_close) struct folder folder = FOLDER_CLOSED;

	/* From the leaves, so that a directory without write permission closes last. */
	for (size_t i = staging->manifest->entry_count; i-- > 0;) {
		const struct manifest_entry *entry = &staging->manifest->entries[i];
		CLEANUP(file_close) int fd = -1;
		struct stat status;
		if (entry->type != MANIFEST_DIRECTORY || is_as_made(staging, entry))
			continue;
		int result = folder_open(&folder, staging->roots[entry->root], entry->path, O_RDONLY | O_DIRECTORY, 0,
					 &fd, error);
		if (result < 0)
			return result;
		if (fstat(fd, &status) == 0 && (status.st_mode & 07777) == (entry->mode & 0777))
			continue;
		if (fchmod(fd, entry->mode & 0777) < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode",
					       entry->path);
	}
	return 0;
}
