/* A receipt: what an upgrade did, signed with the appliance's key. `_type: receipt`. */
#ifndef KEYS_RECEIPT_H
#define KEYS_RECEIPT_H

#include "keys/envelope.h"

#define RECEIPT_MOST       65536
#define RECEIPT_STEPS_MOST 64

/* `document` is the `signed` part: upgrade, appliance (key id), product, from, to, outcome (committed | rolled-back |
 * inconsistent), reason, confirmed, started, ended, steps [{name, ms, result}], generation, audit_head. */
int receipt_sign(json_t *document, const struct key_secret *appliance, struct buffer *ret_bytes,
		 struct error *error) MUST_CHECK;
/* Verified under that appliance's key and of the right shape. Caller owns *ret_document. */
int receipt_parse(const void *bytes, size_t size, const struct key *appliance, json_t **ret_document,
		  struct error *error) MUST_CHECK;

#endif
