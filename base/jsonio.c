#include "base/jsonio.h"

#include <stdlib.h>
#include <string.h>

void jsonio_free(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

/* Bytes that a value, and a list or an object, take on the average in whatever we write; short documents may have more.
 * A value takes jansson up to 60 bytes, an object some hundreds: without this a document could be a bomb. */
#define VALUE_BYTES     8
#define CONTAINER_BYTES 32
#define ANYWAY          4096

/* What jansson would make of it, counted outside strings before it does: its own limit of depth is 2,048 and not ours
 * to set, and it has none of numbers. */
static int check_weight(const char *text, size_t size, const char *what, struct error *error)
{
	size_t values = 0, containers = 0;
	int depth = 0;
	bool inside = false;

	for (size_t i = 0; i < size; i++) {
		if (inside) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				inside = false;
		} else if (text[i] == '"') {
			inside = true;
		} else if (text[i] == '{' || text[i] == '[') {
			containers++;
			if (++depth > JSONIO_DEPTH)
				return error_set(error, ERROR_DATA, "format", "%s is nested more than %d deep", what,
						 JSONIO_DEPTH);
		} else if (text[i] == '}' || text[i] == ']') {
			depth--;
		} else if (text[i] == ',') {
			values++;
		}
	}
	if (values > ANYWAY + size / VALUE_BYTES || containers > ANYWAY + size / CONTAINER_BYTES)
		return error_set(error, ERROR_DATA, "format", "%s holds more values than its %zu bytes are good for",
				 what, size);
	return 0;
}

static bool has_real(const json_t *value)
{
	const char *key;
	json_t *member;
	size_t index;

	if (json_is_real(value))
		return true;
	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, member) if (has_real(member)) return true;
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, member) if (has_real(member)) return true;
	}
	return false;
}

int jsonio_parse(const void *bytes, size_t size, const char *what, json_t **ret_value, struct error *error)
{
	json_error_t why;

	if (size == 0)
		return error_set(error, ERROR_DATA, "format", "%s is empty", what);
	int status = check_weight(bytes, size, what, error);
	if (status < 0)
		return status;
	json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!value)
		return error_set(error, ERROR_DATA, "format", "%s is not JSON: %.120s", what, why.text);
	if (has_real(value)) {
		json_decref(value);
		return error_set(error, ERROR_DATA, "format", "%s holds a number that is not an integer", what);
	}
	*ret_value = value;
	return 0;
}

static const char *const type_words[] = {"a text", "an integer", "true or false", "an object", "a list"};

static int check_field(const json_t *value, const struct jsonio_field *field, const char *what, struct error *error)
{
	int64_t measure = 0;
	bool right = false;

	switch (field->type) {
	case JSONIO_STRING:
		right = json_is_string(value);
		measure = (int64_t)json_string_length(value);
		break;
	case JSONIO_INTEGER:
		right = json_is_integer(value);
		measure = json_integer_value(value);
		break;
	case JSONIO_BOOLEAN:
		right = json_is_boolean(value);
		break;
	case JSONIO_OBJECT:
		right = json_is_object(value);
		measure = (int64_t)json_object_size(value);
		break;
	case JSONIO_ARRAY:
		right = json_is_array(value);
		measure = (int64_t)json_array_size(value);
		break;
	}
	if (!right)
		return error_set(error, ERROR_DATA, "format", "%s: \"%s\" is not %s", what, field->name,
				 type_words[field->type]);
	if (measure > field->most || (measure < 0 && !field->signed_integer))
		return error_set(error, ERROR_DATA, "length", "%s: \"%s\" is out of bounds (%lld, at most %lld)", what,
				 field->name, (long long)measure, (long long)field->most);
	return 0;
}

static int check(const json_t *object, const struct jsonio_field *fields, bool open, const char *what,
		 struct error *error)
{
	size_t known = 0;

	if (!json_is_object(object))
		return error_set(error, ERROR_DATA, "format", "%s is not an object", what);
	for (const struct jsonio_field *field = fields; field->name; field++) {
		const json_t *value = json_object_get(object, field->name);
		if (!value && field->required)
			return error_set(error, ERROR_DATA, "format", "%s lacks \"%s\"", what, field->name);
		if (!value)
			continue;
		known++;
		int status = check_field(value, field, what, error);
		if (status < 0)
			return status;
	}
	if (open || known == json_object_size(object))
		return 0;
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value)
	{
		const struct jsonio_field *field = fields;
		while (field->name && strcmp(field->name, key) != 0)
			field++;
		if (!field->name)
			return error_set(error, ERROR_DATA, "format", "%s has an unknown field \"%.60s\"", what, key);
	}
	return 0;
}

int jsonio_check(const json_t *object, const struct jsonio_field *fields, const char *what, struct error *error)
{
	return check(object, fields, false, what, error);
}

int jsonio_check_open(const json_t *object, const struct jsonio_field *fields, const char *what, struct error *error)
{
	return check(object, fields, true, what, error);
}

const char *jsonio_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

int64_t jsonio_integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

bool jsonio_boolean(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

const json_t *jsonio_member(const json_t *object, const char *name)
{
	return json_object_get(object, name);
}

static int append_dumped(const char *bytes, size_t size, void *context)
{
	struct error ignored;

	return buffer_append(context, bytes, size, &ignored) < 0 ? -1 : 0;
}

int jsonio_write(const json_t *value, bool pretty, struct buffer *ret_text, struct error *error)
{
	size_t flags = JSON_SORT_KEYS | JSON_ENCODE_ANY | (pretty ? (size_t)JSON_INDENT(2) : (size_t)JSON_COMPACT);

	if (json_dump_callback(value, append_dumped, ret_text, flags) < 0)
		return error_set(error, ERROR_DATA, "length", "a JSON text is longer than %zu bytes", ret_text->limit);
	return pretty ? buffer_append(ret_text, "\n", 1, error) : 0;
}
