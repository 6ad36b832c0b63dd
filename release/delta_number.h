/* Numbers in the index of a delta: seven bits a byte, the lowest first. */
#ifndef RELEASE_DELTA_NUMBER_H
#define RELEASE_DELTA_NUMBER_H

#include "base/buffer.h"

/* Appends. */
int delta_number_write(struct buffer *bytes, uint64_t number, struct error *error) MUST_CHECK;
/* From *at on, which moves; false when there is none. */
bool delta_number_take(const uint8_t **at, const uint8_t *end, uint64_t *ret_number);

/* A difference modulo 2^64 as a number that is small when the difference is small either way, and back. */
uint64_t delta_number_fold(uint64_t difference);
uint64_t delta_number_unfold(uint64_t number);

#endif
