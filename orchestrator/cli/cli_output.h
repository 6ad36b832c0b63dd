/* What stands on stdout: tables, objects, single values, or JSON. Text that came from elsewhere loses its control
 * characters on the way to a terminal. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/jsonio.h"

enum cli_format {
	CLI_TEXT,
	CLI_NUMBER,
	CLI_TIME,  /* UTC seconds; 0 and null are "-" */
	CLI_YESNO, /* true, or not 0 */
	CLI_BYTES,
};

struct cli_column {
	const char *title, *key;
	enum cli_format format;
};
/* A table of columns ends with a row whose key is NULL. */

struct cli_nested {
	const char *title, *key; /* an array of objects inside the object */
	const struct cli_column *columns;
};

enum cli_kind {
	CLI_NOTHING, /* a sentence on stderr */
	CLI_VALUE,   /* the first column's value alone, a line */
	CLI_OBJECT,  /* a line a field; a title "" puts the value first, alone */
	CLI_TABLE,
};

struct cli_view {
	enum cli_kind kind;
	const struct cli_column *columns;
	const struct cli_nested *nested; /* of an object; ends with key NULL; may be NULL */
	const char *said;                /* for CLI_NOTHING: "customer $1 added", $1 and $2 being the arguments */
};

/* Colours and bars: only on a terminal, and colours only where NO_COLOR is not set. */
bool cli_output_is_terminal(int fd);
bool cli_output_is_coloured(int fd);

/* A line on stdout; a line on stderr. */
void cli_output_text(const char *text);
void cli_output_note(const char *text);
/* The value of a field, readable, in a buffer of `size`. */
void cli_output_format(const json_t *value, enum cli_format format, char *ret_text, size_t size);
int cli_output_table(const json_t *rows, const struct cli_column *columns, struct error *error) MUST_CHECK;
int cli_output_object(const json_t *object, const struct cli_column *columns, const struct cli_nested *nested,
		      struct error *error) MUST_CHECK;
int cli_output_json(const json_t *value, struct error *error) MUST_CHECK;

#endif
