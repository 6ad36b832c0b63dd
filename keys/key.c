#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "keys/evp.h"
#include "keys/key.h"

struct key {
	char id[KEY_ID_MOST];
	enum key_scheme scheme;
	json_t *object;
	uint8_t ed25519[SECRET_ED25519_PUBLIC];
	struct evp_key *evp; /* ECDSA and RSA */
};

/* keytype and scheme as TUF §4.2 names them; the first row of a scheme is the one that we write. */
static const struct kind {
	const char *keytype, *scheme;
	enum key_scheme is;
} kinds[] = {
	{"ed25519", "ed25519", KEY_ED25519},
	{"ecdsa", "ecdsa-sha2-nistp256", KEY_ECDSA_P256},
	{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", KEY_ECDSA_P256},
	{"rsa", "rsassa-pss-sha256", KEY_RSA_PSS_SHA256},
};

static const struct jsonio_field key_fields[] = {
	{"keytype", JSONIO_STRING, true, 64},
	{"scheme", JSONIO_STRING, true, 64},
	{"keyval", JSONIO_OBJECT, true, 16},
	{NULL},
};

static const struct jsonio_field value_fields[] = {
	{"public", JSONIO_STRING, true, EVP_PEM_MOST},
	{NULL},
};

static enum key_scheme scheme_named(const char *keytype, const char *scheme)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].keytype, keytype) && !strcmp(kinds[i].scheme, scheme))
			return kinds[i].is;
	return KEY_UNKNOWN;
}

static int set_computed_id(struct key *key, struct error *error)
{
	CLEANUP(buffer_free) struct buffer canonical = BUFFER_INIT(2 * KEY_FILE_MOST);
	uint8_t hash[HASH_SIZE];
	int r = jsonio_write_canonical(key->object, &canonical, error);

	if (r)
		return r;
	hash_bytes(HASH_SHA256, canonical.data, canonical.size, hash);
	hash_to_hex(hash, sizeof hash, key->id);
	return 0;
}

/* A public value that cannot be used makes a key that never verifies, like an unknown type: whoever names such a key
 * only weakens his own threshold, and the file around it stays readable. */
static enum key_scheme read_public(struct key *key, enum key_scheme scheme, const char *text)
{
	struct error ignored;

	if (scheme == KEY_ED25519)
		return hash_from_hex(text, key->ed25519, sizeof key->ed25519, &ignored) ? KEY_UNKNOWN : KEY_ED25519;
	if (!evp_key_parse(text, strlen(text), &key->evp))
		return KEY_UNKNOWN;
	return evp_key_scheme(key->evp) == scheme ? scheme : KEY_UNKNOWN;
}

int key_parse(const json_t *object, const char *id, struct key **ret_key, struct error *error)
{
	CLEANUP(key_free) struct key *key = NULL;
	enum key_scheme scheme;
	const json_t *value;
	int r = jsonio_check_open(object, key_fields, "key", error);

	if (r)
		return r;
	if (id && (!*id || strlen(id) >= KEY_ID_MOST))
		return error_set(error, ERROR_DATA, "format", "a key id must have 1 to %d bytes", KEY_ID_MOST - 1);
	value = jsonio_member(object, "keyval");
	scheme = scheme_named(jsonio_string(object, "keytype"), jsonio_string(object, "scheme"));
	if (scheme != KEY_UNKNOWN) {
		r = jsonio_check_open(value, value_fields, "keyval", error);
		if (r)
			return r;
	}
	key = calloc(1, sizeof *key);
	if (key)
		key->object = json_deep_copy(object);
	if (!key || !key->object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a key");
	key->scheme = KEY_UNKNOWN;
	if (scheme != KEY_UNKNOWN)
		key->scheme = read_public(key, scheme, jsonio_string(value, "public"));
	if (id) {
		text_copy(key->id, sizeof key->id, id);
	} else {
		r = set_computed_id(key, error);
		if (r)
			return r;
	}
	*ret_key = TAKE(key);
	return 0;
}

static int key_from_public(enum key_scheme scheme, const char *public_text, struct key **ret_key, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	const struct kind *kind = kinds;

	while (kind->is != scheme)
		kind++;
	object = json_pack("{s:s, s:s, s:{s:s}}", "keytype", kind->keytype, "scheme", kind->scheme, "keyval", "public",
			   public_text);
	if (!object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a key");
	return key_parse(object, NULL, ret_key, error);
}

/* A bare PEM, as `openssl pkey -pubout` or a token's own tool writes it. */
static int key_from_pem(const char *path, const struct buffer *text, struct key **ret_key, struct error *error)
{
	struct evp_key *evp = NULL;
	enum key_scheme scheme;

	/* What is parsed here must be what the key object, a string, will hold. */
	if (memchr(text->data, '\0', text->size) || !evp_key_parse((const char *)text->data, text->size, &evp))
		return error_set(error, ERROR_DATA, "format",
				 "%s: of PEM keys only ECDSA P-256 and RSA of 2048 bits and more can be used", path);
	scheme = evp_key_scheme(evp);
	evp_key_free(&evp);
	return key_from_public(scheme, (const char *)text->data, ret_key, error);
}

int key_read_file(const char *path, struct key **ret_key, struct error *error)
{
	static const char pem[] = "-----BEGIN ";
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(KEY_FILE_MOST);
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(key_free) struct key *key = NULL;
	int r = file_read_at(AT_FDCWD, path, &text, error);

	if (r)
		return r;
	if (text.size > sizeof pem && !memcmp(text.data, pem, sizeof pem - 1))
		return key_from_pem(path, &text, ret_key, error);
	r = jsonio_parse(text.data, text.size, path, &object, error);
	if (r)
		return r;
	r = key_parse(object, NULL, &key, error);
	if (r)
		return error_prefix(error, "%s", path);
	if (key->scheme == KEY_UNKNOWN)
		return error_set(error, ERROR_DATA, "format",
				 "%s: not a key that can be used; known are ed25519, ECDSA P-256 and RSA-PSS-SHA256",
				 path);
	*ret_key = TAKE(key);
	return 0;
}

int key_from_ed25519(const uint8_t public_key[static SECRET_ED25519_PUBLIC], struct key **ret_key, struct error *error)
{
	char hex[2 * SECRET_ED25519_PUBLIC + 1];

	hash_to_hex(public_key, SECRET_ED25519_PUBLIC, hex);
	return key_from_public(KEY_ED25519, hex, ret_key, error);
}

void key_free(struct key **key)
{
	if (!*key)
		return;
	jsonio_free(&(*key)->object);
	evp_key_free(&(*key)->evp);
	free(*key);
	*key = NULL;
}

const char *key_id(const struct key *key)
{
	return key->id;
}

enum key_scheme key_scheme(const struct key *key)
{
	return key->scheme;
}

const json_t *key_object(const struct key *key)
{
	return key->object;
}

const uint8_t *key_ed25519(const struct key *key)
{
	return key->scheme == KEY_ED25519 ? key->ed25519 : NULL;
}

bool key_same(const struct key *a, const struct key *b)
{
	if (a == b)
		return true;
	if (a->scheme != b->scheme || a->scheme == KEY_UNKNOWN)
		return false;
	if (a->scheme == KEY_ED25519)
		return !memcmp(a->ed25519, b->ed25519, sizeof a->ed25519);
	return evp_key_same(a->evp, b->evp);
}

bool key_verify(const struct key *key, const void *message, size_t size, const uint8_t *signature,
		size_t signature_size)
{
	switch (key->scheme) {
	case KEY_ED25519:
		return signature_size == SECRET_ED25519_SIGNATURE &&
		       secret_ed25519_verify(key->ed25519, message, size, signature);
	case KEY_ECDSA_P256:
	case KEY_RSA_PSS_SHA256:
		return evp_key_verify(key->evp, message, size, signature, signature_size);
	case KEY_UNKNOWN:
		break;
	}
	return false;
}

void key_set_free(struct key_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		key_free(&set->keys[i]);
	free(set->keys);
	*set = (struct key_set){0};
}
