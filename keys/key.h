/* Public and secret keys, as TUF writes them.
 *
 * A public key file (FILE.pub) is the TUF key object alone: {"keytype","scheme","keyval":{"public"}}. Its id is the
 * SHA-256 of that object's canonical JSON (TUF §4.2). A secret key file is JSON, mode 0600: the ed25519 seed sealed
 * with argon2id and secretbox, or plain where it was made with --no-passphrase. */
#ifndef KEYS_KEY_H
#define KEYS_KEY_H

#include "base/hash.h"
#include "base/jsonio.h"
#include "base/secret.h"

#define KEY_ID_MOST        128 /* key ids of others are opaque strings; ours are 64 hexadecimal digits */
#define KEY_FILE_MOST      16384
#define KEY_SIGNATURE_MOST 1024 /* bytes */

enum key_scheme { KEY_ED25519, KEY_ECDSA_P256, KEY_RSA_PSS_SHA256, KEY_UNKNOWN };

struct key; /* a public key; immutable */

/* `id` NULL: computed. Given: taken as it is (opaque), as TUF has it inside root and delegations. Unknown types and
 * schemes, and public values that cannot be used, are no error: the key is KEY_UNKNOWN and never verifies anything. */
int key_parse(const json_t *object, const char *id, struct key **ret_key, struct error *error) MUST_CHECK;
/* A FILE.pub, or a bare PEM of an ECDSA P-256 or RSA public key. Here an unknown type is refused. */
int key_read_file(const char *path, struct key **ret_key, struct error *error) MUST_CHECK;
int key_from_ed25519(const uint8_t public_key[static SECRET_ED25519_PUBLIC], struct key **ret_key,
		     struct error *error) MUST_CHECK;
void key_free(struct key **key);

const char *key_id(const struct key *key);
enum key_scheme key_scheme(const struct key *key);
const json_t *key_object(const struct key *key); /* borrowed */
/* The 32 bytes of an ed25519 key, NULL for another type. Borrowed. */
const uint8_t *key_ed25519(const struct key *key);
/* Whether both are the same public key, whatever their ids. Keys of unknown type are only the same as themselves. */
bool key_same(const struct key *a, const struct key *b);
bool key_verify(const struct key *key, const void *message, size_t size, const uint8_t *signature,
		size_t signature_size);

/* Where a passphrase comes from; never argv. `file` NULL: the systemd credential "nightshift-passphrase" when
 * $CREDENTIALS_DIRECTORY holds it, else the terminal with echo off (asked twice when `confirm`). */
struct key_passphrase {
	const char *file;
	bool confirm;
};

struct key_secret;

/* A new ed25519 key in `path` (0600; refused when it exists) and `path`.pub. `passphrase` NULL: not sealed. */
int key_secret_create(const char *path, const struct key_passphrase *passphrase, struct error *error) MUST_CHECK;
/* `path` may be "cmd:PROGRAM", an external signer: PROGRAM is a path without arguments, its public key PROGRAM.pub or a
 * file `public` beside it (JSON or PEM). It gets the bytes on stdin and prints the signature, raw or in hexadecimal,
 * which is verified before it is used. `passphrase` NULL: as an empty one. */
int key_secret_load(const char *path, const struct key_passphrase *passphrase, struct key_secret **ret_secret,
		    struct error *error) MUST_CHECK;
int key_secret_from_seed(const uint8_t seed[static SECRET_ED25519_SEED], struct key_secret **ret_secret,
			 struct error *error) MUST_CHECK;
void key_secret_free(struct key_secret **secret);                     /* wipes */
const struct key *key_secret_public(const struct key_secret *secret); /* borrowed */
int key_secret_sign(const struct key_secret *secret, const void *message, size_t size,
		    uint8_t ret_signature[static KEY_SIGNATURE_MOST], size_t *ret_size, struct error *error) MUST_CHECK;

/* Keys and how many distinct ones must have signed. */
struct key_set {
	struct key **keys; /* owned */
	size_t count;
	unsigned threshold; /* at least 1 */
};
void key_set_free(struct key_set *set);

#endif
