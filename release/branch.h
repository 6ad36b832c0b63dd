/* Branch filters: the operands of calls and jumps become addresses instead of distances, so that code that moved still
 * repeats itself. Reversible, the same number of bytes, for any bytes. What xz calls BCJ, in a form without state. */
#ifndef RELEASE_BRANCH_H
#define RELEASE_BRANCH_H

#include "base/compiler.h"

enum branch { BRANCH_NONE, BRANCH_X86_64, BRANCH_AARCH64 };
#define BRANCH_KINDS 3

/* What may suit a file that begins so: by the head of an ELF file. */
enum branch branch_suits(const uint8_t *head, size_t size);

/* In place. `position` is that of the first byte in its file; a multiple of 4. */
void branch_encode(enum branch branch, uint8_t *bytes, size_t size, uint64_t position);
void branch_decode(enum branch branch, uint8_t *bytes, size_t size, uint64_t position);

#endif
