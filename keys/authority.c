#include <stdlib.h>
#include <string.h>

#include "keys/authority.h"

#define AUTHORITY_KEYS_MOST 32

static const struct jsonio_field authority_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"order", JSONIO_OBJECT, true, 2},
	{"entitlement", JSONIO_OBJECT, true, 2},
	{NULL},
};

static const struct jsonio_field set_fields[] = {
	{"keys", JSONIO_ARRAY, true, AUTHORITY_KEYS_MOST},
	{"threshold", JSONIO_INTEGER, true, AUTHORITY_KEYS_MOST},
	{NULL},
};

/* Key ids are computed here, so one key cannot appear under two. */
static int read_set(const json_t *object, const char *what, struct key_set *ret_set, struct error *error)
{
	CLEANUP(key_set_free) struct key_set set = {0};
	const json_t *keys;
	int r = jsonio_check(object, set_fields, what, error);

	if (r)
		return r;
	keys = jsonio_member(object, "keys");
	set.threshold = (unsigned)jsonio_integer(object, "threshold");
	if (set.threshold < 1 || set.threshold > json_array_size(keys))
		return error_set(error, ERROR_DATA, "format", "%s: a threshold of %u with %zu keys", what,
				 set.threshold, json_array_size(keys));
	set.keys = calloc(json_array_size(keys), sizeof(struct key *));
	if (!set.keys)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory for its keys", what);
	for (size_t i = 0; i < json_array_size(keys); i++) {
		r = key_parse(json_array_get(keys, i), NULL, &set.keys[i], error);
		if (r)
			return error_prefix(error, "%s", what);
		set.count++;
		for (size_t j = 0; j < i; j++)
			if (!strcmp(key_id(set.keys[j]), key_id(set.keys[i])) || key_same(set.keys[j], set.keys[i]))
				return error_set(error, ERROR_DATA, "format", "%s: the same key stands there twice",
						 what);
	}
	*ret_set = set;
	set = (struct key_set){0};
	return 0;
}

int authority_parse(const void *bytes, size_t size, struct authority *ret_authority, struct error *error)
{
	CLEANUP(authority_free) struct authority authority = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	int r;

	if (size > AUTHORITY_MOST)
		return error_set(error, ERROR_DATA, "length", AUTHORITY_TARGET " is longer than %d bytes",
				 AUTHORITY_MOST);
	r = jsonio_parse(bytes, size, AUTHORITY_TARGET, &object, error);
	if (!r)
		r = jsonio_check(object, authority_fields, AUTHORITY_TARGET, error);
	if (r)
		return r;
	if (strcmp(jsonio_string(object, "_type"), "authority") != 0)
		return error_set(error, ERROR_DATA, "format", AUTHORITY_TARGET ": its _type is %s",
				 jsonio_string(object, "_type"));
	r = read_set(jsonio_member(object, "order"), AUTHORITY_TARGET ": order", &authority.order, error);
	if (!r)
		r = read_set(jsonio_member(object, "entitlement"), AUTHORITY_TARGET ": entitlement",
			     &authority.entitlement, error);
	if (r)
		return r;
	*ret_authority = authority;
	authority = (struct authority){0};
	return 0;
}

static json_t *set_object(const struct key_set *set)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < set->count; i++)
		if (json_array_append(keys, (json_t *)key_object(set->keys[i]))) {
			json_decref(keys);
			return NULL;
		}
	return json_pack("{s:o, s:I}", "keys", keys, "threshold", (json_int_t)set->threshold);
}

int authority_write(const struct authority *authority, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	json_t *order = set_object(&authority->order), *entitlement = set_object(&authority->entitlement);

	if (order && entitlement)
		object = json_pack("{s:s, s:O, s:O}", "_type", "authority", "order", order, "entitlement", entitlement);
	jsonio_free(&order);
	jsonio_free(&entitlement);
	if (!object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for " AUTHORITY_TARGET);
	return jsonio_write(object, false, ret_bytes, error);
}

void authority_free(struct authority *authority)
{
	key_set_free(&authority->order);
	key_set_free(&authority->entitlement);
}
