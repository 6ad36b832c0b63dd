/* The loop's end of a SEQPACKET socket to another of our processes: never waited for, what does not fit yet is queued.
 */
#ifndef ENGINE_PEER_H
#define ENGINE_PEER_H

#include "base/jsonio.h"
#include "base/loop.h"

struct peer;

struct peer_events {
	/* The object is borrowed; a descriptor (-1: none) is the callee's. */
	void (*message)(void *context, const json_t *message, int fd);
	/* The other end closed; the peer is freed by then. */
	void (*closed)(void *context);
};

/* Takes the descriptor, also on failure. */
int peer_new_take(struct loop *loop, int fd, const struct peer_events *events, void *context, struct peer **ret_peer,
		  struct error *error) MUST_CHECK;
/* Safe inside its own callbacks. */
void peer_free(struct peer **peer);
/* Takes the object. Without a peer (NULL) it is dropped: who comes next is told everything anew. */
void peer_send_take(struct peer *peer, json_t *message);

#endif
