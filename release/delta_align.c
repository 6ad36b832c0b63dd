#include "release/delta_align.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"

/* Stretches of two sizes are looked up, the longer first: what is found by many bytes is meant. One position of sixteen
 * is, told by its own bytes, the same on both sides; more of them find hardly more. */
#define LEVELS 2
static const size_t level_sizes[LEVELS] = {48, 16};
#define SIZE_LARGEST    48
#define SIZE_SMALLEST   16
#define HASH_BITS_LEAST 10
#define HASH_BITS_MOST  22
/* Old positions of one hash that are tried, and at the smallest size how many of them far from what came last. */
#define TRIES     32
#define TRIES_FAR 8
#define FAR       100000
/* Longer is not compared to tell which of two is longer. */
#define COMPARED ((size_t)100000)
/* A byte that differs costs one that agrees, where zeros, as what is masked is, say nothing; so many more that differ,
 * and a stretch has ended. */
#define DROP 48
/* What a stretch must have; and one that goes on where the last one ended. */
#define SCORE_LEAST       24
#define SCORE_LEAST_ALONG 8

#define NONE UINT32_MAX

struct align {
	struct delta_side_bytes old, new;
	uint32_t *places; /* in the old file, of those that are looked up */
	uint32_t *heads[LEVELS], *nexts[LEVELS];
	unsigned hash_bits;
	size_t count;
	struct delta_segment *segments;
	size_t segment_count, segment_room;
	int64_t shift; /* old less new, of the last segment */
	size_t end;    /* of it, in the new file */
};

static void align_end(struct align *align)
{
	free(align->places);
	free(align->segments);
	for (int i = 0; i < LEVELS; i++) {
		free(align->heads[i]);
		free(align->nexts[i]);
	}
}

static uint64_t read_long(const uint8_t *at)
{
	uint64_t number;
	memcpy(&number, at, sizeof(number));
	return number;
}

static uint32_t hash_of(const struct align *align, const uint8_t *at, size_t size)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < size; i += sizeof(hash)) {
		hash = (hash ^ read_long(at + i)) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 31;
	}
	return (uint32_t)(hash * UINT64_C(0xbf58476d1ce4e5b9) >> (64 - align->hash_bits));
}

static bool is_looked_up(const uint8_t *at)
{
	uint32_t word;
	memcpy(&word, at, sizeof(word));
	return word * UINT32_C(0x9e3779b1) >> 28 == 0;
}

/* Runs of one byte are everywhere. */
static bool says_something(const uint8_t *at)
{
	uint64_t first = read_long(at);
	return first != read_long(at + 1) || first != read_long(at + 8);
}

static unsigned hash_bits(size_t places)
{
	unsigned bits = HASH_BITS_LEAST;
	while (bits < HASH_BITS_MOST && (size_t)1 << bits < places)
		bits++;
	return bits;
}

static int index_old(struct align *align, struct error *error)
{
	const struct delta_side_bytes *old = &align->old;
	size_t room = 0;

	for (size_t i = 0; i + SIZE_LARGEST <= old->size; i++)
		room += is_looked_up(old->bytes + i) && says_something(old->bytes + i) ? 1 : 0;
	align->hash_bits = hash_bits(room);
	const size_t heads = sizeof(uint32_t) << align->hash_bits;
	align->places = malloc((room + 1) * sizeof(*align->places));
	bool failed = align->places == NULL;
	for (int level = 0; level < LEVELS; level++) {
		align->heads[level] = malloc(heads);
		align->nexts[level] = malloc((room + 1) * sizeof(uint32_t));
		failed |= align->heads[level] == NULL || align->nexts[level] == NULL;
	}
	if (failed)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
	for (int level = 0; level < LEVELS; level++)
		memset(align->heads[level], 0xff, heads);
	for (size_t i = 0; i + SIZE_LARGEST <= old->size; i++) {
		if (!is_looked_up(old->bytes + i) || !says_something(old->bytes + i))
			continue;
		for (int level = 0; level < LEVELS; level++) {
			uint32_t *head = &align->heads[level][hash_of(align, old->bytes + i, level_sizes[level])];
			align->nexts[level][align->count] = *head;
			*head = (uint32_t)align->count;
		}
		align->places[align->count++] = (uint32_t)i;
	}
	return 0;
}

static size_t common(const uint8_t *a, const uint8_t *b, size_t most)
{
	size_t size = 0;
	while (size + 8 <= most && read_long(a + size) == read_long(b + size))
		size += 8;
	while (size < most && a[size] == b[size])
		size++;
	return size;
}

/* The old place that agrees with the new one the longest, of equals the nearest to where the last segment goes on. */
static bool find(const struct align *align, size_t at, size_t *ret_old)
{
	const uint8_t *new = align->new.bytes + at;
	int64_t along = (int64_t)at + align->shift;
	size_t best = 0;
	uint64_t best_far = 0;

	if (along >= 0 && (uint64_t)along + SIZE_SMALLEST <= align->old.size &&
	    memcmp(align->old.bytes + along, new, SIZE_SMALLEST) == 0) {
		*ret_old = (size_t)along;
		return true;
	}
	for (int level = 0; level < LEVELS && best == 0; level++) {
		uint32_t item = align->heads[level][hash_of(align, new, level_sizes[level])];
		for (int tried = 0; item != NONE && tried < TRIES; tried++, item = align->nexts[level][item]) {
			size_t old = align->places[item];
			int64_t distance = (int64_t)old - along;
			uint64_t far = distance < 0 ? 0 - (uint64_t)distance : (uint64_t)distance;
			if (memcmp(align->old.bytes + old, new, level_sizes[level]) != 0 ||
			    (level == LEVELS - 1 && tried > TRIES_FAR && far > FAR))
				continue;
			size_t most = align->old.size - old;
			most = align->new.size - at < most ? align->new.size - at : most;
			size_t size = common(align->old.bytes + old, new, most < COMPARED ? most : COMPARED);
			if (size > best || (size == best && far < best_far)) {
				best = size;
				best_far = far;
				*ret_old = old;
			}
		}
	}
	return best > 0;
}

/* How far two stretches agree on the whole, and by how much. */
static size_t forwards(const uint8_t *old, const uint8_t *new, size_t most, int64_t *ret_score)
{
	int64_t score = 0, best = 0;
	size_t size = 0;
	for (size_t i = 0; i < most && score >= best - DROP; i++) {
		score += old[i] != new[i] ? -1 : new[i] != 0 ? 1 : 0;
		if (score > best) {
			best = score;
			size = i + 1;
		}
	}
	*ret_score += best;
	return size;
}

static size_t backwards(const uint8_t *old, const uint8_t *new, size_t most, int64_t *ret_score)
{
	int64_t score = 0, best = 0;
	size_t size = 0;
	for (size_t i = 1; i <= most && score >= best - DROP; i++) {
		score += *(old - i) != *(new - i) ? -1 : *(new - i) != 0 ? 1 : 0;
		if (score > best) {
			best = score;
			size = i;
		}
	}
	*ret_score += best;
	return size;
}

static int add(struct align *align, struct delta_segment segment, struct error *error)
{
	struct delta_segment *last = align->segment_count > 0 ? &align->segments[align->segment_count - 1] : NULL;

	align->shift = (int64_t)segment.old - (int64_t)segment.new;
	align->end = (size_t)segment.new + segment.size;
	if (last != NULL && last->new + last->size == segment.new && last->old + last->size == segment.old) {
		last->size += segment.size;
		return 0;
	}
	struct delta_segment *segments =
		list_grow(align->segments, align->segment_count, &align->segment_room, sizeof(*segments));
	if (segments == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
	align->segments = segments;
	align->segments[align->segment_count++] = segment;
	return 0;
}

/* Goes on behind what is found. */
static int step(struct align *align, size_t *at, struct error *error)
{
	const uint8_t *new = align->new.bytes + *at;
	size_t found = 0;

	if (!is_looked_up(new) || !says_something(new) || !find(align, *at, &found)) {
		*at += 1;
		return 0;
	}
	const uint8_t *old = align->old.bytes + found;
	size_t ahead = align->old.size - found, behind = *at - align->end;
	int64_t score = 0;
	ahead = align->new.size - *at < ahead ? align->new.size - *at : ahead;
	behind = found < behind ? found : behind;
	size_t after = forwards(old, new, ahead, &score);
	size_t before = backwards(old, new, behind, &score);
	bool is_along = (int64_t)found - (int64_t)*at == align->shift;
	if (score < (is_along ? SCORE_LEAST_ALONG : SCORE_LEAST)) {
		*at += 1;
		return 0;
	}
	struct delta_segment segment = {(uint32_t)(found - before), (uint32_t)(*at - before),
					(uint32_t)(before + after)};
	*at += after;
	return add(align, segment, error);
}

size_t delta_align_memory(size_t old_size)
{
	return ((sizeof(uint32_t) * LEVELS) << hash_bits(old_size / 8)) +
	       (old_size / 8) * sizeof(uint32_t) * (LEVELS + 1);
}

int delta_align(struct delta_side_bytes old, struct delta_side_bytes new, struct delta_segment **ret_segments,
		size_t *ret_count, struct error *error)
{
	CLEANUP(align_end) struct align align = {.old = old, .new = new};

	if (old.size > DELTA_ALIGN_MOST || new.size > DELTA_ALIGN_MOST)
		return error_set(error, ERROR_BUG, "length", "files of %zu and %zu bytes are not compared", old.size,
				 new.size);
	int result = index_old(&align, error);
	for (size_t at = 0; result == 0 && at + SIZE_LARGEST <= new.size;)
		result = step(&align, &at, error);
	if (result < 0)
		return result;
	*ret_segments = TAKE(align.segments);
	*ret_count = align.segment_count;
	return 0;
}
