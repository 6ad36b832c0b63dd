/* What the units of schedules share: parsing that must succeed, times as text. */
#ifndef TESTS_SCHEDULES_HELPER_H
#define TESTS_SCHEDULES_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "schedules/window.h"

static inline void assert_ok(int status, const struct error *error)
{
	if (status != 0)
		fail_msg("refused: %s: %s", error->name, error->text);
}

static inline void assert_refused(int status, const struct error *error, enum error_code code, const char *name,
				  const char *part)
{
	if (status == 0)
		fail_msg("accepted what should have been refused for \"%s\"", part);
	assert_int_equal(status, -(int)error->code);
	assert_int_equal(error->code, code);
	assert_string_equal(error->name, name);
	if (!strstr(error->text, part))
		fail_msg("\"%s\" does not say \"%s\"", error->text, part);
}

/* "2027-03-28T01:30" in UTC. */
static inline int64_t utc(const char *text)
{
	char whole[CLOCK_UTC_SIZE];
	struct error error;
	int64_t time = 0;

	snprintf(whole, sizeof whole, "%.16s:00Z", text);
	assert_ok(clock_parse_utc(whole, &time, &error), &error);
	return time;
}

static inline struct zone *zone_of(const char *name)
{
	struct zone *zone = NULL;
	struct error error;

	assert_ok(zone_load(name, &zone, &error), &error);
	return zone;
}

static inline struct window_set windows_of(const char *text)
{
	struct window_set set;
	struct error error;

	assert_ok(window_set_parse(text, strlen(text), "test.ini", &set, &error), &error);
	return set;
}

static inline struct freeze_set freezes_of(const char *text)
{
	struct freeze_set set;
	struct error error;

	assert_ok(freeze_set_parse(text, strlen(text), "test.ini", &set, &error), &error);
	return set;
}

/* One window of the usual keys. */
static inline struct window_set window_of(const char *zone, const char *rule, const char *duration, const char *cutoff,
					  const char *more)
{
	char text[800];

	snprintf(text, sizeof text, "[window test]\nzone = %s\nrule = %s\nduration = %s\ncutoff = %s\n%s", zone, rule,
		 duration, cutoff, more);
	return windows_of(text);
}

static inline struct occurrence next_of(const struct window_set *set, const struct window_query *query,
					const char *from)
{
	struct occurrence occurrence;
	struct error error;
	size_t count = 0;

	assert_ok(window_set_next(set, query, utc(from), 1, &occurrence, &count, &error), &error);
	assert_int_equal(count, 1);
	return occurrence;
}

static inline void assert_time(int64_t time, const char *expected)
{
	char text[CLOCK_UTC_SIZE];

	clock_format_utc(time, text);
	text[16] = 0;
	assert_string_equal(text, expected);
	assert_int_equal(time % 60, 0);
}

/* The first starts at or after `from`, up to NULL. */
static inline void assert_starts(const struct window_set *set, const char *from, const char *const *expected)
{
	struct window_query query = {0};
	struct occurrence occurrences[64];
	struct error error;
	size_t wanted = 0, count = 0;

	while (expected[wanted])
		wanted++;
	assert_ok(window_set_next(set, &query, utc(from), wanted, occurrences, &count, &error), &error);
	assert_int_equal(count, wanted);
	for (size_t i = 0; i < wanted; i++)
		assert_time(occurrences[i].start, expected[i]);
}
#define STARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
