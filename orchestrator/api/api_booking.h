/* From a wish ("acme-1 to 2.4, in the next window") to a row that can be booked: every rule that the store can answer
 * is one row of a table, asked in order at booking and asked all at once by a plan. */
#ifndef API_BOOKING_H
#define API_BOOKING_H

#include "orchestrator/api/api_call.h"
#include "orchestrator/store/store_upgrade.h"

enum api_booking_kind {
	API_BOOKING_NEW = 1 << 0,
	API_BOOKING_MOVE = 1 << 1,     /* another hour for one that is there */
	API_BOOKING_ROLLBACK = 1 << 2, /* back to an older release: needs neither entitlement nor a path */
	API_BOOKING_ROLLBACK_MOVE = 1 << 3,
};

struct api_booking_wish {
	enum api_booking_kind kind;
	const char *appliance, *version;
	const char *calendar_version; /* whose class and duration count; NULL: `version` */
	const char *window, *at;      /* --window next, --at LOCALTIME; may be NULL, not both given */
};

struct api_booking {
	struct store_upgrade row; /* for store_upgrade_book and store_upgrade_reschedule */
	struct error held;        /* code 0, or why it is to be held until a renewal */
};

/* The first rule that is broken is the error. */
int api_booking_prepare(struct api_call *call, const struct api_booking_wish *wish, struct api_booking *ret_booking,
			struct error *error) MUST_CHECK;
/* Every rule: [{name, ok, value, text}]; *ret_ok when none is broken. Fails only where nothing can be asked: the
 * appliance or the release is not known. */
int api_booking_plan(struct api_call *call, const struct api_booking_wish *wish, json_t **ret_checks, bool *ret_ok,
		     struct error *error) MUST_CHECK;

#endif
