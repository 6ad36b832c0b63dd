/* iCalendar (RFC 5545): one VEVENT an occurrence, times in UTC, so that no client's zone data can shift them. */
#ifndef CLI_ICS_H
#define CLI_ICS_H

#include "base/jsonio.h"

/* `window` is what GET /v1/windows/NAME answers. Appends lines with CRLF, folded at 75 octets. The UIDs are the same at
 * each export; a later change has a higher SEQUENCE. */
int cli_ics_write(const json_t *window, struct buffer *ret_text, struct error *error) MUST_CHECK;

#endif
