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

struct delta_ballot {
	uint64_t target, shift;
};
struct delta_ballots {
	struct delta_ballot *list;
	size_t count, room;
};
void delta_ballots_free(struct delta_ballots *ballots);
/* Appends the votes of the references in both files; or ballots that were cast elsewhere. */
int delta_ballots_cast(struct delta_ballots *ballots, const struct delta_places *old, const struct delta_places *new,
		       const struct delta_segment *segments, size_t segment_count, struct error *error) MUST_CHECK;
int delta_ballots_append(struct delta_ballots *ballots, const struct delta_ballot *list, size_t count,
			 struct error *error) MUST_CHECK;

/* The shifts that satisfy the votes best for the bytes that they take themselves. Sorts the ballots, by target. Caller
 * frees. */
int delta_vote(struct delta_ballots *ballots, struct delta_shift **ret_shifts, size_t *ret_count,
	       struct error *error) MUST_CHECK;

#endif
