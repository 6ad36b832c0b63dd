#include "schedules/civil.h"

#include <stdio.h>
#include <string.h>

#define DAY 86400

/* Division that rounds down, for days and times before 1970. */
static int64_t floor_divide(int64_t number, int64_t by)
{
	return number / by - (number % by < 0);
}

/* The year is taken to begin in March, so that the leap day is its last and every month before it has a fixed start. */
int64_t civil_to_days(int year, int month, int day)
{
	int64_t march_year = (int64_t)year - (month <= 2);
	int march_month = month > 2 ? month - 3 : month + 9;
	int64_t era = floor_divide(march_year, 400);
	int64_t year_of_era = march_year - era * 400;
	int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t shifted = days + 719468; /* since 0000-03-01 */
	int64_t era = floor_divide(shifted, 146097);
	int day_of_era = (int)(shifted - era * 146097);
	int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int march_month = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * march_month + 2) / 5 + 1;
	*month = march_month < 10 ? march_month + 3 : march_month - 9;
	*year = (int)(era * 400 + year_of_era + (*month <= 2));
}

int civil_weekday(int64_t days)
{
	return (int)(days + 3 - 7 * floor_divide(days + 3, 7));
}

int civil_month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

int64_t civil_to_seconds(struct civil civil)
{
	return civil_to_days(civil.year, civil.month, civil.day) * DAY + civil.hour * 3600 + civil.minute * 60 +
	       civil.second;
}

struct civil civil_from_seconds(int64_t seconds)
{
	int64_t days = floor_divide(seconds, DAY);
	int rest = (int)(seconds - days * DAY);
	struct civil civil = {.hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60};

	civil_from_days(days, &civil.year, &civil.month, &civil.day);
	return civil;
}

/* A pattern of '0' for a digit and itself for any other character; `text` must have it whole. */
static bool has_shape(const char *text, const char *shape)
{
	size_t i = 0;

	for (; shape[i]; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';
		if (shape[i] == '0' ? !digit : text[i] != shape[i])
			return false;
	}
	return text[i] == 0;
}

static int number(const char *text, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

static bool read_date(const char *text, struct civil *ret_civil)
{
	struct civil civil = {number(text, 4), number(text + 5, 2), number(text + 8, 2), 0, 0, 0};

	if (civil.year < 1970 || civil.month < 1 || civil.month > 12 || civil.day < 1 ||
	    civil.day > civil_month_days(civil.year, civil.month))
		return false;
	*ret_civil = civil;
	return true;
}

bool civil_parse_date(const char *text, struct civil *ret_civil)
{
	return has_shape(text, "0000-00-00") && read_date(text, ret_civil);
}

bool civil_parse_clock(const char *text, int *ret_hour, int *ret_minute)
{
	if (!has_shape(text, "00:00") || number(text, 2) > 23 || number(text + 3, 2) > 59)
		return false;
	*ret_hour = number(text, 2);
	*ret_minute = number(text + 3, 2);
	return true;
}

bool civil_parse(const char *text, struct civil *ret_civil, bool *ret_has_offset, int *ret_offset)
{
	static const char plain[] = "0000-00-00T00:00";
	bool east = has_shape(text, "0000-00-00T00:00+00:00"), west = has_shape(text, "0000-00-00T00:00-00:00");
	struct civil civil;

	if (!east && !west && !has_shape(text, plain))
		return false;
	if (!read_date(text, &civil) || number(text + 11, 2) > 23 || number(text + 14, 2) > 59)
		return false;
	civil.hour = number(text + 11, 2);
	civil.minute = number(text + 14, 2);
	int offset = 0;
	if (east || west) {
		const char *sign = text + sizeof plain - 1;
		if (number(sign + 1, 2) > 25 || number(sign + 4, 2) > 59)
			return false;
		offset = (number(sign + 1, 2) * 60 + number(sign + 4, 2)) * 60 * (west ? -1 : 1);
	}
	*ret_civil = civil;
	*ret_has_offset = east || west;
	*ret_offset = offset;
	return true;
}

void civil_format(struct civil civil, char text[static CIVIL_SIZE])
{
	snprintf(text, CIVIL_SIZE, "%04d-%02d-%02dT%02d:%02d", civil.year, civil.month, civil.day, civil.hour,
		 civil.minute);
}

int civil_weekday_parse(const char *text, size_t size)
{
	static const char weekday_names[7][3] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

	for (int i = 0; size == 2 && i < 7; i++)
		if (memcmp(text, weekday_names[i], 2) == 0)
			return i;
	return -1;
}
