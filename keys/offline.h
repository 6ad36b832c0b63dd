/* What stands in for a timestamp where there is no network: appliance A may take release V of the set under snapshot H
 * until D. One signed envelope, `_type: offline`, by the order keys; it lives 90 days at most, and only `apply` takes
 * it. That the bytes are the vendor's is told by the metadata as ever. */
#ifndef KEYS_OFFLINE_H
#define KEYS_OFFLINE_H

#include "base/clock.h"
#include "keys/authority.h"
#include "keys/role.h"

#define OFFLINE_MOST      16384
#define OFFLINE_LIFE_MOST (90 * 24 * 60 * 60)

struct offline {
	char appliance[KEY_ID_MOST]; /* id of the appliance's key */
	char product[64], version[64];
	int64_t snapshot_version, snapshot_length;
	uint8_t snapshot[HASH_SIZE]; /* SHA-256 of snapshot.json's bytes */
	int64_t issued, expires;
};

json_t *offline_document(const struct offline *offline); /* the `signed` part; NULL when memory ends */

/* Which snapshot it claims, before anybody can say who signed it: authority.json, which names the order keys, is a
 * target below that very snapshot. Nothing that came by it may be kept or used before offline_parse has passed. */
int offline_peek(const void *bytes, size_t size, struct role_meta *ret_snapshot, struct error *error) MUST_CHECK;
/* Parses, verifies under the order keys, checks shapes and lifetime; expired against `now`: ERROR_DATA "freeze". */
int offline_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now,
		  struct offline *ret_offline, struct error *error) MUST_CHECK;

/* Refusals by name: "appliance", "product", "clock". */
int offline_check(const struct offline *offline, const char *appliance, const char *product, int64_t now,
		  struct error *error) MUST_CHECK;

#endif
