#include "release/delta_vote.h"

#include <stdlib.h>
#include <string.h>

/* In half bytes: what a shift takes in the index, and what a reference takes that was not foreseen. */
#define SHIFT_COST 10
#define MISS_COST  5
/* A shift that is no worse than the best by what it takes to change is remembered, in a table of so many at most. */
#define TABLE_BITS_LEAST 10
#define TABLE_BITS_MOST  20

#define NONE UINT32_MAX

/* A shift from one target on, and which one ended there. */
struct stage {
	uint64_t shift, from;
	uint32_t before;
};

/* What it costs to have this shift now, less what any other would have cost up to now. */
struct standing {
	uint64_t shift;
	int64_t cost;
	uint32_t stage; /* + 1; 0: an empty place */
};

struct vote {
	struct stage *stages;
	size_t stage_count;
	struct standing *standings; /* by shift, open addressing */
	size_t standing_count;
	unsigned table_bits;
	int64_t least; /* of all that stand */
	uint32_t best; /* its stage */
};

static void vote_end(struct vote *vote)
{
	free(vote->stages);
	free(vote->standings);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
}

void delta_ballots_free(struct delta_ballots *ballots)
{
	free(ballots->list);
	*ballots = (struct delta_ballots){0};
}

int delta_ballots_append(struct delta_ballots *ballots, const struct delta_ballot *list, size_t count,
			 struct error *error)
{
	size_t room = ballots->room == 0 ? 4096 : ballots->room;
	while (room - ballots->count < count)
		room *= 2;
	if (room > ballots->room) {
		struct delta_ballot *larger = reallocarray(ballots->list, room, sizeof(*larger));
		if (larger == NULL)
			return no_memory(error);
		ballots->list = larger;
		ballots->room = room;
	}
	if (count > 0)
		memcpy(ballots->list + ballots->count, list, count * sizeof(*list));
	ballots->count += count;
	return 0;
}

static size_t first_from(const struct delta_places *places, uint32_t place)
{
	size_t low = 0, high = places->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (places->list[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int cast(struct delta_ballots *ballots, const struct delta_places *old, const struct delta_places *new,
		const struct delta_segment *segment, struct error *error)
{
	int result = 0;
	size_t i = first_from(old, segment->old), j = first_from(new, segment->new);
	while (result == 0 && i < old->count && j < new->count) {
		uint32_t x = old->list[i].place - segment->old, y = new->list[j].place - segment->new;
		if (x >= segment->size || y >= segment->size)
			break;
		const struct delta_ballot ballot = {old->list[i].target, new->list[j].target - old->list[i].target};
		if (x == y)
			result = delta_ballots_append(ballots, &ballot, 1, error);
		i += x <= y ? 1 : 0;
		j += y <= x ? 1 : 0;
	}
	return result;
}

int delta_ballots_cast(struct delta_ballots *ballots, const struct delta_places *old, const struct delta_places *new,
		       const struct delta_segment *segments, size_t segment_count, struct error *error)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < segment_count; i++)
		result = cast(ballots, old, new, &segments[i], error);
	return result;
}

static int by_target(const void *a, const void *b)
{
	const struct delta_ballot *x = a, *y = b;
	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	return (x->shift > y->shift) - (x->shift < y->shift);
}

static struct standing *stand(struct vote *vote, uint64_t shift)
{
	const uint32_t mask = (UINT32_C(1) << vote->table_bits) - 1;
	uint32_t place = (uint32_t)(shift * UINT64_C(0x9e3779b97f4a7c15) >> (64 - vote->table_bits));
	while (vote->standings[place].stage != 0 && vote->standings[place].shift != shift)
		place = (place + 1) & mask;
	return &vote->standings[place];
}

/* Votes for one shift at one target. All others miss them, which is counted by what this one gains. */
static void count(struct vote *vote, const struct delta_ballot *ballot, size_t votes, int64_t least, uint32_t best)
{
	struct standing *standing = stand(vote, ballot->shift);

	if (standing->stage == 0 && vote->standing_count >= (size_t)1 << (vote->table_bits - 1))
		return;
	if (standing->stage == 0 || standing->cost > least + SHIFT_COST) {
		vote->standing_count += standing->stage == 0 ? 1 : 0;
		vote->stages[vote->stage_count++] = (struct stage){ballot->shift, ballot->target, best};
		*standing = (struct standing){ballot->shift, least + SHIFT_COST, (uint32_t)vote->stage_count};
	}
	standing->cost -= MISS_COST * (int64_t)votes;
	if (standing->cost < vote->least) {
		vote->least = standing->cost;
		vote->best = standing->stage - 1;
	}
}

static void count_all(struct vote *vote, const struct delta_ballot *ballots, size_t ballot_count)
{
	for (size_t i = 0, end = 0; i < ballot_count; i = end) {
		int64_t least = vote->least;
		uint32_t best = vote->best;
		while (end < ballot_count && ballots[end].target == ballots[i].target) {
			size_t first = end;
			while (end < ballot_count && ballots[end].target == ballots[i].target &&
			       ballots[end].shift == ballots[first].shift)
				end++;
			count(vote, &ballots[first], end - first, least, best);
		}
	}
}

static int elect(const struct vote *vote, struct delta_shift **ret_shifts, size_t *ret_count, struct error *error)
{
	size_t left = 0;
	for (uint32_t i = vote->best; i != NONE; i = vote->stages[i].before)
		left++;
	struct delta_shift *shifts = calloc(left + 1, sizeof(*shifts));
	if (shifts == NULL)
		return no_memory(error);
	*ret_shifts = shifts;
	*ret_count = left;
	for (uint32_t i = vote->best; i != NONE; i = vote->stages[i].before)
		shifts[--left] = (struct delta_shift){vote->stages[i].from, vote->stages[i].shift};
	return 0;
}

int delta_vote(struct delta_ballots *ballots, struct delta_shift **ret_shifts, size_t *ret_count, struct error *error)
{
	CLEANUP(vote_end) struct vote vote = {.best = NONE, .table_bits = TABLE_BITS_LEAST};

	if (ballots->count > 0)
		qsort(ballots->list, ballots->count, sizeof(*ballots->list), by_target);
	while (vote.table_bits < TABLE_BITS_MOST && (size_t)1 << vote.table_bits < 2 * ballots->count)
		vote.table_bits++;
	vote.stages = calloc(ballots->count + 1, sizeof(*vote.stages));
	vote.standings = calloc((size_t)1 << vote.table_bits, sizeof(*vote.standings));
	if (vote.stages == NULL || vote.standings == NULL)
		return no_memory(error);
	count_all(&vote, ballots->list, ballots->count);
	return elect(&vote, ret_shifts, ret_count, error);
}
