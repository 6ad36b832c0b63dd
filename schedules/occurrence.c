#include "schedules/occurrence.h"

#include <stdlib.h>

#include "schedules/rule.h"
#include "schedules/window.h"

#define DAY 86400

static int by_from(const void *a, const void *b)
{
	const struct occurrence_blocked *left = a, *right = b;

	return (left->from > right->from) - (left->from < right->from);
}

static int64_t local_day(const struct zone *zone, int64_t time)
{
	struct civil local = zone_local(zone, time, NULL, NULL);

	return civil_to_days(local.year, local.month, local.day);
}

int occurrence_begin(const struct window *window, const struct window_query *query, int64_t from,
		     struct occurrence_walk *ret_walk, struct error *error)
{
	const struct freeze_set *freezes = query->freezes;
	const struct zone *zone = window_zone(window);
	size_t count = freezes ? freezes->count : 0;
	struct occurrence_walk walk = {.window = window, .need = query->need, .last = INT64_MIN};

	/* Clocks and callers may be wild; dates are looked for from 1970 to 9999. */
	from = from < 0 ? 0 : from > INT64_C(253402300799) ? INT64_C(253402300799) : from;
	/* A gap moves a start by a day at most: in 2011 Samoa left out a whole one. */
	walk.day = local_day(zone, from - window_duration(window)) - 2;
	walk.until = local_day(zone, from + OCCURRENCE_HORIZON);
	walk.blocked = calloc(count + 1, sizeof *walk.blocked);
	if (!walk.blocked)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for window %s", window_name(window));
	for (size_t i = 0; i < count; i++) {
		struct occurrence_blocked *blocked = &walk.blocked[walk.blocked_count];
		if (query->security && freeze_blocks(freezes->freezes[i]) == FREEZE_FEATURE)
			continue;
		freeze_span(freezes->freezes[i], zone, &blocked->from, &blocked->to);
		walk.blocked_count++;
	}
	qsort(walk.blocked, walk.blocked_count, sizeof *walk.blocked, by_from);
	*ret_walk = walk;
	return 0;
}

void occurrence_end(struct occurrence_walk *walk)
{
	free(walk->blocked);
	*walk = (struct occurrence_walk){0};
}

static void keep_longer(int64_t from, int64_t to, struct occurrence *best)
{
	if (to - from > best->end - best->start) {
		best->start = from;
		best->end = to;
	}
}

/* Leaves the longest piece that no freeze blocks, the first of equals; false when nothing is left. */
static bool subtract(const struct occurrence_walk *walk, struct occurrence *occurrence)
{
	struct occurrence best = *occurrence;
	int64_t at = occurrence->start; /* free from here on, as far as is known */

	best.end = best.start;
	for (size_t i = 0; i < walk->blocked_count; i++) {
		const struct occurrence_blocked *blocked = &walk->blocked[i];
		if (blocked->to <= at || blocked->from >= blocked->to)
			continue;
		if (blocked->from >= occurrence->end)
			break;
		if (blocked->from > at)
			keep_longer(at, blocked->from, &best);
		at = blocked->to;
		best.trimmed = true;
	}
	if (at < occurrence->end)
		keep_longer(at, occurrence->end, &best);
	*occurrence = best;
	return best.end > best.start;
}

/* The start on one local date. False where the clock skips it and the window says so, and for a second date that comes
 * to the same instant (a gap of a day). */
static bool resolve(struct occurrence_walk *walk, int64_t day, struct occurrence *ret_occurrence)
{
	const struct window *window = walk->window;
	const struct rule *rule = window_rule(window);
	struct civil local = civil_from_seconds(day * DAY + rule->hour * 3600 + rule->minute * 60);
	struct zone_resolution resolution = zone_resolve(window_zone(window), local);
	int64_t start = resolution.before;

	if (resolution.kind == ZONE_SKIPPED && window_gap(window) == WINDOW_GAP_SKIP)
		return false;
	if (rule->has_offset)
		start = civil_to_seconds(local) - rule->offset;
	if (start <= walk->last)
		return false;
	walk->last = start;
	*ret_occurrence = (struct occurrence){
		.window = window,
		.start = start,
		.end = start + window_duration(window),
		.shifted = resolution.kind == ZONE_SKIPPED,
		.local = local,
	};
	return true;
}

bool occurrence_next(struct occurrence_walk *walk, struct occurrence *ret_occurrence)
{
	int64_t cutoff = window_cutoff(walk->window), day;
	int64_t keep = cutoff > walk->need ? cutoff : walk->need;
	struct occurrence occurrence;

	keep = keep < 1 ? 1 : keep;
	while (rule_next(window_rule(walk->window), walk->day, walk->until, &day)) {
		walk->day = day + 1;
		if (!resolve(walk, day, &occurrence) || !subtract(walk, &occurrence))
			continue;
		if (keep > occurrence.end - occurrence.start)
			continue;
		occurrence.last_start = occurrence.end - keep;
		*ret_occurrence = occurrence;
		return true;
	}
	return false;
}
