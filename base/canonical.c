/* OLPC canonical JSON (http://wiki.laptop.org/go/Canonical_JSON), as TUF §4.2 signs it: keys sorted by bytes, no white
 * space, only '"' and '\' escaped, control characters raw, integers only. jansson's own dump escapes newlines. */
#include "base/jsonio.h"

#include <stdlib.h>
#include <string.h>

static int write_string(const char *text, size_t size, struct buffer *output, struct error *error)
{
	int status = buffer_append(output, "\"", 1, error);

	for (size_t i = 0; status == 0 && i < size;) {
		size_t plain = 0;
		while (i + plain < size && text[i + plain] != '"' && text[i + plain] != '\\')
			plain++;
		status = buffer_append(output, text + i, plain, error);
		i += plain;
		if (status == 0 && i < size) {
			const char escaped[2] = {'\\', text[i++]};
			status = buffer_append(output, escaped, sizeof escaped, error);
		}
	}
	return status < 0 ? status : buffer_append(output, "\"", 1, error);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_object(const json_t *object, struct buffer *output, struct error *error)
{
	size_t count = json_object_size(object), index = 0;
	CLEANUP(free_pointer) const char **keys = calloc(count + 1, sizeof *keys);
	const char *key;
	json_t *value;

	if (!keys)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu keys", count);
	json_object_foreach((json_t *)object, key, value) keys[index++] = key;
	qsort(keys, count, sizeof *keys, compare_keys);
	int status = buffer_append(output, "{", 1, error);
	for (index = 0; status == 0 && index < count; index++) {
		if (index)
			status = buffer_append(output, ",", 1, error);
		if (status == 0)
			status = write_string(keys[index], strlen(keys[index]), output, error);
		if (status == 0)
			status = buffer_append(output, ":", 1, error);
		if (status == 0)
			status = jsonio_write_canonical(json_object_get(object, keys[index]), output, error);
	}
	return status < 0 ? status : buffer_append(output, "}", 1, error);
}

static int write_array(const json_t *array, struct buffer *output, struct error *error)
{
	size_t index;
	json_t *value;
	int status = buffer_append(output, "[", 1, error);

	json_array_foreach(array, index, value)
	{
		if (status == 0 && index)
			status = buffer_append(output, ",", 1, error);
		if (status == 0)
			status = jsonio_write_canonical(value, output, error);
	}
	return status < 0 ? status : buffer_append(output, "]", 1, error);
}

int jsonio_write_canonical(const json_t *value, struct buffer *ret_text, struct error *error)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(value, ret_text, error);
	case JSON_ARRAY:
		return write_array(value, ret_text, error);
	case JSON_STRING:
		return write_string(json_string_value(value), json_string_length(value), ret_text, error);
	case JSON_INTEGER:
		return buffer_printf(ret_text, error, "%lld", (long long)json_integer_value(value));
	case JSON_TRUE:
		return buffer_append_string(ret_text, "true", error);
	case JSON_FALSE:
		return buffer_append_string(ret_text, "false", error);
	case JSON_NULL:
		return buffer_append_string(ret_text, "null", error);
	case JSON_REAL:
		break;
	}
	return error_set(error, ERROR_DATA, "format", "canonical JSON has integers only");
}
