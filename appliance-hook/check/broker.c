#include "appliance-hook/check/broker.h"

#include <string.h>

#include "base/file.h"

void broker_init(struct broker *broker)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MOST; i++)
		broker->sessions[i] = (struct broker_session){.socket = -1};
}

struct broker_session *broker_find(struct broker *broker, int socket)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MOST; i++)
		if (broker->sessions[i].socket == socket)
			return &broker->sessions[i];
	return NULL;
}

int broker_add_take(struct broker *broker, int socket, pid_t pid, enum session_kind kind, struct error *error)
{
	struct broker_session *row = broker_find(broker, -1);
	if (!row)
		return error_set(error, ERROR_NOT_NOW, "busy", "%d sessions are open already", BROKER_SESSIONS_MOST);
	*row = (struct broker_session){.socket = socket, .pid = pid, .kind = kind};
	return 0;
}

int broker_set_ticket(struct broker *broker, struct broker_session *session, const char *ticket, struct error *error)
{
	size_t length = strlen(ticket);
	if (length == 0 || length >= BROKER_TICKET_MOST)
		return error_set(error, ERROR_DATA, "ticket", "a ticket has 1 to %d characters",
				 BROKER_TICKET_MOST - 1);
	const struct broker_session *holder = broker_by_ticket(broker, ticket);
	if (holder && holder != session)
		return error_set(error, ERROR_DATA, "ticket", "another session holds that ticket");
	memcpy(session->ticket, ticket, length + 1);
	return 0;
}

struct broker_session *broker_by_ticket(struct broker *broker, const char *ticket)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MOST; i++) {
		struct broker_session *session = &broker->sessions[i];
		if (session->socket >= 0 && session->ticket[0] && strcmp(session->ticket, ticket) == 0)
			return session;
	}
	return NULL;
}

struct broker_session *broker_pull(struct broker *broker)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MOST; i++) {
		struct broker_session *session = &broker->sessions[i];
		if (session->socket >= 0 && session->kind == SESSION_PULL && !session->ended)
			return session;
	}
	return NULL;
}

void broker_remove(struct broker_session *session)
{
	file_close(&session->socket);
	*session = (struct broker_session){.socket = -1};
}
