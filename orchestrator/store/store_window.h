/* The windows of an appliance or of a customer, as the INI text that was checked when it was set. */
#ifndef STORE_STORE_WINDOW_H
#define STORE_STORE_WINDOW_H

#include "orchestrator/store/store.h"

enum store_window_scope { STORE_WINDOW_APPLIANCE, STORE_WINDOW_CUSTOMER };

struct store_window_change {
	enum store_window_scope scope;
	const char *name, *ini, *requester; /* requester: who at the customer asked; may be "" */
};
/* Parses before it stores: all or nothing, at least one window. Replaces what was there. ERROR_DATA "window", with
 * file and line; `file` names the text in the sentence. */
int store_window_set(struct store *store, const struct store_window_change *change, const char *file, const char *actor,
		     int64_t now, struct error *error) MUST_CHECK;
/* The scope's word: "appliance", "customer". */
const char *store_window_scope_name(enum store_window_scope scope);
/* {scope, name, ini, tzdata, changed, changed_by, requester} of that very target, or NULL when it has none. */
int store_window_row(struct store *store, enum store_window_scope scope, const char *name, json_t **ret_row,
		     struct error *error) MUST_CHECK;

#endif
