/* What must be true at the moment of an act, read from the store as it is now: the release may be had, support is
 * current, the calendar is open. */
#ifndef ENGINE_GATES_H
#define ENGINE_GATES_H

#include "orchestrator/engine/engine_inner.h"

/* What the release and the contract say of the hour at which it starts. *ret_held names the hold that a refusal means:
 * "halt" or "entitlement". A rollback needs neither. */
int gates_pass(struct engine *engine, const struct store_upgrade *upgrade, int64_t now, const char **ret_held,
	       struct error *error) MUST_CHECK;
/* Windows and freezes may have changed since the booking: what is left of its hour. ERROR_NOT_NOW "frozen" | "window".
 * A rollback keeps its own. */
struct gates_room {
	int64_t ends, last_start;
};
int gates_calendar(struct engine *engine, const struct store_upgrade *upgrade, int64_t now, struct gates_room *ret_room,
		   struct error *error) MUST_CHECK;

#endif
