/* Where addresses went: references that stand at the same place of two versions of a file lead to the same thing, so
 * each is a vote on how far that moved. */
#ifndef RELEASE_DELTA_VOTE_H
#define RELEASE_DELTA_VOTE_H

#include "release/delta_align.h"
#include "release/delta_map.h"

struct delta_place {
	uint32_t place; /* in the file */
	uint64_t target;
};
struct delta_places {
	struct delta_place *list; /* ascending by place */
	size_t count;
};

/* The shifts that satisfy the votes best for the bytes that they take themselves. Caller frees. */
int delta_vote(const struct delta_places *old, const struct delta_places *new, const struct delta_segment *segments,
	       size_t segment_count, struct delta_shift **ret_shifts, size_t *ret_count,
	       struct error *error) MUST_CHECK;

#endif
