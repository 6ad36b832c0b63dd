/* What the headers of an object that is still to be linked, such as a kernel's module, say of where it speaks of
 * places. Only who makes a delta reads them. */
#ifndef RELEASE_RELOCATABLE_H
#define RELEASE_RELOCATABLE_H

#include "release/reference.h"

/* ELF, 64 bits, little-endian. At most `most` regions; 0 where its headers make no sense. */
size_t relocatable_regions(const uint8_t *bytes, size_t size, struct reference_region *ret_regions, size_t most);

#endif
