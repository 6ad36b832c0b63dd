/* Freezes: stretches of local time in which nothing opens. Design section 7. */
#ifndef SCHEDULES_FREEZE_H
#define SCHEDULES_FREEZE_H

#include "base/buffer.h"
#include "schedules/zone.h"

#define FREEZES_MOST 256

enum freeze_blocks { FREEZE_ALL, FREEZE_FEATURE };

struct freeze; /* one [freeze NAME] section */

struct freeze_set {
	struct freeze **freezes; /* owned */
	size_t count;
};

/* The whole text or nothing. Sections that are not "freeze NAME" are refused. ERROR_DATA "freeze" with file and line.
 */
int freeze_set_parse(const char *text, size_t size, const char *name, struct freeze_set *ret_set,
		     struct error *error) MUST_CHECK;
void freeze_set_free(struct freeze_set *set);
/* The INI that gives the same set (appends). */
int freeze_set_write(const struct freeze_set *set, struct buffer *ret_text, struct error *error) MUST_CHECK;

const char *freeze_name(const struct freeze *freeze);
const char *freeze_scope(const struct freeze *freeze);  /* "vendor", "customer:acme", "tag:x" */
const char *freeze_reason(const struct freeze *freeze); /* may be "" */
enum freeze_blocks freeze_blocks(const struct freeze *freeze);

/* The stretch [*ret_from, *ret_to) in UTC. `zone` is the window's own, for freezes with zone = local. A local end that
 * comes twice is the second one, so that an hour is never left open by the clock. */
void freeze_span(const struct freeze *freeze, const struct zone *zone, int64_t *ret_from, int64_t *ret_to);

#endif
