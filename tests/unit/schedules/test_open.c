/* Several windows as one: what is open, what comes next, what a booking falls into, and what freezes leave. */
#include "helper.h"

static const char two_windows[] =
	"[window weekend]\nzone = Europe/London\nrule = weekly SU 01:30\nduration = 2h\n"
	"cutoff = 45m\n[window tokyo]\nzone = Asia/Tokyo\nrule = weekly TU 02:00\nduration = 3h\n";

static void assert_closed(const struct window_set *set, const struct window_query *query, const char *now,
			  const char *name, const char *sentence)
{
	struct occurrence occurrence;
	struct error error;

	assert_refused(window_set_open(set, query, utc(now), &occurrence, &error), &error, ERROR_NOT_NOW, name,
		       sentence);
}

static void open_and_closed(void **state)
{
	struct window_set set = window_of("Europe/London", "weekly SU 01:30", "2h", "45m", "");
	struct window_query query = {0};
	struct occurrence occurrence;
	struct error error;

	(void)state;
	assert_closed(&set, &query, "2027-01-02T12:00", "window",
		      "window test is closed; opens Sun 2027-01-03 01:30 Europe/London");
	assert_closed(&set, &query, "2027-01-03T01:29", "window", "opens Sun 2027-01-03 01:30 Europe/London");
	assert_ok(window_set_open(&set, &query, utc("2027-01-03T01:30"), &occurrence, &error), &error);
	assert_ok(window_set_open(&set, &query, utc("2027-01-03T02:45"), &occurrence, &error), &error);
	assert_time(occurrence.start, "2027-01-03T01:30");
	assert_time(occurrence.end, "2027-01-03T03:30");
	assert_string_equal(window_name(occurrence.window), "test");
	assert_closed(
		&set, &query, "2027-01-03T02:46", "window",
		"window test takes no start after Sun 2027-01-03 02:45 Europe/London, so that there is time to end; "
		"opens Sun 2027-01-10 01:30 Europe/London");
	assert_closed(&set, &query, "2027-01-03T03:30", "window", "window test is closed; opens Sun 2027-01-10");
	/* A need beyond the cutoff moves the last start, one beyond the window leaves none. */
	query.need = 3600;
	assert_closed(&set, &query, "2027-01-03T02:31", "window", "takes no start after Sun 2027-01-03 02:30");
	query.need = 7200;
	assert_ok(window_set_open(&set, &query, utc("2027-01-03T01:30"), &occurrence, &error), &error);
	query.need = 7201;
	assert_closed(&set, &query, "2027-01-03T01:30", "window",
		      "none opens within five years with 121 minutes for the upgrade and its rollback");
	query.need = INT64_MAX;
	assert_closed(&set, &query, "2027-01-03T01:30", "window", "none opens");
	query.need = INT64_MIN;
	assert_ok(window_set_open(&set, &query, utc("2027-01-03T02:45"), &occurrence, &error), &error);
	window_set_free(&set);
	assert_closed(&set, &query, "2027-01-03T01:30", "window", "there is no window");
}

static void wild_clocks(void **state)
{
	struct window_set set = windows_of(two_windows);
	struct window_query query = {0};
	struct occurrence occurrence = {0};
	struct error error;

	(void)state;
	assert_int_not_equal(window_set_open(&set, &query, INT64_MIN, &occurrence, &error), 0);
	assert_int_not_equal(window_set_open(&set, &query, INT64_MAX, &occurrence, &error), 0);
	window_set_free(&set);
}

static void union_by_start(void **state)
{
	struct window_set set = windows_of(two_windows);
	struct window_query query = {0};
	struct occurrence occurrences[4];
	struct error error;
	size_t count = 0;

	(void)state;
	assert_starts(&set, "2027-01-01T00:00",
		      STARTS("2027-01-03T01:30", "2027-01-04T17:00", "2027-01-10T01:30", "2027-01-11T17:00"));
	assert_ok(window_set_next(&set, &query, utc("2027-01-01T00:00"), 4, occurrences, &count, &error), &error);
	assert_string_equal(window_name(occurrences[1].window), "tokyo");
	assert_closed(&set, &query, "2027-01-03T12:00", "window",
		      "all 2 windows are closed; opens Tue 2027-01-05 02:00 Asia/Tokyo");
	/* Started but past its last start is not next any more. */
	assert_starts(&set, "2027-01-03T02:46", STARTS("2027-01-04T17:00"));
	window_set_free(&set);
	/* Of two that are open the one with more time left. */
	set = windows_of("[window short]\nzone = UTC\nrule = weekly SU 01:00\nduration = 1h\n"
			 "[window long]\nzone = UTC\nrule = weekly SU 01:30\nduration = 4h\n"
			 "[window middle]\nzone = UTC\nrule = weekly SU 01:40\nduration = 1h\n");
	assert_ok(window_set_open(&set, &query, utc("2027-01-03T01:45"), occurrences, &error), &error);
	assert_string_equal(window_name(occurrences[0].window), "long");
	window_set_free(&set);
}

/* The weekday belongs to the start: Saturday 23:00 is open on Sunday morning and not on Saturday morning. */
static void weekday_of_the_start(void **state)
{
	struct window_set set = window_of("UTC", "weekly SA 23:00", "3h", "0", "");
	struct window_query query = {0};
	struct occurrence occurrence;
	struct error error;

	(void)state;
	assert_closed(&set, &query, "2027-01-09T00:30", "window", "opens Sat 2027-01-09 23:00 UTC");
	assert_ok(window_set_open(&set, &query, utc("2027-01-10T00:30"), &occurrence, &error), &error);
	window_set_free(&set);
}

/* Every day and as long as a day: always open. */
static void always_open(void **state)
{
	struct window_set set = window_of("Europe/London", "weekly MO,TU,WE,TH,FR,SA,SU 00:00", "25h", "0", "");
	struct window_query query = {.need = 600};
	struct occurrence occurrence;
	struct error error;

	(void)state;
	for (int64_t now = utc("2027-03-20T00:00"); now < utc("2027-04-05T00:00"); now += 1799)
		assert_ok(window_set_open(&set, &query, now, &occurrence, &error), &error);
	window_set_free(&set);
}

/* A gap of a day leaves one start, not two at the same instant. */
static void skipped_day(void **state)
{
	struct window_set set = window_of("Pacific/Apia", "weekly TH,FR,SA 12:00", "1h", "0", "");

	(void)state;
	assert_starts(&set, "2011-12-29T00:00", STARTS("2011-12-29T22:00", "2011-12-30T22:00", "2012-01-04T22:00"));
	window_set_free(&set);
	set = window_of("Pacific/Apia", "weekly TH,FR,SA 12:00", "1h", "0", "gap = skip\n");
	assert_starts(&set, "2011-12-29T00:00", STARTS("2011-12-29T22:00", "2011-12-30T22:00", "2012-01-04T22:00"));
	window_set_free(&set);
}

static void frozen(void **state)
{
	struct window_set set = window_of("Europe/London", "weekly SU 01:30", "2h", "45m", "");
	struct freeze_set freezes = freezes_of("[freeze year-end]\nfrom = 2026-12-18T00:00\nto = 2027-01-04T00:00\n"
					       "reason = Year end\n"
					       "[freeze fair]\nfrom = 2027-02-01T00:00\nto = 2027-03-01T00:00\n"
					       "blocks = feature\n");
	struct window_query query = {.freezes = &freezes};
	struct occurrence occurrence;
	struct error error;

	(void)state;
	assert_closed(&set, &query, "2027-01-03T02:00", "frozen",
		      "window test is frozen by year-end (Year end) until Mon 2027-01-04 00:00 Europe/London; "
		      "opens Sun 2027-01-10 01:30 Europe/London");
	assert_closed(&set, &query, "2027-02-07T02:00", "frozen", "window test is frozen by fair until Mon 2027-03-01");
	query.security = true;
	assert_ok(window_set_open(&set, &query, utc("2027-02-07T02:00"), &occurrence, &error), &error);
	assert_false(occurrence.trimmed);
	assert_closed(&set, &query, "2027-01-03T02:00", "frozen", "frozen by year-end");
	/* Closed without the freeze too: it is the window that says so. */
	assert_closed(&set, &query, "2027-01-02T02:00", "window", "is closed; opens Sun 2027-01-10 01:30");
	window_set_free(&set);
	freeze_set_free(&freezes);
}

/* What is left of [01:00, 07:00) on Sunday 2027-01-03 by freezes of that day; "" for nothing. */
static void assert_left(const char *keys, const char *start, const char *end)
{
	struct window_set set = window_of("UTC", "once 2027-01-03T01:00", "6h", "0", "");
	struct freeze_set freezes = freezes_of(keys);
	struct window_query query = {.freezes = &freezes};
	struct occurrence occurrence;
	struct error error;
	size_t count = 0;

	assert_ok(window_set_next(&set, &query, utc("2027-01-01T00:00"), 1, &occurrence, &count, &error), &error);
	assert_int_equal(count, start[0] != 0);
	if (count) {
		assert_time(occurrence.start, start);
		assert_time(occurrence.end, end);
		assert_int_equal(occurrence.last_start, occurrence.end - 1);
		assert_true(occurrence.trimmed);
	}
	window_set_free(&set);
	freeze_set_free(&freezes);
}
#define FREEZE(name, from, to) "[freeze " name "]\nfrom = 2027-01-03T" from "\nto = 2027-01-03T" to "\n"

static void longest_piece(void **state)
{
	(void)state;
	assert_left(FREEZE("a", "00:00", "02:00"), "2027-01-03T02:00", "2027-01-03T07:00");
	assert_left(FREEZE("a", "06:59", "09:00"), "2027-01-03T01:00", "2027-01-03T06:59");
	assert_left(FREEZE("a", "02:00", "03:00"), "2027-01-03T03:00", "2027-01-03T07:00");
	assert_left(FREEZE("a", "05:00", "06:00"), "2027-01-03T01:00", "2027-01-03T05:00");
	assert_left(FREEZE("a", "03:00", "05:00"), "2027-01-03T01:00", "2027-01-03T03:00"); /* the first of equals */
	assert_left(FREEZE("b", "04:00", "05:00") FREEZE("a", "02:00", "02:30"), "2027-01-03T05:00",
		    "2027-01-03T07:00");
	/* nested, overlapping, touching, in any order */
	assert_left(FREEZE("c", "02:00", "06:00") FREEZE("b", "02:30", "03:00") FREEZE("a", "05:00", "06:30"),
		    "2027-01-03T01:00", "2027-01-03T02:00");
	assert_left(FREEZE("a", "01:00", "03:00") FREEZE("b", "03:00", "05:00"), "2027-01-03T05:00",
		    "2027-01-03T07:00");
	assert_left(FREEZE("a", "01:00", "07:00"), "", "");
	assert_left(FREEZE("a", "00:00", "04:00") FREEZE("b", "03:30", "08:00"), "", "");
}

/* The ends are half-open: a freeze that ends when the window opens, or begins when it ends, takes nothing. */
static void touching_freezes(void **state)
{
	struct window_set set = window_of("UTC", "once 2027-01-03T01:00", "6h", "0", "");
	struct freeze_set freezes = freezes_of(FREEZE("a", "00:00", "01:00") FREEZE("b", "07:00", "08:00"));
	struct window_query query = {.freezes = &freezes};

	(void)state;
	struct occurrence occurrence = next_of(&set, &query, "2027-01-01T00:00");
	assert_false(occurrence.trimmed);
	assert_time(occurrence.start, "2027-01-03T01:00");
	assert_time(occurrence.end, "2027-01-03T07:00");
	window_set_free(&set);
	freeze_set_free(&freezes);
}

/* A local freeze is of each window's own zone; one with a zone is the same everywhere. Its ends in a gap and in an
 * overlap leave nothing open. */
static void zones_of_freezes(void **state)
{
	struct freeze_set freezes = freezes_of("[freeze local]\nfrom = 2027-03-28T01:30\nto = 2027-10-31T01:30\n"
					       "[freeze fixed]\nzone = Asia/Tokyo\nfrom = 2027-01-01T00:00\n"
					       "to = 2027-01-02T00:00\n");
	struct zone *london = zone_of("Europe/London"), *tokyo = zone_of("Asia/Tokyo");
	int64_t from, to;

	(void)state;
	freeze_span(freezes.freezes[0], london, &from, &to);
	assert_time(from, "2027-03-28T01:00");
	assert_time(to, "2027-10-31T01:30");
	freeze_span(freezes.freezes[0], tokyo, &from, &to);
	assert_time(from, "2027-03-27T16:30");
	freeze_span(freezes.freezes[1], london, &from, &to);
	assert_time(from, "2026-12-31T15:00");
	assert_time(to, "2027-01-01T15:00");
	zone_free(&london);
	zone_free(&tokyo);
	freeze_set_free(&freezes);
}

static void assert_at(const struct window_set *set, const char *local, const char *window, const char *start)
{
	struct window_query query = {0};
	struct occurrence occurrence;
	struct error error;
	int64_t time = 0;

	assert_ok(window_set_at(set, &query, local, utc("2027-01-01T00:00"), &occurrence, &time, &error), &error);
	assert_string_equal(window_name(occurrence.window), window);
	assert_time(time, start);
	assert_true(occurrence.start <= time && time <= occurrence.last_start);
}

static void refuse_at(const struct window_set *set, const struct window_query *query, const char *local,
		      enum error_code code, const char *name, const char *part)
{
	struct occurrence occurrence;
	struct error error;
	int64_t time = 77;

	assert_refused(window_set_at(set, query, local, utc("2027-01-01T00:00"), &occurrence, &time, &error), &error,
		       code, name, part);
	assert_int_equal(time, 77);
}

static void booked_at(void **state)
{
	struct window_set set = windows_of(two_windows);
	struct freeze_set freezes = freezes_of("[freeze f]\nfrom = 2027-01-02T00:00\nto = 2027-01-04T00:00\n");
	struct window_query query = {0}, freezing = {.freezes = &freezes};

	(void)state;
	assert_at(&set, "2027-01-03T01:30", "weekend", "2027-01-03T01:30");
	assert_at(&set, "2027-01-03T02:45", "weekend", "2027-01-03T02:45");
	assert_at(&set, "2027-07-04T01:45", "weekend", "2027-07-04T00:45");
	assert_at(&set, "2027-01-05T04:59", "tokyo", "2027-01-04T19:59");
	assert_at(&set, "2027-01-05T04:59+09:00", "tokyo", "2027-01-04T19:59");
	/* The overlap: the first pass unless the offset says the second. */
	assert_at(&set, "2027-10-31T01:30", "weekend", "2027-10-31T00:30");
	assert_at(&set, "2027-10-31T01:30+00:00", "weekend", "2027-10-31T01:30");
	refuse_at(&set, &query, "2027-01-03T02:46", ERROR_NOT_NOW, "window",
		  "takes no start after Sun 2027-01-03 02:45");
	refuse_at(&set, &query, "2027-01-04T12:00", ERROR_NOT_NOW, "window",
		  "2027-01-04T12:00: all 2 windows are closed; opens Tue 2027-01-05 02:00 Asia/Tokyo");
	refuse_at(&set, &query, "2026-12-27T01:30", ERROR_NOT_NOW, "window", "2026-12-27T01:30 has passed");
	refuse_at(&set, &query, "2027-01-03T01:30+05:00", ERROR_DATA, "window",
		  "no time of Europe/London, which is then at +00:00");
	refuse_at(&set, &query, "tomorrow", ERROR_DATA, "window", "\"tomorrow\" is not a local time of the form");
	refuse_at(&set, &query, "2027-01-03T01:30Z", ERROR_DATA, "window", "is not a local time");
	refuse_at(&set, &query, "2027-02-30T01:30", ERROR_DATA, "window", "is not a local time");
	refuse_at(&set, &freezing, "2027-01-03T02:00", ERROR_NOT_NOW, "frozen",
		  "2027-01-03T02:00: window weekend is frozen by f until Mon 2027-01-04 00:00 Europe/London");
	/* A gap in London's night is an hour of Tokyo's morning, in which its window is closed. */
	refuse_at(&set, &query, "2027-03-28T01:30", ERROR_NOT_NOW, "window", "all 2 windows are closed");
	window_set_free(&set);
	set = window_of("Europe/London", "weekly SU 01:00", "3h", "45m", "");
	refuse_at(
		&set, &query, "2027-03-28T01:30", ERROR_DATA, "window",
		"2027-03-28T01:30 does not exist in Europe/London, where the clock is put forward over it; the nearest "
		"times are 2027-03-28T00:59 and 2027-03-28T02:00");
	window_set_free(&set);
	refuse_at(&set, &query, "2027-03-28T01:30", ERROR_NOT_NOW, "window", "there is no window");
	freeze_set_free(&freezes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_and_closed),  cmocka_unit_test(wild_clocks),
		cmocka_unit_test(union_by_start),   cmocka_unit_test(weekday_of_the_start),
		cmocka_unit_test(always_open),      cmocka_unit_test(skipped_day),
		cmocka_unit_test(frozen),           cmocka_unit_test(longest_piece),
		cmocka_unit_test(touching_freezes), cmocka_unit_test(zones_of_freezes),
		cmocka_unit_test(booked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
