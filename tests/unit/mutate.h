/* Every single-field change of a JSON document: each member dropped, changed, of another type, doubled, one added; each
 * element dropped, repeated, swapped with the one before; and single bits of the text. The caller is told of each and
 * decides what must become of it. */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/jsonio.h"

struct mutate {
	void (*try)(void *context, const char *what, const struct buffer *bytes);
	void *context;
};

#define mutate_ok(call)                                                                                                \
	do {                                                                                                           \
		if ((call) != 0)                                                                                       \
			fail_msg("%s: %s (%s)", #call, error.text, error.name);                                        \
	} while (0)

static void mutate_try(const struct mutate *mutate, const char *what, const json_t *whole)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	mutate_ok(jsonio_write(whole, false, &bytes, &error));
	mutate->try(mutate->context, what, &bytes);
}

/* The last character of a text changed, a number one higher, a truth turned. */
static json_t *mutate_another(const json_t *value)
{
	if (json_is_string(value)) {
		char text[20000];

		snprintf(text, sizeof text, "%s", json_string_value(value));
		if (*text)
			text[strlen(text) - 1] = text[strlen(text) - 1] == '0' ? '1' : '0';
		else
			strcpy(text, "0");
		return json_string(text);
	}
	if (json_is_integer(value))
		return json_integer(json_integer_value(value) + 1);
	if (json_is_boolean(value))
		return json_boolean(!json_is_true(value));
	return json_is_object(value) ? json_array() : json_object();
}

/* The member's text stands twice: a doubled key must be refused, not the last one taken. */
static void mutate_doubled(const struct mutate *mutate, const json_t *whole, json_t *object, const char *key)
{
	static const char mark[] = "\"@MARK@\"";
	CLEANUP(buffer_free) struct buffer bytes = {0}, doubled = {0};
	CLEANUP(jsonio_free) json_t *key_text = json_string(key);
	struct error error = {0};
	json_t *value = json_incref(json_object_get(object, key));
	char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT),
	     *quoted = json_dumps(key_text, JSON_ENCODE_ANY);
	char *at;

	json_object_set_new(object, key, json_string("@MARK@"));
	mutate_ok(jsonio_write(whole, false, &bytes, &error));
	json_object_set_new(object, key, value);
	at = strstr((char *)bytes.data, mark);
	mutate_ok(buffer_printf(&doubled, &error, "%.*s%s,%s:%s%s", (int)(at - (char *)bytes.data), (char *)bytes.data,
				dumped, quoted, dumped, at + strlen(mark)));
	free(dumped);
	free(quoted);
	mutate->try(mutate->context, "doubled", &doubled);
}

static void mutate_part(const struct mutate *mutate, json_t *whole, json_t *part);

static void mutate_object(const struct mutate *mutate, json_t *whole, json_t *part)
{
	CLEANUP(jsonio_free) json_t *kept = json_copy(part);
	const char *key;
	json_t *value;

	json_object_foreach(kept, key, value)
	{
		json_object_del(part, key);
		mutate_try(mutate, "dropped", whole);
		json_object_set_new(part, key, mutate_another(value));
		mutate_try(mutate, "changed", whole);
		json_object_set_new(part, key, json_null());
		mutate_try(mutate, "null", whole);
		json_object_set(part, key, value);
		mutate_doubled(mutate, whole, part, key);
		mutate_part(mutate, whole, value);
	}
	json_object_set_new(part, "added", json_integer(1));
	mutate_try(mutate, "added", whole);
	json_object_del(part, "added");
}

static void mutate_array(const struct mutate *mutate, json_t *whole, json_t *part)
{
	for (size_t i = 0; i < json_array_size(part); i++) {
		json_t *value = json_incref(json_array_get(part, i));

		json_array_remove(part, i);
		mutate_try(mutate, "dropped", whole);
		json_array_insert(part, i, value);
		json_array_append(part, value);
		mutate_try(mutate, "repeated", whole);
		json_array_remove(part, json_array_size(part) - 1);
		if (i) {
			json_array_remove(part, i);
			json_array_insert(part, i - 1, value);
			mutate_try(mutate, "swapped", whole);
			json_array_remove(part, i - 1);
			json_array_insert(part, i, value);
		}
		mutate_part(mutate, whole, value);
		json_decref(value);
	}
}

/* `part` lies within `whole`, and is put back after each change. */
static void mutate_part(const struct mutate *mutate, json_t *whole, json_t *part)
{
	if (json_is_object(part))
		mutate_object(mutate, whole, part);
	else if (json_is_array(part))
		mutate_array(mutate, whole, part);
}

/* One bit of every `step`th byte. */
static void mutate_bits(const struct mutate *mutate, const struct buffer *text, size_t step)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	mutate_ok(buffer_append(&bytes, text->data, text->size, &error));
	for (size_t i = 0; i < bytes.size; i += step) {
		bytes.data[i] ^= 1;
		mutate->try(mutate->context, "flipped", &bytes);
		bytes.data[i] ^= 1;
	}
}

/* A signed file all of whose signatures are needed: what is signed, and each signature. */
UNUSED static void mutate_envelope(const struct mutate *mutate, const struct buffer *text, size_t bit_step)
{
	CLEANUP(jsonio_free) json_t *whole = NULL;
	struct error error = {0};
	json_t *signatures;

	mutate_ok(jsonio_parse(text->data, text->size, "document", &whole, &error));
	mutate_part(mutate, whole, json_object_get(whole, "signed"));
	signatures = json_object_get(whole, "signatures");
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		json_t *signature = json_incref(json_array_get(signatures, i));

		for (int j = 0; j < 2; j++) {
			const char *key = (const char *[]){"keyid", "sig"}[j];
			json_t *value = json_incref(json_object_get(signature, key));

			json_object_del(signature, key);
			mutate_try(mutate, "dropped", whole);
			json_object_set_new(signature, key, mutate_another(value));
			mutate_try(mutate, "changed", whole);
			json_object_set_new(signature, key, value);
			mutate_doubled(mutate, whole, signature, key);
		}
		json_array_append(signatures, signature);
		mutate_try(mutate, "repeated", whole);
		json_array_remove(signatures, json_array_size(signatures) - 1);
		json_array_remove(signatures, i);
		mutate_try(mutate, "dropped", whole);
		json_array_insert(signatures, i, signature);
		json_decref(signature);
	}
	for (int j = 0; j < 2; j++) {
		const char *key = (const char *[]){"signed", "signatures"}[j];
		json_t *value = json_incref(json_object_get(whole, key));

		json_object_del(whole, key);
		mutate_try(mutate, "dropped", whole);
		json_object_set_new(whole, key, mutate_another(value));
		mutate_try(mutate, "changed", whole);
		json_object_set_new(whole, key, value);
		mutate_doubled(mutate, whole, whole, key);
	}
	if (bit_step)
		mutate_bits(mutate, text, bit_step);
}

#endif
