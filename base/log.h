/* One line an event on stderr: level, program part, text. Under systemd with the journal's <N> prefixes. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* `part` is the process's name ("hub", "act") and is borrowed for ever. Lines above `level` are dropped. */
void log_start(const char *part, enum log_level level);
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
/* "what: sentence (name)" at warning, or at error for security and bug classes. */
void log_failure(const char *what, const struct error *error);

#endif
