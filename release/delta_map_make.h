/* Finding the map between two versions of an executable. */
#ifndef RELEASE_DELTA_MAP_MAKE_H
#define RELEASE_DELTA_MAP_MAKE_H

#include "release/delta_align.h"
#include "release/delta_map.h"

/* Regions and shifts of *ret_map, whose contents are the caller's to name. No regions: it is not worth it, or these are
 * no executables. */
int delta_map_make(struct delta_side_bytes old, struct delta_side_bytes new, struct delta_map *ret_map,
		   struct error *error) MUST_CHECK;
/* Bytes that it takes while it works, without the files. */
size_t delta_map_memory(size_t old_size, size_t new_size);

#endif
