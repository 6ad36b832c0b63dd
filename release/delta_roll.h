/* A hash that rolls over the last 64 bytes (Xia et al., "Ddelta": gear). For stretches that repeat, not for trust. */
#ifndef RELEASE_DELTA_ROLL_H
#define RELEASE_DELTA_ROLL_H

#include "base/compiler.h"

#define DELTA_ROLL_WINDOW 64

struct delta_roll {
	uint64_t table[256];
	uint64_t state;
	size_t seen;
};

static inline uint64_t delta_roll_mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* A fixed table of numbers, one a byte: splitmix64 of its value. */
static inline void delta_roll_begin(struct delta_roll *roll)
{
	for (uint64_t i = 0; i < 256; i++)
		roll->table[i] = delta_roll_mix(i + UINT64_C(0x9e3779b97f4a7c15));
	roll->state = 0;
	roll->seen = 0;
}

/* As if nothing had been seen. */
static inline void delta_roll_restart(struct delta_roll *roll)
{
	roll->seen = 0;
}

/* True once there are as many bytes as the hash is over. The high bits of *ret_hash know all of them. */
static inline bool delta_roll_next(struct delta_roll *roll, uint8_t byte, uint64_t *ret_hash)
{
	roll->state = (roll->state << 1) + roll->table[byte];
	*ret_hash = (roll->state ^ roll->state >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return ++roll->seen >= DELTA_ROLL_WINDOW;
}

#endif
