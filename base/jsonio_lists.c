#include <stdlib.h>
#include <string.h>

#include "base/jsonio.h"

/* The window over the text: what is read at a time, and the longest member that is taken. */
#define WINDOW      ((size_t)64 * 1024)
#define MEMBER_MOST ((size_t)1024 * 1024)
#define LISTS_MOST  8
#define AT_END      (-1)

/* Goes through the text as check_weight does: outside strings every bracket counts. What is no JSON otherwise is found
 * by the parser, which meets all of it: the lists' members one by one, and the rest with empty lists. */
struct scan {
	const struct jsonio_source *source;
	const char *what;
	const struct jsonio_list *lists;
	size_t list_count;
	void *context; /* of the lists */
	char *window;
	size_t room, end; /* of the window: bytes that fit, bytes that are there */
	size_t at;        /* the next byte */
	size_t kept;      /* what is being looked at begins here: it stays in the window */
	bool ended;
	bool found[LISTS_MOST];
	struct buffer rest;
	int status; /* of the source, with `why` */
	struct error why;
};

static int refuse(const struct scan *scan, const char *sentence, struct error *error)
{
	if (scan->status < 0) {
		*error = scan->why;
		return scan->status;
	}
	return error_set(error, ERROR_DATA, "format", "%s %s", scan->what, sentence);
}

/* Room behind what is kept. */
static int make_room(struct scan *scan, struct error *error)
{
	memmove(scan->window, scan->window + scan->kept, scan->end - scan->kept);
	scan->end -= scan->kept;
	scan->at -= scan->kept;
	scan->kept = 0;
	if (scan->end < scan->room)
		return 0;
	if (scan->room >= MEMBER_MOST)
		return error_set(error, ERROR_DATA, "length", "%s has a member of more than %zu bytes", scan->what,
				 MEMBER_MOST);
	char *larger = realloc(scan->window, 2 * scan->room);
	if (larger == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", scan->what);
	scan->window = larger;
	scan->room *= 2;
	return 0;
}

static void fill(struct scan *scan)
{
	size_t got = 0;

	scan->status = make_room(scan, &scan->why);
	if (scan->status == 0)
		scan->status = scan->source->read(scan->source->context, scan->window + scan->end,
						  scan->room - scan->end, &got, &scan->why);
	if (scan->status == 0)
		scan->end += got;
	scan->ended = scan->status < 0 || got == 0;
}

/* The next byte. Whatever fails is the end of the text, and told by `refuse`. */
static inline int peek(struct scan *scan)
{
	if (scan->at == scan->end && !scan->ended)
		fill(scan);
	return scan->at < scan->end ? (unsigned char)scan->window[scan->at] : AT_END;
}

static void skip_space(struct scan *scan)
{
	for (int byte = peek(scan); byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; byte = peek(scan))
		scan->at++;
}

/* To the quote or the backslash that comes next in the window, or to the window's end. */
static void skip_plain(struct scan *scan)
{
	const char *window = scan->window;
	size_t at = scan->at;

	while (at < scan->end && window[at] != '"' && window[at] != '\\')
		at++;
	scan->at = at;
}

/* Behind the string that begins here, or at the end of the text when it has none. */
static void skip_string(struct scan *scan)
{
	scan->at++;
	for (int byte = 0; byte != '"';) {
		skip_plain(scan);
		byte = peek(scan);
		if (byte == AT_END)
			return;
		scan->at++;
		if (byte == '\\' && peek(scan) != AT_END)
			scan->at++;
	}
}

/* Behind the value that begins here: at the comma or the closing bracket of what holds it. */
static void skip_value(struct scan *scan)
{
	size_t depth = 0;

	for (int byte = peek(scan); byte != AT_END; byte = peek(scan)) {
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

static int keep_for_rest(struct scan *scan, struct error *error)
{
	int status = buffer_append(&scan->rest, scan->window + scan->kept, scan->at - scan->kept, error);

	scan->kept = scan->at;
	return status < 0 ? error_prefix(error, "%s", scan->what) : 0;
}

/* From the opening bracket to behind the closing one. A member that is not there is an empty text, which nobody takes.
 */
static int take_list(struct scan *scan, const struct jsonio_list *list, struct error *error)
{
	scan->at++;
	skip_space(scan);
	bool empty = peek(scan) == ']';
	for (size_t count = 0; !empty; count++) {
		scan->kept = scan->at;
		skip_value(scan);
		int byte = peek(scan);
		if (byte != ',' && byte != ']')
			return refuse(scan, "has a list that does not end", error);
		if (count == list->most)
			return error_set(error, ERROR_DATA, "length", "\"%s\" has more than %zu members", list->name,
					 list->most);
		int status = list->take(scan->context, scan->window + scan->kept, scan->at - scan->kept, error);
		if (status < 0)
			return status;
		if (byte == ']')
			break;
		scan->at++;
	}
	scan->kept = ++scan->at;
	return 0;
}

static const struct jsonio_list *find_list(const struct scan *scan, const char *key, size_t size)
{
	for (size_t i = 0; i < scan->list_count; i++)
		if (size == strlen(scan->lists[i].name) + 2 && memcmp(key + 1, scan->lists[i].name, size - 2) == 0)
			return &scan->lists[i];
	return NULL;
}

/* One member of the outer object: copied to the rest, with a list's brackets alone. */
static int take_member(struct scan *scan, struct error *error)
{
	skip_space(scan);
	if (peek(scan) != '"')
		return refuse(scan, "is not an object whose members have names", error);
	size_t before = scan->at - scan->kept;
	skip_string(scan);
	const size_t key = scan->kept + before;
	const struct jsonio_list *list = find_list(scan, scan->window + key, scan->at - key);
	skip_space(scan);
	if (peek(scan) != ':')
		return refuse(scan, "has a member without a value", error);
	scan->at++;
	skip_space(scan);
	if (list == NULL || peek(scan) != '[') {
		skip_value(scan);
		return keep_for_rest(scan, error);
	}
	bool *found = &scan->found[list - scan->lists];
	if (*found)
		return refuse(scan, "has a list twice", error);
	*found = true;
	int status = keep_for_rest(scan, error);
	if (status == 0)
		status = buffer_append_string(&scan->rest, "[]", error);
	if (status == 0)
		status = take_list(scan, list, error);
	if (status == 0)
		skip_space(scan);
	return status;
}

static int scan_object(struct scan *scan, struct error *error)
{
	skip_space(scan);
	if (peek(scan) != '{')
		return refuse(scan, "is not an object", error);
	for (int end = 0; end != '}';) {
		/* The brace or the comma before the member. */
		scan->at++;
		int status = keep_for_rest(scan, error);
		if (status == 0)
			status = take_member(scan, error);
		if (status < 0)
			return status;
		end = peek(scan);
		if (end != ',' && end != '}')
			return refuse(scan, "does not end as an object does", error);
	}
	while (peek(scan) != AT_END) {
		scan->at = scan->end;
		int status = keep_for_rest(scan, error);
		if (status < 0)
			return status;
	}
	return scan->status < 0 ? refuse(scan, "", error) : 0;
}

static int parse_rest(struct scan *scan, json_t **ret_rest, struct error *error)
{
	int status = scan_object(scan, error);

	for (size_t i = 0; status == 0 && i < scan->list_count; i++)
		if (!scan->found[i])
			status = error_set(error, ERROR_DATA, "format", "%s lacks the list \"%s\"", scan->what,
					   scan->lists[i].name);
	return status == 0 ? jsonio_parse(scan->rest.data, scan->rest.size, scan->what, ret_rest, error) : status;
}

int jsonio_parse_lists(const struct jsonio_source *source, const char *what, const struct jsonio_list *lists,
		       size_t list_count, void *context, json_t **ret_rest, struct error *error)
{
	struct scan scan = {.source = source,
			    .what = what,
			    .lists = lists,
			    .list_count = list_count,
			    .context = context,
			    .room = WINDOW,
			    .rest = BUFFER_INIT(MEMBER_MOST)};

	if (list_count > LISTS_MOST)
		return error_set(error, ERROR_BUG, "length", "%s has too many lists", what);
	scan.window = malloc(scan.room);
	if (scan.window == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read %s", what);
	int status = parse_rest(&scan, ret_rest, error);
	buffer_free(&scan.rest);
	free(scan.window);
	return status;
}

static int read_bytes(void *context, void *room, size_t size, size_t *ret_got, struct error *error UNUSED)
{
	struct jsonio_bytes *left = context;
	size_t got = left->size < size ? left->size : size;

	*ret_got = got;
	if (got == 0)
		return 0; /* of nothing at all there is not even an address */
	memcpy(room, left->at, got);
	left->at += got;
	left->size -= got;
	return 0;
}

struct jsonio_source jsonio_source_bytes(struct jsonio_bytes *bytes)
{
	return (struct jsonio_source){read_bytes, bytes};
}
