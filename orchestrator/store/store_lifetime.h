/* How long what is signed still lives. */
#ifndef STORE_STORE_LIFETIME_H
#define STORE_STORE_LIFETIME_H

#include "orchestrator/store/store.h"

struct store_lifetime {
	const char *name; /* root, targets, snapshot, timestamp */
	int64_t version, expires;
	int64_t life; /* seconds that a new one lives */
};
int store_lifetime_put(struct store *store, const struct store_lifetime *lifetime, struct error *error) MUST_CHECK;
/* [{what, version, expires, text}] of those with less than a third of their life left. */
int store_lifetime_warnings(struct store *store, int64_t now, json_t **ret_rows, struct error *error) MUST_CHECK;

#endif
