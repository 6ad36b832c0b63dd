/* Time comes in through this door and nowhere else. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/error.h"

/* UTC seconds since 1970. */
int64_t clock_now(void);
/* Milliseconds of CLOCK_BOOTTIME: for deadlines; never moved by setting the clock. */
int64_t clock_ticks_ms(void);

#define CLOCK_UTC_SIZE 21 /* "2027-01-03T01:30:00Z" and the NUL */
/* RFC 3339 in UTC, whole seconds, always with Z. Years 1970 to 9999. */
void clock_format_utc(int64_t time, char text[static CLOCK_UTC_SIZE]);
/* Only that one form is read; anything else is ERROR_DATA "time". */
int clock_parse_utc(const char *text, int64_t *ret_time, struct error *error) MUST_CHECK;

/* The kernel's boot id, "" where /proc is not there. */
#define CLOCK_BOOT_ID_SIZE 37
void clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE]);

#endif
