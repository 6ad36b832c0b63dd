#include "release/delta_sketch.h"

#include <string.h>

#define STRETCH 64

/* A fixed table of numbers, one a byte: splitmix64 of its value. */
static uint64_t mix(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

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

void delta_sketch_update(struct delta_sketch *sketch, const uint8_t *bytes, size_t size)
{
	uint64_t table[256];
	for (size_t i = 0; i < 256; i++)
		table[i] = mix(i);
	for (size_t i = 0; i < size; i++) {
		sketch->state = (sketch->state << 1) + table[bytes[i]];
		if (++sketch->seen < STRETCH)
			continue;
		/* The high bits know all 64 bytes. */
		uint64_t hash = (sketch->state ^ sketch->state >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
		if (sketch->count < DELTA_SKETCH_SIZE || hash < sketch->least[DELTA_SKETCH_SIZE - 1])
			insert(sketch, hash);
	}
}
