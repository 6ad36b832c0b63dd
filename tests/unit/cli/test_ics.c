/* The iCalendar file: RFC 5545's line ends, folds and UTC times, and UIDs that stay. */
#include "tests/unit/fixture.h"

#include "orchestrator/cli/cli_ics.h"

static json_t *window(const char *name, int64_t changed)
{
	return json_pack("{s:s,s:s,s:I,s:[{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:b}]}", "scope", "customer", "name",
			 name, "changed", (json_int_t)changed, "occurrences", "window", "nights", "zone",
			 "Europe/London", "scheduled", "2027-01-17T01:30", "local", "2027-01-17T01:30", "local_end",
			 "2027-01-17T03:30", "start", (json_int_t)1800149400, "end", (json_int_t)1800156600,
			 "last_start", (json_int_t)1800153900, "shifted", 0, "trimmed", 0);
}

static void write_calendar(const char *name, int64_t changed, struct buffer *text)
{
	CLEANUP(jsonio_free) json_t *answer = window(name, changed);
	struct error error;

	assert_non_null(answer);
	assert_ok(cli_ics_write(answer, text, &error), error);
}

static void test_event(void **state)
{
	(void)state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(65536);
	static const char *const lines[] = {"BEGIN:VCALENDAR\r\n",
					    "VERSION:2.0\r\n",
					    "BEGIN:VEVENT\r\n",
					    "DTSTART:20270117T013000Z\r\n",
					    "DTEND:20270117T033000Z\r\n",
					    "SUMMARY:Upgrade window nights of acme\r\n",
					    "END:VEVENT\r\n",
					    "UID:customer-acme-nights-2027-01-17T01:30@nightshift\r\n",
					    "DTSTAMP:20270115T080000Z\r\n"};

	write_calendar("acme", 1800000000, &text);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_non_null(strstr((const char *)text.data, lines[i]));
	assert_string_equal((const char *)text.data + text.size - strlen("END:VCALENDAR\r\n"), "END:VCALENDAR\r\n");
}

/* No line over 75 octets, no bare CR or LF, and unfolding gives the text again. */
static void test_folds(void **state)
{
	(void)state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(65536);
	char name[220] = "";

	for (int i = 0; i < 36; i++)
		strcat(name, "n\xc3\xa9\xe2\x82\xac");
	write_calendar(name, 1800000000, &text);
	size_t line = 0, folds = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\n') {
			assert_true(i > 0 && text.data[i - 1] == '\r');
			assert_true(line - 1 <= 75);
			folds += text.data[i + 1] == ' ';
			/* a fold never splits a sequence */
			assert_true((text.data[i + 1] & 0xc0) != 0x80);
			assert_true(text.data[i + 1] != ' ' || (text.data[i + 2] & 0xc0) != 0x80);
			line = 0;
			continue;
		}
		line++;
	}
	assert_true(folds >= 4);
	char unfolded[8192];
	size_t used = 0;
	for (size_t i = 0; i < text.size && used + 1 < sizeof(unfolded); i++) {
		if (i + 2 < text.size && memcmp(text.data + i, "\r\n ", 3) == 0) {
			i += 2;
			continue;
		}
		unfolded[used++] = (char)text.data[i];
	}
	unfolded[used] = '\0';
	assert_non_null(strstr(unfolded, name));
}

/* The same export twice is the same file; a later change has a higher sequence under the same UID. */
static void test_stable(void **state)
{
	(void)state;
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(65536), second = BUFFER_INIT(65536);
	CLEANUP(buffer_free) struct buffer later = BUFFER_INIT(65536);

	write_calendar("acme", 1800000000, &first);
	write_calendar("acme", 1800000000, &second);
	write_calendar("acme", 1800000060, &later);
	assert_string_equal((const char *)first.data, (const char *)second.data);
	assert_int_equal(atol(strstr((const char *)later.data, "SEQUENCE:") + 9),
			 atol(strstr((const char *)first.data, "SEQUENCE:") + 9) + 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_folds),
		cmocka_unit_test(test_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
