#include "appliance-hook/act/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"

#define NEXT_LINK ".current.next"

struct release {
	char version[LAYOUT_VERSION_SIZE];
	int64_t sealed; /* when its manifest was put down */
	bool stays;
};

static int activate(const struct layout *layout, const char *version, struct error *error)
{
	char target[LAYOUT_VERSION_SIZE + 16], current[LAYOUT_VERSION_SIZE];
	struct stat status;
	int result = layout_current(layout, current, error);

	if (result < 0)
		return result;
	/* Whoever renamed it may have been killed before it was durable. */
	if (strcmp(current, version) == 0)
		return file_sync_directory(layout->root, error);
	if (fstatat(layout->releases, version, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode))
		return error_set(error, ERROR_DATA, "missing", "release %s is not on this appliance", version);
	snprintf(target, sizeof target, "releases/%s", version);
	if (unlinkat(layout->root, NEXT_LINK, 0) < 0 && errno != ENOENT)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "switch", "a leftover link cannot be removed");
	if (fault_point("act.slot.link") < 0 || symlinkat(target, layout->root, NEXT_LINK) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "switch", "the link to release %s cannot be made",
				       version);
	if (fault_point("act.slot.rename") < 0 || renameat(layout->root, NEXT_LINK, layout->root, "current") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "switch", "current cannot be switched to release %s",
				       version);
	result = point_pass("act.slot.sync", error);
	return result == 0 ? file_sync_directory(layout->root, error) : result;
}

static int64_t sealed_at(const struct layout *layout, const char *version)
{
	char path[LAYOUT_VERSION_SIZE + 32];
	struct stat status;

	snprintf(path, sizeof path, "manifests/%.63s.json", version);
	return fstatat(layout->state, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mtime : 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct release *left = a, *right = b;

	if (left->sealed != right->sealed)
		return left->sealed < right->sealed ? 1 : -1;
	return strcmp(left->version, right->version);
}

static int list_releases(const struct layout *layout, struct release **ret_list, size_t *ret_count, struct error *error)
{
	struct dirent **entries = NULL;
	int count = scandirat(layout->releases, ".", &entries, NULL, NULL);
	struct release *list = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *list);
	size_t found = 0;
	int status = list ? 0 : error_set_errno(error, ERROR_CANNOT_CREATE, "trim", "releases/ cannot be listed");

	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		if (list && manifest_name_is_safe(name)) {
			snprintf(list[found].version, sizeof list[found].version, "%.63s", name);
			list[found].sealed = sealed_at(layout, name);
			found++;
		} else if (status == 0 && strncmp(name, LAYOUT_TRASH, strlen(LAYOUT_TRASH)) == 0) {
			status = file_remove_tree_at(layout->releases, name, error);
		}
		free(entries[i]);
	}
	free(entries);
	if (status < 0) {
		free(list);
		return status;
	}
	*ret_list = list;
	*ret_count = found;
	return 0;
}

int slot_trim(const struct layout *layout, const char *version, const char *fallback, const char *also,
	      struct error *error)
{
	CLEANUP(free_pointer) struct release *list = NULL;
	char current[LAYOUT_VERSION_SIZE];
	size_t count = 0;
	int64_t kept = 0;
	int status = list_releases(layout, &list, &count, error);

	if (status == 0)
		status = slot_backend(layout)->current(layout, current, error);
	if (status < 0)
		return status;
	for (size_t i = 0; i < count; i++) {
		const char *name = list[i].version;
		list[i].stays = strcmp(name, version) == 0 || strcmp(name, fallback) == 0 || strcmp(name, also) == 0 ||
				strcmp(name, current) == 0;
		kept += list[i].stays;
	}
	qsort(list, count, sizeof *list, newest_first);
	for (size_t i = 0; status == 0 && i < count; i++) {
		if (list[i].stays)
			continue;
		if (kept < layout->settings->keep)
			kept++;
		else
			status = layout_remove(layout, list[i].version, error);
	}
	return status;
}

static bool holds(const struct layout *layout, const char *version)
{
	return version[0] && faccessat(layout->releases, version, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

const struct slot_backend slot_tree = {
	.name = "tree",
	.current = layout_current,
	.holds = holds,
	.prepare = layout_verify,
	.activate = activate,
	.undo = activate,
	.mark_good = slot_trim,
};

const struct slot_backend *slot_backend(const struct layout *layout)
{
	return layout->slots ? layout->slots : &slot_tree;
}
