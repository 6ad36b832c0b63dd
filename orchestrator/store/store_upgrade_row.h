/* Inside the store only: the row of an upgrade and its history, shared by the files of store_upgrade.h. */
#ifndef STORE_STORE_UPGRADE_ROW_H
#define STORE_STORE_UPGRADE_ROW_H

#include "orchestrator/store/store_upgrade.h"

/* What happened, for the event and the audit row; in the transaction of the change. */
struct store_upgrade_event {
	const char *id, *appliance;
	enum upgrade_state from, to;
	const char *actor, *verb, *text;
	int64_t fence, now;
};
int store_upgrade_event(struct store *store, const struct store_upgrade_event *event, struct error *error) MUST_CHECK;

#endif
