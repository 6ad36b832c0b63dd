#include <stdlib.h>
#include <string.h>

#include "base/jsonio.h"

/* Goes through the text as check_weight does: outside strings every bracket counts. What is no JSON otherwise is found
 * by the parser, which meets all of it: the lists' members one by one, and the rest with empty lists. */
struct scan {
	const char *text, *what;
	size_t size, at;
	struct buffer rest;
};

static int refuse(const struct scan *scan, const char *sentence, struct error *error)
{
	return error_set(error, ERROR_DATA, "format", "%s %s", scan->what, sentence);
}

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Behind the string that begins here, or at the end of the text when it has none. */
static void skip_string(struct scan *scan)
{
	size_t at = scan->at + 1;

	for (; at < scan->size && scan->text[at] != '"'; at++)
		if (scan->text[at] == '\\')
			at++;
	scan->at = at < scan->size ? at + 1 : scan->size;
}

/* Behind the value that begins here: at the comma or the closing bracket of what holds it. */
static void skip_value(struct scan *scan)
{
	size_t depth = 0;

	while (scan->at < scan->size) {
		char byte = scan->text[scan->at];
		if (byte == '"') {
			skip_string(scan);
			continue;
		}
		if (depth == 0 && (byte == ',' || byte == ']' || byte == '}'))
			return;
		depth += byte == '{' || byte == '[';
		depth -= byte == '}' || byte == ']';
		scan->at++;
	}
}

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->size && is_space(scan->text[scan->at]))
		scan->at++;
}

static int add_part(struct jsonio_list *list, size_t at, size_t size, struct error *error)
{
	if (list->count == list->most)
		return error_set(error, ERROR_DATA, "length", "\"%s\" has more than %zu members", list->name,
				 list->most);
	/* Room doubles at each power of two. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count == 0 ? 1 : 2 * list->count;
		struct jsonio_part *parts = reallocarray(list->parts, room, sizeof(*parts));
		if (parts == NULL)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a list");
		list->parts = parts;
	}
	list->parts[list->count++] = (struct jsonio_part){(uint32_t)at, (uint32_t)size};
	return 0;
}

/* From the opening bracket to behind the closing one. A member that is not there is an empty part, which no parser
 * takes. */
static int split(struct scan *scan, struct jsonio_list *list, struct error *error)
{
	scan->at++;
	skip_space(scan);
	if (scan->at < scan->size && scan->text[scan->at] == ']') {
		scan->at++;
		return 0;
	}
	for (;;) {
		size_t start = scan->at;
		skip_value(scan);
		if (scan->at >= scan->size || scan->text[scan->at] == '}')
			return refuse(scan, "has a list that does not end", error);
		int status = add_part(list, start, scan->at - start, error);
		if (status < 0)
			return status;
		if (scan->text[scan->at++] == ']')
			return 0;
	}
}

static struct jsonio_list *find_list(const struct scan *scan, size_t at, size_t size, struct jsonio_list *lists,
				     size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (size == strlen(lists[i].name) + 2 && memcmp(scan->text + at + 1, lists[i].name, size - 2) == 0)
			return &lists[i];
	return NULL;
}

/* One member of the outer object: copied to the rest, with a list's brackets alone. */
static int take_member(struct scan *scan, struct jsonio_list *lists, size_t count, bool *found, struct error *error)
{
	size_t start = scan->at;

	skip_space(scan);
	size_t key = scan->at;
	if (key >= scan->size || scan->text[key] != '"')
		return refuse(scan, "is not an object whose members have names", error);
	skip_string(scan);
	struct jsonio_list *list = find_list(scan, key, scan->at - key, lists, count);
	skip_space(scan);
	if (scan->at >= scan->size || scan->text[scan->at] != ':')
		return refuse(scan, "has a member without a value", error);
	scan->at++;
	skip_space(scan);
	if (list == NULL || scan->at >= scan->size || scan->text[scan->at] != '[') {
		skip_value(scan);
		return buffer_append(&scan->rest, scan->text + start, scan->at - start, error);
	}
	if (found[list - lists])
		return refuse(scan, "has a list twice", error);
	found[list - lists] = true;
	int status = buffer_append(&scan->rest, scan->text + start, scan->at - start, error);
	if (status == 0)
		status = buffer_append_string(&scan->rest, "[]", error);
	if (status == 0)
		status = split(scan, list, error);
	skip_space(scan);
	return status;
}

static int scan_object(struct scan *scan, struct jsonio_list *lists, size_t count, bool *found, struct error *error)
{
	skip_space(scan);
	if (scan->at >= scan->size || scan->text[scan->at] != '{')
		return refuse(scan, "is not an object", error);
	for (char end = 0; end != '}';) {
		/* The brace or the comma before the member. */
		int status = buffer_append(&scan->rest, scan->text + scan->at++, 1, error);
		if (status == 0)
			status = take_member(scan, lists, count, found, error);
		if (status < 0)
			return status;
		end = scan->at < scan->size ? scan->text[scan->at] : 0;
		if (end != ',' && end != '}')
			return refuse(scan, "does not end as an object does", error);
	}
	return buffer_append(&scan->rest, scan->text + scan->at, scan->size - scan->at, error);
}

#define LISTS_MOST 8

int jsonio_parse_lists(const void *bytes, size_t size, const char *what, struct jsonio_list *lists, size_t list_count,
		       json_t **ret_rest, struct error *error)
{
	struct scan scan = {.text = bytes, .what = what, .size = size, .rest = BUFFER_INIT(0)};
	bool found[LISTS_MOST] = {false};

	if (size >= UINT32_MAX || list_count > LISTS_MOST)
		return error_set(error, ERROR_DATA, "length", "%s is too long", what);
	for (size_t i = 0; i < list_count; i++) {
		lists[i].parts = NULL;
		lists[i].count = 0;
	}
	int status = scan_object(&scan, lists, list_count, found, error);
	for (size_t i = 0; status == 0 && i < list_count; i++)
		if (!found[i])
			status =
				error_set(error, ERROR_DATA, "format", "%s lacks the list \"%s\"", what, lists[i].name);
	if (status == 0)
		status = jsonio_parse(scan.rest.data, scan.rest.size, what, ret_rest, error);
	buffer_free(&scan.rest);
	for (size_t i = 0; status < 0 && i < list_count; i++) {
		free(lists[i].parts);
		lists[i].parts = NULL;
		lists[i].count = 0;
	}
	return status;
}
