/* How often an appliance may cost us something: a key that was stolen, or a tunnel that flaps, must not use up what the
 * others need (the signer's hours, the store's commits, the audit log). */
#ifndef ENGINE_PACE_H
#define ENGINE_PACE_H

#include "base/jsonio.h"

/* One kind of cost: `burst` at once, then one every interval_ms. */
struct pace {
	const char *kind;
	int64_t interval_ms;
	int64_t burst;
};

/* Whether `name` may now; counts it when so. `ticks` is clock_ticks_ms. *table is made at the first call; it has an
 * entry a name and kind, so names are those of known appliances. */
bool pace_allow(json_t **table, const struct pace *pace, const char *name, int64_t ticks);

#endif
