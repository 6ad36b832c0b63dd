#include <stdlib.h>
#include <string.h>

#include "keys/envelope.h"

struct envelope {
	json_t *document;
	struct buffer bytes;     /* as it was read; empty once something was added */
	struct buffer canonical; /* of `signed`: what signatures are over */
};

/* More than any role's cap, canonical form included. */
#define ENVELOPE_MOST (16 * 1024 * 1024)

static const struct jsonio_field envelope_fields[] = {
	{"signed", JSONIO_OBJECT, true, 4096},
	{"signatures", JSONIO_ARRAY, true, ENVELOPE_SIGNATURES_MOST},
	{NULL},
};

static const struct jsonio_field signature_fields[] = {
	{"keyid", JSONIO_STRING, true, KEY_ID_MOST - 1},
	{"sig", JSONIO_STRING, true, 2 * KEY_SIGNATURE_MOST},
	{NULL},
};

static json_t *signatures_of(const struct envelope *envelope)
{
	return json_object_get(envelope->document, "signatures");
}

/* At most 64 signatures, so comparing each with each is cheap. */
static int check_signatures(const json_t *signatures, const char *what, struct error *error)
{
	size_t count = json_array_size(signatures);

	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(signatures, i);
		int r = jsonio_check_open(one, signature_fields, what, error);

		if (r)
			return r;
		for (size_t j = 0; j < i; j++)
			if (!strcmp(jsonio_string(json_array_get(signatures, j), "keyid"), jsonio_string(one, "keyid")))
				return error_set(error, ERROR_DATA, "format",
						 "%s: key id %s stands twice in signatures", what,
						 jsonio_string(one, "keyid"));
	}
	return 0;
}

static int make_canonical(struct envelope *envelope, struct error *error)
{
	envelope->canonical = BUFFER_INIT(ENVELOPE_MOST);
	return jsonio_write_canonical(json_object_get(envelope->document, "signed"), &envelope->canonical, error);
}

int envelope_parse(const void *bytes, size_t size, const char *what, struct envelope **ret_envelope,
		   struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = calloc(1, sizeof *envelope);
	int r;

	if (!envelope)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", what);
	if (size > ENVELOPE_MOST)
		return error_set(error, ERROR_DATA, "length", "%s: longer than %d bytes", what, ENVELOPE_MOST);
	r = jsonio_parse(bytes, size, what, &envelope->document, error);
	if (!r)
		r = jsonio_check_open(envelope->document, envelope_fields, what, error);
	if (!r)
		r = check_signatures(signatures_of(envelope), what, error);
	if (!r)
		r = make_canonical(envelope, error);
	if (!r)
		r = buffer_append(&envelope->bytes, bytes, size, error);
	if (r)
		return r;
	*ret_envelope = TAKE(envelope);
	return 0;
}

int envelope_new(json_t *signed_part, struct envelope **ret_envelope, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = calloc(1, sizeof *envelope);
	int r;

	if (!json_is_object(signed_part))
		return error_set(error, ERROR_BUG, "envelope", "only an object can be signed");
	if (envelope)
		envelope->document = json_pack("{s:O, s:[]}", "signed", signed_part, "signatures");
	if (!envelope || !envelope->document)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an envelope");
	r = make_canonical(envelope, error);
	if (r)
		return r;
	*ret_envelope = TAKE(envelope);
	return 0;
}

void envelope_free(struct envelope **envelope)
{
	if (!*envelope)
		return;
	jsonio_free(&(*envelope)->document);
	buffer_free(&(*envelope)->bytes);
	buffer_free(&(*envelope)->canonical);
	free(*envelope);
	*envelope = NULL;
}

/* A signature that is no hexadecimal is one that does not verify: placeholders ("") are usual in roots that travel
 * from signer to signer. */
static bool signature_verifies(const struct envelope *envelope, const json_t *one, const struct key *key)
{
	const char *text = jsonio_string(one, "sig");
	uint8_t signature[KEY_SIGNATURE_MOST];
	size_t size = strlen(text) / 2;
	struct error ignored;

	if (size == 0 || size > sizeof signature || hash_from_hex(text, signature, size, &ignored))
		return false;
	return key_verify(key, envelope->canonical.data, envelope->canonical.size, signature, size);
}

/* The set's key with this id. Two keys of a set with one id cannot both be meant: the first stands. */
static const struct key *find_key(const struct key_set *set, const char *id)
{
	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(key_id(set->keys[i]), id))
			return set->keys[i];
	return NULL;
}

unsigned envelope_count(const struct envelope *envelope, const struct key_set *set)
{
	const json_t *signatures = signatures_of(envelope);
	const struct key *counted[ENVELOPE_SIGNATURES_MOST];
	unsigned count = 0;

	for (size_t i = 0; i < json_array_size(signatures) && count < ENVELOPE_SIGNATURES_MOST; i++) {
		const json_t *one = json_array_get(signatures, i);
		const struct key *key = find_key(set, jsonio_string(one, "keyid"));
		bool again = false;

		if (!key)
			continue;
		for (unsigned j = 0; j < count; j++)
			again = again || key_same(counted[j], key);
		if (!again && signature_verifies(envelope, one, key))
			counted[count++] = key;
	}
	return count;
}

int envelope_verify(const struct envelope *envelope, const struct key_set *set, const char *what, struct error *error)
{
	unsigned count;

	if (set->threshold == 0)
		return error_set(error, ERROR_DATA, "signature", "%s: a threshold of 0 authorises nothing", what);
	count = envelope_count(envelope, set);
	if (count < set->threshold)
		return error_set(error, ERROR_DATA, "signature", "%s: %u valid signatures of %u that are needed", what,
				 count, set->threshold);
	return 0;
}

bool envelope_signed_by(const struct envelope *envelope, const struct key *key)
{
	const json_t *signatures = signatures_of(envelope);

	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *one = json_array_get(signatures, i);

		if (!strcmp(jsonio_string(one, "keyid"), key_id(key)) && signature_verifies(envelope, one, key))
			return true;
	}
	return false;
}

const json_t *envelope_signed(const struct envelope *envelope)
{
	return json_object_get(envelope->document, "signed");
}

int envelope_sign(struct envelope *envelope, const struct key_secret *secret, struct error *error)
{
	const char *id = key_id(key_secret_public(secret));
	json_t *signatures = signatures_of(envelope);
	uint8_t signature[KEY_SIGNATURE_MOST];
	char hex[2 * KEY_SIGNATURE_MOST + 1];
	size_t size, at = 0;
	int r = key_secret_sign(secret, envelope->canonical.data, envelope->canonical.size, signature, &size, error);

	if (r)
		return r;
	hash_to_hex(signature, size, hex);
	while (at < json_array_size(signatures) &&
	       strcmp(jsonio_string(json_array_get(signatures, at), "keyid"), id) != 0)
		at++;
	if (at == ENVELOPE_SIGNATURES_MOST)
		return error_set(error, ERROR_DATA, "signature", "there is room for %d signatures only",
				 ENVELOPE_SIGNATURES_MOST);
	if (at == json_array_size(signatures))
		r = json_array_append_new(signatures, json_pack("{s:s, s:s}", "keyid", id, "sig", hex));
	else
		r = json_array_set_new(signatures, at, json_pack("{s:s, s:s}", "keyid", id, "sig", hex));
	if (r)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a signature");
	buffer_free(&envelope->bytes);
	return 0;
}

int envelope_write(const struct envelope *envelope, struct buffer *ret_bytes, struct error *error)
{
	if (envelope->bytes.size)
		return buffer_append(ret_bytes, envelope->bytes.data, envelope->bytes.size, error);
	return jsonio_write(envelope->document, false, ret_bytes, error);
}
