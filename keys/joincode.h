/* The one-time join code: "ns1-" and base32 (Crockford, groups of five) of hub host, port, host key hash, root hash, a
 * 16-byte secret and check digits. The secret seeds the ed25519 key that the hub admits once to subsystem
 * nightshift-join. */
#ifndef KEYS_JOINCODE_H
#define KEYS_JOINCODE_H

#include "base/hash.h"

#define JOINCODE_SECRET    16
#define JOINCODE_TEXT_MOST 420
#define JOINCODE_HOST_MOST 128

struct joincode {
	char host[JOINCODE_HOST_MOST];
	uint16_t port;
	uint8_t host_key[HASH_SIZE]; /* SHA-256 of the SSH public key blob */
	uint8_t root[HASH_SIZE];     /* trust_root_hash */
	uint8_t secret[JOINCODE_SECRET];
};
int joincode_write(const struct joincode *code, char ret_text[static JOINCODE_TEXT_MOST],
		   struct error *error) MUST_CHECK;
/* Case and dashes do not matter; a mistyped digit is ERROR_USAGE "join-code". */
int joincode_read(const char *text, struct joincode *ret_code, struct error *error) MUST_CHECK;
/* The seed of the one-time ed25519 key. */
void joincode_seed(const struct joincode *code, uint8_t ret_seed[static 32]);

#endif
