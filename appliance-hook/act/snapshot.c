#include "appliance-hook/act/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/copy.h"
#include "appliance-hook/act/point.h"
#include "base/jsonio.h"
#include "base/log.h"

#define SNAPSHOT_LIST "dirs.json"
#define NAME_SIZE     512

/* One data directory by the directory that holds it, which is what renames need. */
struct place {
	int parent;
	const char *name; /* borrowed from the path */
};

static void close_place(struct place *place)
{
	file_close(&place->parent);
}

static int open_place(const char *path, struct place *ret_place, struct error *error)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(free_pointer)
	char *parent = slash && slash != path ? strndup(path, (size_t)(slash - path)) : strdup("/");

	if (!parent || !slash || !slash[1] || strlen(slash + 1) > 128)
		return error_set(error, ERROR_DATA, "data", "data directory %.300s cannot be named", path);
	int status = file_open_directory(parent, &ret_place->parent, error);
	if (status == 0)
		ret_place->name = slash + 1;
	return status;
}

static int open_data(const struct place *place, const char *path, int *ret_fd, struct error *error)
{
	int fd = openat(place->parent, place->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, "data", "data directory %s cannot be opened", path);
	*ret_fd = fd;
	return 0;
}

static int open_below(const struct layout *layout, const char *name, int *ret_fd, struct error *error)
{
	*ret_fd = openat(layout->state, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? error_set_errno(error, ERROR_DATA, "snapshot", "%s cannot be opened", name) : 0;
}

bool snapshot_exists(const struct layout *layout, const char *id)
{
	char path[NAME_SIZE];

	snprintf(path, sizeof path, "snapshots/%s", id);
	return id[0] && faccessat(layout->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int write_list(int directory, const json_t *paths, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64 * 1024);
	int status = jsonio_write(paths, true, &text, error);

	return status < 0 ? status : file_replace_at(directory, SNAPSHOT_LIST, text.data, text.size, 0600, error);
}

static int copy_all(const struct layout *layout, int snapshot, json_t *paths, struct error *error)
{
	const struct hook_words *dirs = &layout->settings->data_dirs;

	for (size_t i = 0; i < dirs->count; i++) {
		CLEANUP(close_place) struct place place = {.parent = -1};
		CLEANUP(file_close) int data = -1;
		char name[24];
		snprintf(name, sizeof name, "%zu", i);
		int status = open_place(dirs->words[i], &place, error);
		if (status == 0)
			status = open_data(&place, dirs->words[i], &data, error);
		if (status == 0)
			status = point_pass("act.snapshot.copy", error);
		if (status == 0)
			status = copy_tree(data, snapshot, name, error);
		if (status == 0 && json_array_append_new(paths, json_string(dirs->words[i])) < 0)
			status = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a snapshot");
		if (status < 0)
			return error_prefix(error, "snapshot of %s", dirs->words[i]);
	}
	return 0;
}

int snapshot_take(const struct layout *layout, const char *id, struct error *error)
{
	CLEANUP(file_close) int snapshots = -1;
	CLEANUP(file_close) int snapshot = -1;
	CLEANUP(jsonio_free) json_t *paths = json_array();
	char part[NAME_SIZE];

	snprintf(part, sizeof part, ".%s.part", id);
	int status = paths ? open_below(layout, "snapshots", &snapshots, error)
			   : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a snapshot");
	if (status == 0)
		status = file_remove_tree_at(snapshots, part, error);
	if (status == 0)
		status = file_remove_tree_at(snapshots, id, error);
	if (status == 0)
		status = file_make_directory_at(snapshots, part, 0700, error);
	if (status == 0 && (snapshot = openat(snapshots, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "snapshot", "snapshot %s cannot be opened", id);
	if (status == 0)
		status = copy_all(layout, snapshot, paths, error);
	if (status == 0)
		status = write_list(snapshot, paths, error);
	if (status == 0)
		status = point_pass("act.snapshot.sync", error);
	if (status == 0)
		status = file_sync_filesystem(snapshot, error);
	if (status == 0)
		status = point_pass("act.snapshot.rename", error);
	if (status == 0)
		status = file_rename_at(snapshots, part, snapshots, id, error);
	/* A full disk is given its room back before anything else is written. */
	struct error why = {0};
	if (status < 0 && snapshots >= 0 && file_remove_tree_at(snapshots, part, &why) < 0)
		log_failure("removing half a snapshot", &why);
	return status;
}

static int read_list(int directory, json_t **ret_paths, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64 * 1024);
	CLEANUP(jsonio_free) json_t *paths = NULL;
	int status = file_read_at(directory, SNAPSHOT_LIST, &text, error);

	if (status == 0)
		status = jsonio_parse(text.data, text.size, SNAPSHOT_LIST, &paths, error);
	if (status < 0)
		return status;
	if (!json_is_array(paths) || json_array_size(paths) > HOOK_SETTINGS_WORDS_MOST)
		return error_set(error, ERROR_DATA, "snapshot", "the snapshot's list of directories is damaged");
	*ret_paths = TAKE(paths);
	return 0;
}

static bool is_there(int directory, const char *name)
{
	return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Copies `from` to parent/name by way of a name that never counts as whole. */
static int copy_whole(int from, int parent, const char *name, struct error *error)
{
	char part[NAME_SIZE];

	snprintf(part, sizeof part, "%.300s.part", name);
	int status = file_remove_tree_at(parent, part, error);
	if (status == 0)
		status = copy_tree(from, parent, part, error);
	if (status == 0)
		status = point_pass("act.restore.sync", error);
	if (status == 0)
		status = file_sync_filesystem(parent, error);
	return status == 0 ? file_rename_at(parent, part, parent, name, error) : status;
}

/* Gone for good: the journal, which may lie on another file system, is about to say that nothing is left to do. */
static int remove_copied(int parent, const char *old, struct error *error)
{
	int status = file_remove_tree_at(parent, old, error);

	return status == 0 ? file_sync_directory(parent, error) : status;
}

/* Moves what was taken away to where it is kept; copies when that is another file system. */
static int set_aside(int parent, const char *old, int aside, const char *index, struct error *error)
{
	CLEANUP(file_close) int fd = -1;

	if (is_there(aside, index))
		return remove_copied(parent, old, error); /* copied before the last interruption */
	int status = point_pass("act.restore.aside", error);
	if (status < 0)
		return status;
	if (renameat(parent, old, aside, index) == 0) {
		status = file_sync_directory(aside, error);
		return status == 0 ? file_sync_directory(parent, error) : status;
	}
	if (errno != EXDEV)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "rename", "%s cannot be set aside", old);
	fd = openat(parent, old, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "read", "%s cannot be opened", old);
	status = copy_whole(fd, aside, index, error);
	return status == 0 ? remove_copied(parent, old, error) : status;
}

/* The snapshot itself, by a rename that needs no room and no time; a copy of it where data lies on another file system.
 */
static int bring(int snapshot, const char *index, int parent, const char *name, struct error *error)
{
	CLEANUP(file_close) int from = -1;
	int status = point_pass("act.restore.bring", error);

	if (status < 0)
		return status;
	if (renameat(snapshot, index, parent, name) == 0) {
		status = file_sync_directory(parent, error);
		return status == 0 ? file_sync_directory(snapshot, error) : status;
	}
	if (errno != EXDEV)
		return error_set_errno(error, ERROR_DATA, "snapshot", "the snapshot cannot be put back");
	from = openat(snapshot, index, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return error_set_errno(error, ERROR_DATA, "snapshot", "the snapshot cannot be read");
	return copy_whole(from, parent, name, error);
}

/* `.NAME.DISCARD.new` is the snapshot, whole; `.NAME.DISCARD.old` what stood in its place. Which names are there says
 * how far an earlier try came:
 * - `new` and the data: nothing was renamed yet;
 * - `new` and `old`: between the two renames;
 * - `old` and the data: it is in place, and `old` is to be set aside;
 * - no `old`, and `aside` has it: done. */
static int restore_one(int snapshot, int aside, const char *index, const char *path, const char *discard,
		       struct error *error)
{
	CLEANUP(close_place) struct place place = {.parent = -1};
	char new[NAME_SIZE], old[NAME_SIZE];
	int status = open_place(path, &place, error);

	if (status < 0)
		return status;
	snprintf(new, sizeof new, ".%s.%s.new", place.name, discard);
	snprintf(old, sizeof old, ".%s.%s.old", place.name, discard);
	bool has_old = is_there(place.parent, old), has_data = is_there(place.parent, place.name);
	if (!has_old && is_there(aside, index)) {
		/* Whoever came this far may have been killed before it was durable. */
		status = file_sync_directory(aside, error);
		return status == 0 ? file_sync_directory(place.parent, error) : status;
	}
	if (has_old && has_data)
		return set_aside(place.parent, old, aside, index, error);
	if (!is_there(place.parent, new))
		status = bring(snapshot, index, place.parent, new, error);
	if (status == 0)
		status = point_pass("act.restore.away", error);
	if (status == 0 && has_data)
		status = file_rename_at(place.parent, place.name, place.parent, old, error);
	if (status == 0)
		status = point_pass("act.restore.rename", error);
	if (status == 0)
		status = file_rename_at(place.parent, new, place.parent, place.name, error);
	if (status == 0 && (has_data || has_old))
		status = set_aside(place.parent, old, aside, index, error);
	return status;
}

int snapshot_restore(const struct layout *layout, const char *id, const char *discard, struct error *error)
{
	CLEANUP(file_close) int snapshots = -1;
	CLEANUP(file_close) int snapshot = -1;
	CLEANUP(file_close) int discarded = -1;
	CLEANUP(file_close) int aside = -1;
	CLEANUP(jsonio_free) json_t *paths = NULL;
	int status = open_below(layout, "snapshots", &snapshots, error);

	if (status == 0)
		status = open_below(layout, "discarded", &discarded, error);
	if (status == 0 && (snapshot = openat(snapshots, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		status = error_set_errno(error, ERROR_DATA, "snapshot", "snapshot %s is not there", id);
	if (status == 0)
		status = read_list(snapshot, &paths, error);
	if (status == 0)
		status = file_make_directory_at(discarded, discard, 0700, error);
	if (status == 0 && (aside = openat(discarded, discard, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "discarded/%s cannot be opened",
					 discard);
	if (status == 0)
		status = write_list(aside, paths, error);
	for (size_t i = 0; status == 0 && i < json_array_size(paths); i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		char index[24];
		snprintf(index, sizeof index, "%zu", i);
		status = path ? restore_one(snapshot, aside, index, path, discard, error)
			      : error_set(error, ERROR_DATA, "snapshot",
					  "the snapshot's list of directories is damaged");
		if (status < 0)
			error_prefix(error, "data directory %.200s", path ? path : "?");
	}
	return status;
}

int snapshot_trim(const struct layout *layout, const char *keep, struct error *error)
{
	CLEANUP(file_close) int snapshots = -1;
	struct dirent **entries = NULL;
	int status = open_below(layout, "snapshots", &snapshots, error);

	if (status < 0)
		return status;
	int count = scandirat(snapshots, ".", &entries, NULL, NULL);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		bool keeps = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (keep && strcmp(name, keep) == 0);
		if (status == 0 && !keeps)
			status = file_remove_tree_at(snapshots, name, error);
		free(entries[i]);
	}
	free(entries);
	return status;
}

int snapshot_need(const struct layout *layout, uint64_t *ret_bytes, struct error *error)
{
	const struct hook_words *dirs = &layout->settings->data_dirs;
	uint64_t total = 0;

	for (size_t i = 0; i < dirs->count; i++) {
		CLEANUP(close_place) struct place place = {.parent = -1};
		CLEANUP(file_close) int data = -1;
		struct stat above, here;
		uint64_t bytes = 0;
		int status = open_place(dirs->words[i], &place, error);
		if (status == 0)
			status = open_data(&place, dirs->words[i], &data, error);
		if (status == 0 && (fstat(place.parent, &above) < 0 || fstat(data, &here) < 0))
			status = error_set_errno(error, ERROR_DATA, "data", "data directory cannot be read");
		/* A mount point cannot be renamed away, so its snapshot could not be put back. */
		if (status == 0 && above.st_dev != here.st_dev)
			status = error_set(error, ERROR_DATA, "data",
					   "is a mount point; name a directory below it in [data] dirs");
		if (status == 0)
			status = copy_measure(data, &bytes, error);
		if (status < 0)
			return error_prefix(error, "%s", dirs->words[i]);
		total += copy_can_reflink(data, layout->state) ? bytes / 64 : bytes;
	}
	*ret_bytes = total;
	return 0;
}
