#include "schedules/posixtz.h"

#include <string.h>

#include "schedules/civil.h"

#define HOUR 3600
#define DAY  86400

/* What is still to be read. */
struct text {
	const char *at, *end;
};

static bool take(struct text *text, char expected)
{
	if (text->at == text->end || *text->at != expected)
		return false;
	text->at++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_number(struct text *text, int least, int most, int *ret_number)
{
	int number = 0;

	if (text->at == text->end || !is_digit(*text->at))
		return false;
	for (; text->at < text->end && is_digit(*text->at); text->at++) {
		number = number * 10 + (*text->at - '0');
		if (number > most)
			return false;
	}
	*ret_number = number;
	return number >= least;
}

/* "EST" or "<-03>": at least three characters, letters alone unless in angle brackets. */
static bool take_abbreviation(struct text *text, char ret_name[static POSIXTZ_ABBREVIATION_SIZE])
{
	bool quoted = take(text, '<');
	const char *start = text->at;

	while (text->at < text->end) {
		char c = *text->at;
		if (!is_letter(c) && !(quoted && (is_digit(c) || c == '+' || c == '-')))
			break;
		text->at++;
	}
	size_t size = (size_t)(text->at - start);
	if (size < 3 || size >= POSIXTZ_ABBREVIATION_SIZE || (quoted && !take(text, '>')))
		return false;
	memcpy(ret_name, start, size);
	ret_name[size] = 0;
	return true;
}

/* [+-]hh[:mm[:ss]] in seconds; a sign only where hours may be negative. */
static bool take_time(struct text *text, int hours_least, int hours_most, int *ret_seconds)
{
	bool signed_text = text->at < text->end && (*text->at == '-' || *text->at == '+');
	bool negative = signed_text && *text->at == '-';
	int hours = 0, minutes = 0, seconds = 0;

	if (signed_text && hours_least == 0)
		return false;
	text->at += signed_text;
	if (!take_number(text, 0, hours_most, &hours))
		return false;
	if (take(text, ':')) {
		if (!take_number(text, 0, 59, &minutes) || (take(text, ':') && !take_number(text, 0, 59, &seconds)))
			return false;
	}
	*ret_seconds = (hours * HOUR + minutes * 60 + seconds) * (negative ? -1 : 1);
	return true;
}

/* POSIX counts west of Greenwich as positive. */
static bool take_offset(struct text *text, int *ret_east)
{
	int west;

	if (!take_time(text, -24, 24, &west))
		return false;
	*ret_east = -west;
	return true;
}

static bool take_change(struct text *text, char version, struct posixtz_change *ret_change)
{
	int least = version >= '3' ? -167 : 0, most = version >= '3' ? 167 : 24;
	struct posixtz_change change = {.form = POSIXTZ_ZERO_BASED, .time = 2 * HOUR};

	if (take(text, 'M')) {
		change.form = POSIXTZ_MONTH_WEEK;
		if (!take_number(text, 1, 12, &change.month) || !take(text, '.') ||
		    !take_number(text, 1, 5, &change.week) || !take(text, '.') ||
		    !take_number(text, 0, 6, &change.weekday))
			return false;
	} else if (take(text, 'J')) {
		change.form = POSIXTZ_JULIAN;
		if (!take_number(text, 1, 365, &change.day))
			return false;
	} else if (!take_number(text, 0, 365, &change.day)) {
		return false;
	}
	if (take(text, '/') && !take_time(text, least, most, &change.time))
		return false;
	*ret_change = change;
	return true;
}

bool posixtz_parse(const char *bytes, size_t size, char version, struct posixtz *ret_rule)
{
	struct text text = {bytes, bytes + size};
	struct posixtz rule = {0};

	if (!take_abbreviation(&text, rule.standard) || !take_offset(&text, &rule.standard_offset))
		return false;
	if (text.at < text.end) {
		rule.has_summer = true;
		if (!take_abbreviation(&text, rule.summer))
			return false;
		rule.summer_offset = rule.standard_offset + HOUR;
		if (text.at < text.end && *text.at != ',' && !take_offset(&text, &rule.summer_offset))
			return false;
		if (!take(&text, ',') || !take_change(&text, version, &rule.start) || !take(&text, ',') ||
		    !take_change(&text, version, &rule.end) || text.at != text.end)
			return false;
	}
	*ret_rule = rule;
	return true;
}

/* Seconds since 1970 by the wall clock that is in force before the change. */
static int64_t change_in_year(const struct posixtz_change *change, int year)
{
	int64_t day = civil_to_days(year, 1, 1);

	switch (change->form) {
	case POSIXTZ_JULIAN:
		day += change->day - 1 + (change->day >= 60 && civil_month_days(year, 2) == 29);
		break;
	case POSIXTZ_ZERO_BASED:
		day += change->day;
		break;
	case POSIXTZ_MONTH_WEEK:
		day = civil_to_days(year, change->month, 1);
		int wanted = (change->weekday + 6) % 7; /* ours begins on Monday */
		int of_month = (wanted - civil_weekday(day) + 7) % 7 + 7 * (change->week - 1);
		if (of_month >= civil_month_days(year, change->month))
			of_month -= 7;
		day += of_month;
		break;
	}
	return day * DAY + change->time;
}

/* Changes of the years around are looked at too: 167 hours can carry one over the turn of the year. Where summer time
 * ends and begins at one instant (summer time all year, RFC 9636 §3.3.1) it goes on. */
struct posixtz_span posixtz_span(const struct posixtz *rule, int64_t time)
{
	struct posixtz_span span = {INT64_MIN, INT64_MAX, rule->standard_offset, rule->standard};

	if (!rule->has_summer)
		return span;
	int year = civil_from_seconds(time).year;
	for (int i = year - 2; i <= year + 2; i++) {
		int64_t end = change_in_year(&rule->end, i) - rule->summer_offset;
		int64_t start = change_in_year(&rule->start, i) - rule->standard_offset;
		if (end <= time && end > span.start) {
			span.start = end;
			span.offset = rule->standard_offset;
			span.abbreviation = rule->standard;
		}
		if (start <= time && start >= span.start) {
			span.start = start;
			span.offset = rule->summer_offset;
			span.abbreviation = rule->summer;
		}
		if (end > time && end < span.end)
			span.end = end;
		if (start > time && start < span.end)
			span.end = start;
	}
	return span;
}
