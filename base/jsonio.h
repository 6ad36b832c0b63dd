/* JSON by jansson, bounded: depth, size, no duplicate keys, no reals, no NUL. The one place that includes jansson.h.
 *
 * Bodies are read with a table of fields: what the table does not name is refused, so that a message, a manifest and
 * a signed document are closed sets, and no field is read without its bound. */
#ifndef BASE_JSONIO_H
#define BASE_JSONIO_H

#include <jansson.h>

#include "base/buffer.h"

/* CLEANUP function: `CLEANUP(jsonio_free) json_t *root = NULL;` */
void jsonio_free(json_t **value);

/* One whole JSON value, nothing behind it. ERROR_DATA "format" otherwise. Caller owns *ret_value. `what` names the
 * document in the error. Depth is at most JSONIO_DEPTH. */
#define JSONIO_DEPTH 64
int jsonio_parse(const void *bytes, size_t size, const char *what, json_t **ret_value, struct error *error) MUST_CHECK;

/* Where the text of a long document comes from, piece by piece. */
struct jsonio_source {
	/* At most `size` more bytes; none at the end. */
	int (*read)(void *context, void *room, size_t size, size_t *ret_got, struct error *error);
	void *context;
};
struct jsonio_bytes {
	const uint8_t *at; /* borrowed; what is left, with `size` */
	size_t size;
};
struct jsonio_source jsonio_source_bytes(struct jsonio_bytes *bytes);

/* A list of a long document, whose members come one at a time and as text: memory never holds them all. */
struct jsonio_list {
	const char *name; /* a member of the document's object */
	size_t most;
	/* One member, which jsonio_parse has still to accept, or who knows its very words. An error ends it all. */
	int (*take)(void *context, const char *text, size_t size, struct error *error);
};
/* As jsonio_parse of an object; those members that are named come back empty in *ret_rest. ERROR_DATA "format" when one
 * of them is not there, or no list; "length" beyond `most`, for a member of more than a MiB, and when the rest is more.
 * What the lists' members made counts for nothing unless it returns 0: the rest may still be no JSON. */
int jsonio_parse_lists(const struct jsonio_source *source, const char *what, const struct jsonio_list *lists,
		       size_t list_count, void *context, json_t **ret_rest, struct error *error) MUST_CHECK;

enum jsonio_type { JSONIO_STRING, JSONIO_INTEGER, JSONIO_BOOLEAN, JSONIO_OBJECT, JSONIO_ARRAY };

struct jsonio_field {
	const char *name;
	enum jsonio_type type;
	bool required;
	/* STRING: bytes; INTEGER: the value (never below 0 unless `signed_integer`); OBJECT, ARRAY: members. */
	int64_t most;
	bool signed_integer;
};
/* A table ends with a row whose name is NULL. */

/* The object has every required field, no field beyond the table, each of its type and within its bound. */
int jsonio_check(const json_t *object, const struct jsonio_field *fields, const char *what,
		 struct error *error) MUST_CHECK;
/* As jsonio_check but fields beyond the table are let through (TUF keeps unknown fields). */
int jsonio_check_open(const json_t *object, const struct jsonio_field *fields, const char *what,
		      struct error *error) MUST_CHECK;

/* For an object that was checked: absent fields read as NULL, 0 and false. Borrowed. */
const char *jsonio_string(const json_t *object, const char *name);
int64_t jsonio_integer(const json_t *object, const char *name);
bool jsonio_boolean(const json_t *object, const char *name);
const json_t *jsonio_member(const json_t *object, const char *name);

/* Compact text with sorted keys, for messages and listings; newline only when `pretty`. Appends. */
int jsonio_write(const json_t *value, bool pretty, struct buffer *ret_text, struct error *error) MUST_CHECK;

/* OLPC canonical JSON: sorted by bytes, only '"' and '\' escaped, integers only. What is signed. Appends. */
int jsonio_write_canonical(const json_t *value, struct buffer *ret_text, struct error *error) MUST_CHECK;

#endif
