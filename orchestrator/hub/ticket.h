/* What a bulk stream shows: secrets that control was given, each good for so many streams at a time while the control
 * connection lives. Compared in constant time. */
#ifndef HUB_TICKET_H
#define HUB_TICKET_H

#include "base/error.h"

#define TICKET_MOST  64 /* bytes */
#define TICKETS_MOST 16 /* of a connection; the oldest makes room */

struct tickets {
	struct {
		char text[TICKET_MOST + 1]; /* "": none */
		unsigned count;
	} rows[TICKETS_MOST];
	size_t next;
};

bool ticket_equal(const char *a, const char *b);
/* Adds it, or sets its count anew. */
void tickets_expect(struct tickets *tickets, const char *text, unsigned count);
/* How many streams may show it; 0 when unknown. */
unsigned tickets_allow(const struct tickets *tickets, const char *text);
void tickets_forget(struct tickets *tickets);

#endif
