#include "release/delta_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "release/delta_match.h"

/* A group ends at so many bytes of new or old contents that are not copied: enough that like files meet, little enough
 * that all cores have work and that the search sees all of it. And at so many bytes with copies. */
#define GROUP_MOST ((uint64_t)12 * 1024 * 1024)
#define GROUP_ALL  ((uint64_t)32 * 1024 * 1024)
/* Pieces of a file that is too large for one part, and how far around the place that answers to it the old file is
 * looked at: the further, the more it grew or shrank. */
#define PIECE       ((uint64_t)32 * 1024 * 1024)
#define MARGIN      ((uint64_t)1 * 1024 * 1024)
#define MARGIN_MOST ((uint64_t)16 * 1024 * 1024)
/* So much at both ends of what is copied stays in the prefix, for what was edited beside it. */
#define EDGE ((uint64_t)32)

struct list {
	struct delta_stretch *stretches;
	size_t count, room;
};

struct group {
	const struct manifest *old, *new;
	const size_t *matches;
	const struct delta_copies *copies;
	struct list left;   /* by old content, then offset: what is copied nowhere */
	size_t *left_first; /* by old content, and one more */
	struct delta_plan plan;
	struct list items; /* of the large content that is being cut */
	size_t *members;   /* new contents of the group that is being gathered */
	size_t count;
	uint64_t plain, prefix, whole;
	bool *taken; /* by old content: it is in this group's prefix */
};

static void group_end(struct group *group)
{
	delta_plan_free(&group->plan);
	free(group->left.stretches);
	free(group->left_first);
	free(group->items.stretches);
	free(group->members);
	free(group->taken);
}

static int append(struct list *list, struct delta_stretch stretch, struct error *error)
{
	struct delta_stretch *stretches = list_grow(list->stretches, list->count, &list->room, sizeof(*stretches));
	if (stretches == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
	list->stretches = stretches;
	list->stretches[list->count++] = stretch;
	return 0;
}

static int by_source(const void *a, const void *b)
{
	const struct delta_stretch *x = a, *y = b;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

static struct delta_stretch left_over(size_t index, uint64_t from, uint64_t to)
{
	return (struct delta_stretch){.content = index, .offset = from, .size = to - from, .source = DELTA_PATCHED};
}

/* What of content `index` the copies from `first` on leave over; *first moves behind them. */
static int leave_content(struct group *group, size_t index, const struct list *sorted, size_t *first,
			 struct error *error)
{
	uint64_t size = group->old->contents[index].size, at = 0;
	int result = 0;

	for (; result == 0 && *first < sorted->count && sorted->stretches[*first].source == index; ++*first) {
		const struct delta_stretch *copy = &sorted->stretches[*first];
		uint64_t from = copy->from == 0 ? 0 : copy->from + EDGE;
		uint64_t to = copy->from + copy->size == size ? size : copy->from + copy->size - EDGE;
		if (from > at)
			result = append(&group->left, left_over(index, at, from), error);
		at = to > at ? to : at;
	}
	if (result == 0 && at < size)
		result = append(&group->left, left_over(index, at, size), error);
	return result;
}

static int find_left(struct group *group, struct error *error)
{
	const struct delta_copies *copies = group->copies;
	struct list sorted = {.count = copies->count};
	CLEANUP(free_pointer) struct delta_stretch *stretches = calloc(copies->count + 1, sizeof(*stretches));
	size_t first = 0;
	int result = 0;

	group->left_first = calloc(group->old->content_count + 1, sizeof(*group->left_first));
	if (stretches == NULL || group->left_first == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
	if (copies->count > 0)
		memcpy(stretches, copies->copies, copies->count * sizeof(*stretches));
	sorted.stretches = stretches;
	qsort(stretches, copies->count, sizeof(*stretches), by_source);
	for (size_t i = 0; result == 0 && i < group->old->content_count; i++) {
		group->left_first[i] = group->left.count;
		result = leave_content(group, i, &sorted, &first, error);
	}
	group->left_first[group->old->content_count] = group->left.count;
	return result;
}

static uint64_t left_size(const struct group *group, size_t match)
{
	uint64_t size = 0;
	for (size_t i = match != DELTA_MATCH_NONE ? group->left_first[match] : 0;
	     match != DELTA_MATCH_NONE && i < group->left_first[match + 1]; i++)
		size += group->left.stretches[i].size;
	return size;
}

static uint64_t patched_size(const struct group *group, size_t index)
{
	uint64_t size = group->new->contents[index].size;
	for (size_t i = group->copies->first[index]; i < group->copies->first[index + 1]; i++)
		size -= group->copies->copies[i].size;
	return size;
}

/* All of a new content: copies and what lies between them. */
static int list_items(const struct group *group, size_t index, struct list *items, struct error *error)
{
	uint64_t size = group->new->contents[index].size, at = 0;
	size_t next = group->copies->first[index], end = group->copies->first[index + 1];
	int result = 0;

	while (result == 0 && at < size) {
		struct delta_stretch item = {
			.content = index, .offset = at, .size = size - at, .source = DELTA_PATCHED};
		if (next < end && group->copies->copies[next].offset == at)
			item = group->copies->copies[next++];
		else if (next < end)
			item.size = group->copies->copies[next].offset - at;
		at += item.size;
		result = append(items, item, error);
	}
	return result;
}

static int add_all(struct delta_plan *plan, bool is_new, const struct delta_stretch *stretches, size_t count,
		   struct error *error)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = delta_plan_add(plan, is_new, stretches[i], error);
	return result;
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
		size_t first = group->left_first[match];
		result = add_all(&group->plan, false, &group->left.stretches[first],
				 group->left_first[match + 1] - first, error);
	}
	for (size_t i = 0; result == 0 && i < group->count; i++) {
		group->items.count = 0;
		result = list_items(group, group->members[i], &group->items, error);
		if (result == 0)
			result = add_all(&group->plan, true, group->items.stretches, group->items.count, error);
	}
	group->count = 0;
	group->plain = group->prefix = group->whole = 0;
	return result;
}

static uint64_t extra_prefix(const struct group *group, size_t match)
{
	return match == DELTA_MATCH_NONE || group->taken[match] ? 0 : left_size(group, match);
}

static int gather(struct group *group, size_t index, uint64_t patched, struct error *error)
{
	size_t match = group->matches[index];
	uint64_t size = group->new->contents[index].size;

	if (group->count > 0 &&
	    (group->plain + patched > GROUP_MOST || group->prefix + extra_prefix(group, match) > GROUP_MOST ||
	     group->whole + size > GROUP_ALL)) {
		int result = close_group(group, error);
		if (result < 0)
			return result;
	}
	group->prefix += extra_prefix(group, match);
	group->plain += patched;
	group->whole += size;
	if (match != DELTA_MATCH_NONE)
		group->taken[match] = true;
	group->members[group->count++] = index;
	return 0;
}

/* The old file around the place that lies as far into it as the piece into the new one. */
static int add_window(struct group *group, size_t index, uint64_t at, uint64_t end, struct error *error)
{
	size_t match = group->matches[index];
	uint64_t old_size = match == DELTA_MATCH_NONE ? 0 : group->old->contents[match].size;
	uint64_t size = group->new->contents[index].size;
	/* In units that keep the product below 2^64: files are below 2^40. */
	uint64_t middle = (at >> 12) * (old_size >> 12) / ((size >> 12) + 1) << 12;
	uint64_t margin = MARGIN + (size > old_size ? size - old_size : old_size - size);
	margin = margin < MARGIN_MOST ? margin : MARGIN_MOST;
	uint64_t from = middle > margin ? middle - margin : 0, room = DELTA_PREFIX_MOST;
	uint64_t to = middle + (end - at) + margin < old_size ? middle + (end - at) + margin : old_size;
	int result = 0;

	for (size_t i = old_size > 0 ? group->left_first[match] : 0;
	     result == 0 && old_size > 0 && room > 0 && i < group->left_first[match + 1]; i++) {
		struct delta_stretch left = group->left.stretches[i];
		uint64_t first = left.offset > from ? left.offset : from;
		uint64_t last = left.offset + left.size < to ? left.offset + left.size : to;
		if (first >= last)
			continue;
		left.offset = first;
		left.size = last - first < room ? last - first : room;
		room -= left.size;
		result = delta_plan_add(&group->plan, false, left, error);
	}
	return result;
}

/* A file that is too large for one part: pieces of PIECE patched bytes. */
static int cut(struct group *group, size_t index, struct error *error)
{
	struct list *items = &group->items;
	int result = 0;

	items->count = 0;
	result = list_items(group, index, items, error);
	for (size_t i = 0; result == 0 && i < items->count;) {
		uint64_t at = items->stretches[i].offset, room = PIECE;
		size_t end = i;
		while (end < items->count &&
		       (items->stretches[end].source != DELTA_PATCHED || items->stretches[end].size <= room)) {
			room -= items->stretches[end].source == DELTA_PATCHED ? items->stretches[end].size : 0;
			end++;
		}
		struct delta_stretch head = end < items->count ? items->stretches[end] : (struct delta_stretch){0};
		head.size = end < items->count ? room : 0;
		uint64_t to = end < items->count ? head.offset + room : group->new->contents[index].size;
		result = delta_plan_begin(&group->plan, error);
		if (result == 0)
			result = add_window(group, index, at, to, error);
		if (result == 0)
			result = add_all(&group->plan, true, &items->stretches[i], end - i, error);
		if (result == 0 && head.size > 0)
			result = delta_plan_add(&group->plan, true, head, error);
		if (end < items->count) {
			items->stretches[end].offset += head.size;
			items->stretches[end].size -= head.size;
		}
		i = end;
	}
	return result;
}

int delta_group(const struct manifest *old, const struct manifest *new, const size_t *matches,
		const struct delta_copies *copies, struct delta_plan *ret_plan, struct error *error)
{
	CLEANUP(group_end) struct group group = {.old = old, .new = new, .matches = matches, .copies = copies};

	group.members = calloc(new->content_count + 1, sizeof(*group.members));
	group.taken = calloc(old->content_count + 1, sizeof(*group.taken));
	if (group.members == NULL || group.taken == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
	int result = find_left(&group, error);
	for (size_t i = 0; result == 0 && i < new->content_count; i++) {
		if (matches[i] == DELTA_MATCH_SAME)
			continue;
		uint64_t patched = patched_size(&group, i), left = left_size(&group, matches[i]);
		bool large = patched > DELTA_PLAIN_MOST || left > DELTA_PREFIX_MOST;
		result = large ? cut(&group, i, error) : gather(&group, i, patched, error);
	}
	if (result == 0)
		result = close_group(&group, error);
	if (result < 0)
		return result;
	*ret_plan = group.plan;
	group.plan = (struct delta_plan){0};
	return 0;
}
