/* IANA time zones from TZif files (RFC 9636), read by ourselves: glibc's zones are process-global and take the wrong
 * pass of an overlap. A zone is immutable and pure once loaded; the footer's POSIX TZ rule serves the years beyond the
 * table. */
#ifndef SCHEDULES_ZONE_H
#define SCHEDULES_ZONE_H

#include "base/error.h"
#include "schedules/civil.h"

#define ZONE_NAME_MOST 64

struct zone;

/* By name ("Europe/London"), from $TZDIR or /usr/share/zoneinfo. A name that does not load is ERROR_DATA "zone" with
 * the nearest thing to do. Names are checked before any path is made of them. Opens files: parse windows and freezes,
 * which load their zones, where the sandbox still lets you. */
int zone_load(const char *name, struct zone **ret_zone, struct error *error) MUST_CHECK;
/* The parser alone, for the fuzzer. */
int zone_parse(const void *bytes, size_t size, const char *name, struct zone **ret_zone,
	       struct error *error) MUST_CHECK;
void zone_free(struct zone **zone);
const char *zone_name(const struct zone *zone);
/* "2026f", or "unknown". The version of the installed data, not of one zone. */
void zone_data_version(char ret_version[static 16]);

enum zone_kind { ZONE_UNIQUE, ZONE_SKIPPED, ZONE_REPEATED };
struct zone_resolution {
	enum zone_kind kind;
	int64_t before;     /* UTC, with the offset in force before the transition (the first pass of an overlap) */
	int64_t after;      /* UTC, with the offset after it; both equal when unique */
	int64_t transition; /* UTC, when the clock changes; equal to `before` when unique */
};
struct zone_resolution zone_resolve(const struct zone *zone, struct civil civil);
/* UTC → wall clock; *ret_offset (may be NULL) in seconds east, *ret_abbreviation (may be NULL) borrowed from the zone.
 * Times beyond ±2^55 are taken as that. */
struct civil zone_local(const struct zone *zone, int64_t time, int *ret_offset, const char **ret_abbreviation);

/* "Sun 2027-01-03 01:30 Europe/London": how people are told a time. */
#define ZONE_TEXT_SIZE (ZONE_NAME_MOST + 36)
void zone_format(const struct zone *zone, int64_t time, char text[static ZONE_TEXT_SIZE]);

/* "2027-01-31" in the zone → the first instant after that date, UTC: when something good until then inclusive ends. */
int zone_date_end(const struct zone *zone, const char *date, int64_t *ret_end, struct error *error) MUST_CHECK;

#endif
