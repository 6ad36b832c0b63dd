/* One connection and what it may do: its kind, its streams, and the engine's share in them.
 *
 * A connection's kind is that of its first stream. An appliance's key may hold one connection of each kind; a newer one
 * evicts the older. A control stream says HELLO and idles here, where only its heartbeats are read, until the engine
 * attaches. */
#ifndef HUB_SESSION_H
#define HUB_SESSION_H

#include <netinet/in.h>

#include "orchestrator/hub/switchboard.h"

struct session;

/* Takes an accepted non-blocking socket into the board's list. `network` is what counts as one caller. */
int session_start_take(struct switchboard *board, int fd, const char *address, const char *network,
		       struct error *error) MUST_CHECK;
/* At shutdown. */
void session_free(struct session *session);
struct session *session_next(const struct session *session);

bool session_is_half_open(const struct session *session);
const char *session_network(const struct session *session);
/* "" before the login. */
const char *session_name(const struct session *session);
bool session_has_key(const struct session *session, const uint8_t key[static ROSTER_KEY_SIZE]);
/* The control connection of that appliance with that number. */
bool session_is_control(const struct session *session, const char *name, uint64_t number);
uint64_t session_number(const struct session *session);

/* Deadlines and what is due; once a second. */
void session_tick(struct session *session, int64_t now_ms);
/* At the next turn of the loop; it counts as half open no longer. */
void session_end(struct session *session, const char *why);
/* The engine is gone: its streams close, so that hooks say HELLO anew. */
void session_engine_gone(struct session *session);
/* A new engine's table stands: a connection whose key is not in it ends. */
void session_engine_ready(struct session *session);
/* Hands the idle control stream to the engine. */
void session_attach(struct session *session);
/* Bulk streams that show `ticket` are expected, at most `count` at a time; a forward is asked for them here. */
void session_expect(struct session *session, const char *ticket, unsigned count);

#endif
