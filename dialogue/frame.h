/* Frames: u32 length of the body, u16 type, u16 flags, u64 id, big-endian, then the body. The decoder meets foreign bytes
 * on both sides and is the fuzzer's first target. */
#ifndef DIALOGUE_FRAME_H
#define DIALOGUE_FRAME_H

#include "base/buffer.h"

#define FRAME_HEAD_SIZE 16
#define FRAME_JSON_MOST (256 * 1024)
#define FRAME_DATA_MOST (256 * 1024)

enum frame_flag {
	FRAME_REPLY = 1 << 0, /* the one answer to the request with this id */
	FRAME_EVENT = 1 << 1, /* something on the way to that answer */
	FRAME_ERROR = 1 << 2, /* a reply that is a refusal: {code, name, text} */
	FRAME_DATA = 1 << 3,  /* raw bytes instead of JSON */
};

struct frame {
	uint16_t type;
	uint16_t flags;
	uint64_t id;
	const uint8_t *body; /* borrowed from the decoder's buffer */
	size_t size;
};

int frame_write(struct buffer *output, uint16_t type, uint16_t flags, uint64_t id, const void *body, size_t size,
                struct error *error) MUST_CHECK;

/* Takes the first whole frame at the start of `input`. *ret_used is how many bytes it took, 0: more bytes are needed. ERROR_DATA
 * "frame" for a length over the limit, unknown flags, unknown types. */
int frame_read(const struct buffer *input, struct frame *ret_frame, size_t *ret_used, struct error *error) MUST_CHECK;

#endif
