#include "release/delta_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "release/delta_number.h"

#define PARTS_MOST     1000000
#define STRETCHES_MOST 1000000
/* Steps of rewriting, as which reading counts, too: for each byte of both releases, and beside that. */
#define EFFORT_A_BYTE  256
#define EFFORT_LEAST   (UINT64_C(1) << 33)
#define EFFORT_TO_READ 64
#define STORED_MOST    (DELTA_PLAIN_MOST + DELTA_PLAIN_MOST / 128)

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "delta", __VA_ARGS__)

void delta_plan_free(struct delta_plan *plan)
{
	free(plan->parts);
	free(plan->stretches);
	delta_maps_free(&plan->maps);
	*plan = (struct delta_plan){0};
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
}

int delta_plan_begin(struct delta_plan *plan, struct error *error)
{
	if (plan->part_count == PARTS_MOST)
		return REFUSE(error, "a delta of more than %d parts is not made", PARTS_MOST);
	struct delta_part *parts = list_grow(plan->parts, plan->part_count, &plan->part_room, sizeof(*parts));
	if (parts == NULL)
		return no_memory(error);
	plan->parts = parts;
	plan->parts[plan->part_count++] = (struct delta_part){.first = plan->stretch_count};
	return 0;
}

int delta_plan_add(struct delta_plan *plan, bool is_new, struct delta_stretch stretch, struct error *error)
{
	struct delta_part *part = &plan->parts[plan->part_count - 1];
	if (plan->stretch_count == STRETCHES_MOST)
		return REFUSE(error, "a delta of more than %d stretches is not made", STRETCHES_MOST);
	struct delta_stretch *stretches =
		list_grow(plan->stretches, plan->stretch_count, &plan->stretch_room, sizeof(*stretches));
	if (stretches == NULL)
		return no_memory(error);
	plan->stretches = stretches;
	plan->stretches[plan->stretch_count++] = stretch;
	*(is_new ? &part->news : &part->olds) += 1;
	*(!is_new ? &part->prefix : stretch.source == DELTA_PATCHED ? &part->plain : &part->copied) += stretch.size;
	return 0;
}

/* What a stretch is written as the difference from: both sides keep it alike. */
struct trail {
	size_t contents[2]; /* of the last stretch of each side */
	uint64_t ends[2];   /* where it ended */
	size_t source;      /* of the last copied one */
	uint64_t shift;     /* from where it was copied less where it went, modulo 2^64 */
};

static void advance(struct trail *trail, bool is_new, const struct delta_stretch *stretch)
{
	trail->contents[is_new] = stretch->content;
	trail->ends[is_new] = stretch->offset + stretch->size;
	if (is_new && stretch->source != DELTA_PATCHED) {
		trail->source = stretch->source;
		trail->shift = stretch->from - stretch->offset;
	}
}

/* Where an old stretch is thought to begin, and a copied one to come from. */
static uint64_t expected_offset(const struct trail *trail, size_t content)
{
	return trail->contents[0] == content ? trail->ends[0] : 0;
}

static uint64_t expected_shift(const struct trail *trail, size_t content, size_t source)
{
	return trail->contents[1] == content && trail->source == source ? trail->shift : 0;
}

/* The step from the last content, then bits: 2, of new ones alone: copied, from where follows; 1: not the whole file, a
 * size follows, and for old ones an offset before it. New ones go on where the file stands. */
static int write_stretch(const struct delta_stretch *stretch, struct trail *trail, bool is_new, bool whole,
			 struct buffer *ret_bytes, struct error *error)
{
	bool copied = is_new && stretch->source != DELTA_PATCHED;
	uint64_t code = delta_number_fold(stretch->content - trail->contents[is_new]);

	code = is_new ? code << 2 | (copied ? 2 : 0) : code << 1;
	int result = delta_number_write(ret_bytes, code | (whole ? 0 : 1), error);
	if (result == 0 && !whole && !is_new)
		result = delta_number_write(
			ret_bytes, delta_number_fold(stretch->offset - expected_offset(trail, stretch->content)),
			error);
	if (result == 0 && !whole)
		result = delta_number_write(ret_bytes, stretch->size, error);
	if (result == 0 && copied)
		result = delta_number_write(ret_bytes, delta_number_fold(stretch->source - trail->source), error);
	if (result == 0 && copied)
		result = delta_number_write(ret_bytes,
					    delta_number_fold(stretch->from - stretch->offset -
							      expected_shift(trail, stretch->content, stretch->source)),
					    error);
	advance(trail, is_new, stretch);
	return result;
}

static int write_part(const struct delta_plan *plan, const struct delta_part *part,
		      const struct manifest *const sides[2], struct trail *trail, struct buffer *ret_bytes,
		      struct error *error)
{
	int result = delta_number_write(ret_bytes, part->rewritten ? 1 : 0, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, part->olds, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, part->news, error);
	for (size_t i = 0; result == 0 && i < part->olds + part->news; i++) {
		const struct delta_stretch *stretch = &plan->stretches[part->first + i];
		bool is_new = i >= part->olds;
		bool whole = stretch->offset == 0 && stretch->size == sides[is_new]->contents[stretch->content].size;
		result = write_stretch(stretch, trail, is_new, whole, ret_bytes, error);
	}
	if (result == 0)
		result = delta_number_write(ret_bytes, part->stored, error);
	return result == 0 ? buffer_append(ret_bytes, part->hash, HASH_SIZE, error) : result;
}

int delta_plan_write(const struct delta_plan *plan, const struct manifest *old, const struct manifest *new,
		     struct buffer *ret_bytes, struct error *error)
{
	const struct manifest *const sides[2] = {old, new};
	struct trail trail = {0};
	int result = delta_maps_write(&plan->maps, ret_bytes, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, plan->part_count, error);
	for (size_t i = 0; result == 0 && i < plan->part_count; i++)
		result = write_part(plan, &plan->parts[i], sides, &trail, ret_bytes, error);
	return result;
}

struct reader {
	const uint8_t *at, *end;
	const struct manifest *sides[2];
	struct trail trail;
	uint64_t *made;  /* by new content: bytes that parts make of it so far */
	uint64_t effort; /* that parts may still take */
	struct delta_plan plan;
};

static void reader_end(struct reader *reader)
{
	free(reader->made);
	delta_plan_free(&reader->plan);
}

static bool take(struct reader *reader, uint64_t *ret_number)
{
	return delta_number_take(&reader->at, reader->end, ret_number);
}

/* The numbers of a stretch, whatever they say. */
static bool take_stretch(struct reader *reader, bool is_new, struct delta_stretch *ret_stretch)
{
	const struct trail *trail = &reader->trail;
	struct delta_stretch stretch = {.source = DELTA_PATCHED};
	uint64_t code = 0, offset = 0, source = 0, shift = 0;

	if (!take(reader, &code))
		return false;
	bool cut = (code & 1) != 0, copied = is_new && (code & 2) != 0;
	stretch.content = (size_t)(trail->contents[is_new] + delta_number_unfold(is_new ? code >> 2 : code >> 1));
	if (stretch.content >= reader->sides[is_new]->content_count)
		return false;
	stretch.size = reader->sides[is_new]->contents[stretch.content].size;
	if (cut && ((!is_new && !take(reader, &offset)) || !take(reader, &stretch.size)))
		return false;
	if (is_new)
		stretch.offset = reader->made[stretch.content];
	else if (cut)
		stretch.offset = expected_offset(trail, stretch.content) + delta_number_unfold(offset);
	if (copied) {
		if (!take(reader, &source) || !take(reader, &shift))
			return false;
		stretch.source = (size_t)(trail->source + delta_number_unfold(source));
		stretch.from = stretch.offset + expected_shift(trail, stretch.content, stretch.source) +
			       delta_number_unfold(shift);
		if (stretch.source >= reader->sides[0]->content_count)
			return false;
	}
	*ret_stretch = stretch;
	return true;
}

static bool inside(const struct manifest *manifest, size_t content, uint64_t offset, uint64_t size)
{
	uint64_t most = manifest->contents[content].size;
	return size > 0 && offset <= most && size <= most - offset;
}

static int read_stretch(struct reader *reader, bool is_new, struct error *error)
{
	struct delta_stretch stretch;

	if (!take_stretch(reader, is_new, &stretch))
		return REFUSE(error, "the index of the delta ends early or names a content that no release has");
	if (!inside(reader->sides[is_new], stretch.content, stretch.offset, stretch.size))
		return REFUSE(error, "the delta names a stretch outside its file");
	if (stretch.source != DELTA_PATCHED && !inside(reader->sides[0], stretch.source, stretch.from, stretch.size))
		return REFUSE(error, "the delta copies from outside a file");
	if (is_new)
		reader->made[stretch.content] += stretch.size;
	advance(&reader->trail, is_new, &stretch);
	return delta_plan_add(&reader->plan, is_new, stretch, error);
}

/* Small stretches under large maps, or the same old bytes for every part, would be gone through for days. */
static int spend_effort(struct reader *reader, const struct delta_part *part, struct error *error)
{
	for (size_t i = 0; i < part->olds + part->news; i++) {
		const struct delta_stretch *stretch = &reader->plan.stretches[part->first + i];
		const enum delta_side side = i < part->olds ? DELTA_OLD : DELTA_NEW;
		const struct delta_map *map = delta_maps_find(&reader->plan.maps, side, stretch->content);
		const uint64_t effort = map != NULL && part->rewritten ? delta_map_effort(map, side, stretch->size)
								       : EFFORT_TO_READ * stretch->size;
		if (effort > reader->effort)
			return error_set(error, ERROR_DATA, "length",
					 "the delta goes through the same bytes too often");
		reader->effort -= effort;
	}
	return 0;
}

static int read_part(struct reader *reader, struct error *error)
{
	uint64_t rewritten = 0, olds = 0, news = 0, stored = 0;
	int result = delta_plan_begin(&reader->plan, error);
	if (result < 0)
		return result;
	if (!take(reader, &rewritten) || !take(reader, &olds) || !take(reader, &news))
		return REFUSE(error, "the index of the delta ends early");
	if (rewritten > 1 || olds > STRETCHES_MOST || news == 0 || news > STRETCHES_MOST)
		return REFUSE(error, "a part of the delta is of no known kind");
	for (uint64_t i = 0; result == 0 && i < olds + news; i++) {
		result = read_stretch(reader, i >= olds, error);
		const struct delta_part *part = &reader->plan.parts[reader->plan.part_count - 1];
		if (result == 0 && (part->prefix > DELTA_PREFIX_MOST || part->plain > DELTA_PLAIN_MOST))
			return error_set(error, ERROR_DATA, "length", "a part of the delta is larger than any may be");
	}
	if (result < 0)
		return result;
	struct delta_part *part = &reader->plan.parts[reader->plan.part_count - 1];
	if (!take(reader, &stored) || reader->end - reader->at < HASH_SIZE)
		return REFUSE(error, "the index of the delta ends early");
	if (stored > STORED_MOST || (stored == 0) != (part->plain == 0))
		return error_set(error, ERROR_DATA, "length", "a part of the delta has %llu bytes, which none has",
				 (unsigned long long)stored);
	part->rewritten = rewritten == 1;
	part->stored = stored;
	memcpy(part->hash, reader->at, HASH_SIZE);
	reader->at += HASH_SIZE;
	return spend_effort(reader, part, error);
}

/* No sum of sizes that manifests have comes near 2^56. */
static uint64_t effort_most(const struct manifest *old, const struct manifest *new)
{
	const struct manifest *const sides[] = {old, new};
	uint64_t bytes = 0;

	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < sides[side]->content_count; i++)
			bytes += sides[side]->contents[i].size;
	return EFFORT_LEAST + EFFORT_A_BYTE * bytes;
}

int delta_plan_read(const void *bytes, size_t size, const struct manifest *old, const struct manifest *new,
		    struct delta_plan *ret_plan, struct error *error)
{
	CLEANUP(reader_end)
	struct reader reader = {.at = bytes, .end = (const uint8_t *)bytes + size, .sides = {old, new}};
	uint64_t count = 0;

	reader.made = calloc(new->content_count + 1, sizeof(*reader.made));
	if (reader.made == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the index of a delta");
	reader.effort = effort_most(old, new);
	const size_t counts[2] = {old->content_count, new->content_count};
	int result = delta_maps_read(&reader.at, reader.end, counts, &reader.plan.maps, error);
	if (result < 0)
		return result;
	if (!delta_number_take(&reader.at, reader.end, &count) || count > PARTS_MOST)
		return REFUSE(error, "the index of the delta does not say how many parts there are");
	for (uint64_t i = 0; i < count; i++) {
		result = read_part(&reader, error);
		if (result < 0)
			return result;
	}
	if (reader.at != reader.end)
		return REFUSE(error, "the index of the delta goes on behind its end");
	for (size_t i = 0; i < new->content_count; i++)
		if (reader.made[i] != 0 && reader.made[i] != new->contents[i].size)
			return REFUSE(error, "the delta makes a file in part");
	*ret_plan = reader.plan;
	reader.plan = (struct delta_plan){0};
	return 0;
}
