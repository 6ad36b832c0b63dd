/* Which local dates a window opens on, and at what wall-clock time: pure calendar, no zone. */
#ifndef SCHEDULES_RULE_H
#define SCHEDULES_RULE_H

#include "base/error.h"
#include "schedules/civil.h"

enum rule_kind { RULE_WEEKLY, RULE_MONTHLY_WEEKDAY, RULE_MONTHLY_DAY, RULE_ONCE };

struct rule {
	enum rule_kind kind;
	unsigned weekdays; /* WEEKLY: bit 0 = Monday … bit 6 = Sunday; MONTHLY_WEEKDAY: one of them */
	int nth;           /* MONTHLY_WEEKDAY: 1 to 5, MONTHLY_DAY: 1 to 31; from the end of the month when negative */
	int hour, minute;
	int64_t date;    /* ONCE, in days since 1970 */
	bool has_offset; /* ONCE: the offset was given */
	int offset;      /* seconds east */

	int interval; /* every so many weeks or months */
	bool has_anchor;
	int64_t anchor;  /* the first date; weeks (from Monday, as in RFC 5545) and months are counted from its own */
	int offset_days; /* -30 to 30, monthly: days after (before) the date that the rule names */
};

/* "weekly SA,SU 01:30", "monthly 2TU 22:00", "monthly -1FR 22:00", "monthly 31 22:00", "once 2027-10-31T01:30[+01:00]".
 * ERROR_DATA "window". interval is 1, there is no anchor, offset_days is 0. */
int rule_parse(const char *text, struct rule *ret_rule, struct error *error) MUST_CHECK;
/* Puts interval, anchor (days; `anchor_text` may be "") and offset_days to a rule that was parsed. */
int rule_repeat(struct rule *rule, int interval, const char *anchor_text, int offset_days,
		struct error *error) MUST_CHECK;

/* The first local date from `from` to `until`, both inclusive, in days since 1970; false when there is none. Months
 * that lack the date are stepped over. */
bool rule_next(const struct rule *rule, int64_t from, int64_t until, int64_t *ret_day);

#endif
