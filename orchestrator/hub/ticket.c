#include "orchestrator/hub/ticket.h"

#include <stdio.h>
#include <string.h>

#include "base/secret.h"

bool ticket_equal(const char *a, const char *b)
{
	char padded[2][TICKET_MOST] = {{0}};

	memcpy(padded[0], a, strnlen(a, TICKET_MOST));
	memcpy(padded[1], b, strnlen(b, TICKET_MOST));
	return secret_equal(padded[0], padded[1], TICKET_MOST);
}

void tickets_expect(struct tickets *tickets, const char *text, unsigned count)
{
	size_t at = TICKETS_MOST;

	for (size_t i = 0; i < TICKETS_MOST; i++)
		if (ticket_equal(tickets->rows[i].text, text))
			at = i;
	if (at == TICKETS_MOST)
		at = tickets->next++ % TICKETS_MOST;
	snprintf(tickets->rows[at].text, sizeof tickets->rows[at].text, "%s", text);
	tickets->rows[at].count = count;
}

unsigned tickets_allow(const struct tickets *tickets, const char *text)
{
	unsigned allowed = 0;

	/* All are compared, whichever fits. */
	for (size_t i = 0; i < TICKETS_MOST; i++)
		if (ticket_equal(tickets->rows[i].text, text) && text[0])
			allowed = tickets->rows[i].count;
	return allowed;
}

void tickets_forget(struct tickets *tickets)
{
	memset(tickets, 0, sizeof *tickets);
}
