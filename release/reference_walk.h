/* What the kinds of references share while a view is gone through; for reference*.c alone. */
#ifndef RELEASE_REFERENCE_WALK_H
#define RELEASE_REFERENCE_WALK_H

#include "release/reference.h"

/* Where a function begins and where its frame description lies. */
struct reference_frame {
	uint64_t begin, place;
};

struct reference_walker {
	const struct reference_view *view;
	reference_visit *visit;
	void *context;
	uint64_t *tables; /* where LEA points */
	size_t table_count, table_room;
	size_t steps; /* that the ends of tables went down so far: as many on the way back */
	struct reference_frame *frames;
	size_t frame_count, frame_room;
	struct error *error;
};

/* The part of a region that is in the view. */
struct reference_span {
	uint8_t *bytes;
	size_t size;
	uint64_t skipped; /* bytes of the region before it */
	uint64_t address; /* of the first byte */
};
struct reference_span reference_cut(const struct reference_view *view, const struct reference_region *region);

uint32_t reference_word(const uint8_t *at);
uint64_t reference_long(const uint8_t *at);
void reference_put_word(uint8_t *at, uint32_t word);
void reference_put_long(uint8_t *at, uint64_t number);

/* Visits; returns the address that the file's own shape leads to. For the forms of 32 bits. */
uint64_t reference_meet(const struct reference_walker *walker, struct reference reference);

/* Those that the view names. */
int reference_add_tables(struct reference_walker *walker) MUST_CHECK;
int reference_walk_x86(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_aarch64(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_jumps(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_frames(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_object_symbols(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_types(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;
int reference_walk_frame_table(struct reference_walker *walker, const struct reference_region *region) MUST_CHECK;

#endif
