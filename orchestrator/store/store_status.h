/* How things stand, in numbers. */
#ifndef STORE_STORE_STATUS_H
#define STORE_STORE_STATUS_H

#include "orchestrator/store/store.h"

/* {time, customers, appliances, connected, duplicates, lapsed, releases, halted, audit, upgrades: {STATE: count},
 *  attention: [{id, appliance, state, why}]}: attention lists what waits for a person. */
int store_status(struct store *store, int64_t now, json_t **ret_object, struct error *error) MUST_CHECK;

#endif
