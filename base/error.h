/* What went wrong, in one readable sentence.
 *
 * A function that can fail returns 0 or a negative error code and takes a `struct error *` as its last argument.
 * On failure its outputs are untouched and the error carries the exit code, the short name of the rule that was
 * broken and a sentence that names the object, the rule and the way out. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/compiler.h"

/* The values are the exit codes of the command-line contract. */
enum error_code {
	ERROR_NONE = 0,
	ERROR_USAGE = 64,
	ERROR_DATA = 65,        /* bad or unauthorised data: signature, hash, format */
	ERROR_UNREACHABLE = 69, /* tunnel closed, daemon down */
	ERROR_BUG = 70,
	ERROR_CANNOT_CREATE = 73, /* disk full, cannot write */
	ERROR_NOT_NOW = 75,       /* outside the window, frozen, try again */
	ERROR_NOT_PERMITTED = 77, /* not entitled, not permitted */
	ERROR_CONFIG = 78,
};

enum error_class { ERROR_CLASS_RETRY, ERROR_CLASS_PERMANENT, ERROR_CLASS_SECURITY, ERROR_CLASS_BUG };

struct error {
	enum error_code code;
	char name[32]; /* the rule, one lower-case word: signature, rollback, freeze, mix, hash, length, fence, window …
			*/
	char text[480]; /* one sentence without a full stop at the end */
};

/* Fills `error` and returns -code, so that a caller writes `return error_set(error, …)`. */
int error_set(struct error *error, enum error_code code, const char *name, const char *format, ...) PRINTF_LIKE(4, 5);

/* As error_set, with strerror(errno) appended; ENOSPC, EDQUOT and EROFS become ERROR_CANNOT_CREATE. */
int error_set_errno(struct error *error, enum error_code code, const char *name, const char *format, ...)
	PRINTF_LIKE(4, 5);

/* Puts "what: " before the sentence of an error that is passed upwards; returns -error->code. */
int error_prefix(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

enum error_class error_class(enum error_code code);

/* Whether a number that came from elsewhere (a frame, a child's exit status) is one of the codes above. */
bool error_code_is_known(int code);

#endif
