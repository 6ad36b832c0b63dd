#include "release/delta_sketch.h"

#include <string.h>

#include "release/delta_roll.h"

static void insert(struct delta_sketch *sketch, uint64_t hash)
{
	size_t at = sketch->count;
	while (at > 0 && sketch->least[at - 1] >= hash) {
		if (sketch->least[at - 1] == hash)
			return;
		at--;
	}
	if (sketch->count < DELTA_SKETCH_SIZE)
		sketch->count++;
	size_t behind = sketch->count - at - 1;
	memmove(&sketch->least[at + 1], &sketch->least[at], behind * sizeof(sketch->least[0]));
	sketch->least[at] = hash;
}

void delta_sketch_begin(struct delta_sketch *sketch)
{
	delta_roll_begin(&sketch->roll);
	sketch->count = 0;
}

void delta_sketch_update(struct delta_sketch *sketch, const uint8_t *bytes, size_t size)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < size; i++) {
		if (!delta_roll_next(&sketch->roll, bytes[i], &hash))
			continue;
		if (sketch->count < DELTA_SKETCH_SIZE || hash < sketch->least[DELTA_SKETCH_SIZE - 1])
			insert(sketch, hash);
	}
}
