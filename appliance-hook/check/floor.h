/* The floor of time (design section 3): the later of this hook's build date and the newest offline-signed date that was
 * ever accepted. A clock set back below it is refused by name; a stolen online key cannot push it forward. */
#ifndef CHECK_FLOOR_H
#define CHECK_FLOOR_H

#include "base/error.h"

/* 2026-01-01T00:00:00Z: no build of this program is older. Moved forward with each release. */
#define FLOOR_BUILD_DATE INT64_C(1767225600)

/* STATE/trust/floor.json; without it the build date. */
int floor_read(int trust, int64_t *ret_floor, struct error *error) MUST_CHECK;
/* ERROR_DATA "clock" when `now` lies before the floor. */
int floor_check(int trust, int64_t now, struct error *error) MUST_CHECK;
/* Durable; never lowers it. */
int floor_raise(int trust, int64_t published, struct error *error) MUST_CHECK;

#endif
