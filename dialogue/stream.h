/* One end of a dialogue over a plain descriptor (socketpair, unix socket): buffered, either driven by a loop (non-blocking) or
 * blocking with a deadline. Everything that speaks the dialogue speaks through this. */
#ifndef DIALOGUE_STREAM_H
#define DIALOGUE_STREAM_H

#include "dialogue/message.h"

struct stream;

/* Takes the descriptor, makes it non-blocking. `side` is who we are. */
int stream_new_take(int fd, enum message_side side, struct stream **ret_stream, struct error *error) MUST_CHECK;
void stream_free(struct stream **stream); /* closes */
int stream_fd(const struct stream *stream);

/* Queues; call stream_flush (or let the blocking calls do it). The queue is bounded: ERROR_NOT_NOW "again" when full. */
int stream_send(struct stream *stream, enum message_type type, uint16_t flags, uint64_t id, const json_t *body,
                struct error *error) MUST_CHECK;
int stream_send_data(struct stream *stream, enum message_type type, uint64_t id, const void *bytes, size_t size,
                     struct error *error) MUST_CHECK;
int stream_send_error(struct stream *stream, enum message_type type, uint64_t id, const struct error *why,
                      struct error *error) MUST_CHECK;
uint64_t stream_next_id(struct stream *stream); /* odd for the hook, even for the orchestrator */

/* Writes what it can; *ret_pending: bytes are left and EPOLLOUT is wanted. */
int stream_flush(struct stream *stream, bool *ret_pending, struct error *error) MUST_CHECK;
/* Bytes queued and not yet written, for back-pressure. */
size_t stream_queued(const struct stream *stream);

struct stream_message {
	enum message_type type;
	uint16_t flags;
	uint64_t id;
	json_t *body;        /* owned by the receiver (jsonio_free); NULL for data */
	const uint8_t *data; /* borrowed until the next call on this stream */
	size_t size;
};
void stream_message_free(struct stream_message *message);

/* One message if a whole one is there: *ret_got. End of file: ERROR_UNREACHABLE "closed". Reads the descriptor once. */
int stream_receive(struct stream *stream, struct stream_message *ret_message, bool *ret_got, struct error *error) MUST_CHECK;

/* Blocking: waits until a whole message came or `deadline` (clock_ticks_ms) passed: ERROR_UNREACHABLE "timeout". Flushes first. */
int stream_wait(struct stream *stream, int64_t deadline, struct stream_message *ret_message, struct error *error) MUST_CHECK;
/* Sends a request and waits for its reply; a FRAME_ERROR reply becomes `error`. Events and other messages on the way go to
 * `other` (NULL: an unexpected one is ERROR_DATA "dialogue"). */
typedef int stream_other(void *context, struct stream_message *message, struct error *error);
int stream_ask(struct stream *stream, enum message_type type, const json_t *body, int64_t deadline, stream_other *other,
               void *context, json_t **ret_reply, struct error *error) MUST_CHECK;

#endif
