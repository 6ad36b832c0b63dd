#include "release/delta_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "release/delta_match.h"
#include "release/delta_roll.h"
#include "release/executable.h"

#define READ_STEP    ((size_t)64 * 1024)
#define COMPARE_STEP ((size_t)16 * 1024)
/* Copies shorter than this cost more in the index than the search for them costs time. */
#define COPY_LEAST 1024
/* Of all windows those are kept whose hash ends in so many zero bits: at least; more where there would be more of them
 * than PLACES_MOST. */
#define SAMPLE_BITS 7
#define PLACES_MOST ((uint64_t)1 << 23)

/* Where a window of an old content ends. */
struct place {
	uint32_t content, tag; /* tag 0: none is here */
	uint64_t end;
};

struct finder {
	const struct delta_source *old, *new;
	const size_t *matches;
	struct delta_copies copies;
	struct place *places;
	unsigned place_bits, sample_bits;
	struct delta_roll roll;
	uint8_t *bytes;    /* READ_STEP */
	uint8_t *sides[2]; /* COMPARE_STEP each */
};

void delta_copies_free(struct delta_copies *copies)
{
	free(copies->copies);
	free(copies->first);
	*copies = (struct delta_copies){0};
}

static void finder_end(struct finder *finder)
{
	delta_copies_free(&finder->copies);
	free(finder->places);
	free(finder->bytes);
	free(finder->sides[0]);
	free(finder->sides[1]);
}

static int read_content(const struct delta_source *source, size_t content, uint64_t offset, void *bytes, size_t size,
			struct error *error)
{
	return spool_read(&source->plain, source->manifest->contents[content].offset + offset, bytes, size, error);
}

static int suits(const struct delta_source *source, size_t index, bool *ret_suits, struct error *error)
{
	uint8_t head[EXECUTABLE_HEAD];
	uint64_t size = source->manifest->contents[index].size;
	size_t have = size < sizeof(head) ? (size_t)size : sizeof(head);

	int result = size < COPY_LEAST ? 0 : read_content(source, index, 0, head, have, error);
	if (result == 0)
		*ret_suits = size >= COPY_LEAST && !executable_suits(head, have);
	return result;
}

/* Whether a window with this hash is one of those that are kept. */
static bool is_sample(const struct finder *finder, uint64_t hash)
{
	return (hash & ((UINT64_C(1) << finder->sample_bits) - 1)) == 0;
}

static struct place *place_of(const struct finder *finder, uint64_t hash)
{
	return &finder->places[hash >> (64 - finder->place_bits)];
}

static uint32_t tag_of(const struct finder *finder, uint64_t hash)
{
	return (uint32_t)(hash >> finder->sample_bits) | 1;
}

/* The first of those that fall together stays. */
static int index_content(struct finder *finder, size_t index, struct error *error)
{
	uint64_t size = finder->old->manifest->contents[index].size, hash = 0;

	delta_roll_restart(&finder->roll);
	for (uint64_t at = 0; at < size;) {
		size_t step = size - at < READ_STEP ? (size_t)(size - at) : READ_STEP;
		int result = read_content(finder->old, index, at, finder->bytes, step, error);
		if (result < 0)
			return result;
		for (size_t i = 0; i < step; i++) {
			if (!delta_roll_next(&finder->roll, finder->bytes[i], &hash) || !is_sample(finder, hash))
				continue;
			struct place *place = place_of(finder, hash);
			if (place->tag == 0)
				*place = (struct place){(uint32_t)index, tag_of(finder, hash), at + i + 1};
		}
		at += step;
	}
	return 0;
}

static int index_old(struct finder *finder, struct error *error)
{
	const struct manifest *old = finder->old->manifest, *new = finder->new->manifest;
	CLEANUP(free_pointer) bool *wanted = calloc(old->content_count + 1, sizeof(*wanted));
	uint64_t total = 0;
	int result = 0;

	if (wanted == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	for (size_t i = 0; result == 0 && i < new->content_count; i++) {
		size_t match = finder->matches[i];
		if (match == DELTA_MATCH_NONE || match == DELTA_MATCH_SAME || wanted[match])
			continue;
		result = suits(finder->old, match, &wanted[match], error);
		total += wanted[match] ? old->contents[match].size : 0;
	}
	if (result < 0)
		return result;
	for (finder->sample_bits = SAMPLE_BITS; total >> finder->sample_bits > PLACES_MOST / 2;)
		finder->sample_bits++;
	for (finder->place_bits = 10; UINT64_C(1) << finder->place_bits < 2 * (total >> finder->sample_bits);)
		finder->place_bits++;
	finder->places = calloc((size_t)1 << finder->place_bits, sizeof(*finder->places));
	if (finder->places == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	for (size_t i = 0; result == 0 && i < old->content_count; i++)
		result = wanted[i] ? index_content(finder, i, error) : 0;
	return result;
}

/* How many of at most `most` bytes from here on are the same in both; backwards those that end here. */
static int same_bytes(const struct finder *finder, const struct delta_stretch *here, bool backwards, uint64_t most,
		      uint64_t *ret_same, struct error *error)
{
	uint64_t same = 0;
	for (size_t step = 512, i = 0; same < most; step = COMPARE_STEP, same += i) {
		step = most - same < step ? (size_t)(most - same) : step;
		uint64_t to = backwards ? here->offset - same - step : here->offset + same;
		uint64_t from = backwards ? here->from - same - step : here->from + same;
		int result = read_content(finder->new, here->content, to, finder->sides[0], step, error);
		if (result == 0)
			result = read_content(finder->old, here->source, from, finder->sides[1], step, error);
		if (result < 0)
			return result;
		const uint8_t *a = finder->sides[0], *b = finder->sides[1];
		for (i = 0; i < step && (backwards ? a[step - i - 1] == b[step - i - 1] : a[i] == b[i]);)
			i++;
		if (i < step) {
			same += i;
			break;
		}
	}
	*ret_same = same;
	return 0;
}

static int add_copy(struct finder *finder, const struct delta_stretch *copy, struct error *error)
{
	struct delta_copies *copies = &finder->copies;
	struct delta_stretch *larger = list_grow(copies->copies, copies->count, &copies->room, sizeof(*larger));
	if (larger == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	copies->copies = larger;
	copies->copies[copies->count++] = *copy;
	return 0;
}

/* A window that ends at `end` of the new content has the hash of one that ends at `place`: the whole stretch that both
 * share around it, from `least` on, is a copy if it is long enough: *ret_end is then behind it. */
static int try_place(struct finder *finder, size_t index, uint64_t least, uint64_t end, const struct place *place,
		     bool *ret_found, uint64_t *ret_end, struct error *error)
{
	struct delta_stretch copy = {.content = index, .offset = end, .source = place->content, .from = place->end};
	uint64_t size = finder->new->manifest->contents[index].size;
	uint64_t old_size = finder->old->manifest->contents[copy.source].size;
	uint64_t before = end - least < copy.from ? end - least : copy.from, back = 0, ahead = 0;
	uint64_t behind = size - end < old_size - copy.from ? size - end : old_size - copy.from;

	int result = same_bytes(finder, &copy, true, before, &back, error);
	if (result < 0 || back < DELTA_ROLL_WINDOW)
		return result;
	result = same_bytes(finder, &copy, false, behind, &ahead, error);
	if (result < 0 || back + ahead < COPY_LEAST)
		return result;
	copy.offset -= back;
	copy.from -= back;
	copy.size = back + ahead;
	result = add_copy(finder, &copy, error);
	if (result < 0)
		return result;
	*ret_found = true;
	*ret_end = end + ahead;
	return 0;
}

static int scan_content(struct finder *finder, size_t index, struct error *error)
{
	uint64_t size = finder->new->manifest->contents[index].size, least = 0, hash = 0;

	delta_roll_restart(&finder->roll);
	for (uint64_t at = 0; at < size;) {
		size_t step = size - at < READ_STEP ? (size_t)(size - at) : READ_STEP;
		uint64_t next = at + step;
		bool found = false;
		int result = read_content(finder->new, index, at, finder->bytes, step, error);
		for (size_t i = 0; result == 0 && i < step && !found; i++) {
			if (!delta_roll_next(&finder->roll, finder->bytes[i], &hash) || !is_sample(finder, hash))
				continue;
			const struct place *place = place_of(finder, hash);
			if (place->tag == tag_of(finder, hash))
				result = try_place(finder, index, least, at + i + 1, place, &found, &next, error);
		}
		if (result < 0)
			return result;
		at = next;
		if (found) {
			least = next;
			delta_roll_restart(&finder->roll);
		}
	}
	return 0;
}

int delta_copies_find(const struct delta_source *old, const struct delta_source *new, const size_t *matches,
		      struct delta_copies *ret_copies, struct error *error)
{
	CLEANUP(finder_end) struct finder finder = {.old = old, .new = new, .matches = matches};
	size_t count = new->manifest->content_count;

	delta_roll_begin(&finder.roll);
	finder.copies.first = calloc(count + 1, sizeof(*finder.copies.first));
	finder.bytes = malloc(READ_STEP);
	finder.sides[0] = malloc(COMPARE_STEP);
	finder.sides[1] = malloc(COMPARE_STEP);
	if (finder.copies.first == NULL || finder.bytes == NULL || finder.sides[0] == NULL || finder.sides[1] == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	int result = index_old(&finder, error);
	for (size_t i = 0; result == 0 && i < count; i++) {
		bool wanted = false;
		finder.copies.first[i] = finder.copies.count;
		if (matches[i] != DELTA_MATCH_SAME)
			result = suits(new, i, &wanted, error);
		if (result == 0 && wanted)
			result = scan_content(&finder, i, error);
	}
	if (result < 0)
		return result;
	finder.copies.first[count] = finder.copies.count;
	*ret_copies = finder.copies;
	finder.copies = (struct delta_copies){0};
	return 0;
}
