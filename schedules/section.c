#include "schedules/section.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/inifile.h"

bool section_name_is_safe(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t size = strspn(name, others);

	return size > 0 && size <= SECTION_NAME_MOST && name[size] == 0 && strchr(letters, name[0]);
}

/* Well-formed UTF-8 (RFC 3629): no continuation on its own, overlong form, C1 control, surrogate, nothing beyond
 * U+10FFFF. What stands in a section is shown to people and travels in JSON. */
static bool text_is_utf8(const uint8_t *text, size_t size)
{
	/* The first byte says how many follow and from where to where the second runs. */
	static const struct {
		uint8_t first, last, more, least, most;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 0},       {0xc2, 0xc2, 1, 0xa0, 0xbf}, {0xc3, 0xdf, 1, 0x80, 0xbf},
		{0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f},
		{0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf},
		{0xf4, 0xf4, 3, 0x80, 0x8f},
	};

	for (size_t at = 0; at < size;) {
		size_t i = 0;
		while (i < ARRAY_SIZE(forms) && (text[at] < forms[i].first || text[at] > forms[i].last))
			i++;
		if (i == ARRAY_SIZE(forms) || size - at <= forms[i].more)
			return false;
		at++;
		for (int k = 0; k < forms[i].more; k++, at++)
			if (text[at] < (k ? 0x80 : forms[i].least) || text[at] > (k ? 0xbf : forms[i].most))
				return false;
	}
	return true;
}

static int refuse_value(const struct section_kind *kind, const struct section_key *key, const char *value,
			const char *wanted, struct error *error)
{
	return error_set(error, ERROR_DATA, kind->word, "%s = %s: must be %s", key->name,
			 strlen(value) <= 60 ? value : "…", wanted);
}

static int put_text(const struct section_kind *kind, const struct section_key *key, const char *value, char *field,
		    struct error *error)
{
	if (strlen(value) > SECTION_TEXT_MOST || value[0] == ';')
		return error_set(error, ERROR_DATA, kind->word,
				 "%s must be at most %d bytes that do not begin with ';'", key->name,
				 SECTION_TEXT_MOST);
	memcpy(field, value, strlen(value) + 1);
	return 0;
}

static int put_seconds(const struct section_kind *kind, const struct section_key *key, const char *value,
		       int64_t *field, struct error *error)
{
	struct error ignored;
	int64_t seconds;
	char wanted[80];

	if (config_parse_seconds(value, &seconds, &ignored) < 0)
		return refuse_value(kind, key, value, "a time like 90s, 45m, 2h or 3d", error);
	if (seconds < key->least || seconds > key->most) {
		snprintf(wanted, sizeof wanted, "from %" PRId64 " to %" PRId64 " seconds", key->least, key->most);
		return refuse_value(kind, key, value, wanted, error);
	}
	*field = seconds;
	return 0;
}

static int put_number(const struct section_kind *kind, const struct section_key *key, const char *value, int *field,
		      struct error *error)
{
	const char *digits = value + (value[0] == '-');
	size_t size = strspn(digits, "0123456789");
	char wanted[80];

	snprintf(wanted, sizeof wanted, "a number from %" PRId64 " to %" PRId64, key->least, key->most);
	if (size == 0 || size > 6 || digits[size] != 0)
		return refuse_value(kind, key, value, wanted, error);
	int number = atoi(value);
	if (number < key->least || number > key->most)
		return refuse_value(kind, key, value, wanted, error);
	*field = number;
	return 0;
}

static int put_choice(const struct section_kind *kind, const struct section_key *key, const char *value, int *field,
		      struct error *error)
{
	char wanted[80] = "";

	for (int i = 0; key->choices[i]; i++) {
		if (strcmp(value, key->choices[i]) == 0) {
			*field = i;
			return 0;
		}
		size_t used = strlen(wanted);
		snprintf(wanted + used, sizeof wanted - used, "%s%s", i ? " or " : "", key->choices[i]);
	}
	return refuse_value(kind, key, value, wanted, error);
}

static int put(const struct section_kind *kind, const struct section_key *key, void *object, const char *value,
	       struct error *error)
{
	void *field = (char *)object + key->offset;

	switch (key->type) {
	case SECTION_TEXT:
		return put_text(kind, key, value, field, error);
	case SECTION_SECONDS:
		return put_seconds(kind, key, value, field, error);
	case SECTION_NUMBER:
		return put_number(kind, key, value, field, error);
	case SECTION_CHOICE:
		return put_choice(kind, key, value, field, error);
	}
	return error_set(error, ERROR_BUG, "bug", "key %s has no type", key->name);
}

struct reader {
	const struct section_kind *kind;
	struct section_list list;
};

/* "[window NAME]" → NAME, within `header`. */
static int header_name(const struct section_kind *kind, const char *header, const char **ret_name, struct error *error)
{
	size_t size = strlen(kind->word);

	if (strncmp(header, kind->word, size) != 0 || header[size] != ' ')
		return error_set(error, ERROR_DATA, kind->word, "section [%s] must be [%s NAME]", header, kind->word);
	if (!section_name_is_safe(header + size + 1))
		return error_set(error, ERROR_DATA, kind->word,
				 "section [%s]: a name is at most %d letters, digits, '.', '_' and '-'", header,
				 SECTION_NAME_MOST);
	*ret_name = header + size + 1;
	return 0;
}

static int begin(struct reader *reader, const char *name, unsigned line, struct error *error)
{
	const struct section_kind *kind = reader->kind;

	if (reader->list.count == kind->most)
		return error_set(error, ERROR_DATA, kind->word, "there are more than %zu sections", kind->most);
	if (!reader->list.objects)
		reader->list.objects = calloc(kind->most, sizeof *reader->list.objects);
	struct section *section = reader->list.objects ? calloc(1, kind->size) : NULL;
	if (!section)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %s %s", kind->word, name);
	reader->list.objects[reader->list.count++] = section;
	snprintf(section->name, sizeof section->name, "%s", name);
	section->line = line;
	for (size_t i = 0; i < kind->key_count; i++) {
		int status =
			kind->keys[i].fallback ? put(kind, &kind->keys[i], section, kind->keys[i].fallback, error) : 0;
		if (status < 0)
			return status;
	}
	return 0;
}

/* The section of a pair is the last one, or begins with it: the file's reader refuses a section that comes again. */
static int take_pair(void *context, const char *header, const char *key, const char *value, unsigned line,
		     struct error *error)
{
	struct reader *reader = context;
	const struct section_kind *kind = reader->kind;
	const char *name = NULL;
	int status = header_name(kind, header, &name, error);

	if (status < 0)
		return status;
	struct section *section = reader->list.count ? reader->list.objects[reader->list.count - 1] : NULL;
	if (!section || strcmp(section->name, name) != 0) {
		status = begin(reader, name, line, error);
		if (status < 0)
			return status;
		section = reader->list.objects[reader->list.count - 1];
	}
	if (!key)
		return 0;
	for (size_t i = 0; i < kind->key_count; i++) {
		if (strcmp(kind->keys[i].name, key) != 0)
			continue;
		section->given |= 1U << i;
		return put(kind, &kind->keys[i], section, value, error);
	}
	return error_set(error, ERROR_DATA, kind->word, "%s %s has no key \"%s\"", kind->word, name, key);
}

/* Required keys, then what the kind itself asks. */
static int complete(const struct section_kind *kind, struct section *section, struct error *error)
{
	for (size_t i = 0; i < kind->key_count; i++)
		if (!kind->keys[i].fallback && !(section->given & 1U << i))
			return error_set(error, ERROR_DATA, kind->word, "%s %s lacks the key \"%s\"", kind->word,
					 section->name, kind->keys[i].name);
	int status = kind->complete(section, error);
	return status < 0 ? error_prefix(error, "%s %s", kind->word, section->name) : 0;
}

int section_parse(const struct section_kind *kind, const char *text, size_t size, const char *name,
		  struct section_list *ret_list, struct error *error)
{
	struct reader reader = {.kind = kind};

	if (size <= INIFILE_SIZE_MOST && !text_is_utf8((const uint8_t *)text, size))
		return error_set(error, ERROR_DATA, kind->word, "%s is not text in UTF-8", name);
	/* An empty buffer has no bytes to point to. */
	int status = inifile_parse(size > 0 ? text : "", size, name, ERROR_DATA, take_pair, &reader, error);

	/* What is wrong with the lines themselves is wrong with the window too. */
	if (status < 0 && error->code == ERROR_DATA)
		snprintf(error->name, sizeof error->name, "%s", kind->word);
	for (size_t i = 0; status == 0 && i < reader.list.count; i++) {
		struct section *section = reader.list.objects[i];
		status = complete(kind, section, error);
		if (status < 0)
			error_prefix(error, "%s:%u", name, section->line);
	}
	if (status < 0)
		section_list_free(kind, &reader.list);
	else
		*ret_list = reader.list;
	return status;
}

void section_free(const struct section_kind *kind, void *object)
{
	if (object)
		kind->release(object);
	free(object);
}

void section_list_free(const struct section_kind *kind, struct section_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		section_free(kind, list->objects[i]);
	free(list->objects);
	*list = (struct section_list){0};
}

/* In the largest unit that says it exactly. */
static int write_seconds(int64_t seconds, struct buffer *ret_text, struct error *error)
{
	static const struct {
		int64_t seconds;
		const char *letter;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
	size_t i = 0;

	while (seconds % units[i].seconds != 0)
		i++;
	return buffer_printf(ret_text, error, "%" PRId64 "%s", seconds / units[i].seconds, units[i].letter);
}

static int write_value(const struct section_key *key, const void *field, struct buffer *ret_text, struct error *error)
{
	switch (key->type) {
	case SECTION_TEXT:
		return buffer_append_string(ret_text, field, error);
	case SECTION_SECONDS:
		return write_seconds(*(const int64_t *)field, ret_text, error);
	case SECTION_NUMBER:
		return buffer_printf(ret_text, error, "%d", *(const int *)field);
	case SECTION_CHOICE:
		return buffer_append_string(ret_text, key->choices[*(const int *)field], error);
	}
	return error_set(error, ERROR_BUG, "bug", "key %s has no type", key->name);
}

int section_write(const struct section_kind *kind, const void *object, struct buffer *ret_text, struct error *error)
{
	const struct section *section = object;
	int status = buffer_printf(ret_text, error, "[%s %s]\n", kind->word, section->name);

	for (size_t i = 0; status == 0 && i < kind->key_count; i++) {
		const struct section_key *key = &kind->keys[i];
		const char *field = (const char *)object + key->offset;
		if (key->type == SECTION_TEXT && field[0] == 0)
			continue;
		status = buffer_printf(ret_text, error, "%s = ", key->name);
		if (status == 0)
			status = write_value(key, field, ret_text, error);
		if (status == 0)
			status = buffer_append_string(ret_text, "\n", error);
	}
	return status;
}
