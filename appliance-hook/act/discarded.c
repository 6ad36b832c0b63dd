#include "appliance-hook/act/discarded.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"

void discarded_name(const struct journal_run *run, char ret_name[static DISCARDED_NAME_SIZE])
{
	char id[LAYOUT_ID_SIZE];

	layout_id(run->upgrade, id);
	snprintf(ret_name, DISCARDED_NAME_SIZE, "%s.%lld", id, (long long)run->started);
}

/* The end of the name; what has none is of nobody's run, and oldest. */
static long long started(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? strtoll(dot + 1, NULL, 10) : 0;
}

static int newest_first(const struct dirent **left, const struct dirent **right)
{
	long long a = started((*left)->d_name), b = started((*right)->d_name);

	return a < b ? 1 : a > b ? -1 : strcmp((*left)->d_name, (*right)->d_name);
}

static int is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

int discarded_trim(const struct layout *layout, const struct journal_run *last, struct error *error)
{
	CLEANUP(file_close)
	int directory = openat(layout->state, "discarded", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char kept[DISCARDED_NAME_SIZE];
	struct dirent **entries = NULL;
	int count = directory < 0 ? -1 : scandirat(directory, ".", &entries, is_entry, newest_first);
	int status = count < 0 ? error_set_errno(error, ERROR_CANNOT_CREATE, "trim", "discarded/ cannot be listed") : 0;

	discarded_name(last, kept);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		bool stays = i < layout->settings->data_discarded || strcmp(name, kept) == 0;
		if (status == 0 && !stays)
			status = point_pass("act.discarded.remove", error);
		if (status == 0 && !stays)
			status = file_remove_tree_at(directory, name, error);
		free(entries[i]);
	}
	free(entries);
	return status;
}
