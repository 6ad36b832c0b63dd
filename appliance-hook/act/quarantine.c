#include "appliance-hook/act/quarantine.h"

#include <string.h>

#include "appliance-hook/act/point.h"
#include "base/clock.h"
#include "base/file.h"

#define QUARANTINE_FILE  "quarantine.json"
#define QUARANTINE_BYTES (1024 * 1024)

static const struct jsonio_field document_fields[] = {
	{"quarantine", JSONIO_ARRAY, true, QUARANTINE_MOST, false},
	{.name = NULL},
};
static const struct jsonio_field entry_fields[] = {
	{"sha256", JSONIO_STRING, true, 2 * HASH_SIZE, false},
	{"version", JSONIO_STRING, true, MANIFEST_NAME_MOST, false},
	{"reason", JSONIO_STRING, true, 512, false},
	{"time", JSONIO_INTEGER, true, INT64_MAX, false},
	{.name = NULL},
};

int quarantine_list(const struct layout *layout, json_t **ret_list, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(QUARANTINE_BYTES);
	CLEANUP(jsonio_free) json_t *document = NULL;
	int status = file_read_at(layout->state, QUARANTINE_FILE, &text, error);

	if (status < 0 && strcmp(error->name, "missing") == 0) {
		json_t *none = json_array();
		if (!none)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the quarantine");
		*ret_list = none;
		return 0;
	}
	if (status == 0)
		status = jsonio_parse(text.data, text.size, QUARANTINE_FILE, &document, error);
	if (status == 0)
		status = jsonio_check(document, document_fields, QUARANTINE_FILE, error);
	const json_t *list = status == 0 ? jsonio_member(document, "quarantine") : NULL;
	for (size_t i = 0; status == 0 && i < json_array_size(list); i++)
		status = jsonio_check(json_array_get(list, i), entry_fields, QUARANTINE_FILE, error);
	if (status < 0)
		return status;
	*ret_list = json_incref(json_object_get(document, "quarantine"));
	return 0;
}

/* The entry that carries this hash or version; the list's size when none does. */
static size_t find(const json_t *list, const char *what)
{
	size_t i = 0;

	for (; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);
		if (strcmp(jsonio_string(entry, "sha256"), what) == 0 ||
		    strcmp(jsonio_string(entry, "version"), what) == 0)
			break;
	}
	return i;
}

static int write_list(const struct layout *layout, json_t *list, struct error *error)
{
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:O}", "quarantine", list);
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(QUARANTINE_BYTES);

	if (!document)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the quarantine");
	int status = jsonio_write(document, true, &text, error);
	if (status == 0)
		status = point_pass("act.quarantine.write", error);
	return status < 0 ? status : file_replace_at(layout->state, QUARANTINE_FILE, text.data, text.size, 0644, error);
}

int quarantine_has(const struct layout *layout, const char *sha256, bool *ret_has, struct error *error)
{
	CLEANUP(jsonio_free) json_t *list = NULL;
	int status = quarantine_list(layout, &list, error);

	if (status == 0)
		*ret_has = find(list, sha256) < json_array_size(list);
	return status;
}

int quarantine_add(const struct layout *layout, const char *sha256, const char *version, const char *reason,
		   struct error *error)
{
	CLEANUP(jsonio_free) json_t *list = NULL;
	int status = quarantine_list(layout, &list, error);

	if (status < 0)
		return status;
	size_t at = find(list, sha256);
	if (at == json_array_size(list) && at == QUARANTINE_MOST)
		at = 0;
	if (at < json_array_size(list) && json_array_remove(list, at) < 0)
		return error_set(error, ERROR_BUG, "quarantine", "an entry cannot be replaced");
	if (json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:I}", "sha256", sha256, "version", version, "reason",
						  reason, "time", (json_int_t)clock_now())) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the quarantine");
	return write_list(layout, list, error);
}

int quarantine_remove(const struct layout *layout, const char *what, struct error *error)
{
	CLEANUP(jsonio_free) json_t *list = NULL;
	CLEANUP(file_close) int lock = -1;
	int status = layout_lock(layout, 2000, &lock, error);

	if (status == 0)
		status = quarantine_list(layout, &list, error);
	if (status < 0)
		return status;
	size_t before = json_array_size(list);
	for (size_t at = find(list, what); at < json_array_size(list); at = find(list, what))
		if (json_array_remove(list, at) < 0)
			return error_set(error, ERROR_BUG, "quarantine", "an entry cannot be removed");
	if (json_array_size(list) == before)
		return error_set(error, ERROR_DATA, "missing",
				 "%.80s is not in quarantine; \"appliance-hook quarantine list\" shows what is", what);
	return write_list(layout, list, error);
}
