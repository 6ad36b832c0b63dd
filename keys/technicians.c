#include "keys/technicians.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonio.h"
#include "keys/sshkey.h"

static const struct jsonio_field file_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"technicians", JSONIO_ARRAY, true, TECHNICIANS_MOST},
	{NULL},
};

static const struct jsonio_field entry_fields[] = {
	{"name", JSONIO_STRING, true, TECHNICIAN_NAME_MOST},
	{"key", JSONIO_STRING, true, SSHKEY_LINE_MOST - 1},
	{NULL},
};

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* As the support centre names its people. */
static bool name_is_sound(const char *name)
{
	if (!is_alphanumeric(name[0]) || strlen(name) > TECHNICIAN_NAME_MOST)
		return false;
	for (const char *c = name; *c; c++)
		if (!is_alphanumeric(*c) && !strchr("._-", *c))
			return false;
	return true;
}

/* Nothing may stand behind the line: what follows would be another key to sshd. */
static bool line_is_one(const char *line)
{
	for (const char *c = line; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || (unsigned char)*c == 0x7f)
			return false;
	return strlen(line) < SSHKEY_LINE_MOST;
}

int technicians_add(struct technicians *technicians, const char *name, const char *line, struct error *error)
{
	struct technician one = {0}, *list;
	int r;

	if (!name_is_sound(name))
		return error_set(
			error, ERROR_DATA, "format",
			"technician \"%.80s\" must be letters, digits, dots, dashes and underscores, at most %d", name,
			TECHNICIAN_NAME_MOST);
	if (!line_is_one(line))
		return error_set(error, ERROR_DATA, "format",
				 "technician %s: the key is not one line of %d bytes at most", name,
				 SSHKEY_LINE_MOST - 1);
	r = sshkey_public_read(line, one.key, error);
	if (r)
		return error_prefix(error, "technician %s", name);
	for (size_t i = 0; i < technicians->count; i++) {
		const struct technician *other = &technicians->list[i];
		if (!strcmp(other->name, name))
			return error_set(error, ERROR_DATA, "exists", "technician %s is listed already", name);
		if (!memcmp(other->key, one.key, sizeof one.key))
			return error_set(error, ERROR_DATA, "exists", "technician %s has the key of %s", name,
					 other->name);
	}
	if (technicians->count == TECHNICIANS_MOST)
		return error_set(error, ERROR_DATA, "length", "more than %d technicians", TECHNICIANS_MOST);
	list = reallocarray(technicians->list, technicians->count + 1, sizeof *list);
	if (!list)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the technicians");
	memcpy(one.name, name, strlen(name));
	technicians->list = list;
	list[technicians->count++] = one;
	return 0;
}

bool technicians_remove(struct technicians *technicians, const char *name)
{
	for (size_t i = 0; i < technicians->count; i++)
		if (!strcmp(technicians->list[i].name, name)) {
			technicians->count--;
			memmove(&technicians->list[i], &technicians->list[i + 1],
				(technicians->count - i) * sizeof *technicians->list);
			return true;
		}
	return false;
}

const struct technician *technicians_find(const struct technicians *technicians, const char *name)
{
	for (size_t i = 0; i < technicians->count; i++)
		if (!strcmp(technicians->list[i].name, name))
			return &technicians->list[i];
	return NULL;
}

int technicians_parse(const void *bytes, size_t size, struct technicians *ret_technicians, struct error *error)
{
	CLEANUP(technicians_free) struct technicians technicians = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	const json_t *list;
	int r;

	if (size > TECHNICIANS_SIZE_MOST)
		return error_set(error, ERROR_DATA, "length", TECHNICIANS_TARGET " is longer than %d bytes",
				 TECHNICIANS_SIZE_MOST);
	r = jsonio_parse(bytes, size, TECHNICIANS_TARGET, &object, error);
	if (!r)
		r = jsonio_check(object, file_fields, TECHNICIANS_TARGET, error);
	if (r)
		return r;
	if (strcmp(jsonio_string(object, "_type"), "technicians") != 0)
		return error_set(error, ERROR_DATA, "format", TECHNICIANS_TARGET ": its _type is %s",
				 jsonio_string(object, "_type"));
	list = jsonio_member(object, "technicians");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);
		r = jsonio_check(entry, entry_fields, TECHNICIANS_TARGET ": an entry", error);
		if (!r)
			r = technicians_add(&technicians, jsonio_string(entry, "name"), jsonio_string(entry, "key"),
					    error);
		if (r)
			return r;
	}
	*ret_technicians = technicians;
	technicians = (struct technicians){0};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct technician *const *)a)->name, (*(const struct technician *const *)b)->name);
}

static int entry_of(const struct technician *technician, json_t *list, struct error *error)
{
	char line[SSHKEY_LINE_MOST];
	int r = sshkey_public_line(technician->key, "", line, error);

	if (!r && json_array_append_new(list, json_pack("{s:s, s:s}", "name", technician->name, "key", line)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for " TECHNICIANS_TARGET);
	return r;
}

int technicians_write(const struct technicians *technicians, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(free_pointer)
	const struct technician **sorted = calloc(technicians->count + 1, sizeof(struct technician *));
	CLEANUP(jsonio_free) json_t *object = json_pack("{s:s, s:[]}", "_type", "technicians", "technicians");
	int r = 0;

	if (!sorted || !object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for " TECHNICIANS_TARGET);
	for (size_t i = 0; i < technicians->count; i++)
		sorted[i] = &technicians->list[i];
	qsort(sorted, technicians->count, sizeof *sorted, by_name);
	for (size_t i = 0; !r && i < technicians->count; i++)
		r = entry_of(sorted[i], json_object_get(object, "technicians"), error);
	return r ? r : jsonio_write(object, false, ret_bytes, error);
}

void technicians_free(struct technicians *technicians)
{
	free(technicians->list);
	*technicians = (struct technicians){0};
}
