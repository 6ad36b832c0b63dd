/* Windows and freezes as INI: what is taken, what is refused and with which words, and that writing gives it back. */
#include "helper.h"

#include <fcntl.h>

#include "base/file.h"

#define WINDOW "[window a]\nzone = Europe/London\nrule = weekly SU 01:30\nduration = 2h\n"

static void refuse(const char *text, const char *name, const char *part)
{
	struct window_set set = {NULL, 99};
	struct error error;

	assert_refused(window_set_parse(text, strlen(text), "w.ini", &set, &error), &error, ERROR_DATA, name, part);
	assert_int_equal(set.count, 99);
	assert_null(set.windows);
}

static void refuse_rule(const char *rule, const char *more, const char *part)
{
	char text[600];

	snprintf(text, sizeof text, "[window a]\nzone = Europe/London\nrule = %s\nduration = 2h\n%s", rule, more);
	refuse(text, "window", part);
}

static void defaults(void **state)
{
	struct window_set set = windows_of(WINDOW);
	const struct window *window = set.windows[0];

	(void)state;
	assert_int_equal(set.count, 1);
	assert_string_equal(window_name(window), "a");
	assert_string_equal(zone_name(window_zone(window)), "Europe/London");
	assert_string_equal(window_rule_text(window), "weekly SU 01:30");
	assert_int_equal(window_duration(window), 7200);
	assert_int_equal(window_cutoff(window), 0);
	assert_int_equal(window_notice(window), 0);
	assert_int_equal(window_gap(window), WINDOW_GAP_SHIFT);
	assert_int_equal(window_missed(window), WINDOW_MISSED_NEXT);
	assert_int_equal(window_overrun(window), WINDOW_OVERRUN_ROLLBACK);
	assert_int_equal(window_rule(window)->interval, 1);
	assert_int_equal(window_rule(window)->offset_days, 0);
	/* Without a cutoff the last second before the end is the last start. */
	struct window_query query = {0};
	struct occurrence occurrence = next_of(&set, &query, "2027-01-01T00:00");
	assert_int_equal(occurrence.last_start, occurrence.end - 1);
	window_set_free(&set);
	assert_null(set.windows);
	set = windows_of("");
	assert_int_equal(set.count, 0);
	window_set_free(&set);
	struct error error;
	assert_ok(window_set_parse(NULL, 0, "empty", &set, &error), &error);
	assert_int_equal(set.count, 0);
	window_set_free(&set);
}

static void all_keys(void **state)
{
	struct window_set set =
		windows_of("; how we let them in\n[window acme-prod]   ; the main one\n"
			   "zone = Europe/London\nrule = monthly -1FR 22:15 ; last\nanchor = 2027-01-31\n"
			   "interval = 3\noffset_days = 2\nduration = 90m\ncutoff = 1800\ngap = skip\n"
			   "missed = hold\noverrun = finish\nnotice = 3d\n");
	const struct window *window = set.windows[0];

	(void)state;
	assert_int_equal(window_duration(window), 5400);
	assert_int_equal(window_cutoff(window), 1800);
	assert_int_equal(window_notice(window), 259200);
	assert_int_equal(window_gap(window), WINDOW_GAP_SKIP);
	assert_int_equal(window_missed(window), WINDOW_MISSED_HOLD);
	assert_int_equal(window_overrun(window), WINDOW_OVERRUN_FINISH);
	assert_starts(&set, "2026-01-01T00:00", STARTS("2027-01-31T22:15", "2027-05-02T21:15"));
	window_set_free(&set);
}

static void refusals_name_file_and_line(void **state)
{
	(void)state;
	refuse(WINDOW "colour = red\n", "window", "w.ini:5: window a has no key \"colour\"");
	refuse(WINDOW "duration = 3h\n", "window", "w.ini:5: ");
	refuse(WINDOW WINDOW, "window", "w.ini:5: ");
	refuse("[window a]\nzone = Europe/London\nrule = weekly SU 01:30\n", "window", "lacks the key \"duration\"");
	refuse("[window a]\nduration = 2h\nrule = weekly SU 01:30\n", "window",
	       "w.ini:2: window a lacks the key \"zone\"");
	refuse("[window a]\n", "window", "lacks the key \"zone\"");
	refuse("[freeze a]\nfrom = 1\n", "window", "w.ini:2: section [freeze a] must be [window NAME]");
	refuse("[window]\nzone = UTC\n", "window", "must be [window NAME]");
	refuse("[window a/b]\nzone = UTC\n", "window", "a name is at most 40");
	refuse("[window aaaaaaaaaabbbbbbbbbbccccccccccddddddddddX]\nzone = UTC\n", "window", "");
	refuse("zone = UTC\n", "window", "w.ini:1: ");
	refuse(WINDOW " gap = skip\n", "window", "w.ini:5: ");
	refuse(WINDOW "gap\n", "window", "w.ini:5: ");
	refuse(WINDOW "; \xff\n", "window", "UTF-8");
	refuse(WINDOW "; \xed\xa0\x80\n", "window", "UTF-8");
	refuse(WINDOW "; \xc3", "window", "UTF-8");
	refuse("[window a]\nzone = Europe/Londn\nrule = weekly SU 01:30\nduration = 2h\n", "zone",
	       "w.ini:2: window a: there is no time zone \"Europe/Londn\"; the nearest name is Europe/London");
	/* One bad window and none is taken. */
	refuse(WINDOW "[window b]\nzone = UTC\nrule = weekly XX 01:30\nduration = 2h\n", "window",
	       "w.ini:6: window b: ");
}

static void bounds(void **state)
{
	(void)state;
	refuse_rule("weekly SU 01:30", "cutoff = 2h\n", "cutoff must be shorter than duration");
	refuse_rule("weekly SU 01:30", "cutoff = -1\n", "cutoff = -1: must be a time");
	refuse_rule("weekly SU 01:30", "notice = soon\n", "must be a time like");
	refuse_rule("weekly SU 01:30", "notice = 9999999999999999999999h\n", "must be a time like");
	refuse_rule("weekly SU 01:30", "notice = 400d\n", "from 0 to 31536000 seconds");
	refuse_rule("weekly SU 01:30", "gap = jump\n", "gap = jump: must be shift or skip");
	refuse_rule("weekly SU 01:30", "missed = never\n", "must be next or hold");
	refuse_rule("weekly SU 01:30", "overrun = kill\n", "must be rollback or finish");
	refuse_rule("monthly 2TU 01:30", "offset_days = 31\n", "a number from -30 to 30");
	refuse_rule("monthly 2TU 01:30", "offset_days = 1x\n", "a number from -30 to 30");
	refuse_rule("weekly SU 01:30", "interval = 0\n", "a number from 1 to 120");
	refuse("[window a]\nzone = UTC\nrule = weekly SU 01:30\nduration = 59s\n", "window", "from 60 to");
	refuse("[window a]\nzone = UTC\nrule = weekly SU 01:30\nduration = 32d\n", "window", "from 60 to");
}

static void rules(void **state)
{
	static const char *const bad[] = {
		"weekly",
		"weekly SU",
		"weekly SU 1:30",
		"weekly SU 24:00",
		"weekly SU 01:60",
		"weekly su 01:30",
		"weekly SU,SU 01:30",
		"weekly SU, 01:30",
		"weekly ,SU 01:30",
		"weekly SUN 01:30",
		"weekly SU 01:30 x",
		"weekly SU 01:30 x y z",
		"monthly 0 01:30",
		"monthly 32 01:30",
		"monthly -32 01:30",
		"monthly 6TU 01:30",
		"monthly 0TU 01:30",
		"monthly +2TU 01:30",
		"monthly TU 01:30",
		"monthly 2 TU 01:30",
		"monthly 02 01:30",
		"monthly -TU 01:30",
		"monthly 2TU,3TU 01:30",
		"once 2027-10-31",
		"once 2027-02-29T01:30",
		"once 2027-10-31T01:30:00",
		"once 2027-10-31T01:30Z",
		"once 2027-10-31T01:30+1:00",
		"once 2027-10-31 01:30",
		"once 1969-12-31T01:30",
		"daily 01:30",
		"Weekly SU 01:30",
		"x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse_rule(bad[i], "", "has none of the forms weekly SU 01:30");
	refuse_rule("rrule FREQ=WEEKLY;BYDAY=SU 01:30", "",
		    "rules of the form \"rrule FREQ=…\" are not accepted; the forms are weekly SU 01:30");
	refuse_rule("weekly SU 01:30", "interval = 2\n", "interval 2 needs an anchor");
	refuse_rule("weekly SU 01:30", "interval = 2\nanchor = 2027-01-04\n",
		    "anchor 2027-01-04 is no date of the rule");
	refuse_rule("weekly SU 01:30", "anchor = 2027-1-3\n", "is not a date");
	refuse_rule("weekly SU 01:30", "offset_days = 1\n", "offset_days is for monthly rules alone");
	refuse_rule("once 2027-10-31T12:00", "offset_days = 1\n", "offset_days is for monthly rules alone");
	refuse_rule("once 2027-10-31T12:00", "interval = 2\nanchor = 2027-10-31\n", "neither interval nor anchor");
}

static void once(void **state)
{
	struct window_set set = window_of("Europe/London", "once 2027-10-31T01:30", "2h", "45m", "");
	struct window_query query = {0};
	struct occurrence occurrences[2];
	struct error error;
	size_t count = 0;

	(void)state;
	assert_ok(window_set_next(&set, &query, utc("2027-01-01T00:00"), 2, occurrences, &count, &error), &error);
	assert_int_equal(count, 1);
	assert_time(occurrences[0].start, "2027-10-31T00:30");
	assert_ok(window_set_next(&set, &query, utc("2027-10-31T01:46"), 2, occurrences, &count, &error), &error);
	assert_int_equal(count, 0);
	assert_refused(window_set_open(&set, &query, utc("2027-12-01T00:00"), occurrences, &error), &error,
		       ERROR_NOT_NOW, "window", "window test is closed; none opens within five years");
	window_set_free(&set);
	set = window_of("Europe/London", "once 2027-10-31T01:30+01:00", "2h", "45m", "");
	assert_starts(&set, "2027-01-01T00:00", STARTS("2027-10-31T00:30"));
	window_set_free(&set);
	set = window_of("Europe/London", "once 2027-10-31T01:30+00:00", "2h", "45m", "");
	assert_starts(&set, "2027-01-01T00:00", STARTS("2027-10-31T01:30"));
	window_set_free(&set);
	refuse_rule("once 2027-10-31T01:30+02:00", "",
		    "2027-10-31T01:30+02:00 is no time of Europe/London, which is then at +01:00 and again at +00:00");
	refuse_rule("once 2027-07-31T01:30-05:00", "", "is no time of Europe/London, which is then at +01:00");
	refuse_rule("once 2027-03-28T01:30", "", "the nearest times are 2027-03-28T00:59 and 2027-03-28T02:00");
	refuse_rule("once 2027-03-28T01:30+01:00", "", "the nearest times are 2027-03-28T00:59 and 2027-03-28T02:00");
}

/* What is written is read as the same, and written again it is the same text. */
static void written_and_read_again(void **state)
{
	static const char monthly[] = "[window b.c_d-9]\nzone = America/New_York\nrule = monthly 2TU 22:00\n"
				      "offset_days = -5\nduration = 4h\ninterval = 2\nanchor = 2027-01-07\n"
				      "cutoff = 45m\nnotice = 72h\nmissed = hold\n" WINDOW;
	static const char at_once[] = "[window once]\nzone = Europe/London\nduration = 61s\noverrun = finish\n"
				      "rule = once 2027-10-31T01:30+00:00\n";
	static const char *const texts[] = {WINDOW, monthly, at_once, ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(10000), second = BUFFER_INIT(10000);
		struct window_set one = windows_of(texts[i]);
		struct window_query query = {0};
		struct occurrence a[20], b[20];
		size_t a_count = 0, b_count = 0;
		struct error error;
		assert_ok(window_set_write(&one, &first, &error), &error);
		struct window_set two = windows_of(first.data ? (const char *)first.data : "");
		assert_ok(window_set_write(&two, &second, &error), &error);
		assert_int_equal(first.size, second.size);
		if (first.size)
			assert_memory_equal(first.data, second.data, first.size);
		int64_t from = utc("2027-01-01T00:00");
		assert_ok(window_set_next(&one, &query, from, 20, a, &a_count, &error), &error);
		assert_ok(window_set_next(&two, &query, from, 20, b, &b_count, &error), &error);
		assert_int_equal(a_count, b_count);
		for (size_t k = 0; k < a_count; k++)
			assert_true(a[k].start == b[k].start && a[k].last_start == b[k].last_start);
		/* A buffer too small is an error, not a cut. */
		CLEANUP(buffer_free) struct buffer small = BUFFER_INIT(20);
		if (two.count > 0)
			assert_refused(window_set_write(&two, &small, &error), &error, ERROR_DATA, "length", "20");
		window_set_free(&one);
		window_set_free(&two);
	}
}

static void most_windows(void **state)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(100000);
	struct error error;

	(void)state;
	for (int i = 0; i < WINDOWS_MOST; i++)
		assert_ok(buffer_printf(&text, &error,
					"[window w%d]\nzone = UTC\nrule = weekly SU 01:30\nduration = 2h\n", i),
			  &error);
	struct window_set set = windows_of((const char *)text.data);
	assert_int_equal(set.count, WINDOWS_MOST);
	window_set_free(&set);
	assert_ok(buffer_append_string(&text, "[window more]\nzone = UTC\n", &error), &error);
	refuse((const char *)text.data, "window", "more than 64 sections");
}

static void refuse_freeze(const char *keys, const char *part)
{
	struct freeze_set set = {NULL, 99};
	struct error error;
	char text[400];

	snprintf(text, sizeof text, "[freeze f]\n%s", keys);
	assert_refused(freeze_set_parse(text, strlen(text), "f.ini", &set, &error), &error, ERROR_DATA, "freeze", part);
	assert_int_equal(set.count, 99);
}

static void freezes(void **state)
{
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(10000), second = BUFFER_INIT(10000);
	struct error error;

	(void)state;
	struct freeze_set set = freezes_of("[freeze year-end]\nfrom = 2026-12-18T00:00\nto = 2027-01-04T00:00\n"
					   "[freeze fair]\nscope = customer:acme\nzone = Europe/Berlin\n"
					   "from = 2027-03-01T08:00\nto = 2027-03-05T18:00\nblocks = feature\n"
					   "reason = Messe; bitte nicht stören\n");
	assert_int_equal(set.count, 2);
	assert_string_equal(freeze_scope(set.freezes[0]), "vendor");
	assert_string_equal(freeze_reason(set.freezes[0]), "");
	assert_int_equal(freeze_blocks(set.freezes[0]), FREEZE_ALL);
	assert_string_equal(freeze_name(set.freezes[1]), "fair");
	assert_string_equal(freeze_scope(set.freezes[1]), "customer:acme");
	assert_string_equal(freeze_reason(set.freezes[1]), "Messe; bitte nicht stören");
	assert_int_equal(freeze_blocks(set.freezes[1]), FREEZE_FEATURE);
	assert_ok(freeze_set_write(&set, &first, &error), &error);
	struct freeze_set again = freezes_of((const char *)first.data);
	assert_ok(freeze_set_write(&again, &second, &error), &error);
	assert_string_equal((const char *)first.data, (const char *)second.data);
	freeze_set_free(&set);
	freeze_set_free(&again);
	refuse_freeze("from = 2027-01-01T00:00\n", "lacks the key \"to\"");
	refuse_freeze("from = 2027-01-01T00:00\nto = 2027-01-01T00:00\n", "is not after");
	refuse_freeze("from = 2027-01-01\nto = 2027-01-02T00:00\n", "is not a local time");
	refuse_freeze("from = 2027-01-01T00:00+01:00\nto = 2027-01-02T00:00\n", "is not a local time");
	refuse_freeze("scope = group:x\nfrom = 2027-01-01T00:00\nto = 2027-01-02T00:00\n", "neither vendor");
	refuse_freeze("scope = tag:\nfrom = 2027-01-01T00:00\nto = 2027-01-02T00:00\n", "neither vendor");
	refuse_freeze("scope = vendors\nfrom = 2027-01-01T00:00\nto = 2027-01-02T00:00\n", "neither vendor");
	refuse_freeze("blocks = some\nfrom = 2027-01-01T00:00\nto = 2027-01-02T00:00\n", "all or feature");
	/* Written back behind a blank it would be a comment. */
	refuse_freeze("from = 2027-01-01T00:00\nto = 2027-01-02T00:00\nreason =;x\n", "do not begin with ';'");
	refuse_freeze("until = 2027-01-02T00:00\n", "f.ini:2: freeze f has no key \"until\"");
	refuse_freeze("from = 2027-01-01T00:00\nto = 2027-01-02T00:00\n[window a]\nzone = UTC\n",
		      "must be [freeze NAME]");
	struct freeze_set none = {0};
	static const char lost[] = "[freeze f]\nfrom = 2027-01-01T00:00\nto = 2027-01-02T00:00\nzone = Nowhere\n";
	assert_refused(freeze_set_parse(lost, sizeof lost - 1, "f.ini", &none, &error), &error, ERROR_DATA, "zone",
		       "Nowhere");
}

/* The examples that are installed are taken. */
static void examples(void **state)
{
	static const struct {
		const char *name;
		size_t count;
	} rows[] = {{"weekly.ini", 2}, {"monthly.ini", 3}, {"once.ini", 1}, {"freezes.ini", 2}};
	const char *directory = getenv("SCHEDULES_EXAMPLES");

	(void)state;
	if (!directory) {
		print_message("skipped: examples (SCHEDULES_EXAMPLES is not set)\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(free_pointer) char *path = file_join(directory, rows[i].name);
		CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(10000);
		struct window_set windows = {0};
		struct freeze_set frozen = {0};
		struct error error;
		assert_ok(file_read_at(AT_FDCWD, path, &text, &error), &error);
		if (strcmp(rows[i].name, "freezes.ini") == 0)
			assert_ok(freeze_set_parse((char *)text.data, text.size, rows[i].name, &frozen, &error),
				  &error);
		else
			assert_ok(window_set_parse((char *)text.data, text.size, rows[i].name, &windows, &error),
				  &error);
		assert_int_equal(windows.count + frozen.count, rows[i].count);
		window_set_free(&windows);
		freeze_set_free(&frozen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(all_keys),
		cmocka_unit_test(refusals_name_file_and_line),
		cmocka_unit_test(bounds),
		cmocka_unit_test(rules),
		cmocka_unit_test(once),
		cmocka_unit_test(written_and_read_again),
		cmocka_unit_test(most_windows),
		cmocka_unit_test(freezes),
		cmocka_unit_test(examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
