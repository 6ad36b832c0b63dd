#include <string.h>

#include "keys/receipt.h"

static const struct jsonio_field receipt_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"upgrade", JSONIO_STRING, true, 64},
	{"appliance", JSONIO_STRING, true, KEY_ID_MOST - 1},
	{"product", JSONIO_STRING, true, 63},
	{"from", JSONIO_STRING, true, 63},
	{"to", JSONIO_STRING, true, 63},
	{"outcome", JSONIO_STRING, true, 32},
	{"reason", JSONIO_STRING, false, 1024},
	{"confirmed", JSONIO_BOOLEAN, false},
	{"started", JSONIO_INTEGER, true, INT64_MAX},
	{"ended", JSONIO_INTEGER, true, INT64_MAX},
	{"steps", JSONIO_ARRAY, true, RECEIPT_STEPS_MOST},
	{"generation", JSONIO_INTEGER, false, INT64_MAX},
	{"audit_head", JSONIO_STRING, false, 2 * HASH_SIZE},
	{NULL},
};

static const struct jsonio_field step_fields[] = {
	{"name", JSONIO_STRING, true, 64},
	{"ms", JSONIO_INTEGER, true, INT64_MAX},
	{"result", JSONIO_STRING, true, 256},
	{NULL},
};

static const char *const outcomes[] = {"committed", "rolled-back", "inconsistent"};

static int check_shape(const json_t *document, const char *appliance, struct error *error)
{
	const char *outcome;
	const json_t *steps;
	bool known = false;
	int r = jsonio_check(document, receipt_fields, "receipt", error);

	if (r)
		return r;
	if (strcmp(jsonio_string(document, "_type"), "receipt") != 0)
		return error_set(error, ERROR_DATA, "format", "a signed %s stands where a receipt is needed",
				 jsonio_string(document, "_type"));
	if (strcmp(jsonio_string(document, "appliance"), appliance) != 0)
		return error_set(error, ERROR_DATA, "appliance",
				 "the receipt of upgrade %s names another appliance than its signer",
				 jsonio_string(document, "upgrade"));
	outcome = jsonio_string(document, "outcome");
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		known = known || !strcmp(outcome, outcomes[i]);
	if (!known)
		return error_set(error, ERROR_DATA, "format", "receipt: %s is no outcome", outcome);
	steps = jsonio_member(document, "steps");
	for (size_t i = 0; i < json_array_size(steps); i++) {
		r = jsonio_check(json_array_get(steps, i), step_fields, "receipt: step", error);
		if (r)
			return r;
	}
	return 0;
}

int receipt_sign(json_t *document, const struct key_secret *appliance, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	int r;

	if (json_object_set_new(document, "_type", json_string("receipt")))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a receipt");
	r = check_shape(document, key_id(key_secret_public(appliance)), error);
	if (!r)
		r = envelope_new(document, &envelope, error);
	if (!r)
		r = envelope_sign(envelope, appliance, error);
	return r ? r : envelope_write(envelope, ret_bytes, error);
}

int receipt_parse(const void *bytes, size_t size, const struct key *appliance, json_t **ret_document,
		  struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	int r;

	if (size > RECEIPT_MOST)
		return error_set(error, ERROR_DATA, "length", "receipt: longer than %d bytes", RECEIPT_MOST);
	r = envelope_parse(bytes, size, "receipt", &envelope, error);
	if (r)
		return r;
	if (!envelope_signed_by(envelope, appliance))
		return error_set(error, ERROR_DATA, "signature", "receipt: not signed by this appliance's key");
	r = check_shape(envelope_signed(envelope), key_id(appliance), error);
	if (r)
		return r;
	*ret_document = json_incref((json_t *)envelope_signed(envelope));
	return 0;
}
