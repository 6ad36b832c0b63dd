/* Which stretches of an old file a new one has again, in what order ever: for finding out what moved where. */
#ifndef RELEASE_DELTA_ALIGN_H
#define RELEASE_DELTA_ALIGN_H

#include "base/error.h"

#define DELTA_ALIGN_MOST ((size_t)160 * 1024 * 1024)

struct delta_side_bytes {
	const uint8_t *bytes;
	size_t size;
};
struct delta_segment {
	uint32_t old, new, size;
};

/* Ascending and apart in the new file; bytes within one may differ here and there. Both files are at most
 * DELTA_ALIGN_MOST. Caller frees. */
int delta_align(struct delta_side_bytes old, struct delta_side_bytes new, struct delta_segment **ret_segments,
		size_t *ret_count, struct error *error) MUST_CHECK;
/* Bytes that it takes while it works. */
size_t delta_align_memory(size_t old_size);

#endif
