/* How long an x86-64 instruction is and where in it a distance stands: as much of the decoder as is needed to find
 * operands that are relative to the instruction and may lead out of its function. Intel SDM volume 2, appendix A. */
#ifndef RELEASE_X86_H
#define RELEASE_X86_H

#include "base/compiler.h"

struct x86_instruction {
	uint8_t size;    /* 1 to 15 */
	uint8_t operand; /* where in it 32 bits stand that count from its end; 0: nowhere */
	bool is_address; /* LEA: what they point at is wanted itself */
};

/* False when these bytes are no instruction, or not the whole of one. Never looks behind `size`. */
bool x86_decode(const uint8_t *bytes, size_t size, struct x86_instruction *ret_instruction);

#endif
