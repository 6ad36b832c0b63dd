#include "base/hash.h"

#include <string.h>
#include <xxhash.h>

#include "base/fault.h"
#include "base/file.h"

void hash_begin(struct hash_state *state, enum hash_kind kind)
{
	state->kind = kind;
	if (kind == HASH_BLAKE2B)
		crypto_generichash_init(&state->as.blake2b, NULL, 0, HASH_SIZE);
	else
		crypto_hash_sha256_init(&state->as.sha256);
}

void hash_update(struct hash_state *state, const void *bytes, size_t size)
{
	if (state->kind == HASH_BLAKE2B)
		crypto_generichash_update(&state->as.blake2b, bytes, size);
	else
		crypto_hash_sha256_update(&state->as.sha256, bytes, size);
}

void hash_end(struct hash_state *state, uint8_t hash[static HASH_SIZE])
{
	if (state->kind == HASH_BLAKE2B)
		crypto_generichash_final(&state->as.blake2b, hash, HASH_SIZE);
	else
		crypto_hash_sha256_final(&state->as.sha256, hash);
}

void hash_bytes(enum hash_kind kind, const void *bytes, size_t size, uint8_t ret_hash[static HASH_SIZE])
{
	struct hash_state state;

	hash_begin(&state, kind);
	hash_update(&state, bytes, size);
	hash_end(&state, ret_hash);
}

int hash_file(enum hash_kind kind, int fd, const char *name, uint8_t ret_hash[static HASH_SIZE], uint64_t *ret_size,
	      struct error *error)
{
	struct hash_state state;
	uint8_t chunk[128 * 1024];
	uint64_t size = 0;

	if (fault_point("hash.read") < 0)
		return error_set_errno(error, ERROR_DATA, "read", "%s cannot be read", name);
	hash_begin(&state, kind);
	for (;;) {
		size_t got = 0;
		int status = file_read_piece(fd, name, size, chunk, sizeof chunk, &got, error);
		if (status < 0)
			return status;
		if (got == 0)
			break;
		hash_update(&state, chunk, got);
		size += got;
	}
	hash_end(&state, ret_hash);
	if (ret_size)
		*ret_size = size;
	return 0;
}

uint64_t hash_quick(uint64_t seed, const void *bytes, size_t size)
{
	return XXH64(bytes, size, seed);
}

bool hash_sha512_is(const void *bytes, size_t size, const uint8_t expected[static HASH_SHA512_SIZE])
{
	uint8_t hash[HASH_SHA512_SIZE];

	crypto_hash_sha512(hash, bytes, size);
	return sodium_memcmp(hash, expected, sizeof hash) == 0;
}

bool hash_equal(const uint8_t a[static HASH_SIZE], const uint8_t b[static HASH_SIZE])
{
	return sodium_memcmp(a, b, HASH_SIZE) == 0;
}

void hash_to_hex(const uint8_t *bytes, size_t size, char *text)
{
	sodium_bin2hex(text, 2 * size + 1, bytes, size);
}

int hash_from_hex(const char *text, uint8_t *ret_bytes, size_t size, struct error *error)
{
	size_t got = 0;
	const char *end = NULL;

	if (strlen(text) != 2 * size)
		return error_set(error, ERROR_DATA, "format", "\"%.80s\" is not %zu hexadecimal digits", text,
				 2 * size);
	/* libsodium writes as it reads: check before the output is touched. */
	if (strspn(text, "0123456789abcdefABCDEF") != 2 * size)
		return error_set(error, ERROR_DATA, "format", "\"%.80s\" holds something that is no hexadecimal digit",
				 text);
	if (sodium_hex2bin(ret_bytes, size, text, 2 * size, NULL, &got, &end) != 0 || got != size)
		return error_set(error, ERROR_DATA, "format", "\"%.80s\" is not hexadecimal", text);
	return 0;
}
