/* A content's sketch: the smallest of the hashes of all its 64-byte stretches. Two contents share as many of them as
 * they have bytes in common, wherever these lie (Broder, "On the resemblance and containment of documents"). */
#ifndef RELEASE_DELTA_SKETCH_H
#define RELEASE_DELTA_SKETCH_H

#include "release/delta_roll.h"

#define DELTA_SKETCH_SIZE 16

struct delta_sketch {
	struct delta_roll roll;
	size_t count;
	uint64_t least[DELTA_SKETCH_SIZE]; /* ascending, distinct */
};

void delta_sketch_begin(struct delta_sketch *sketch);
void delta_sketch_update(struct delta_sketch *sketch, const uint8_t *bytes, size_t size);

#endif
