#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/external.h"
#include "keys/passphrase.h"

struct key_secret {
	struct key *public;
	uint8_t secret[SECRET_ED25519_SECRET]; /* zero for an external signer */
	char *program;                         /* external signer, else NULL */
};

#define SEALED_SIZE   (SECRET_ED25519_SEED + SECRET_TAG)
#define KEY_FILE_TYPE "nightshift-key"
#define SEAL_NAME     "argon2id-secretbox"

/* A key file. `seal` none: `secret` is the seed. */
static const struct jsonio_field file_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"public", JSONIO_OBJECT, true, 3},
	{"seal", JSONIO_STRING, true, 32},
	{"secret", JSONIO_STRING, true, 2 * SEALED_SIZE},
	{"operations", JSONIO_INTEGER, false, INT64_MAX},
	{"memory", JSONIO_INTEGER, false, INT64_MAX},
	{"salt", JSONIO_STRING, false, 2 * SECRET_SALT},
	{"nonce", JSONIO_STRING, false, 2 * SECRET_NONCE},
	{NULL},
};

static void wipe_seed(uint8_t (*seed)[SECRET_ED25519_SEED])
{
	secret_wipe(*seed, sizeof *seed);
}

/* The text holds the seed when it is not sealed, and jansson's copy of it is overwritten before it is freed. */
static void wipe_file(json_t **file)
{
	json_t *value = *file ? json_object_get(*file, "secret") : NULL;

	if (json_is_string(value))
		secret_wipe((char *)json_string_value(value), json_string_length(value));
	jsonio_free(file);
}

void key_secret_free(struct key_secret **secret)
{
	if (!*secret)
		return;
	key_free(&(*secret)->public);
	secret_wipe((*secret)->secret, sizeof(*secret)->secret);
	free((*secret)->program);
	free(*secret);
	*secret = NULL;
}

int key_secret_from_seed(const uint8_t seed[static SECRET_ED25519_SEED], struct key_secret **ret_secret,
			 struct error *error)
{
	CLEANUP(key_secret_free) struct key_secret *secret = calloc(1, sizeof *secret);
	uint8_t public_key[SECRET_ED25519_PUBLIC];
	int r;

	if (!secret)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a key");
	secret_ed25519_from_seed(seed, public_key, secret->secret);
	r = key_from_ed25519(public_key, &secret->public, error);
	if (r)
		return r;
	*ret_secret = TAKE(secret);
	return 0;
}

const struct key *key_secret_public(const struct key_secret *secret)
{
	return secret->public;
}

int key_secret_sign(const struct key_secret *secret, const void *message, size_t size,
		    uint8_t ret_signature[static KEY_SIGNATURE_MOST], size_t *ret_size, struct error *error)
{
	uint8_t signature[KEY_SIGNATURE_MOST];
	size_t signature_size;
	int r;

	if (!secret->program) {
		secret_ed25519_sign(secret->secret, message, size, ret_signature);
		*ret_size = SECRET_ED25519_SIGNATURE;
		return 0;
	}
	r = external_sign(secret->program, message, size, signature, &signature_size, error);
	if (r)
		return r;
	if (!key_verify(secret->public, message, size, signature, signature_size))
		return error_set(error, ERROR_DATA, "signature",
				 "cmd:%s signed with another key than its public file says", secret->program);
	memcpy(ret_signature, signature, signature_size);
	*ret_size = signature_size;
	return 0;
}

static json_t *file_object(const struct key_secret *secret, const char *seal, const uint8_t *bytes, size_t size)
{
	CLEANUP(buffer_wipe) struct buffer hex = {0};
	struct error ignored;
	uint8_t *room;

	if (buffer_reserve(&hex, 2 * size + 1, &room, &ignored))
		return NULL;
	hash_to_hex(bytes, size, (char *)room);
	return json_pack("{s:s, s:O, s:s, s:s}", "_type", KEY_FILE_TYPE, "public", (json_t *)key_object(secret->public),
			 "seal", seal, "secret", (const char *)room);
}

static int seal_file(const struct key_secret *secret, const uint8_t *seed, const struct key_passphrase *passphrase,
		     const char *path, json_t **ret_file, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer words = {0};
	CLEANUP(wipe_file) json_t *file = NULL;
	struct secret_cost cost = secret_cost_new;
	uint8_t salt[SECRET_SALT], nonce[SECRET_NONCE], sealed[SEALED_SIZE];
	char salt_hex[2 * SECRET_SALT + 1], nonce_hex[2 * SECRET_NONCE + 1];
	int r = passphrase_read(passphrase, path, &words, error);

	if (r)
		return r;
	secret_random(salt, sizeof salt);
	secret_random(nonce, sizeof nonce);
	hash_to_hex(salt, sizeof salt, salt_hex);
	hash_to_hex(nonce, sizeof nonce, nonce_hex);
	r = secret_seal(words.data, words.size, salt, cost, nonce, seed, SECRET_ED25519_SEED, sealed, error);
	if (r)
		return r;
	file = file_object(secret, SEAL_NAME, sealed, sizeof sealed);
	if (!file || json_object_set_new(file, "operations", json_integer((json_int_t)cost.operations)) ||
	    json_object_set_new(file, "memory", json_integer((json_int_t)cost.memory)) ||
	    json_object_set_new(file, "salt", json_string(salt_hex)) ||
	    json_object_set_new(file, "nonce", json_string(nonce_hex)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", path);
	*ret_file = TAKE(file);
	return 0;
}

static int write_public(const char *path, const struct key *key, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	int r = jsonio_write(key_object(key), true, &text, error);

	if (r)
		return r;
	return file_create_at(AT_FDCWD, path, text.data, text.size, 0644, error);
}

int key_secret_create(const char *path, const struct key_passphrase *passphrase, struct error *error)
{
	CLEANUP(wipe_seed) uint8_t seed[SECRET_ED25519_SEED];
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	CLEANUP(wipe_file) json_t *file = NULL;
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	CLEANUP(free_pointer) char *public_path = NULL;
	uint8_t *room;
	int r;

	if (asprintf(&public_path, "%s.pub", path) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", path);
	if (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) ||
	    !faccessat(AT_FDCWD, public_path, F_OK, AT_SYMLINK_NOFOLLOW))
		return error_set(error, ERROR_CANNOT_CREATE, "exists",
				 "%s or %s is there already and is not overwritten", path, public_path);
	secret_random(seed, sizeof seed);
	r = key_secret_from_seed(seed, &secret, error);
	if (r)
		return r;
	if (passphrase) {
		r = seal_file(secret, seed, passphrase, path, &file, error);
	} else {
		file = file_object(secret, "none", seed, sizeof seed);
		r = file ? 0 : error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", path);
	}
	/* All at once: a buffer that grows leaves copies behind. */
	if (!r)
		r = buffer_reserve(&text, KEY_FILE_MOST, &room, error);
	if (!r)
		r = jsonio_write(file, true, &text, error);
	if (!r)
		r = file_create_at(AT_FDCWD, path, text.data, text.size, 0600, error);
	if (r)
		return r;
	r = write_public(public_path, secret->public, error);
	if (r)
		unlink(path); /* a secret whose public half nobody has is only litter */
	return r;
}

static int open_sealed(const json_t *file, const struct key_passphrase *passphrase, const char *path, uint8_t *ret_seed,
		       struct error *error)
{
	static const struct key_passphrase ask = {0};
	CLEANUP(buffer_wipe) struct buffer words = {0};
	const char *salt_hex = jsonio_string(file, "salt"), *nonce_hex = jsonio_string(file, "nonce");
	struct secret_cost cost = {.operations = (uint64_t)jsonio_integer(file, "operations"),
				   .memory = (uint64_t)jsonio_integer(file, "memory")};
	uint8_t salt[SECRET_SALT], nonce[SECRET_NONCE], sealed[SEALED_SIZE];
	int r;

	if (!salt_hex || !nonce_hex)
		return error_set(error, ERROR_DATA, "format", "%s: a sealed key needs salt and nonce", path);
	/* Before the passphrase is asked for: a file that asks for a terabyte is an attack, or damaged. */
	if (cost.operations == 0 || cost.operations > secret_cost_most.operations || cost.memory == 0 ||
	    cost.memory > secret_cost_most.memory)
		return error_set(error, ERROR_DATA, "format", "%s: its sealing cost is out of bounds", path);
	r = hash_from_hex(salt_hex, salt, sizeof salt, error);
	if (!r)
		r = hash_from_hex(nonce_hex, nonce, sizeof nonce, error);
	if (!r)
		r = hash_from_hex(jsonio_string(file, "secret"), sealed, sizeof sealed, error);
	if (!r)
		r = passphrase_read(passphrase ? passphrase : &ask, path, &words, error);
	if (!r)
		r = secret_open(words.data, words.size, salt, cost, nonce, sealed, sizeof sealed, ret_seed, error);
	return r ? error_prefix(error, "%s", path) : 0;
}

/* The public half in the file must be the seed's own: signing under another would leak the seed. */
static int check_public(const json_t *file, const struct key_secret *secret, const char *path, struct error *error)
{
	CLEANUP(key_free) struct key *stated = NULL;
	int r = key_parse(jsonio_member(file, "public"), NULL, &stated, error);

	if (r)
		return r;
	if (!key_same(stated, secret->public))
		return error_set(error, ERROR_DATA, "format", "%s: public and secret half do not belong together",
				 path);
	return 0;
}

static int load_file(const char *path, const struct key_passphrase *passphrase, struct key_secret **ret_secret,
		     struct error *error)
{
	CLEANUP(wipe_seed) uint8_t seed[SECRET_ED25519_SEED];
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	CLEANUP(wipe_file) json_t *file = NULL;
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	int r = file_read_at(AT_FDCWD, path, &text, error);

	if (!r)
		r = jsonio_parse(text.data, text.size, path, &file, error);
	if (!r)
		r = jsonio_check(file, file_fields, path, error);
	if (r)
		return r;
	if (strcmp(jsonio_string(file, "_type"), KEY_FILE_TYPE) != 0)
		return error_set(error, ERROR_DATA, "format", "%s: not a secret key file", path);
	if (!strcmp(jsonio_string(file, "seal"), "none"))
		r = hash_from_hex(jsonio_string(file, "secret"), seed, sizeof seed, error);
	else if (!strcmp(jsonio_string(file, "seal"), SEAL_NAME))
		r = open_sealed(file, passphrase, path, seed, error);
	else
		r = error_set(error, ERROR_DATA, "format", "%s: sealed in a way that is not known here", path);
	if (!r)
		r = key_secret_from_seed(seed, &secret, error);
	if (!r)
		r = check_public(file, secret, path, error);
	if (r)
		return r;
	*ret_secret = TAKE(secret);
	return 0;
}

int key_secret_load(const char *path, const struct key_passphrase *passphrase, struct key_secret **ret_secret,
		    struct error *error)
{
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	int r;

	if (strncmp(path, EXTERNAL_PREFIX, strlen(EXTERNAL_PREFIX)) != 0)
		return load_file(path, passphrase, ret_secret, error);
	path += strlen(EXTERNAL_PREFIX);
	secret = calloc(1, sizeof *secret);
	if (secret)
		secret->program = strdup(path);
	if (!secret || !secret->program)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "cmd:%s: no memory", path);
	r = external_public(path, &secret->public, error);
	if (r)
		return r;
	*ret_secret = TAKE(secret);
	return 0;
}
