/* The descriptor's side of a relay: bytes between a local stream socket and a transport that has its own flow control
 * (a channel of the tunnel). Bounded both ways: what the socket does not take stays with the transport, what the
 * transport does not take stays in the socket. It knows nothing of the transport; the transport pumps it and says when
 * it wants more. */
#ifndef DIALOGUE_RELAY_H
#define DIALOGUE_RELAY_H

#include "base/buffer.h"
#include "base/loop.h"

/* What one read takes from the socket, and the most that is kept for a transport that is not ready. */
#define RELAY_CHUNK (128 * 1024 - 1)
/* The most that relay_store keeps for a socket that is not ready. */
#define RELAY_STORE_MOST (4 * 1024 * 1024)

struct relay;

/* The socket can be read or written again, or its other end is gone: the transport should pump. */
typedef void relay_ready(void *context);

/* Takes the descriptor (made non-blocking, closed by relay_free). The loop must outlive the relay. */
int relay_new_take(struct loop *loop, int fd, relay_ready *ready, void *context, struct relay **ret_relay,
		   struct error *error) MUST_CHECK;
void relay_free(struct relay **relay);

/* transport → socket. Writes at once what the socket takes and returns how much that was; nothing is kept. 0 while
 * stored bytes wait, so that order holds. When the other end is gone everything is taken and dropped. */
size_t relay_give(struct relay *relay, const void *bytes, size_t size);
/* Takes everything, keeping what the socket does not. ERROR_DATA "length" past RELAY_STORE_MOST. */
int relay_store(struct relay *relay, const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* No bytes wait for the socket: relay_give may be tried. */
bool relay_is_clear(const struct relay *relay);
/* The transport has no more: once what waits is written the socket sees an end of file. */
void relay_finish(struct relay *relay);

/* socket → transport. The bytes that wait (reading the socket when there are none); *ret_bytes is borrowed until the
 * next call. 0: none now, or the end was reached. */
size_t relay_peek(struct relay *relay, const uint8_t **ret_bytes);
void relay_consume(struct relay *relay, size_t size);
/* The other end closed and all it had written was consumed. */
bool relay_is_ended(const struct relay *relay);

/* To be called after each pump: watches the socket for what is wanted and for nothing else. `wants_bytes`: the
 * transport could send more now. Stored bytes are written as soon as the socket takes them, without the transport. */
int relay_wait(struct relay *relay, bool wants_bytes, struct error *error) MUST_CHECK;

#endif
