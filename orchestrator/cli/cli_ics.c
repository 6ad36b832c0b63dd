#include "orchestrator/cli/cli_ics.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define LINE_OCTETS   75         /* RFC 5545 §3.1, the line's end not counted */
#define SEQUENCE_BASE 1600000000 /* so that seconds since then fit the INTEGER of RFC 5545 §3.3.8 until 2088 */

/* One content line; a fold never splits a sequence of UTF-8, and the space that begins the next line counts. */
static int write_line(struct buffer *text, const char *line, struct error *error)
{
	size_t room = LINE_OCTETS;
	int result = 0;

	for (;;) {
		size_t length = strlen(line), take = length < room ? length : room;
		while (take < length && ((unsigned char)line[take] & 0xc0) == 0x80)
			take--;
		result = buffer_append(text, line, take, error);
		if (result == 0)
			result = buffer_append_string(text, take < length ? "\r\n " : "\r\n", error);
		if (result < 0 || take == length)
			return result;
		line += take;
		room = LINE_OCTETS - 1;
	}
}

/* TEXT of RFC 5545 §3.3.11. */
static void escape(const char *text, char *ret_text, size_t size)
{
	size_t used = 0;

	for (; *text && used + 3 < size; text++) {
		if (strchr("\\;,", *text))
			ret_text[used++] = '\\';
		ret_text[used++] = (unsigned char)*text < ' ' ? ' ' : *text;
	}
	ret_text[used] = '\0';
}

/* "2027-01-03T01:30:00Z" → "20270103T013000Z" */
static void basic_time(int64_t time, char ret_text[static CLOCK_UTC_SIZE])
{
	char utc[CLOCK_UTC_SIZE];
	size_t used = 0;

	clock_format_utc(time, utc);
	for (const char *c = utc; *c; c++)
		if (*c != '-' && *c != ':')
			ret_text[used++] = *c;
	ret_text[used] = '\0';
}

static const char *string_of(const json_t *object, const char *name)
{
	const char *text = jsonio_string(object, name);

	return text ? text : "";
}

static int write_event(struct buffer *text, const json_t *window, const json_t *occurrence, struct error *error)
{
	const char *scope = string_of(window, "scope"), *owner = string_of(window, "name");
	const char *name = string_of(occurrence, "window"), *local = string_of(occurrence, "local");
	const char *zone = string_of(occurrence, "zone");
	int64_t changed = jsonio_integer(window, "changed");
	char start[CLOCK_UTC_SIZE], end[CLOCK_UTC_SIZE], stamp[CLOCK_UTC_SIZE], last[CLOCK_UTC_SIZE];
	char plain[512], escaped[768], lines[9][1024];
	int result = 0;

	basic_time(jsonio_integer(occurrence, "start"), start);
	basic_time(jsonio_integer(occurrence, "end"), end);
	basic_time(changed, stamp);
	clock_format_utc(jsonio_integer(occurrence, "last_start"), last);
	snprintf(lines[0], sizeof(lines[0]), "BEGIN:VEVENT");
	/* By the hour that the rule says: new zone data or a freeze moves the instant and keeps the event. */
	snprintf(lines[1], sizeof(lines[1]), "UID:%s-%s-%s-%s@nightshift", scope, owner, name,
		 string_of(occurrence, "scheduled"));
	snprintf(lines[2], sizeof(lines[2]), "DTSTAMP:%s", stamp);
	snprintf(lines[3], sizeof(lines[3]), "SEQUENCE:%lld",
		 (long long)(changed > SEQUENCE_BASE ? changed - SEQUENCE_BASE : 0));
	snprintf(lines[4], sizeof(lines[4]), "DTSTART:%s", start);
	snprintf(lines[5], sizeof(lines[5]), "DTEND:%s", end);
	snprintf(plain, sizeof(plain), "Upgrade window %s of %s", name, owner);
	escape(plain, escaped, sizeof(escaped));
	snprintf(lines[6], sizeof(lines[6]), "SUMMARY:%s", escaped);
	snprintf(plain, sizeof(plain), "%s to %s %s; nothing starts after %s%s%s", local,
		 string_of(occurrence, "local_end"), zone, last,
		 jsonio_boolean(occurrence, "shifted") ? "; moved out of the hour that the clock skips" : "",
		 jsonio_boolean(occurrence, "trimmed") ? "; a freeze takes a part of it" : "");
	escape(plain, escaped, sizeof(escaped));
	snprintf(lines[7], sizeof(lines[7]), "DESCRIPTION:%s", escaped);
	snprintf(lines[8], sizeof(lines[8]), "END:VEVENT");
	for (size_t i = 0; i < ARRAY_SIZE(lines) && result == 0; i++)
		result = write_line(text, lines[i], error);
	return result;
}

int cli_ics_write(const json_t *window, struct buffer *ret_text, struct error *error)
{
	static const char *const head[] = {"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//nightshift//windows//EN",
					   "CALSCALE:GREGORIAN", "METHOD:PUBLISH"};
	size_t index;
	const json_t *occurrence;
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(head) && result == 0; i++)
		result = write_line(ret_text, head[i], error);
	json_array_foreach(jsonio_member(window, "occurrences"), index, occurrence)
	{
		if (result == 0)
			result = write_event(ret_text, window, occurrence, error);
	}
	return result < 0 ? result : write_line(ret_text, "END:VCALENDAR", error);
}
