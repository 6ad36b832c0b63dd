/* The footer of a TZif file: a POSIX TZ rule for the times beyond its table (RFC 9636 §3.3, POSIX.1-2017 §8.3). */
#ifndef SCHEDULES_POSIXTZ_H
#define SCHEDULES_POSIXTZ_H

#include "base/error.h"

#define POSIXTZ_ABBREVIATION_SIZE 16

enum posixtz_form { POSIXTZ_MONTH_WEEK, POSIXTZ_JULIAN, POSIXTZ_ZERO_BASED };

/* When the clock changes each year: Mm.w.d, Jn (29 February is never counted) or n (counted), `time` seconds after the
 * midnight that begins that day. */
struct posixtz_change {
	enum posixtz_form form;
	int month, week, weekday; /* weekday 0 = Sunday, week 5 = the last */
	int day;
	int time;
};

struct posixtz {
	char standard[POSIXTZ_ABBREVIATION_SIZE], summer[POSIXTZ_ABBREVIATION_SIZE];
	int standard_offset, summer_offset; /* seconds east */
	bool has_summer;
	struct posixtz_change start, end; /* of summer time */
};

/* A stretch of time [start, end) in UTC within which the offset is one and the same. */
struct posixtz_span {
	int64_t start, end;
	int offset;               /* seconds east */
	const char *abbreviation; /* borrowed from what it was asked of */
};

/* `size` bytes without the newlines around them. From version 3 on ('3', '4') hours of a change run from -167 to 167,
 * before from 0 to 24. A rule with summer time must say when. False when it is malformed. */
bool posixtz_parse(const char *text, size_t size, char version, struct posixtz *ret_rule);
/* The span that holds `time`, which is within ±2^55. */
struct posixtz_span posixtz_span(const struct posixtz *rule, int64_t time);

#endif
