/* What people and programs did, as a hash chain: each row's hash covers the row before it, so an edited, removed or
 * inserted row is named by verify; only cutting off the end needs the head that every order and receipt carries. */
#ifndef STORE_STORE_AUDIT_H
#define STORE_STORE_AUDIT_H

#include "orchestrator/store/store.h"

/* In the transaction of what it tells of (opens a savepoint of its own; alone it is its own transaction). `actor` is
 * "technician:NAME", "login:UNIXUSER", "engine", "hook:APPLIANCE"; `action` a word or two ("upgrade book"); `detail`
 * free text. */
int store_audit_append(struct store *store, const char *actor, const char *action, const char *object,
		       const char *detail, struct error *error) MUST_CHECK;
/* 32 zero bytes and 0 for an empty log. */
int store_audit_head(struct store *store, uint8_t ret_head[static HASH_SIZE], int64_t *ret_seq,
		     struct error *error) MUST_CHECK;
/* ERROR_DATA "audit" names the first row that does not fit. `head` (may be NULL): this hash must stand somewhere in the
 * chain. */
int store_audit_verify(struct store *store, const uint8_t *head, int64_t *ret_rows, struct error *error) MUST_CHECK;
/* [{seq, at, actor, action, object, detail, hash}], newest last; those after `after`, of `object` when not NULL, at
 * most `most`. */
int store_audit_list(struct store *store, int64_t after, const char *object, int64_t most, json_t **ret_rows,
		     struct error *error) MUST_CHECK;

#endif
