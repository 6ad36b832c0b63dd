#include "base/secret.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

const struct secret_cost secret_cost_new = {
	.operations = crypto_pwhash_OPSLIMIT_MODERATE,
	.memory = crypto_pwhash_MEMLIMIT_MODERATE,
};
const struct secret_cost secret_cost_most = {
	.operations = crypto_pwhash_OPSLIMIT_SENSITIVE,
	.memory = crypto_pwhash_MEMLIMIT_SENSITIVE,
};

int secret_start(struct error *error)
{
	if (sodium_init() < 0)
		return error_set(error, ERROR_BUG, "random", "libsodium cannot be started: no randomness");
	return 0;
}

void secret_random(void *bytes, size_t size)
{
	randombytes_buf(bytes, size);
}

void secret_wipe(void *bytes, size_t size)
{
	sodium_memzero(bytes, size);
}

bool secret_equal(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}

void secret_protect_process(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void secret_ed25519_from_seed(const uint8_t seed[static SECRET_ED25519_SEED],
			      uint8_t ret_public[static SECRET_ED25519_PUBLIC],
			      uint8_t ret_secret[static SECRET_ED25519_SECRET])
{
	crypto_sign_seed_keypair(ret_public, ret_secret, seed);
}

void secret_ed25519_sign(const uint8_t secret[static SECRET_ED25519_SECRET], const void *message, size_t size,
			 uint8_t ret_signature[static SECRET_ED25519_SIGNATURE])
{
	crypto_sign_detached(ret_signature, NULL, message, size, secret);
}

bool secret_ed25519_verify(const uint8_t public_key[static SECRET_ED25519_PUBLIC], const void *message, size_t size,
			   const uint8_t signature[static SECRET_ED25519_SIGNATURE])
{
	return crypto_sign_verify_detached(signature, message, size, public_key) == 0;
}

static int derive(const void *passphrase, size_t passphrase_size, const uint8_t *salt, struct secret_cost cost,
		  uint8_t key[static crypto_secretbox_KEYBYTES], struct error *error)
{
	if (cost.operations < crypto_pwhash_OPSLIMIT_MIN || cost.operations > secret_cost_most.operations ||
	    cost.memory < crypto_pwhash_MEMLIMIT_MIN || cost.memory > secret_cost_most.memory)
		return error_set(error, ERROR_DATA, "cost", "a key asks for more work than is allowed");
	if (crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase, passphrase_size, salt, cost.operations,
			  (size_t)cost.memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to derive a key from the passphrase");
	return 0;
}

int secret_seal(const void *passphrase, size_t passphrase_size, const uint8_t salt[static SECRET_SALT],
		struct secret_cost cost, const uint8_t nonce[static SECRET_NONCE], const void *plain, size_t plain_size,
		uint8_t *ret_sealed, struct error *error)
{
	uint8_t key[crypto_secretbox_KEYBYTES];
	int status = derive(passphrase, passphrase_size, salt, cost, key, error);

	if (status < 0)
		return status;
	crypto_secretbox_easy(ret_sealed, plain, plain_size, nonce, key);
	sodium_memzero(key, sizeof key);
	return 0;
}

int secret_open(const void *passphrase, size_t passphrase_size, const uint8_t salt[static SECRET_SALT],
		struct secret_cost cost, const uint8_t nonce[static SECRET_NONCE], const uint8_t *sealed,
		size_t sealed_size, uint8_t *ret_plain, struct error *error)
{
	uint8_t key[crypto_secretbox_KEYBYTES];
	int status = derive(passphrase, passphrase_size, salt, cost, key, error);

	if (status < 0)
		return status;
	bool opened = sealed_size >= SECRET_TAG &&
		      crypto_secretbox_open_easy(ret_plain, sealed, sealed_size, nonce, key) == 0;
	sodium_memzero(key, sizeof key);
	if (!opened)
		return error_set(error, ERROR_DATA, "passphrase", "the passphrase does not open the key");
	return 0;
}
