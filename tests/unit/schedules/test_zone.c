/* Zones by name and their arithmetic, on dates that do not move any more. */
#include "helper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tzfile.h"

static void assert_resolves(const char *name, struct civil civil, enum zone_kind kind, const char *before,
			    const char *after, const char *transition)
{
	struct zone *zone = zone_of(name);
	struct zone_resolution resolution = zone_resolve(zone, civil);

	assert_int_equal(resolution.kind, kind);
	assert_time(resolution.before, before);
	assert_time(resolution.after, after);
	assert_time(resolution.transition, transition);
	zone_free(&zone);
	assert_null(zone);
}

static void unique_skipped_and_repeated(void **state)
{
	(void)state;
	assert_resolves("Europe/London", (struct civil){2027, 1, 3, 1, 30, 0}, ZONE_UNIQUE, "2027-01-03T01:30",
			"2027-01-03T01:30", "2027-01-03T01:30");
	assert_resolves("Europe/London", (struct civil){2027, 3, 28, 1, 30, 0}, ZONE_SKIPPED, "2027-03-28T01:30",
			"2027-03-28T00:30", "2027-03-28T01:00");
	assert_resolves("Europe/London", (struct civil){2027, 10, 31, 1, 30, 0}, ZONE_REPEATED, "2027-10-31T00:30",
			"2027-10-31T01:30", "2027-10-31T01:00");
	assert_resolves("America/New_York", (struct civil){2027, 3, 14, 2, 30, 0}, ZONE_SKIPPED, "2027-03-14T07:30",
			"2027-03-14T06:30", "2027-03-14T07:00");
	/* Half an hour, in the southern spring. */
	assert_resolves("Australia/Lord_Howe", (struct civil){2027, 10, 3, 2, 15, 0}, ZONE_SKIPPED, "2027-10-02T15:45",
			"2027-10-02T15:15", "2027-10-02T15:30");
	/* Winter time is the one with the negative saving. */
	assert_resolves("Europe/Dublin", (struct civil){2027, 10, 31, 1, 30, 0}, ZONE_REPEATED, "2027-10-31T00:30",
			"2027-10-31T01:30", "2027-10-31T01:00");
	/* A whole day was left out. */
	assert_resolves("Pacific/Apia", (struct civil){2011, 12, 30, 12, 0, 0}, ZONE_SKIPPED, "2011-12-30T22:00",
			"2011-12-29T22:00", "2011-12-30T10:00");
}

static void edges_of_gap_and_overlap(void **state)
{
	(void)state;
	assert_resolves("Europe/London", (struct civil){2027, 3, 28, 1, 0, 0}, ZONE_SKIPPED, "2027-03-28T01:00",
			"2027-03-28T00:00", "2027-03-28T01:00");
	assert_resolves("Europe/London", (struct civil){2027, 3, 28, 2, 0, 0}, ZONE_UNIQUE, "2027-03-28T01:00",
			"2027-03-28T01:00", "2027-03-28T01:00");
	assert_resolves("Europe/London", (struct civil){2027, 10, 31, 1, 0, 0}, ZONE_REPEATED, "2027-10-31T00:00",
			"2027-10-31T01:00", "2027-10-31T01:00");
	assert_resolves("Europe/London", (struct civil){2027, 10, 31, 2, 0, 0}, ZONE_UNIQUE, "2027-10-31T02:00",
			"2027-10-31T02:00", "2027-10-31T02:00");
}

static void instants_to_wall_clock(void **state)
{
	struct zone *zone = zone_of("America/New_York");
	char text[ZONE_TEXT_SIZE];
	const char *abbreviation = NULL;
	int offset = 0;

	(void)state;
	struct civil local = zone_local(zone, utc("2027-11-07T05:30"), &offset, &abbreviation);
	assert_int_equal(local.hour, 1);
	assert_int_equal(offset, -4 * 3600);
	assert_string_equal(abbreviation, "EDT");
	local = zone_local(zone, utc("2027-11-07T06:30"), &offset, &abbreviation);
	assert_int_equal(local.hour, 1);
	assert_string_equal(abbreviation, "EST");
	/* Far beyond the table, by the footer. */
	local = zone_local(zone, utc("9999-07-01T12:00"), &offset, NULL);
	assert_int_equal(offset, -4 * 3600);
	zone_format(zone, utc("2027-01-03T06:30"), text);
	assert_string_equal(text, "Sun 2027-01-03 01:30 America/New_York");
	/* Wild clocks are taken as far away, not as an overflow. */
	assert_true(zone_local(zone, INT64_MAX, NULL, NULL).year > 1000000000);
	assert_true(zone_local(zone, INT64_MIN, NULL, NULL).year < -1000000000);
	zone_resolve(zone, (struct civil){INT32_MAX, 12, 31, 23, 59, 59});
	zone_resolve(zone, (struct civil){INT32_MIN, 1, 1, 0, 0, 0});
	zone_free(&zone);
}

static void names(void **state)
{
	static const char *const bad[] = {
		"",
		"/etc/passwd",
		"../zoneinfo/UTC",
		"Europe/../UTC",
		"Europe//London",
		"Europe/",
		"UTC ",
		"./UTC",
		"localtime",
		"posixrules",
		".",
		"Europe/Lon\ndon",
		"1/2",
		"Europe/Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct zone *zone = NULL;
	struct error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_refused(zone_load(bad[i], &zone, &error), &error, ERROR_DATA, "zone",
			       "is no name of a time zone");
		assert_null(zone);
	}
	assert_refused(zone_load("Europe/Londn", &zone, &error), &error, ERROR_DATA, "zone", "Europe/London");
	assert_refused(zone_load("europe/london", &zone, &error), &error, ERROR_DATA, "zone", "Europe/London");
	assert_refused(zone_load("Berlin", &zone, &error), &error, ERROR_DATA, "zone", "Europe/Berlin");
	assert_refused(zone_load("Atlantis/Poseidonis", &zone, &error), &error, ERROR_DATA, "zone", "names are like");
	assert_refused(zone_load("Europe", &zone, &error), &error, ERROR_DATA, "zone", "there is no time zone");
	assert_refused(zone_load("tzdata", &zone, &error), &error, ERROR_DATA, "zone", "there is no time zone");
	zone = zone_of("Etc/GMT+5");
	assert_string_equal(zone_name(zone), "Etc/GMT+5");
	zone_free(&zone);
}

static void assert_date_end(const char *name, const char *date, const char *expected)
{
	struct zone *zone = zone_of(name);
	struct error error;
	int64_t end = 0;

	assert_ok(zone_date_end(zone, date, &end, &error), &error);
	assert_time(end, expected);
	zone_free(&zone);
}

static void ends_of_dates(void **state)
{
	struct zone *zone = zone_of("UTC");
	struct error error;
	int64_t end = 77;

	(void)state;
	assert_date_end("Europe/Berlin", "2027-01-31", "2027-01-31T23:00");
	assert_date_end("Europe/Berlin", "2027-03-28", "2027-03-28T22:00");
	assert_date_end("UTC", "2028-02-29", "2028-03-01T00:00");
	assert_date_end("America/Santiago", "2027-09-04", "2027-09-05T04:00"); /* midnight is skipped */
	assert_date_end("America/Santiago", "2027-04-03", "2027-04-04T04:00"); /* 23:00 comes twice */
	assert_date_end("America/Havana", "2010-10-30",
			"2010-10-31T04:00");                               /* midnight comes twice, the date does not */
	assert_date_end("Pacific/Apia", "2011-12-29", "2011-12-30T10:00"); /* the next day does not exist */
	assert_refused(zone_date_end(zone, "2027-02-29", &end, &error), &error, ERROR_DATA, "zone", "is not a date");
	assert_refused(zone_date_end(zone, "2027-2-9", &end, &error), &error, ERROR_DATA, "zone", "is not a date");
	assert_refused(zone_date_end(zone, "2027-02-09x", &end, &error), &error, ERROR_DATA, "zone", "is not a date");
	assert_int_equal(end, 77);
	zone_free(&zone);
}

static void write_file(const char *directory, const char *name, const void *bytes, size_t size)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

/* Own zone data: the version, a file that is no zone, none at all. */
static void own_directory(void **state)
{
	char directory[] = "/tmp/schedules-zone-XXXXXX", path[200], version[16];
	static const char index[] = "# version 2031c\nZ My/Own 0 - UTC\nL My/Own My/Other\n";
	struct tzfile file = tzfile_of_rule('2', "<+01>-1");
	struct zone *zone = NULL;
	struct error error;

	(void)state;
	assert_non_null(mkdtemp(directory));
	setenv("TZDIR", directory, 1);
	zone_data_version(version);
	assert_string_equal(version, "unknown");
	write_file(directory, "tzdata.zi", index, sizeof index - 1);
	zone_data_version(version);
	assert_string_equal(version, "2031c");
	write_file(directory, "Zone", file.bytes, file.size);
	zone = zone_of("Zone");
	assert_int_equal(zone_local(zone, 0, NULL, NULL).hour, 1);
	zone_free(&zone);
	write_file(directory, "Cut", file.bytes, file.size - 1);
	assert_refused(zone_load("Cut", &zone, &error), &error, ERROR_DATA, "zone", "Cut");
	write_file(directory, "Empty", "", 0);
	assert_refused(zone_load("Empty", &zone, &error), &error, ERROR_DATA, "zone", "TZif header");
	assert_refused(zone_load("My/Othr", &zone, &error), &error, ERROR_DATA, "zone", "My/Other");
	snprintf(path, sizeof path, "%s/Pipe", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(zone_load("Pipe", &zone, &error), &error, ERROR_DATA, "zone", "there is no time zone");
	static const char *const names[] = {"tzdata.zi", "Zone", "Cut", "Empty", "Pipe"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
	unsetenv("TZDIR");
}

static void calendar(void **state)
{
	(void)state;
	assert_int_equal(civil_to_days(1970, 1, 1), 0);
	assert_int_equal(civil_to_days(2000, 2, 29), 11016);
	assert_int_equal(civil_weekday(civil_to_days(2027, 1, 3)), 6);
	for (int64_t day = -800000; day <= 3000000; day += 7) {
		int year, month, date;
		civil_from_days(day, &year, &month, &date);
		assert_int_equal(civil_to_days(year, month, date), day);
		assert_true(month >= 1 && month <= 12 && date >= 1 && date <= civil_month_days(year, month));
		assert_int_equal(civil_weekday(day + 1), (civil_weekday(day) + 1) % 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unique_skipped_and_repeated),
		cmocka_unit_test(edges_of_gap_and_overlap),
		cmocka_unit_test(instants_to_wall_clock),
		cmocka_unit_test(names),
		cmocka_unit_test(ends_of_dates),
		cmocka_unit_test(own_directory),
		cmocka_unit_test(calendar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
