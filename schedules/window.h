/* Windows: when a customer lets us in. INI in, occurrences out; `now` is an argument everywhere. Design section 7. */
#ifndef SCHEDULES_WINDOW_H
#define SCHEDULES_WINDOW_H

#include "base/buffer.h"
#include "schedules/freeze.h"
#include "schedules/occurrence.h"
#include "schedules/rule.h"
#include "schedules/zone.h"

#define WINDOW_NAME_MOST 40
#define WINDOWS_MOST     64

enum window_gap { WINDOW_GAP_SHIFT, WINDOW_GAP_SKIP };
enum window_missed { WINDOW_MISSED_NEXT, WINDOW_MISSED_HOLD };
enum window_overrun { WINDOW_OVERRUN_ROLLBACK, WINDOW_OVERRUN_FINISH };

struct window; /* one [window NAME] section with its zone loaded */

struct window_set {
	struct window **windows; /* owned */
	size_t count;
};

/* The whole text or nothing. Sections that are not "window NAME" are refused. ERROR_DATA "window" (or "zone") with file
 * and line. A one-shot in a gap is refused with the two neighbours named. */
int window_set_parse(const char *text, size_t size, const char *name, struct window_set *ret_set,
		     struct error *error) MUST_CHECK;
void window_set_free(struct window_set *set);
/* The INI that gives the same set (appends). */
int window_set_write(const struct window_set *set, struct buffer *ret_text, struct error *error) MUST_CHECK;

const char *window_name(const struct window *window);
const struct zone *window_zone(const struct window *window);
const struct rule *window_rule(const struct window *window);
const char *window_rule_text(const struct window *window); /* "weekly SU 01:30" */
int64_t window_duration(const struct window *window);      /* seconds; likewise below */
int64_t window_cutoff(const struct window *window);
int64_t window_notice(const struct window *window);
enum window_gap window_gap(const struct window *window);
enum window_missed window_missed(const struct window *window);
enum window_overrun window_overrun(const struct window *window);

/* The next `count` occurrences of the union whose last_start is at or after `from`, by start. *ret_count of
 * ret_occurrences[count] are filled; fewer when none come within 5 years. */
int window_set_next(const struct window_set *set, const struct window_query *query, int64_t from, size_t count,
		    struct occurrence *ret_occurrences, size_t *ret_count, struct error *error) MUST_CHECK;
/* The occurrence in which a run may start at `now` (start <= now <= last_start), of several the one with most time
 * left: ERROR_NOT_NOW "window" or "frozen" otherwise, the sentence naming when the next one opens in local time and
 * zone. */
int window_set_open(const struct window_set *set, const struct window_query *query, int64_t now,
		    struct occurrence *ret_occurrence, struct error *error) MUST_CHECK;
/* The occurrence in which a run may start at the local time "2027-01-03T01:30[+01:00]" of the window's own zone: of the
 * first window, in the set's order, in which it falls. Of a time that comes twice the first is meant unless the offset
 * says otherwise. ERROR_DATA "window" for a malformed time, one in a gap (its two neighbours named) and an offset that
 * the zone does not have then; ERROR_NOT_NOW "window" or "frozen" outside, and when it lies before `now`. */
int window_set_at(const struct window_set *set, const struct window_query *query, const char *local, int64_t now,
		  struct occurrence *ret_occurrence, int64_t *ret_start, struct error *error) MUST_CHECK;

#endif
