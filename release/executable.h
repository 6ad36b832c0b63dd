/* What an executable's own headers say of where it speaks of addresses; also those of a JVM's archive of classes, which
 * is laid out for one address. Only who makes a delta reads them. */
#ifndef RELEASE_EXECUTABLE_H
#define RELEASE_EXECUTABLE_H

#include "release/reference.h"

/* The head of one that executable_regions reads: ELF, 64 bits, little-endian, x86-64 or aarch64; an archive. */
#define EXECUTABLE_HEAD 64
bool executable_suits(const uint8_t *head, size_t size);

/* At most `most` regions of the whole file; 0 where its headers make no sense. gABI chapter 4. */
size_t executable_regions(const uint8_t *bytes, size_t size, struct reference_region *ret_regions, size_t most);

#endif
