/* What stands on this appliance, for the dialogue and for people. */
#ifndef ACT_STATUS_H
#define ACT_STATUS_H

#include "appliance-hook/act/layout.h"

/* {product, version, state, upgrade?, fence, order_key?, generation, journal: {upgrade, from, to, state, reason?,
 * receipt?}, quarantine: [sha256], staged?, fallback?}. Needs no lock. Caller owns. */
int status_read(const struct layout *layout, json_t **ret_status, struct error *error) MUST_CHECK;

#endif
