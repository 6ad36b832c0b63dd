/* A stream that carries blobs, one at a time: asked for, gathered up to the stored size that the manifest gives, no
 * byte further. */
#ifndef CHECK_LANE_H
#define CHECK_LANE_H

#include "dialogue/stream.h"
#include "release/manifest.h"

/* Stored bytes of one blob: more than zstd ever makes of the most plain bytes. */
#define LANE_STORED_MOST (2 * MANIFEST_BLOB_PLAIN_MOST)

struct lane {
	struct stream *stream;
	bool owned; /* a bulk stream; else the session's own */
	bool busy;
	size_t blob;     /* index in the manifest, while busy */
	uint64_t id;     /* of the fetch */
	uint64_t stored; /* the bytes that it must be */
	struct buffer bytes;
	int64_t heard; /* clock_ticks_ms of the last byte */
};

void lane_open(struct lane *lane, struct stream *stream, bool owned);
void lane_close(struct lane *lane);
int lane_ask(struct lane *lane, const struct manifest_blob *blob, size_t index, struct error *error) MUST_CHECK;
/* Whether the message is part of this lane's fetch. */
bool lane_owns(const struct lane *lane, const struct stream_message *message);
/* One part. *ret_whole: the blob is there in `bytes` and the lane is free. Refusals ("length", "dialogue" or the other
 * end's own) are final for the release, not for the lane. */
int lane_take(struct lane *lane, const struct stream_message *message, bool *ret_whole, struct error *error) MUST_CHECK;

#endif
