/* The sessions of check's main: which process has which broker socket, which ticket is whose, which one the parent
 * waits for. A table, no more: it reads nothing that came from outside. */
#ifndef CHECK_BROKER_H
#define CHECK_BROKER_H

#include <sys/types.h>

#include "appliance-hook/check/session.h"

#define BROKER_SESSIONS_MOST 16
#define BROKER_TICKET_MOST   65 /* with the NUL */

struct broker_session {
	int socket; /* SEQPACKET to the session; -1: free row */
	pid_t pid;
	enum session_kind kind;
	bool ended;                      /* a pull whose end was told */
	char ticket[BROKER_TICKET_MOST]; /* of the bulk streams that it awaits; "": none */
};

struct broker {
	struct broker_session sessions[BROKER_SESSIONS_MOST];
};

void broker_init(struct broker *broker);
/* ERROR_NOT_NOW "busy" when every row is taken; the socket is taken on success. */
int broker_add_take(struct broker *broker, int socket, pid_t pid, enum session_kind kind,
		    struct error *error) MUST_CHECK;
struct broker_session *broker_find(struct broker *broker, int socket);
/* A ticket is one session's: one that another holds is ERROR_DATA "ticket". */
int broker_set_ticket(struct broker *broker, struct broker_session *session, const char *ticket,
		      struct error *error) MUST_CHECK;
struct broker_session *broker_by_ticket(struct broker *broker, const char *ticket);
/* The pull session that has not ended; NULL when there is none. */
struct broker_session *broker_pull(struct broker *broker);
/* Closes the socket and frees the row. */
void broker_remove(struct broker_session *session);

#endif
