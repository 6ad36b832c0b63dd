/* An order: appliance A goes to (or back to) release R between S and E, under fence F. One signed envelope,
 * `_type: order`, made by the signer, checked by the hook. It lives 24 hours at most. */
#ifndef KEYS_ORDER_H
#define KEYS_ORDER_H

#include "base/clock.h"
#include "keys/authority.h"
#include "keys/envelope.h"

#define ORDER_MOST       16384
#define ORDER_LIFE_MOST  (24 * 60 * 60)
#define ORDER_NONCE_SIZE 32

enum order_action { ORDER_UPGRADE, ORDER_ROLLBACK };

struct order {
	enum order_action action;
	char upgrade[64];            /* the id of the upgrade */
	char appliance[KEY_ID_MOST]; /* id of the appliance's key */
	char product[64], version[64];
	uint8_t manifest[HASH_SIZE];    /* SHA-256 of the manifest, as in targets */
	int64_t start, end, last_start; /* UTC: S, E, L */
	int64_t issued, expires;
	int64_t fence;
	bool finish_overrun;             /* overrun = finish */
	uint8_t nonce[ORDER_NONCE_SIZE]; /* the hook's own */
	uint8_t audit_head[HASH_SIZE];   /* head of the orchestrator's audit chain */
};

json_t *order_document(const struct order *order); /* the `signed` part; NULL when memory ends */
/* Parses, verifies under the order keys, checks shapes and lifetime against `now`. Whom it is for, the nonce, the fence
 * and the window are the caller's checks (order_check). */
int order_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now, struct order *ret_order,
		char ret_key_id[static KEY_ID_MOST], struct error *error) MUST_CHECK;

/* Refusals by name: "appliance", "product", "nonce", "clock", "fence" (65), "window" (75). */
struct order_expectation {
	const char *appliance, *product;
	const uint8_t *nonce;
	int64_t highest_fence; /* the highest ever seen from this order key */
	int64_t now;
};
int order_check(const struct order *order, const struct order_expectation *expectation, struct error *error) MUST_CHECK;

#endif
