/* Freezes: when nothing, or nothing but security, is upgraded. One row a section. */
#ifndef STORE_STORE_FREEZE_H
#define STORE_STORE_FREEZE_H

#include "orchestrator/store/store.h"

/* All sections of the text or none. A scope names the vendor, a customer that is there, or a tag. `file` names the text
 * in errors. *ret_names: a JSON array of the names. ERROR_DATA "freeze"; ERROR_CANNOT_CREATE "exists". */
int store_freeze_add(struct store *store, const char *ini, const char *file, const char *actor, int64_t now,
		     json_t **ret_names, struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-freeze". */
int store_freeze_remove(struct store *store, const char *name, const char *actor, struct error *error) MUST_CHECK;
/* [{name, scope, ini, added, added_by}] */
int store_freeze_list(struct store *store, json_t **ret_rows, struct error *error) MUST_CHECK;
/* Appends the INI of the freezes that apply: the vendor's, the customer's, those of the comma-separated tags. */
int store_freeze_of_appliance(struct store *store, const char *customer, const char *tags, struct buffer *ret_ini,
			      struct error *error) MUST_CHECK;

#endif
