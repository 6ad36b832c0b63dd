/* From a window's rule to instants in UTC, one window at a time, freezes taken out. */
#ifndef SCHEDULES_OCCURRENCE_H
#define SCHEDULES_OCCURRENCE_H

#include "schedules/civil.h"
#include "schedules/freeze.h"

struct window;

/* S ≤ start of a run ≤ L. L = E − max(cutoff, need), and at the latest the last second before E. */
struct occurrence {
	const struct window *window; /* borrowed */
	int64_t start, end;          /* UTC: S and E, half-open */
	int64_t last_start;          /* L */
	bool shifted;                /* the local start fell into a gap */
	bool trimmed;                /* a freeze took part of it */
	struct civil local;          /* the local start as the rule says it */
};

/* What narrows the occurrences. `freezes` are those whose scope the caller found to apply; `security` exempts from
 * freezes that block features only; `need` is seconds for the upgrade and its rollback. */
struct window_query {
	const struct freeze_set *freezes; /* may be NULL */
	bool security;
	int64_t need;
};

#define OCCURRENCE_HORIZON ((int64_t)5 * 366 * 86400) /* seconds: so far ahead it is looked */

struct occurrence_blocked {
	int64_t from, to; /* UTC, half-open */
};

/* Walks one window's occurrences by start. */
struct occurrence_walk {
	const struct window *window;
	int64_t need;
	int64_t day, until;                 /* local dates still to be looked at, in days since 1970 */
	int64_t last;                       /* start of the one before, as the rule gave it */
	struct occurrence_blocked *blocked; /* owned, by `from` */
	size_t blocked_count;
};

/* From the first occurrence that can still last at `from`, to those that start within the horizon behind it. `query` is
 * needed during this call alone. */
int occurrence_begin(const struct window *window, const struct window_query *query, int64_t from,
		     struct occurrence_walk *ret_walk, struct error *error) MUST_CHECK;
/* The next one with room for a start at all; false when there is none. */
bool occurrence_next(struct occurrence_walk *walk, struct occurrence *ret_occurrence);
/* Also the CLEANUP function. */
void occurrence_end(struct occurrence_walk *walk);

#endif
