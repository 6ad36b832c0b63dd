/* Several windows as one: what opens next, what is open now, what a booking falls into. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedules/window.h"
#include "schedules/window_instant.h"

/* The windows' walks side by side, each with the occurrence that it comes to next. */
struct merge {
	struct merge_lane {
		struct occurrence_walk walk;
		struct occurrence head;
		bool live;
	} * lanes;
	size_t count;
};

static void merge_end(struct merge *merge)
{
	for (size_t i = 0; i < merge->count; i++)
		occurrence_end(&merge->lanes[i].walk);
	free(merge->lanes);
	*merge = (struct merge){0};
}

static int merge_begin(const struct window_set *set, const struct window_query *query, int64_t from,
		       struct merge *ret_merge, struct error *error)
{
	ret_merge->lanes = calloc(set->count + 1, sizeof *ret_merge->lanes);
	if (!ret_merge->lanes)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu windows", set->count);
	for (; ret_merge->count < set->count; ret_merge->count++) {
		struct merge_lane *lane = &ret_merge->lanes[ret_merge->count];
		int status = occurrence_begin(set->windows[ret_merge->count], query, from, &lane->walk, error);
		if (status < 0)
			return status;
		lane->live = occurrence_next(&lane->walk, &lane->head);
	}
	return 0;
}

/* The earliest that is left; of equals the one of the window that stands first. */
static bool merge_next(struct merge *merge, struct occurrence *ret_occurrence)
{
	struct merge_lane *first = NULL;

	for (size_t i = 0; i < merge->count; i++)
		if (merge->lanes[i].live && (!first || merge->lanes[i].head.start < first->head.start))
			first = &merge->lanes[i];
	if (!first)
		return false;
	*ret_occurrence = first->head;
	first->live = occurrence_next(&first->walk, &first->head);
	return true;
}

int window_set_next(const struct window_set *set, const struct window_query *query, int64_t from, size_t count,
		    struct occurrence *ret_occurrences, size_t *ret_count, struct error *error)
{
	CLEANUP(merge_end) struct merge merge = {0};
	struct occurrence occurrence;
	size_t found = 0;
	int status = merge_begin(set, query, from, &merge, error);

	if (status < 0)
		return status;
	while (found < count && merge_next(&merge, &occurrence))
		if (occurrence.last_start >= from)
			ret_occurrences[found++] = occurrence;
	*ret_count = found;
	return 0;
}

/* What is known of the windows at one instant. */
struct state {
	bool is_open, is_late, has_next;
	struct occurrence open; /* the one with most time left */
	struct occurrence late; /* has begun, but takes no new start */
	struct occurrence next; /* opens next */
};

static int look(const struct window_set *set, const struct window_query *query, int64_t now, struct state *ret_state,
		struct error *error)
{
	CLEANUP(merge_end) struct merge merge = {0};
	struct state state = {0};
	struct occurrence occurrence;
	int status = merge_begin(set, query, now, &merge, error);

	if (status < 0)
		return status;
	while (!state.has_next && merge_next(&merge, &occurrence)) {
		if (occurrence.start > now) {
			state.has_next = true;
			state.next = occurrence;
		} else if (occurrence.last_start >= now) {
			if (!state.is_open || occurrence.last_start > state.open.last_start)
				state.open = occurrence;
			state.is_open = true;
		} else if (occurrence.end > now) {
			state.is_late = true;
			state.late = occurrence;
		}
	}
	*ret_state = state;
	return 0;
}

/* "; opens Sun 2027-01-03 01:30 Europe/London", or that nothing does. */
#define TAIL_SIZE (ZONE_TEXT_SIZE + 120)
static void format_tail(const struct state *state, const struct window_query *query, char text[static TAIL_SIZE])
{
	char when[ZONE_TEXT_SIZE];

	if (!state->has_next) {
		snprintf(text, TAIL_SIZE,
			 "; none opens within five years with %" PRId64 " minutes for the upgrade and its rollback",
			 query->need > 0 ? query->need / 60 + (query->need % 60 > 0) : 0);
		return;
	}
	zone_format(window_zone(state->next.window), state->next.start, when);
	snprintf(text, TAIL_SIZE, "; opens %s", when);
}

/* The freeze that covers `time` in a window's zone, and its end. */
static const struct freeze *find_freeze(const struct window_query *query, const struct zone *zone, int64_t time,
					int64_t *ret_to)
{
	for (size_t i = 0; query->freezes && i < query->freezes->count; i++) {
		const struct freeze *freeze = query->freezes->freezes[i];
		int64_t from, to;
		if (query->security && freeze_blocks(freeze) == FREEZE_FEATURE)
			continue;
		freeze_span(freeze, zone, &from, &to);
		if (from <= time && time < to) {
			*ret_to = to;
			return freeze;
		}
	}
	return NULL;
}

/* The window would be open but for a freeze. */
static int refuse_frozen(const struct window_query *query, const struct occurrence *unfrozen, int64_t time,
			 const char *tail, struct error *error)
{
	const struct zone *zone = window_zone(unfrozen->window);
	const char *name = window_name(unfrozen->window);
	char until[ZONE_TEXT_SIZE];
	int64_t to = 0;
	const struct freeze *freeze = find_freeze(query, zone, time, &to);

	if (!freeze)
		return error_set(error, ERROR_NOT_NOW, "frozen", "window %s: a freeze leaves no room for a start now%s",
				 name, tail);
	zone_format(zone, to, until);
	bool why = freeze_reason(freeze)[0] != 0;
	return error_set(error, ERROR_NOT_NOW, "frozen", "window %s is frozen by %s%s%s%s until %s%s", name,
			 freeze_name(freeze), why ? " (" : "", freeze_reason(freeze), why ? ")" : "", until, tail);
}

/* "acme-prod", or how many there are. */
static void format_names(const struct window_set *set, char text[static WINDOW_NAME_MOST + 20])
{
	if (set->count == 1)
		snprintf(text, WINDOW_NAME_MOST + 20, "window %s is", window_name(set->windows[0]));
	else
		snprintf(text, WINDOW_NAME_MOST + 20, "all %zu windows are", set->count);
}

/* Why nothing may start at `time`, where `state` found nothing open. */
static int refuse(const struct window_set *set, const struct window_query *query, int64_t time,
		  const struct state *state, struct error *error)
{
	struct window_query plain = {.need = query->need};
	char tail[TAIL_SIZE], names[WINDOW_NAME_MOST + 20], when[ZONE_TEXT_SIZE];
	struct state unfrozen;

	if (set->count == 0)
		return error_set(error, ERROR_NOT_NOW, "window", "there is no window; set one first");
	format_tail(state, query, tail);
	int status = look(set, &plain, time, &unfrozen, error);
	if (status < 0)
		return status;
	if (unfrozen.is_open)
		return refuse_frozen(query, &unfrozen.open, time, tail, error);
	if (state->is_late) {
		zone_format(window_zone(state->late.window), state->late.last_start, when);
		return error_set(error, ERROR_NOT_NOW, "window",
				 "window %s takes no start after %s, so that there is time to end%s",
				 window_name(state->late.window), when, tail);
	}
	format_names(set, names);
	return error_set(error, ERROR_NOT_NOW, "window", "%s closed%s", names, tail);
}

int window_set_open(const struct window_set *set, const struct window_query *query, int64_t now,
		    struct occurrence *ret_occurrence, struct error *error)
{
	struct state state;
	int status = look(set, query, now, &state, error);

	if (status < 0)
		return status;
	if (!state.is_open)
		return refuse(set, query, now, &state, error);
	*ret_occurrence = state.open;
	return 0;
}

int window_set_at(const struct window_set *set, const struct window_query *query, const char *local, int64_t now,
		  struct occurrence *ret_occurrence, int64_t *ret_start, struct error *error)
{
	bool is_time = false;
	int64_t asked = 0; /* the time in the first zone in which it is to come */
	struct state state;
	int status = 0;

	if (set->count == 0)
		return error_set(error, ERROR_NOT_NOW, "window", "there is no window; set one first");
	for (size_t i = 0; i < set->count; i++) {
		struct window_set one = {&set->windows[i], 1};
		struct error other;
		int64_t start;
		/* What is no time in one window's zone may be one in the next; the first one's reason is kept. */
		int refused = window_instant(window_zone(set->windows[i]), local, &start, i > 0 ? &other : error);
		if (refused < 0) {
			status = i > 0 ? status : refused;
			continue;
		}
		int looked = look(&one, query, start, &state, error);
		if (looked < 0)
			return looked;
		if (state.is_open && start >= now) {
			*ret_occurrence = state.open;
			*ret_start = start;
			return 0;
		}
		if (!is_time || (asked < now && start >= now))
			asked = start;
		is_time = true;
	}
	if (!is_time)
		return status;
	if (asked < now)
		return error_set(error, ERROR_NOT_NOW, "window", "%s has passed", local);
	status = look(set, query, asked, &state, error);
	if (status == 0)
		status = refuse(set, query, asked, &state, error);
	return error_prefix(error, "%s", local);
}
