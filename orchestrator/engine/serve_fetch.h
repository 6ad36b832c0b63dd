/* Answers to FETCH: bytes of the releases directory, by name, on one stream. Only what lies below metadata/, targets/
 * and blobs/ has a name, and only what the work on that stream needs is served. */
#ifndef ENGINE_SERVE_FETCH_H
#define ENGINE_SERVE_FETCH_H

#include "dialogue/stream.h"

enum serve_fetch { SERVE_FETCH_NOTHING = 0, SERVE_FETCH_METADATA = 1 << 0, SERVE_FETCH_BLOBS = 1 << 1 };

/* Which of the three a name is in; SERVE_FETCH_NOTHING for any other name. */
enum serve_fetch serve_fetch_kind(const char *name);

struct serve_fetch_queue;

/* `releases` is borrowed. */
int serve_fetch_new(int releases, struct serve_fetch_queue **ret_queue, struct error *error) MUST_CHECK;
void serve_fetch_free(struct serve_fetch_queue **queue);

/* Takes one request in; what is refused is answered at once. An error is the stream's end. */
int serve_fetch_request(struct serve_fetch_queue *queue, struct stream *stream, const struct stream_message *request,
			unsigned allowed, struct error *error) MUST_CHECK;
/* Sends as much as the stream's queue should hold. To be called again when it has been flushed. */
int serve_fetch_pump(struct serve_fetch_queue *queue, struct stream *stream, struct error *error) MUST_CHECK;
bool serve_fetch_idle(const struct serve_fetch_queue *queue);

#endif
