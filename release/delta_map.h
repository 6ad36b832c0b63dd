/* What makes two versions of an executable alike: where each speaks of addresses, and where those of the old one went.
 * The old file's bytes are rewritten to speak of the new file's addresses before they serve as a prefix, the new ones
 * into the same shape before they are compressed; who applies the delta restores these. Found when the delta is made:
 * nothing here reads an executable's own headers. */
#ifndef RELEASE_DELTA_MAP_H
#define RELEASE_DELTA_MAP_H

#include "base/buffer.h"
#include "release/reference.h"

#define DELTA_MAP_REGIONS_MOST 64
/* Of all the maps of a delta: 24 MiB at most. */
#define DELTA_MAPS_MOST         ((size_t)1 << 14)
#define DELTA_MAPS_REGIONS_MOST ((size_t)1 << 17)
#define DELTA_MAPS_SHIFTS_MOST  ((size_t)1 << 20)
#define DELTA_MAPS_TABLES_MOST  ((size_t)1 << 17)

enum delta_side { DELTA_OLD, DELTA_NEW };

/* Addresses from here to the next shift's moved by so much, modulo 2^64. */
struct delta_shift {
	uint64_t from, shift;
};

struct delta_shifts {
	struct delta_shift *list; /* ascending */
	size_t count;
};

struct delta_tables {
	uint64_t *list;
	size_t count;
};

struct delta_map {
	size_t contents[2]; /* in the manifests */
	struct reference_region *regions[2];
	size_t region_counts[2];
	struct delta_shifts shifts;
	struct delta_tables tables[2]; /* jump tables, of files that are cut; of the new side as the shifts say */
	/* Where all maps of a delta have addresses from REFERENCE_SHARED on; or NULL. */
	const struct delta_shifts *shared;
};
void delta_map_free(struct delta_map *map);

uint64_t delta_map_address(const struct delta_map *map, uint64_t address);
/* Old tables are there; the new ones follow. */
int delta_map_move_tables(struct delta_map *map, struct error *error) MUST_CHECK;

/* `size` bytes from `offset` on, in place. */
int delta_map_rewrite(const struct delta_map *map, enum delta_side side, uint8_t *bytes, size_t size, uint64_t offset,
		      struct error *error) MUST_CHECK;
/* Of the new side. */
int delta_map_restore(const struct delta_map *map, uint8_t *bytes, size_t size, uint64_t offset,
		      struct error *error) MUST_CHECK;
/* Steps that either takes at the most: any region may lie over all of the bytes, and a table be looked for in each. */
uint64_t delta_map_effort(const struct delta_map *map, enum delta_side side, uint64_t size);

/* All maps of a delta. An old content has at most one of them, a new one too. */
struct delta_maps {
	struct delta_map *maps;
	size_t count;
	struct delta_shifts *shared; /* NULL: none; set before the first map is added */
	uint32_t *places[2];         /* by content: its map's place + 1 */
	size_t place_counts[2];
};
void delta_maps_free(struct delta_maps *maps);
/* NULL: none. */
const struct delta_map *delta_maps_find(const struct delta_maps *maps, enum delta_side side, size_t content);
/* Takes what is in `map`, also when it fails. `counts`: of contents, by side. */
int delta_maps_add(struct delta_maps *maps, struct delta_map *map, const size_t counts[2],
		   struct error *error) MUST_CHECK;

/* Appends. */
int delta_maps_write(const struct delta_maps *maps, struct buffer *ret_bytes, struct error *error) MUST_CHECK;
/* From *at on, which moves. ERROR_DATA "delta". */
int delta_maps_read(const uint8_t **at, const uint8_t *end, const size_t counts[2], struct delta_maps *ret_maps,
		    struct error *error) MUST_CHECK;

#endif
