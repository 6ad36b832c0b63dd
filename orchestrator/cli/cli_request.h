/* Commands that are one call of the API: a row says which, what goes into it and how the answer is shown. */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include "base/command.h"
#include "orchestrator/cli/cli_output.h"
#include "orchestrator/settings.h"

/* What all commands share; the context of base/command. */
struct cli {
	struct settings settings;
	bool loaded;
};

enum cli_part_type {
	CLI_PART_TEXT,
	CLI_PART_INTEGER,
	CLI_PART_FLAG,
	CLI_PART_LIST, /* a repeated option */
	CLI_PART_FILE, /* names a file whose text it is; with key "ini" its name goes along as "file" */
};

/* One member of the body; one query argument where the method is GET. */
struct cli_part {
	const char *from; /* "1": the first argument, "2", or an option's name */
	const char *key;
	enum cli_part_type type;
};

struct cli_request {
	const char *method;
	const char *path;             /* "/v1/customers/$1/contacts" */
	const struct cli_part *parts; /* ends with key NULL; may be NULL: no body */
	struct cli_view view;
};

/* The `run` of rows whose `data` is a struct cli_request. */
int cli_request_run(const struct command_line *line, void *context, struct error *error);

/* The pieces, for commands that do more. The configuration is read at the first call. */
int cli_request_call(struct cli *cli, const struct command_line *line, const char *method, const char *path,
		     const json_t *body, json_t **ret_answer, struct error *error) MUST_CHECK;
/* "$1" and "$2" become the arguments, escaped where `escape`. */
enum cli_request_escape { CLI_REQUEST_PLAIN, CLI_REQUEST_ESCAPE };
int cli_request_expand(const struct command_line *line, const char *template, enum cli_request_escape escape,
		       struct buffer *ret_text, struct error *error) MUST_CHECK;
int cli_request_body(const struct command_line *line, const struct cli_part *parts, json_t **ret_body,
		     struct error *error) MUST_CHECK;
int cli_request_show(const struct command_line *line, const struct cli_view *view, const json_t *answer,
		     struct error *error) MUST_CHECK;
/* A whole text file of at most half a MiB, without NUL. */
int cli_request_read_text(const char *path, struct buffer *ret_text, struct error *error) MUST_CHECK;

#endif
