/* The hub's desk to the engine: a SEQPACKET socket of JSON messages, never waited for. What the engine does not read at
 * once queues up to a bound; past it the engine counts as gone. */
#ifndef HUB_DESK_H
#define HUB_DESK_H

#include "base/jsonio.h"
#include "base/loop.h"

struct desk;

struct desk_events {
	/* A message came; the object is borrowed. */
	void (*message)(void *context, const json_t *message);
	/* The engine closed, or does not read. */
	void (*gone)(void *context);
};

int desk_new(struct loop *loop, const struct desk_events *events, void *context, struct desk **ret_desk,
	     struct error *error) MUST_CHECK;
void desk_free(struct desk **desk);
/* Takes the socket to a new engine; an old one is closed without a word. */
int desk_connect_take(struct desk *desk, int fd, struct error *error) MUST_CHECK;
/* Takes the object and the descriptor (-1: none). Without an engine both are dropped. */
void desk_send_take(struct desk *desk, json_t *message, int fd);

#endif
