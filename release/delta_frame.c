#include "release/delta_frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "release/delta_number.h"
#include "release/delta_roll.h"

/* What is shorter the search finds for less. */
#define COPY_LEAST 512
/* Of all windows of the prefix those are kept whose hash ends in so many zero bits. */
#define SAMPLE_BITS 6
/* So much at both ends of what is copied stays in the prefix, for what was edited beside it. */
#define EDGE ((size_t)32)
/* Where copies are the most of the plain, what lies further from all of them is left out of the prefix: it belongs to
 * other parts. */
#define REACH ((size_t)256 * 1024)

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "delta", __VA_ARGS__)

struct copy {
	size_t at, size, from;
};

struct copies {
	struct copy *list; /* by `at`; they do not overlap */
	size_t count, room;
	size_t copied; /* sum of the sizes */
	size_t reach;  /* 0: all of the prefix is kept */
};

struct halves {
	struct copies copies;
	uint8_t *prefix, *plain; /* what is left of them */
	size_t prefix_size, plain_size;
};

static void halves_end(struct halves *halves)
{
	free(halves->copies.list);
	free(halves->prefix);
	free(halves->plain);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a part of a delta");
}

static int add(struct copies *copies, struct copy copy, struct error *error)
{
	struct copy *list = list_grow(copies->list, copies->count, &copies->room, sizeof(*list));
	if (list == NULL)
		return no_memory(error);
	copies->list = list;
	copies->list[copies->count++] = copy;
	copies->copied += copy.size;
	return 0;
}

struct finder {
	struct blob_prefix prefix;
	const uint8_t *plain;
	size_t size;
	uint32_t *places; /* where a sampled window of the prefix ends; 0: none */
	unsigned bits;
	struct delta_roll roll;
};

static bool is_sample(uint64_t hash)
{
	return (hash & ((UINT64_C(1) << SAMPLE_BITS) - 1)) == 0;
}

static int index_prefix(struct finder *finder, struct error *error)
{
	const uint8_t *bytes = finder->prefix.bytes;
	uint64_t hash = 0;

	for (finder->bits = 10; (size_t)1 << finder->bits < finder->prefix.size >> (SAMPLE_BITS - 1);)
		finder->bits++;
	finder->places = calloc((size_t)1 << finder->bits, sizeof(*finder->places));
	if (finder->places == NULL)
		return no_memory(error);
	delta_roll_begin(&finder->roll);
	for (size_t i = 0; i < finder->prefix.size; i++) {
		if (!delta_roll_next(&finder->roll, bytes[i], &hash) || !is_sample(hash))
			continue;
		uint32_t *place = &finder->places[hash >> (64 - finder->bits)];
		*place = *place == 0 ? (uint32_t)(i + 1) : *place;
	}
	return 0;
}

/* What plain and prefix share around `end` in the one and `from` in the other, back to `least` at most. */
static struct copy around(const struct finder *finder, size_t least, size_t end, size_t from)
{
	const uint8_t *old = finder->prefix.bytes, *new = finder->plain;
	size_t back = 0, ahead = 0;

	while (back < end - least && back < from && new[end - back - 1] == old[from - back - 1])
		back++;
	while (end + ahead < finder->size && from + ahead < finder->prefix.size &&
	       new[end + ahead] == old[from + ahead])
		ahead++;
	return (struct copy){end - back, back + ahead, from - back};
}

/* As the last copy went on, else where the same window stands in the prefix. */
static struct copy best_around(const struct finder *finder, const struct copies *copies, size_t least, size_t end,
			       uint64_t hash)
{
	struct copy found = {0}, other = {0};
	size_t place = finder->places[hash >> (64 - finder->bits)];

	if (copies->count > 0) {
		const struct copy *last = &copies->list[copies->count - 1];
		size_t from = last->from + (end - last->at);
		if (from <= finder->prefix.size)
			found = around(finder, least, end, from);
	}
	if (found.size < COPY_LEAST && place > 0)
		other = around(finder, least, end, place);
	return other.size > found.size ? other : found;
}

static int find_copies(struct finder *finder, struct copies *copies, struct error *error)
{
	size_t least = 0;
	uint64_t hash = 0;

	delta_roll_restart(&finder->roll);
	for (size_t i = 0; i < finder->size; i++) {
		if (!delta_roll_next(&finder->roll, finder->plain[i], &hash) || !is_sample(hash))
			continue;
		struct copy copy = best_around(finder, copies, least, i + 1, hash);
		if (copy.size < COPY_LEAST)
			continue;
		int result = add(copies, copy, error);
		if (result < 0)
			return result;
		least = copy.at + copy.size;
		i = least - 1;
		delta_roll_restart(&finder->roll);
	}
	copies->reach = copies->copied > finder->size / 4 * 3 ? REACH : 0;
	return 0;
}

static int by_from(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size);
}

static void keep(const uint8_t *bytes, size_t from, size_t to, uint8_t *room, size_t *size)
{
	if (to <= from)
		return;
	if (room != NULL)
		memcpy(room + *size, bytes + from, to - from);
	*size += to - from;
}

/* What of the prefix is not copied, into `room` (NULL: only counted). `sorted` by `from`. */
static size_t keep_prefix(struct blob_prefix prefix, const struct copies *copies, const struct copy *sorted,
			  uint8_t *room)
{
	size_t size = 0, at = 0;

	for (size_t i = 0; i <= copies->count; i++) {
		bool is_first = i == 0, is_last = i == copies->count;
		size_t end = is_last ? prefix.size : sorted[i].from + (sorted[i].size < EDGE ? sorted[i].size : EDGE);
		if (end > at && copies->reach > 0 && end - at > 2 * copies->reach) {
			if (!is_first)
				keep(prefix.bytes, at, at + copies->reach, room, &size);
			if (!is_last)
				keep(prefix.bytes, end - copies->reach, end, room, &size);
		} else {
			keep(prefix.bytes, at, end, room, &size);
		}
		size_t covered = is_last ? 0 : sorted[i].from + sorted[i].size;
		covered = covered > EDGE ? covered - EDGE : 0;
		at = end > at ? end : at;
		at = covered > at ? covered : at;
	}
	return size;
}

/* The copies by `from`. */
static int sort_copies(const struct copies *copies, struct copy **ret_sorted, struct error *error)
{
	struct copy *sorted = calloc(copies->count + 1, sizeof(*sorted));

	if (sorted == NULL)
		return no_memory(error);
	if (copies->count > 0)
		memcpy(sorted, copies->list, copies->count * sizeof(*sorted));
	qsort(sorted, copies->count, sizeof(*sorted), by_from);
	*ret_sorted = sorted;
	return 0;
}

/* What is left of the prefix; both sides do it alike. */
static int split_prefix(struct halves *halves, struct blob_prefix prefix, struct error *error)
{
	const struct copies *copies = &halves->copies;
	CLEANUP(free_pointer) struct copy *sorted = NULL;

	int result = sort_copies(copies, &sorted, error);
	if (result < 0)
		return result;
	halves->prefix_size = keep_prefix(prefix, copies, sorted, NULL);
	if (halves->prefix_size > DELTA_FRAME_LEFT)
		return error_set(error, ERROR_DATA, "length", "a part of the delta leaves more than any may");
	halves->prefix = malloc(halves->prefix_size + 1);
	if (halves->prefix == NULL)
		return no_memory(error);
	keep_prefix(prefix, copies, sorted, halves->prefix);
	return 0;
}

/* What of the plain lies between copies. */
static int gather_plain(struct halves *halves, const uint8_t *plain, size_t size, struct error *error)
{
	size_t at = 0, used = 0;

	halves->plain = malloc(halves->plain_size + 1);
	if (halves->plain == NULL)
		return no_memory(error);
	for (size_t i = 0; i <= halves->copies.count; i++) {
		const struct copy *copy = &halves->copies.list[i];
		size_t end = i < halves->copies.count ? copy->at : size;
		keep(plain, at, end, halves->plain, &used);
		at = i < halves->copies.count ? copy->at + copy->size : end;
	}
	return 0;
}

/* What is left of the plain stands at its end; from the front on each byte goes to its place, which is never behind the
 * one where it stands. */
static void spread_plain(const struct copies *copies, struct blob_prefix prefix, uint8_t *plain)
{
	const uint8_t *old = prefix.bytes, *left = plain + copies->copied;
	size_t at = 0;

	for (size_t i = 0; i < copies->count; i++) {
		const struct copy *copy = &copies->list[i];
		size_t gap = copy->at - at;
		memmove(plain + at, left, gap);
		memcpy(plain + copy->at, old + copy->from, copy->size);
		left += gap;
		at = copy->at + copy->size;
	}
}

/* The reach, then of each copy: how far behind the last one, how long, and from where against where the last one would
 * go on. All of it a frame of its own; the size 0 where nothing is copied. */
static int write_copies(const struct copies *copies, struct buffer *ret_stored, struct error *error)
{
	CLEANUP(buffer_free) struct buffer table = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	struct copy last = {0};

	if (copies->count == 0)
		return delta_number_write(ret_stored, 0, error);
	int result = delta_number_write(&table, copies->reach, error);
	for (size_t i = 0; result == 0 && i < copies->count; i++) {
		const struct copy *copy = &copies->list[i];
		uint64_t gap = copy->at - last.at - last.size, shift = copy->from - last.from - last.size - gap;
		result = delta_number_write(&table, gap, error);
		if (result == 0)
			result = delta_number_write(&table, copy->size, error);
		if (result == 0)
			result = delta_number_write(&table, delta_number_fold(shift), error);
		last = *copy;
	}
	if (result == 0)
		result = blob_patch((struct blob_prefix){NULL, 0}, table.data, table.size, false, &stored, error);
	if (result == 0)
		result = delta_number_write(ret_stored, table.size, error);
	if (result == 0)
		result = delta_number_write(ret_stored, stored.size, error);
	return result == 0 ? buffer_append(ret_stored, stored.data, stored.size, error) : result;
}

/* Every copy inside both sides and behind the one before. */
static int parse_copies(const uint8_t *at, const uint8_t *end, size_t prefix_size, size_t size, struct copies *copies,
			struct error *error)
{
	struct copy last = {0};
	uint64_t reach = 0;

	if (!delta_number_take(&at, end, &reach) || reach > BLOB_WINDOW_MOST)
		return REFUSE(error, "the copies of a part end early");
	copies->reach = (size_t)reach;
	while (at < end) {
		uint64_t gap = 0, length = 0, shift = 0;
		size_t behind = last.at + last.size;
		if (!delta_number_take(&at, end, &gap) || !delta_number_take(&at, end, &length) ||
		    !delta_number_take(&at, end, &shift))
			return REFUSE(error, "the copies of a part end early");
		uint64_t from = last.from + last.size + gap + delta_number_unfold(shift);
		/* Shorter ones are never made: so many of them would take more than their bytes do. */
		if (length < COPY_LEAST || gap > size - behind || length > size - behind - gap || from > prefix_size ||
		    length > prefix_size - from)
			return REFUSE(error, "a part copies from outside its prefix");
		last = (struct copy){behind + (size_t)gap, (size_t)length, (size_t)from};
		int result = add(copies, last, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* *at moves behind the copies. The table is bounded by the plain: a copy of three bytes in it makes COPY_LEAST there.
 */
static int read_copies(const uint8_t **at, const uint8_t *end, size_t prefix_size, size_t size, struct copies *copies,
		       struct error *error)
{
	uint64_t plain = 0, stored = 0;

	if (!delta_number_take(at, end, &plain))
		return REFUSE(error, "a part of the delta has no copies");
	if (plain == 0)
		return 0;
	if (!delta_number_take(at, end, &stored) || plain > size / 16 + 16 || stored > (uint64_t)(end - *at))
		return error_set(error, ERROR_DATA, "length", "the copies of a part have a size that none has");
	CLEANUP(free_pointer) uint8_t *table = malloc((size_t)plain);
	if (table == NULL)
		return no_memory(error);
	int result = blob_unpatch((struct blob_prefix){NULL, 0}, *at, (size_t)stored, table, (size_t)plain, error);
	*at += stored;
	return result < 0 ? result : parse_copies(table, table + plain, prefix_size, size, copies, error);
}

/* Few copies are not worth it, nor is too much that is left beside them. */
static int find_halves(struct blob_prefix prefix, const uint8_t *plain, size_t size, struct halves *halves,
		       struct error *error)
{
	struct finder finder = {.prefix = prefix, .plain = plain, .size = size};
	struct copies *copies = &halves->copies;

	int result = index_prefix(&finder, error);
	if (result == 0)
		result = find_copies(&finder, copies, error);
	free(finder.places);
	if (result < 0)
		return result;
	halves->plain_size = size - copies->copied;
	bool worth = copies->copied >= size / 4;
	if (worth && split_prefix(halves, prefix, error) == 0)
		return 0;
	if (worth && error->code != ERROR_DATA)
		return -(int)error->code;
	copies->count = copies->copied = 0;
	return 0;
}

int delta_frame_make(struct blob_prefix prefix, const void *plain, size_t size, struct buffer *ret_stored,
		     struct error *error)
{
	CLEANUP(halves_end) struct halves halves = {0};

	int result = find_halves(prefix, plain, size, &halves, error);
	if (result == 0)
		result = write_copies(&halves.copies, ret_stored, error);
	if (result < 0)
		return result;
	if (halves.copies.count == 0)
		return blob_patch(prefix, plain, size, false, ret_stored, error);
	result = gather_plain(&halves, plain, size, error);
	if (result < 0 || halves.plain_size == 0)
		return result;
	return blob_patch((struct blob_prefix){halves.prefix, halves.prefix_size}, halves.plain, halves.plain_size,
			  false, ret_stored, error);
}

size_t delta_frame_left_most(size_t prefix_size)
{
	return prefix_size < DELTA_FRAME_LEFT ? prefix_size : DELTA_FRAME_LEFT;
}

size_t delta_frame_memory(size_t prefix_size, size_t size)
{
	return delta_frame_left_most(prefix_size) + size + blob_patch_memory(prefix_size, size);
}

int delta_frame_left(const void *stored, size_t size, size_t prefix_size, size_t plain_size, size_t *ret_left,
		     struct error *error)
{
	CLEANUP(halves_end) struct halves halves = {0};
	CLEANUP(free_pointer) struct copy *sorted = NULL;
	const uint8_t *at = stored;

	int result = read_copies(&at, at + size, prefix_size, plain_size, &halves.copies, error);
	if (result == 0)
		result = sort_copies(&halves.copies, &sorted, error);
	if (result < 0)
		return result;
	*ret_left = halves.copies.count == 0
			    ? 0
			    : keep_prefix((struct blob_prefix){NULL, prefix_size}, &halves.copies, sorted, NULL);
	return 0;
}

int delta_frame_read(struct blob_prefix prefix, const void *stored, size_t size, void *ret_plain, size_t plain_size,
		     struct error *error)
{
	CLEANUP(halves_end) struct halves halves = {0};
	const uint8_t *at = stored, *end = at + size;

	int result = read_copies(&at, end, prefix.size, plain_size, &halves.copies, error);
	if (result < 0)
		return result;
	if (halves.copies.count == 0)
		return blob_unpatch(prefix, at, (size_t)(end - at), ret_plain, plain_size, error);
	result = split_prefix(&halves, prefix, error);
	if (result < 0)
		return result;
	size_t copied = halves.copies.copied;
	if (copied < plain_size)
		result = blob_unpatch((struct blob_prefix){halves.prefix, halves.prefix_size}, at, (size_t)(end - at),
				      (uint8_t *)ret_plain + copied, plain_size - copied, error);
	else if (at != end)
		return error_set(error, ERROR_DATA, "length", "a part of the delta goes on behind its end");
	if (result == 0)
		spread_plain(&halves.copies, prefix, ret_plain);
	return result;
}
