#include "schedules/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_FORMS                                                                                                     \
	"weekly SU 01:30, weekly SA,SU 01:30, monthly 2TU 22:00, monthly -1FR 22:00, monthly 31 22:00, "               \
	"once 2027-10-31T01:30"
#define RULE_TEXT_MOST   100
#define OFFSET_DAYS_MOST 30

static int64_t floor_divide(int64_t number, int64_t by)
{
	return number / by - (number % by < 0);
}

static int refuse(const char *text, struct error *error)
{
	return error_set(error, ERROR_DATA, "window", "rule \"%s\" has none of the forms %s", text, RULE_FORMS);
}

/* "SA,SU": each at most once. */
static bool read_weekdays(const char *text, unsigned *ret_weekdays)
{
	unsigned weekdays = 0;

	for (;;) {
		size_t size = strcspn(text, ",");
		int weekday = civil_weekday_parse(text, size);
		if (weekday < 0 || weekdays & 1U << weekday)
			return false;
		weekdays |= 1U << weekday;
		if (text[size] == 0)
			break;
		text += size + 1;
	}
	*ret_weekdays = weekdays;
	return true;
}

/* "2TU", "-1FR": the number before two letters; "31", "-1": the number alone. */
static bool read_month_date(const char *text, struct rule *rule)
{
	bool negative = text[0] == '-';
	const char *digits = text + negative;
	size_t size = strspn(digits, "0123456789");

	if (size < 1 || size > 2 || digits[0] == '0')
		return false;
	int number = atoi(digits);
	rule->nth = negative ? -number : number;
	if (digits[size] == 0) {
		rule->kind = RULE_MONTHLY_DAY;
		return number <= 31;
	}
	int weekday = civil_weekday_parse(digits + size, strlen(digits + size));
	if (weekday < 0)
		return false;
	rule->kind = RULE_MONTHLY_WEEKDAY;
	rule->weekdays = 1U << weekday;
	return number <= 5;
}

/* The words behind the form's name; absent ones are "". */
static bool read_weekly(const char *first, const char *second, struct rule *rule)
{
	rule->kind = RULE_WEEKLY;
	return read_weekdays(first, &rule->weekdays) && civil_parse_clock(second, &rule->hour, &rule->minute);
}

static bool read_monthly(const char *first, const char *second, struct rule *rule)
{
	return read_month_date(first, rule) && civil_parse_clock(second, &rule->hour, &rule->minute);
}

static bool read_once(const char *first, const char *second, struct rule *rule)
{
	struct civil civil;

	if (second[0] || !civil_parse(first, &civil, &rule->has_offset, &rule->offset))
		return false;
	rule->kind = RULE_ONCE;
	rule->date = civil_to_days(civil.year, civil.month, civil.day);
	rule->hour = civil.hour;
	rule->minute = civil.minute;
	return true;
}

static const struct {
	const char *name;
	bool (*read)(const char *first, const char *second, struct rule *rule);
} forms[] = {
	{"weekly", read_weekly},
	{"monthly", read_monthly},
	{"once", read_once},
};

int rule_parse(const char *text, struct rule *ret_rule, struct error *error)
{
	char copy[RULE_TEXT_MOST + 1], *rest = NULL;
	const char *words[4] = {"", "", "", ""};
	struct rule rule = {.interval = 1};
	size_t count = 0;

	if (strlen(text) > RULE_TEXT_MOST)
		return error_set(error, ERROR_DATA, "window", "the rule is longer than %d bytes", RULE_TEXT_MOST);
	snprintf(copy, sizeof copy, "%s", text);
	for (char *word = strtok_r(copy, " \t", &rest); word && count < ARRAY_SIZE(words);
	     word = strtok_r(NULL, " \t", &rest))
		words[count++] = word;
	if (strcmp(words[0], "rrule") == 0)
		return error_set(error, ERROR_DATA, "window",
				 "rules of the form \"rrule FREQ=…\" are not accepted; the forms are %s", RULE_FORMS);
	for (size_t i = 0; i < ARRAY_SIZE(forms) && count < ARRAY_SIZE(words); i++) {
		if (strcmp(words[0], forms[i].name) != 0)
			continue;
		if (!forms[i].read(words[1], words[2], &rule))
			break;
		*ret_rule = rule;
		return 0;
	}
	return refuse(text, error);
}

/* With an interval the anchor must itself be a date of the rule: "every second Wednesday from Sunday on" would leave
 * open which Wednesday is the first. */
static int check_anchor(const struct rule *rule, const char *anchor_text, struct error *error)
{
	struct rule every = *rule;
	int64_t day;

	every.interval = 1;
	if (rule->interval == 1 || (rule_next(&every, rule->anchor, rule->anchor + 400, &day) && day == rule->anchor))
		return 0;
	return error_set(error, ERROR_DATA, "window",
			 "anchor %s is no date of the rule; with an interval it must be the first date", anchor_text);
}

int rule_repeat(struct rule *rule, int interval, const char *anchor_text, int offset_days, struct error *error)
{
	struct civil anchor;
	bool monthly = rule->kind == RULE_MONTHLY_DAY || rule->kind == RULE_MONTHLY_WEEKDAY;

	if (interval < 1 || offset_days < -OFFSET_DAYS_MOST || offset_days > OFFSET_DAYS_MOST)
		return error_set(error, ERROR_DATA, "window", "interval begins at 1, offset_days runs from -30 to 30");
	if (rule->kind == RULE_ONCE && (interval != 1 || anchor_text[0]))
		return error_set(error, ERROR_DATA, "window", "a rule with once has neither interval nor anchor");
	if (!monthly && offset_days != 0)
		return error_set(error, ERROR_DATA, "window", "offset_days is for monthly rules alone");
	if (interval > 1 && !anchor_text[0])
		return error_set(error, ERROR_DATA, "window",
				 "interval %d needs an anchor: the date from which it is counted", interval);
	if (anchor_text[0] && !civil_parse_date(anchor_text, &anchor))
		return error_set(error, ERROR_DATA, "window", "anchor \"%s\" is not a date of the form 2027-01-31",
				 anchor_text);
	rule->interval = interval;
	rule->offset_days = offset_days;
	rule->has_anchor = anchor_text[0] != 0;
	if (!rule->has_anchor)
		return 0;
	rule->anchor = civil_to_days(anchor.year, anchor.month, anchor.day);
	return check_anchor(rule, anchor_text, error);
}

/* Weeks since the Monday before 1970. */
static int64_t week_of(int64_t day)
{
	return floor_divide(day + 3, 7);
}

static bool next_weekly(const struct rule *rule, int64_t from, int64_t until, int64_t *ret_day)
{
	for (int64_t day = from; day <= until; day++) {
		if (rule->interval > 1 && (week_of(day) - week_of(rule->anchor)) % rule->interval != 0)
			continue;
		if (rule->weekdays & 1U << civil_weekday(day)) {
			*ret_day = day;
			return true;
		}
	}
	return false;
}

static int64_t month_of(int64_t day)
{
	int year, month, ignored;

	civil_from_days(day, &year, &month, &ignored);
	return (int64_t)year * 12 + month - 1;
}

/* The rule's date in a month (counted from year 0), before offset_days; false when the month lacks it. */
static bool date_in_month(const struct rule *rule, int64_t month_index, int64_t *ret_day)
{
	int year = (int)floor_divide(month_index, 12), month = (int)(month_index - 12 * (int64_t)year) + 1;
	int length = civil_month_days(year, month), day;
	int64_t first = civil_to_days(year, month, 1);

	if (rule->kind == RULE_MONTHLY_DAY) {
		day = rule->nth > 0 ? rule->nth : length + 1 + rule->nth;
	} else {
		int weekday = __builtin_ctz(rule->weekdays);
		int first_such = 1 + (weekday - civil_weekday(first) + 7) % 7;
		int last_such = first_such + (length - first_such) / 7 * 7;
		day = rule->nth > 0 ? first_such + 7 * (rule->nth - 1) : last_such + 7 * (rule->nth + 1);
	}
	if (day < 1 || day > length)
		return false;
	*ret_day = first + day - 1;
	return true;
}

/* An anchor is a date as it comes out, offset_days and all: its month is the one that the date was taken from. */
static bool next_monthly(const struct rule *rule, int64_t from, int64_t until, int64_t *ret_day)
{
	int64_t anchor_month = rule->has_anchor ? month_of(rule->anchor - rule->offset_days) : 0;
	int64_t last = month_of(until - rule->offset_days);

	for (int64_t month = month_of(from - rule->offset_days); month <= last; month++) {
		int64_t day;
		if (rule->interval > 1 && (month - anchor_month) % rule->interval != 0)
			continue;
		if (date_in_month(rule, month, &day) && day + rule->offset_days >= from &&
		    day + rule->offset_days <= until) {
			*ret_day = day + rule->offset_days;
			return true;
		}
	}
	return false;
}

bool rule_next(const struct rule *rule, int64_t from, int64_t until, int64_t *ret_day)
{
	if (rule->has_anchor && from < rule->anchor)
		from = rule->anchor;
	switch (rule->kind) {
	case RULE_WEEKLY:
		return next_weekly(rule, from, until, ret_day);
	case RULE_MONTHLY_WEEKDAY:
	case RULE_MONTHLY_DAY:
		return next_monthly(rule, from, until, ret_day);
	case RULE_ONCE:
		break;
	}
	if (rule->date < from || rule->date > until)
		return false;
	*ret_day = rule->date;
	return true;
}
