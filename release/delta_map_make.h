/* Finding the map between two versions of an executable. */
#ifndef RELEASE_DELTA_MAP_MAKE_H
#define RELEASE_DELTA_MAP_MAKE_H

#include "release/delta_align.h"
#include "release/delta_map.h"
#include "release/delta_vote.h"

/* The two files, read as often as it takes. */
struct delta_map_files {
	size_t sizes[2];
	bool are_cut; /* more parts than one will have a share of them */
	int (*read)(void *context, enum delta_side side, uint8_t *bytes, struct error *error);
	void *context;
};

/* Regions and shifts of *ret_map, whose contents are the caller's to name; *ret_shared are the votes on what it shares
 * with other files, by target. No regions: it is not worth it, or these are no executables. */
int delta_map_make(const struct delta_map_files *files, struct delta_map *ret_map, struct delta_ballots *ret_shared,
		   struct error *error) MUST_CHECK;
/* Bytes that it takes while it works. */
size_t delta_map_memory(size_t old_size, size_t new_size);

#endif
