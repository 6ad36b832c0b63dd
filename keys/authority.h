/* authority.json, a target under the targets' threshold: which keys may sign orders and entitlements.
 * {"_type":"authority","order":{"keys":[KEY…],"threshold":1},"entitlement":{…}} */
#ifndef KEYS_AUTHORITY_H
#define KEYS_AUTHORITY_H

#include "keys/key.h"

#define AUTHORITY_TARGET "authority.json"
#define AUTHORITY_MOST   65536

struct authority {
	struct key_set order, entitlement;
};
int authority_parse(const void *bytes, size_t size, struct authority *ret_authority, struct error *error) MUST_CHECK;
int authority_write(const struct authority *authority, struct buffer *ret_bytes, struct error *error) MUST_CHECK;
void authority_free(struct authority *authority);

#endif
