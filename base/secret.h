/* Randomness, wiping, comparing, sealing and ed25519: libsodium's door for everything that touches a secret. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/buffer.h"

#define SECRET_ED25519_PUBLIC    32
#define SECRET_ED25519_SEED      32
#define SECRET_ED25519_SECRET    64
#define SECRET_ED25519_SIGNATURE 64

/* Once, at the start of main, before anything else of this module. */
int secret_start(struct error *error) MUST_CHECK;

/* The one door for randomness. */
void secret_random(void *bytes, size_t size);
void secret_wipe(void *bytes, size_t size);
bool secret_equal(const void *a, const void *b, size_t size); /* constant time */

/* No core dump, no ptrace by others: for every process that holds a key. */
void secret_protect_process(void);

void secret_ed25519_from_seed(const uint8_t seed[static SECRET_ED25519_SEED],
			      uint8_t ret_public[static SECRET_ED25519_PUBLIC],
			      uint8_t ret_secret[static SECRET_ED25519_SECRET]);
void secret_ed25519_sign(const uint8_t secret[static SECRET_ED25519_SECRET], const void *message, size_t size,
			 uint8_t ret_signature[static SECRET_ED25519_SIGNATURE]);
bool secret_ed25519_verify(const uint8_t public_key[static SECRET_ED25519_PUBLIC], const void *message, size_t size,
			   const uint8_t signature[static SECRET_ED25519_SIGNATURE]);

#define SECRET_SALT  16
#define SECRET_NONCE 24
#define SECRET_TAG   16

struct secret_cost {
	uint64_t operations;
	uint64_t memory;
}; /* argon2id; bytes of memory */
/* What new key files use, and the most that a key file may ask for when it is opened. */
extern const struct secret_cost secret_cost_new, secret_cost_most;

/* argon2id + secretbox. `sealed` is plain_size + SECRET_TAG. Opening with the wrong passphrase: ERROR_DATA
 * "passphrase". */
int secret_seal(const void *passphrase, size_t passphrase_size, const uint8_t salt[static SECRET_SALT],
		struct secret_cost cost, const uint8_t nonce[static SECRET_NONCE], const void *plain, size_t plain_size,
		uint8_t *ret_sealed, struct error *error) MUST_CHECK;
int secret_open(const void *passphrase, size_t passphrase_size, const uint8_t salt[static SECRET_SALT],
		struct secret_cost cost, const uint8_t nonce[static SECRET_NONCE], const uint8_t *sealed,
		size_t sealed_size, uint8_t *ret_plain, struct error *error) MUST_CHECK;

#endif
