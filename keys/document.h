/* What the signed documents of ours have in common: times are RFC 3339 in UTC, as TUF writes them. Internal to keys/.
 */
#ifndef KEYS_DOCUMENT_H
#define KEYS_DOCUMENT_H

#include "base/clock.h"
#include "base/jsonio.h"

/* A new string; NULL when memory ends. */
json_t *document_time(int64_t time);
/* Of a field that was checked to be a string. */
int document_read_time(const json_t *document, const char *name, const char *what, int64_t *ret_time,
		       struct error *error) MUST_CHECK;

#endif
