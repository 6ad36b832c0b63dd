/* One call of the API by libcurl over its unix socket: the one file that includes it. */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include "base/jsonio.h"

/* `path` is below http://…, its parts already escaped. `body` may be NULL. An answer that is an error becomes this
 * error, with its code. ERROR_UNREACHABLE when nobody answers. */
int cli_call(const char *socket, const char *method, const char *path, const json_t *body, json_t **ret_answer,
	     struct error *error) MUST_CHECK;
/* The same, a GET whose answer is a file: its bytes go to `fd`, however long they take as long as they come. */
int cli_call_file(const char *socket, const char *path, int fd, struct error *error) MUST_CHECK;
/* Appends `text` with everything but letters, digits and "-._~" as %XX (RFC 3986 §2.3). */
int cli_call_escape(const char *text, struct buffer *ret_path, struct error *error) MUST_CHECK;

#endif
