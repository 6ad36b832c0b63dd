/* INI through inih, made strict: inih splits long lines, joins continuations and calls twice for duplicates in
 * silence, so the text is scanned first. Lines over 190 bytes, headers over 48, continuations, stray lines and
 * duplicate keys or sections are errors with file and line. */
#ifndef BASE_INIFILE_H
#define BASE_INIFILE_H

#include "base/buffer.h"

#define INIFILE_LINE_MOST   190
#define INIFILE_HEADER_MOST 48
#define INIFILE_SIZE_MOST   (1024 * 1024)

/* One pair. `section` is the whole header text ("window acme-prod"). Return nonzero with `error` filled to stop; the
 * file's name and the line are put before the sentence. A section without keys is reported once with key NULL. */
typedef int inifile_pair(void *context, const char *section, const char *key, const char *value, unsigned line,
			 struct error *error);

/* `code` is what a malformed text is: ERROR_CONFIG for configuration, ERROR_DATA for windows. */
int inifile_parse(const char *text, size_t size, const char *name, enum error_code code, inifile_pair *pair,
		  void *context, struct error *error) MUST_CHECK;

#endif
