/* Bytes by name from the other end of a stream: the trust source of a session (FETCH, dialogue). Every fetch is bounded
 * by what its caller already knows, and a name's bytes are only bytes until their hash stands in verified metadata. */
#ifndef CHECK_SOURCE_H
#define CHECK_SOURCE_H

#include "dialogue/stream.h"
#include "keys/trust.h"

/* Without a byte for so long a fetch is given up: ERROR_UNREACHABLE "timeout". */
#define SOURCE_PATIENCE_MS 60000

struct source {
	struct stream *stream;
	/* Messages that are no part of the fetch: the orchestrator's own requests meanwhile. An error ends the fetch.
	 */
	stream_other *other;
	void *context;
};

/* For trust_*, whose names are the dialogue's. Borrows `source`. */
struct trust_source source_trust(struct source *source);

/* Appends the bytes of `name` to `ret_bytes`; more than `most` is ERROR_DATA "length". */
int source_fetch(struct source *source, const char *name, size_t most, struct buffer *ret_bytes,
		 struct error *error) MUST_CHECK;

#endif
