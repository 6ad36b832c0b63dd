/* Dates and wall-clock times without a zone, in the proleptic Gregorian calendar. */
#ifndef SCHEDULES_CIVIL_H
#define SCHEDULES_CIVIL_H

#include "base/compiler.h"

struct civil {
	int year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 and back; weekday 0 = Monday. */
int64_t civil_to_days(int year, int month, int day);
void civil_from_days(int64_t days, int *year, int *month, int *day);
int civil_weekday(int64_t days);
int civil_month_days(int year, int month);

/* Seconds since 1970 as if the wall clock stood in UTC, and back. Any year that fits an int; seconds within ±2^55. */
int64_t civil_to_seconds(struct civil civil);
struct civil civil_from_seconds(int64_t seconds);

/* Whole texts of one form only, years 1970 to 9999, existing dates: "2027-01-31"; "01:30"; "2027-01-31T01:30" or, with
 * *ret_has_offset set and *ret_offset in seconds east, "2027-01-31T01:30+01:00". False leaves the outputs untouched. */
bool civil_parse_date(const char *text, struct civil *ret_civil);
bool civil_parse_clock(const char *text, int *ret_hour, int *ret_minute);
bool civil_parse(const char *text, struct civil *ret_civil, bool *ret_has_offset, int *ret_offset);

#define CIVIL_SIZE 24 /* "2027-01-31T01:30" and room for any int year */
void civil_format(struct civil civil, char text[static CIVIL_SIZE]);

/* The weekday, 0 … 6, that "MO" … "SU" name (RFC 5545); -1 when it is none. `size` bytes of `text` are read. */
int civil_weekday_parse(const char *text, size_t size);

#endif
