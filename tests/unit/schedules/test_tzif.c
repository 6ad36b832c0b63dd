/* TZif files made by hand: every version, footers, and what must be refused. */
#include "helper.h"

#include "tzfile.h"

static struct zone *parse(const struct tzfile *file)
{
	struct zone *zone = NULL;
	struct error error;

	assert_ok(zone_parse(file->bytes, file->size, "Test/Zone", &zone, &error), &error);
	return zone;
}

static void refuse(const struct tzfile *file, const char *part)
{
	struct zone *zone = NULL;
	struct error error;

	assert_refused(zone_parse(file->bytes, file->size, "Test/Zone", &zone, &error), &error, ERROR_DATA, "zone",
		       part);
	assert_null(zone);
}

static void assert_offset(const struct zone *zone, const char *time, int expected)
{
	int offset;

	zone_local(zone, utc(time), &offset, NULL);
	assert_int_equal(offset, expected);
}

/* +01:00 until 2001-09-09T01:46:40, then +02:00, in 4-byte times. */
static struct tzfile version_1(void)
{
	struct tzfile file = {.size = 0};

	tzfile_header(&file, 0, 1, 2, 8);
	tzfile_number(&file, 1000000000, 4);
	tzfile_put(&file, "\1", 1);
	tzfile_type(&file, 3600, 0, 0);
	tzfile_type(&file, 7200, 1, 4);
	tzfile_put(&file, "ONE\0TWO", 8);
	return file;
}

static void first_version(void **state)
{
	struct tzfile file = version_1();
	struct zone *zone = parse(&file);
	const char *abbreviation = NULL;

	(void)state;
	assert_offset(zone, "1975-01-01T00:00", 3600);
	assert_offset(zone, "2001-09-09T01:46", 3600);
	assert_offset(zone, "2001-09-09T01:47", 7200);
	zone_local(zone, utc("2090-01-01T00:00"), NULL, &abbreviation);
	assert_string_equal(abbreviation, "TWO");
	zone_free(&zone);
	tzfile_put(&file, "x", 1);
	refuse(&file, "bytes behind its end");
}

static void table_then_footer(void **state)
{
	struct tzfile file = {.size = 0};

	(void)state;
	tzfile_header(&file, '2', 0, 1, 4);
	tzfile_type(&file, 0, 0, 0);
	tzfile_put(&file, "LMT", 4);
	tzfile_header(&file, '2', 2, 3, 12);
	tzfile_number(&file, (uint64_t)-2000000000, 8);
	tzfile_number(&file, 1700000000, 8); /* 2023-11-14 */
	tzfile_put(&file, "\1\2", 2);
	tzfile_type(&file, 100, 0, 0);
	tzfile_type(&file, 3600, 0, 4);
	tzfile_type(&file, 7200, 0, 8);
	tzfile_put(&file, "LMT\0ONE\0TWO", 12);
	tzfile_put(&file, "\nTWO-2TRE,M3.5.0,M10.5.0/3\n", 27);
	struct zone *zone = parse(&file);
	int offset;
	zone_local(zone, -2000000001, &offset, NULL);
	assert_int_equal(offset, 100);
	zone_local(zone, -2000000000, &offset, NULL);
	assert_int_equal(offset, 3600);
	assert_offset(zone, "2023-07-01T00:00", 3600); /* the rule does not reach back into the table */
	assert_offset(zone, "2023-12-01T00:00", 7200);
	assert_offset(zone, "2024-07-01T00:00", 10800);
	assert_offset(zone, "2027-03-28T00:00", 10800);
	assert_offset(zone, "2027-03-27T23:59", 7200);
	zone_free(&zone);
}

/* Rule, an instant, the offset in seconds. */
static void footers(void **state)
{
	static const struct {
		char version;
		const char *rule, *time;
		int offset;
	} rows[] = {
		{'2', "UTC0", "2027-01-01T00:00", 0},
		{'2', "<-03>3", "2027-01-01T00:00", -10800},
		{'2', "<+0545>-5:45", "2027-01-01T00:00", 20700},
		{'2', "EST5EDT,M3.2.0,M11.1.0", "2027-03-14T06:59", -18000},
		{'2', "EST5EDT,M3.2.0,M11.1.0", "2027-03-14T07:00", -14400},
		{'2', "EST5EDT,M3.2.0,M11.1.0", "2027-11-07T05:59", -14400},
		{'2', "EST5EDT,M3.2.0,M11.1.0", "2027-11-07T06:00", -18000},
		/* the southern summer goes over the new year */
		{'2', "AEST-10AEDT,M10.1.0,M4.1.0/3", "2027-01-01T00:00", 39600},
		{'2', "AEST-10AEDT,M10.1.0,M4.1.0/3", "2027-07-01T00:00", 36000},
		/* saving is negative in winter */
		{'3', "IST-1GMT0,M10.5.0,M3.5.0/1", "2027-01-01T00:00", 0},
		{'3', "IST-1GMT0,M10.5.0,M3.5.0/1", "2027-07-01T00:00", 3600},
		/* hours beyond a day, and before it: Godthab, Gaza */
		{'3', "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2027-03-28T00:59", -7200},
		{'3', "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2027-03-28T01:00", -3600},
		{'3', "EET-2EEST,M3.4.4/50,M10.4.4/50", "2027-03-26T23:59", 7200},
		{'3', "EET-2EEST,M3.4.4/50,M10.4.4/50", "2027-03-27T00:00", 10800},
		/* summer time all year, across the leap day and the turn of the year */
		{'3', "EST5EDT,0/0,J365/25", "2027-01-01T04:59", -14400},
		{'3', "EST5EDT,0/0,J365/25", "2027-01-01T05:00", -14400},
		{'3', "EST5EDT,0/0,J365/25", "2028-12-31T23:30", -14400},
		{'3', "EST5EDT,0/0,J365/25", "2029-01-01T05:00", -14400},
		/* Jn does not count 29 February, n does */
		{'2', "AAA0BBB,J60,J300", "2028-03-01T01:59", 0},
		{'2', "AAA0BBB,J60,J300", "2028-03-01T02:00", 3600},
		{'2', "AAA0BBB,59,300", "2028-02-29T02:00", 3600},
		{'2', "AAA0BBB,59,300", "2027-02-28T23:59", 0},
		{'2', "AAA0BBB,59,300", "2027-03-01T02:00", 3600},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tzfile file = tzfile_of_rule(rows[i].version, rows[i].rule);
		struct zone *zone = parse(&file);
		int offset;
		zone_local(zone, utc(rows[i].time), &offset, NULL);
		if (offset != rows[i].offset)
			fail_msg("%s at %s: %d instead of %d", rows[i].rule, rows[i].time, offset, rows[i].offset);
		zone_free(&zone);
	}
}

static void bad_footers(void **state)
{
	static const char *const rules[] = {
		"E5",
		"EST",
		"EST5 ",
		"EST5EDT",
		"EST5EDT,M3.2.0",
		"<-035",
		"EST25",
		"EST5:60",
		"EST5EDT,M13.1.0,M11.1.0",
		"EST5EDT,M3.6.0,M11.1.0",
		"EST5EDT,M3.0.0,M11.1.0",
		"EST5EDT,M3.2.7,M11.1.0",
		"EST5EDT,J0,J365",
		"EST5EDT,0,366",
		"EST5EDT,M3.2.0,M11.1.0x",
		"EST5EDT,M3.2.0/25,M11.1.0",
		"EST5EDT,M3.2.0/-1,M11.1.0",
		"ABCDEFGHIJKLMNOP5",
		"EST99999999999999",
		"\n",
		"EST5\nEDT",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct tzfile file = tzfile_of_rule('2', rules[i]);
		refuse(&file, "footer");
	}
	struct tzfile file = tzfile_of_rule('3', "EST5EDT,M3.2.0/168,M11.1.0");
	refuse(&file, "footer");
	file = tzfile_of_rule('2', "EST5");
	file.size--;
	refuse(&file, "lacks its footer");
}

/* Every prefix of a whole file is refused, and so is each of these altered bytes. */
static void cut_and_altered(void **state)
{
	struct tzfile whole = tzfile_of_rule('4', "EST5EDT,M3.2.0,M11.1.0"), first = version_1(), file;
	struct zone *zone = parse(&whole);
	static const struct {
		size_t at;
		uint8_t byte;
		const char *part;
	} rows[] = {
		{0, 'X', "TZif header"},       {4, '5', "version"},
		{4, '1', "version"},           {32, 1, "8,192"},
		{39, 0, "no local time type"}, {38, 2, "no local time type"},
		{43, 0, "no abbreviations"},   {41, 1, "no abbreviations"},
		{31, 1, "is cut short"},       {23, 1, "indicators"},
		{27, 1, "indicators"},
	};

	(void)state;
	zone_free(&zone);
	for (size_t size = 0; size < whole.size; size++) {
		file = whole;
		file.size = size;
		struct error error;
		assert_int_not_equal(zone_parse(file.bytes, file.size, "Test/Zone", &zone, &error), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		file = first;
		file.bytes[rows[i].at] = rows[i].byte;
		refuse(&file, rows[i].part);
	}
	file = first; /* the transition's type, the second type's abbreviation, its summer mark, its offset */
	file.bytes[48] = 2;
	refuse(&file, "a type that it lacks");
	file = first;
	file.bytes[60] = 8;
	refuse(&file, "without an end");
	file = first;
	file.bytes[59] = 2;
	refuse(&file, "summer time mark");
	file = first;
	file.bytes[56] = 2; /* 7200 → 138,272 */
	refuse(&file, "offset");
	file = first;
	file.bytes[file.size - 1] = 'X';
	refuse(&file, "without an end");
}

static void leap_seconds_and_order(void **state)
{
	struct tzfile file = {.size = 0};

	(void)state;
	tzfile_header(&file, 0, 2, 1, 4);
	tzfile_number(&file, 1000, 4);
	tzfile_number(&file, 1000, 4);
	tzfile_put(&file, "\0\0", 2);
	tzfile_type(&file, 0, 0, 0);
	tzfile_put(&file, "ABC", 4);
	refuse(&file, "ascend");
	file = (struct tzfile){.size = 0};
	tzfile_header(&file, 0, 0, 1, 4);
	file.bytes[31] = 1;
	tzfile_type(&file, 0, 0, 0);
	tzfile_put(&file, "ABC", 4);
	tzfile_number(&file, 78796800, 4);
	tzfile_number(&file, 1, 4);
	refuse(&file, "leap seconds");
}

/* The far ends of 64 bits are compared, never added to. */
static void extreme_transitions(void **state)
{
	struct tzfile file = {.size = 0};

	(void)state;
	tzfile_header(&file, '2', 0, 1, 4);
	tzfile_type(&file, 0, 0, 0);
	tzfile_put(&file, "LMT", 4);
	tzfile_header(&file, '2', 2, 2, 8);
	tzfile_number(&file, UINT64_C(1) << 63, 8);
	tzfile_number(&file, UINT64_MAX >> 1, 8);
	tzfile_put(&file, "\1\0", 2);
	tzfile_type(&file, 93599, 0, 0);
	tzfile_type(&file, -89999, 1, 4);
	tzfile_put(&file, "ONE\0TWO", 8);
	tzfile_put(&file, "\n\n", 2);
	struct zone *zone = parse(&file);
	int offset;
	zone_local(zone, INT64_MIN, &offset, NULL);
	assert_int_equal(offset, -89999);
	struct zone_resolution resolution = zone_resolve(zone, (struct civil){2027, 1, 1, 0, 0, 0});
	assert_int_equal(resolution.kind, ZONE_UNIQUE);
	assert_int_equal(resolution.before, utc("2027-01-01T00:00") + 89999);
	zone_free(&zone);
}

/* Midnight within a gap that began before it, and within an overlap that goes back into the date. */
static void dates_that_end_strangely(void **state)
{
	struct tzfile file = tzfile_of_rule('2', "AAA0BBB,M3.5.0/23:30,M10.5.0/0:30");
	struct zone *zone = parse(&file);
	struct error error;
	int64_t end = 0;

	(void)state;
	assert_ok(zone_date_end(zone, "2027-03-28", &end, &error), &error);
	assert_time(end, "2027-03-28T23:30");
	assert_ok(zone_date_end(zone, "2027-10-30", &end, &error), &error);
	assert_time(end, "2027-10-31T00:00");
	zone_free(&zone);
}

/* The clock goes far forward and back again within seconds: what the first step skips comes all the same. */
static void forth_and_back(void **state)
{
	struct tzfile file = {.size = 0};

	(void)state;
	tzfile_header(&file, 0, 2, 2, 8);
	tzfile_number(&file, 1000000000, 4);
	tzfile_number(&file, 1000000003, 4);
	tzfile_put(&file, "\1\0", 2);
	tzfile_type(&file, 0, 0, 0);
	tzfile_type(&file, 7200, 1, 4);
	tzfile_put(&file, "ONE\0TWO", 8);
	struct zone *zone = parse(&file);
	struct civil civil = civil_from_seconds(1000000100);
	struct zone_resolution resolution = zone_resolve(zone, civil);
	assert_int_equal(resolution.kind, ZONE_UNIQUE);
	assert_int_equal(resolution.before, 1000000100);
	resolution = zone_resolve(zone, civil_from_seconds(1000000001));
	assert_int_equal(resolution.kind, ZONE_SKIPPED);
	assert_int_equal(resolution.before, 1000000001);
	assert_int_equal(resolution.after, 1000000001 - 7200);
	assert_int_equal(resolution.transition, 1000000000);
	zone_free(&zone);
}

/* The footer is in force from the last transition on, and what comes before that is not asked of it. */
static void last_transition_bounds_the_footer(void **state)
{
	struct tzfile file = {.size = 0};

	(void)state;
	tzfile_header(&file, '2', 0, 1, 4);
	tzfile_type(&file, 0, 0, 0);
	tzfile_put(&file, "LMT", 4);
	tzfile_header(&file, '2', 1, 2, 8);
	tzfile_number(&file, 1000000000, 8);
	tzfile_put(&file, "\1", 1);
	tzfile_type(&file, 0, 0, 0);
	tzfile_type(&file, 7200, 0, 4);
	tzfile_put(&file, "ONE\0TWO", 8);
	tzfile_put(&file, "\nTWO-2\n", 7);
	struct zone *zone = parse(&file);
	struct zone_resolution resolution = zone_resolve(zone, civil_from_seconds(1000000000 + 3600));
	assert_int_equal(resolution.kind, ZONE_SKIPPED);
	assert_int_equal(resolution.transition, 1000000000);
	zone_free(&zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_version),
		cmocka_unit_test(table_then_footer),
		cmocka_unit_test(footers),
		cmocka_unit_test(bad_footers),
		cmocka_unit_test(cut_and_altered),
		cmocka_unit_test(leap_seconds_and_order),
		cmocka_unit_test(extreme_transitions),
		cmocka_unit_test(forth_and_back),
		cmocka_unit_test(last_transition_bounds_the_footer),
		cmocka_unit_test(dates_that_end_strangely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
