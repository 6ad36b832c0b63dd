/* What an upgrade must pass, asked alike at plan, at booking and at claim: entitlement by the contract, the release's
 * own state, and the calendar of the appliance (its windows or its customer's, less the freezes that apply). */
#ifndef STORE_STORE_GATE_H
#define STORE_STORE_GATE_H

#include "keys/entitlement.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_release.h"
#include "schedules/window.h"

enum store_gate_lapsed { STORE_GATE_BLOCKED, STORE_GATE_PUBLISHED }; /* [policy] lapsed */

/* The entitlement document that the contract gives right now, before anybody signed it: issued `now`.
 * ERROR_NOT_PERMITTED "entitlement" when the appliance is revoked; ERROR_DATA "not-joined" when it has no key yet. */
int store_gate_entitlement(struct store *store, const char *appliance, enum store_gate_lapsed lapsed, int64_t now,
			   struct entitlement *ret_entitlement, struct error *error) MUST_CHECK;
/* May the appliance have this release now? `at` is when it would run: support must reach it. Managed upgrades need the
 * tier. ERROR_NOT_PERMITTED "entitlement" has the date and how to renew. */
enum store_gate_kind { STORE_GATE_PULL, STORE_GATE_MANAGED };
int store_gate_entitled(struct store *store, const char *appliance, const char *version, enum store_gate_kind kind,
			enum store_gate_lapsed lapsed, int64_t at, struct error *error) MUST_CHECK;

/* The windows and freezes of an appliance for one release. ERROR_NOT_NOW "window" when it has no window at all. */
struct store_gate_calendar {
	struct window_set windows;
	struct freeze_set freezes;
	struct window_query query; /* points at freezes */
};
int store_gate_calendar(struct store *store, const char *appliance, const char *version,
			struct store_gate_calendar *ret_calendar, struct error *error) MUST_CHECK;
void store_gate_calendar_free(struct store_gate_calendar *calendar); /* CLEANUP */

#endif
