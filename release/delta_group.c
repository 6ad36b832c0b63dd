#include "release/delta_group.h"

#include <stdlib.h>

#include "release/delta_match.h"

/* A group ends at so many bytes of new or old contents: enough that like files meet, little enough that all cores have
 * work and that the search sees all of it. */
#define GROUP_MOST ((uint64_t)12 * 1024 * 1024)
/* Pieces of a file that is too large for one part, and how far around the place that answers to it the old file is
 * looked at. */
#define PIECE  ((uint64_t)32 * 1024 * 1024)
#define MARGIN ((uint64_t)16 * 1024 * 1024)

struct group {
	const struct manifest *old, *new;
	const size_t *matches;
	struct delta_plan plan;
	size_t *members; /* new contents of the group that is being gathered */
	size_t count;
	uint64_t plain, prefix;
	bool *taken; /* by old content: it is in this group's prefix */
};

static void group_end(struct group *group)
{
	delta_plan_free(&group->plan);
	free(group->members);
	free(group->taken);
}

/* Old contents once each, in the order of those that they are for. */
static int close_group(struct group *group, struct error *error)
{
	int result = group->count > 0 ? delta_plan_begin(&group->plan, error) : 0;
	for (size_t i = 0; result == 0 && i < group->count; i++) {
		size_t match = group->matches[group->members[i]];
		if (match == DELTA_MATCH_NONE || !group->taken[match])
			continue;
		group->taken[match] = false;
		struct delta_stretch stretch = {match, 0, group->old->contents[match].size};
		result = delta_plan_add(&group->plan, false, stretch, error);
	}
	for (size_t i = 0; result == 0 && i < group->count; i++) {
		struct delta_stretch stretch = {group->members[i], 0, group->new->contents[group->members[i]].size};
		result = delta_plan_add(&group->plan, true, stretch, error);
	}
	group->count = 0;
	group->plain = group->prefix = 0;
	return result;
}

static uint64_t extra_prefix(const struct group *group, size_t match)
{
	return match == DELTA_MATCH_NONE || group->taken[match] ? 0 : group->old->contents[match].size;
}

static int gather(struct group *group, size_t index, struct error *error)
{
	size_t match = group->matches[index];
	uint64_t size = group->new->contents[index].size;

	if (group->count > 0 &&
	    (group->plain + size > GROUP_MOST || group->prefix + extra_prefix(group, match) > GROUP_MOST)) {
		int result = close_group(group, error);
		if (result < 0)
			return result;
	}
	group->prefix += extra_prefix(group, match);
	group->plain += size;
	if (match != DELTA_MATCH_NONE)
		group->taken[match] = true;
	group->members[group->count++] = index;
	return 0;
}

/* Pieces of the new file, each with the old file around the place that lies as far into it. */
static int cut(struct group *group, size_t index, struct error *error)
{
	size_t match = group->matches[index];
	uint64_t size = group->new->contents[index].size;
	uint64_t old_size = match == DELTA_MATCH_NONE ? 0 : group->old->contents[match].size;
	int result = 0;

	for (uint64_t at = 0; result == 0 && at < size; at += PIECE) {
		struct delta_stretch piece = {index, at, size - at < PIECE ? size - at : PIECE};
		result = delta_plan_begin(&group->plan, error);
		/* In units that keep the product below 2^64: files are below 2^40. */
		uint64_t middle = (at >> 12) * (old_size >> 12) / ((size >> 12) + 1) << 12;
		uint64_t from = middle > MARGIN ? middle - MARGIN : 0;
		uint64_t to = middle + PIECE + MARGIN < old_size ? middle + PIECE + MARGIN : old_size;
		if (result == 0 && to > from)
			result = delta_plan_add(&group->plan, false, (struct delta_stretch){match, from, to - from},
						error);
		if (result == 0)
			result = delta_plan_add(&group->plan, true, piece, error);
	}
	return result;
}

int delta_group(const struct manifest *old, const struct manifest *new, const size_t *matches,
		struct delta_plan *ret_plan, struct error *error)
{
	CLEANUP(group_end) struct group group = {.old = old, .new = new, .matches = matches};
	int result = 0;

	group.members = calloc(new->content_count + 1, sizeof(*group.members));
	group.taken = calloc(old->content_count + 1, sizeof(*group.taken));
	if (group.members == NULL || group.taken == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
	for (size_t i = 0; result == 0 && i < new->content_count; i++) {
		if (matches[i] == DELTA_MATCH_SAME)
			continue;
		uint64_t old_size = matches[i] == DELTA_MATCH_NONE ? 0 : old->contents[matches[i]].size;
		bool large = new->contents[i].size > DELTA_PLAIN_MOST || old_size > DELTA_PREFIX_MOST;
		result = large ? cut(&group, i, error) : gather(&group, i, error);
	}
	if (result == 0)
		result = close_group(&group, error);
	if (result < 0)
		return result;
	*ret_plan = group.plan;
	group.plan = (struct delta_plan){0};
	return 0;
}
