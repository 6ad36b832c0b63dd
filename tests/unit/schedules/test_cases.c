/* Fifteen worked cases, each checked by hand against two other implementations: starts, last starts and ends in UTC. */
#include "helper.h"

#include <fcntl.h>
#include <unistd.h>

#include "tzfile.h"

/* The first occurrence at or after `from` is start/last/end. */
static void assert_next(const struct window_set *set, const char *from, const char *start, const char *last,
			const char *end)
{
	struct window_query query = {0};
	struct occurrence occurrence = next_of(set, &query, from);

	assert_time(occurrence.start, start);
	assert_time(occurrence.last_start, last);
	assert_time(occurrence.end, end);
}

static bool is_open(const struct window_set *set, int64_t need, const char *now)
{
	struct window_query query = {.need = need};
	struct occurrence occurrence;
	struct error error;
	int status = window_set_open(set, &query, utc(now), &occurrence, &error);

	if (status != 0)
		assert_refused(status, &error, ERROR_NOT_NOW, "window", "opens ");
	return status == 0;
}

static void case_1_london_gap(void **state)
{
	struct window_set set = window_of("Europe/London", "weekly SU 01:30", "2h", "45m", "");
	struct window_query query = {0};

	(void)state;
	assert_next(&set, "2027-03-28T00:00", "2027-03-28T01:30", "2027-03-28T02:45", "2027-03-28T03:30");
	assert_true(next_of(&set, &query, "2027-03-28T00:00").shifted);
	assert_next(&set, "2027-03-29T00:00", "2027-04-04T00:30", "2027-04-04T01:45", "2027-04-04T02:30");
	assert_false(next_of(&set, &query, "2027-03-29T00:00").shifted);
	window_set_free(&set);
	/* gap = skip leaves the Sunday out */
	set = window_of("Europe/London", "weekly SU 01:30", "2h", "45m", "gap = skip\n");
	assert_starts(&set, "2027-03-21T00:00", STARTS("2027-03-21T01:30", "2027-04-04T00:30"));
	window_set_free(&set);
}

static void case_2_london_overlap(void **state)
{
	struct window_set set = window_of("Europe/London", "weekly SU 01:30", "2h", "45m", "");

	(void)state;
	assert_next(&set, "2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T01:45", "2027-10-31T02:30");
	assert_starts(&set, "2027-10-31T00:00", STARTS("2027-10-31T00:30", "2027-11-07T01:30"));
	window_set_free(&set);
}

static void case_3_new_york_gap(void **state)
{
	struct window_set set = window_of("America/New_York", "weekly SU 02:30", "2h", "30m", "");

	(void)state;
	assert_next(&set, "2027-03-14T00:00", "2027-03-14T07:30", "2027-03-14T09:00", "2027-03-14T09:30");
	assert_starts(&set, "2027-03-15T00:00", STARTS("2027-03-21T06:30"));
	window_set_free(&set);
}

static void case_4_second_pass_is_closed(void **state)
{
	struct window_set set = window_of("America/New_York", "weekly SU 01:30", "60m", "30m", "");

	(void)state;
	assert_next(&set, "2027-11-07T00:00", "2027-11-07T05:30", "2027-11-07T06:00", "2027-11-07T06:30");
	assert_false(is_open(&set, 0, "2027-11-07T05:29"));
	assert_true(is_open(&set, 0, "2027-11-07T05:30"));
	assert_true(is_open(&set, 0, "2027-11-07T06:00"));
	assert_false(is_open(&set, 0, "2027-11-07T06:01"));
	assert_false(is_open(&set, 0, "2027-11-07T06:35"));
	window_set_free(&set);
}

static void case_5_elapsed_time(void **state)
{
	struct window_set set = window_of("America/New_York", "weekly SA 23:00", "6h", "1h", "");

	(void)state;
	assert_next(&set, "2027-11-06T12:00", "2027-11-07T03:00", "2027-11-07T08:00", "2027-11-07T09:00");
	assert_next(&set, "2027-03-13T12:00", "2027-03-14T04:00", "2027-03-14T09:00", "2027-03-14T10:00");
	window_set_free(&set);
}

static void case_6_lord_howe(void **state)
{
	struct window_set set = window_of("Australia/Lord_Howe", "weekly SU 02:15", "2h", "30m", "");

	(void)state;
	assert_next(&set, "2027-10-02T00:00", "2027-10-02T15:45", "2027-10-02T17:15", "2027-10-02T17:45");
	assert_starts(&set, "2027-10-03T00:00", STARTS("2027-10-09T15:15"));
	window_set_free(&set);
}

static void case_7_dublin(void **state)
{
	struct window_set set = window_of("Europe/Dublin", "weekly SU 01:30", "2h", "30m", "");

	(void)state;
	assert_starts(&set, "2027-03-28T00:00", STARTS("2027-03-28T01:30"));
	assert_starts(&set, "2027-10-31T00:00", STARTS("2027-10-31T00:30"));
	window_set_free(&set);
}

static void case_8_santiago(void **state)
{
	struct window_set set = window_of("America/Santiago", "weekly SU 00:00", "2h", "30m", "");
	struct window_query query = {0};

	(void)state;
	assert_next(&set, "2027-09-05T00:00", "2027-09-05T04:00", "2027-09-05T05:30", "2027-09-05T06:00");
	struct occurrence occurrence = next_of(&set, &query, "2027-09-05T00:00");
	assert_int_equal(zone_local(window_zone(set.windows[0]), occurrence.start, NULL, NULL).hour, 1);
	assert_int_equal(occurrence.local.hour, 0);
	window_set_free(&set);
}

static void case_9_patch_tuesday(void **state)
{
	struct window_set set = window_of("America/Chicago", "monthly 2TU 22:00", "4h", "1h", "offset_days = 5\n");

	(void)state;
	assert_starts(&set, "2027-01-01T00:00",
		      STARTS("2027-01-18T04:00", "2027-02-15T04:00", "2027-03-15T03:00", "2027-04-19T03:00"));
	window_set_free(&set);
	set = window_of("America/Chicago", "monthly 2TU 22:00", "4h", "1h", "offset_days = 12\n");
	assert_starts(&set, "2027-01-01T00:00",
		      STARTS("2027-01-25T04:00", "2027-02-22T04:00", "2027-03-22T03:00", "2027-04-26T03:00"));
	window_set_free(&set);
}

static void case_10_over_the_month(void **state)
{
	struct window_set set = window_of("Asia/Tokyo", "monthly -1FR 23:30", "4h", "1h", "offset_days = 2\n");

	(void)state;
	assert_starts(&set, "2027-05-01T00:00", STARTS("2027-05-02T14:30", "2027-05-30T14:30"));
	window_set_free(&set);
}

static void case_11_days_that_months_lack(void **state)
{
	struct window_set set = window_of("Europe/Berlin", "monthly 31 23:00", "4h", "1h", "");

	(void)state;
	assert_starts(&set, "2027-01-02T00:00",
		      STARTS("2027-01-31T22:00", "2027-03-31T21:00", "2027-05-31T21:00", "2027-07-31T21:00"));
	window_set_free(&set);
	set = window_of("Europe/Berlin", "monthly -1 23:00", "4h", "1h", "");
	assert_starts(&set, "2028-02-02T00:00", STARTS("2028-02-29T22:00"));
	window_set_free(&set);
	set = window_of("UTC", "monthly 5SA 01:00", "4h", "1h", "");
	assert_starts(&set, "2027-01-01T00:00",
		      STARTS("2027-01-30T01:00", "2027-05-29T01:00", "2027-07-31T01:00", "2027-10-30T01:00"));
	window_set_free(&set);
}

static void case_12_every_second_week(void **state)
{
	struct window_set set =
		window_of("Asia/Kolkata", "weekly WE 02:00", "4h", "1h", "interval = 2\nanchor = 2026-12-23\n");

	(void)state;
	assert_starts(&set, "2026-12-01T00:00",
		      STARTS("2026-12-22T20:30", "2027-01-05T20:30", "2027-01-19T20:30", "2027-02-02T20:30"));
	window_set_free(&set);
}

/* New zone data moves an instant: zones as they were in 2025b and as they are in 2026f. */
static void case_13_new_zone_data(void **state)
{
	static const struct {
		const char *zone, *old_rule, *new_rule, *old_start, *new_start;
	} rows[] = {
		{"Winnipeg", "CST6CDT,M3.2.0,M11.1.0", "<-05>5", "2027-01-16T08:00", "2027-01-16T07:00"},
		{"Havana", "CST5CDT,M3.2.0/0,M11.1.0/1", "<-04>4", "2027-01-16T07:00", "2027-01-16T06:00"},
		{"Vancouver", "PST8PDT,M3.2.0,M11.1.0", "<-07>7", "2027-01-16T10:00", "2027-01-16T09:00"},
		{"Edmonton", "MST7MDT,M3.2.0,M11.1.0", "<-06>6", "2027-01-16T09:00", "2027-01-16T08:00"},
		{"Casablanca", "<+01>-1", "<+00>0", "2027-01-16T01:00", "2027-01-16T02:00"},
	};
	char directory[] = "/tmp/schedules-cases-XXXXXX", path[100];

	(void)state;
	assert_non_null(mkdtemp(directory));
	setenv("TZDIR", directory, 1);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		bool is_new = i % 2 == 1;
		struct tzfile file = tzfile_of_rule('2', is_new ? rows[i / 2].new_rule : rows[i / 2].old_rule);
		snprintf(path, sizeof path, "%s/%s", directory, rows[i / 2].zone);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(write(fd, file.bytes, file.size), file.size);
		close(fd);
		struct window_set set = window_of(rows[i / 2].zone, "weekly SA 02:00", "2h", "30m", "");
		assert_starts(&set, "2027-01-16T00:00", STARTS(is_new ? rows[i / 2].new_start : rows[i / 2].old_start));
		window_set_free(&set);
		unlink(path);
	}
	rmdir(directory);
	unsetenv("TZDIR");
}

static void case_14_freeze(void **state)
{
	struct window_set set = window_of("America/New_York", "weekly TH 22:00", "4h", "0", "");
	struct freeze_set freezes =
		freezes_of("[freeze year-end]\nscope = vendor\nzone = local\nfrom = 2026-12-18T00:00\n"
			   "to = 2027-01-04T00:00\nblocks = all\nreason = Year end\n");
	struct window_query query = {.freezes = &freezes, .need = 75 * 60};
	int64_t from, to;

	(void)state;
	freeze_span(freezes.freezes[0], window_zone(set.windows[0]), &from, &to);
	assert_time(from, "2026-12-18T05:00");
	assert_time(to, "2027-01-04T05:00");
	struct occurrence occurrence = next_of(&set, &query, "2026-12-17T12:00");
	assert_time(occurrence.start, "2026-12-18T03:00");
	assert_time(occurrence.end, "2026-12-18T05:00");
	assert_time(occurrence.last_start, "2026-12-18T03:45");
	assert_true(occurrence.trimmed);
	query.need = 130 * 60;
	occurrence = next_of(&set, &query, "2026-12-17T12:00");
	assert_time(occurrence.start, "2027-01-08T03:00");
	assert_false(occurrence.trimmed);
	window_set_free(&set);
	set = window_of("America/New_York", "weekly SA 22:00", "4h", "0", "");
	assert_time(next_of(&set, &query, "2026-12-18T00:00").start, "2027-01-10T03:00");
	query.freezes = NULL;
	assert_time(next_of(&set, &query, "2026-12-18T00:00").start, "2026-12-20T03:00");
	window_set_free(&set);
	freeze_set_free(&freezes);
}

static void case_15_expiry_pair_and_outage(void **state)
{
	struct window_set set = window_of("Europe/Berlin", "weekly SU 23:00", "4h", "1h", "");
	struct window_query query = {0};
	struct occurrence occurrence;
	struct error error;
	int64_t expiry = 0;

	(void)state;
	/* Support ends with 2027-01-31 in Berlin; the window has opened an hour before. */
	assert_ok(zone_date_end(window_zone(set.windows[0]), "2027-01-31", &expiry, &error), &error);
	assert_time(expiry, "2027-01-31T23:00");
	assert_ok(window_set_open(&set, &query, expiry - 1, &occurrence, &error), &error);
	assert_time(occurrence.start, "2027-01-31T22:00");
	/* The notice of 60 days at 09:00 there. */
	struct civil notice = {2027, 1, 31, 9, 0, 0};
	civil_from_days(civil_to_days(2027, 1, 31) - 60, &notice.year, &notice.month, &notice.day);
	assert_time(zone_resolve(window_zone(set.windows[0]), notice).before, "2026-12-02T08:00");
	window_set_free(&set);
	/* A pair: what is done at 02:20 lets the other in at 02:35, done at 02:50 it is too late at 03:05. */
	set = window_of("UTC", "weekly SA 01:00", "4h", "0", "");
	query.need = 120 * 60;
	assert_ok(window_set_open(&set, &query, utc("2027-01-09T02:35"), &occurrence, &error), &error);
	assert_time(occurrence.last_start, "2027-01-09T03:00");
	assert_false(is_open(&set, 120 * 60, "2027-01-09T03:05"));
	/* Nobody was there from 00:50 to 03:10: missed, the next is a week later. */
	assert_false(is_open(&set, 120 * 60, "2027-01-09T03:10"));
	assert_time(next_of(&set, &query, "2027-01-09T03:10").start, "2027-01-16T01:00");
	window_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_1_london_gap),
		cmocka_unit_test(case_2_london_overlap),
		cmocka_unit_test(case_3_new_york_gap),
		cmocka_unit_test(case_4_second_pass_is_closed),
		cmocka_unit_test(case_5_elapsed_time),
		cmocka_unit_test(case_6_lord_howe),
		cmocka_unit_test(case_7_dublin),
		cmocka_unit_test(case_8_santiago),
		cmocka_unit_test(case_9_patch_tuesday),
		cmocka_unit_test(case_10_over_the_month),
		cmocka_unit_test(case_11_days_that_months_lack),
		cmocka_unit_test(case_12_every_second_week),
		cmocka_unit_test(case_13_new_zone_data),
		cmocka_unit_test(case_14_freeze),
		cmocka_unit_test(case_15_expiry_pair_and_outage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
