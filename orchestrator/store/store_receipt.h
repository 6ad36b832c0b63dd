/* Receipts that people carry: what an appliance without a network did, by its own signature. */
#ifndef STORE_STORE_RECEIPT_H
#define STORE_STORE_RECEIPT_H

#include "orchestrator/store/store.h"

struct store_receipt {
	char appliance[STORE_NAME_SIZE], upgrade[2 * STORE_NAME_SIZE + 2]; /* the upgrade's name here */
	char from[STORE_NAME_SIZE], to[STORE_NAME_SIZE], outcome[32];
	bool is_new;  /* false: it was here already */
	bool changed; /* it is the newest word of that appliance, whose version was set by it */
};

/* The key that the receipt names says which appliance; verified under it ("appliance", "signature", "format"), kept
 * once, with an audit row. The appliance's version follows when nothing newer is known of it. */
int store_receipt_import(struct store *store, const json_t *envelope, const char *actor, int64_t now,
			 struct store_receipt *ret_receipt, struct error *error) MUST_CHECK;

/* [{appliance, upgrade, from, to, outcome, ended, received}], the newest first; `appliance` may be NULL. */
int store_receipt_list(struct store *store, const char *appliance, json_t **ret_rows, struct error *error) MUST_CHECK;

#endif
