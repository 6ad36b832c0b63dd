/* A local time that a person wrote, with or without an offset, as an instant of a zone. */
#ifndef SCHEDULES_WINDOW_INSTANT_H
#define SCHEDULES_WINDOW_INSTANT_H

#include "schedules/zone.h"

/* ERROR_DATA "window": malformed; in a gap, the two neighbours named; or with an offset that the zone does not have
 * then, those that it has named. Of a time that comes twice the first, unless the offset says otherwise. */
int window_instant(const struct zone *zone, const char *text, int64_t *ret_time, struct error *error) MUST_CHECK;
/* The same for what is read already; `offset` in seconds east, NULL when none was given. */
int window_instant_civil(const struct zone *zone, struct civil civil, const int *offset, int64_t *ret_time,
			 struct error *error) MUST_CHECK;

#endif
