/* Hashes: BLAKE2b-256 inside our own formats, SHA-256 in TUF metadata. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <sodium.h>

#include "base/error.h"

#define HASH_SIZE     32
#define HASH_HEX_SIZE (2 * HASH_SIZE + 1)

enum hash_kind { HASH_BLAKE2B, HASH_SHA256 };

struct hash_state {
	enum hash_kind kind;
	union {
		crypto_generichash_state blake2b;
		crypto_hash_sha256_state sha256;
	} as;
};

void hash_begin(struct hash_state *state, enum hash_kind kind);
void hash_update(struct hash_state *state, const void *bytes, size_t size);
void hash_end(struct hash_state *state, uint8_t hash[static HASH_SIZE]);

void hash_bytes(enum hash_kind kind, const void *bytes, size_t size, uint8_t ret_hash[static HASH_SIZE]);
/* From the descriptor's start to its end; *ret_size (may be NULL) gets the bytes read. */
int hash_file(enum hash_kind kind, int fd, const char *name, uint8_t ret_hash[static HASH_SIZE], uint64_t *ret_size,
	      struct error *error) MUST_CHECK;

/* SHA-512 is read where others' TUF metadata states it; nothing of ours is named by it. Constant time. */
#define HASH_SHA512_SIZE 64
bool hash_sha512_is(const void *bytes, size_t size, const uint8_t expected[static HASH_SHA512_SIZE]);

/* XXH64: against pages that a disk lost, never against people. A seed goes on from an earlier stretch. */
uint64_t hash_quick(uint64_t seed, const void *bytes, size_t size);

/* Constant time. */
bool hash_equal(const uint8_t a[static HASH_SIZE], const uint8_t b[static HASH_SIZE]);

/* Lower-case hexadecimal of any length; `text` holds 2 * size + 1. */
void hash_to_hex(const uint8_t *bytes, size_t size, char *text);
/* Exactly `size` bytes from exactly 2 * size lower- or upper-case digits; ERROR_DATA "format" otherwise. */
int hash_from_hex(const char *text, uint8_t *ret_bytes, size_t size, struct error *error) MUST_CHECK;

#endif
