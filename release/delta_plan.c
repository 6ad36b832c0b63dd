#include "release/delta_plan.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MOST     1000000
#define STRETCHES_MOST 4000000
#define STORED_MOST    (DELTA_PLAIN_MOST + DELTA_PLAIN_MOST / 128)

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "delta", __VA_ARGS__)

void delta_plan_free(struct delta_plan *plan)
{
	free(plan->parts);
	free(plan->stretches);
	*plan = (struct delta_plan){0};
}

static int grow(void **list, size_t *room, size_t count, size_t size, struct error *error)
{
	if (count < *room)
		return 0;
	size_t wanted = *room == 0 ? 64 : 2 * *room;
	void *larger = reallocarray(*list, wanted, size);
	if (larger == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the parts of a delta");
	*list = larger;
	*room = wanted;
	return 0;
}

int delta_plan_begin(struct delta_plan *plan, struct error *error)
{
	void *parts = plan->parts;
	if (plan->part_count == PARTS_MOST)
		return REFUSE(error, "a delta of more than %d parts is not made", PARTS_MOST);
	int result = grow(&parts, &plan->part_room, plan->part_count, sizeof(*plan->parts), error);
	plan->parts = parts;
	if (result == 0)
		plan->parts[plan->part_count++] = (struct delta_part){.first = plan->stretch_count};
	return result;
}

int delta_plan_add(struct delta_plan *plan, bool is_new, struct delta_stretch stretch, struct error *error)
{
	struct delta_part *part = &plan->parts[plan->part_count - 1];
	void *stretches = plan->stretches;
	if (plan->stretch_count == STRETCHES_MOST)
		return REFUSE(error, "a delta of more than %d stretches is not made", STRETCHES_MOST);
	int result = grow(&stretches, &plan->stretch_room, plan->stretch_count, sizeof(stretch), error);
	plan->stretches = stretches;
	if (result < 0)
		return result;
	plan->stretches[plan->stretch_count++] = stretch;
	*(is_new ? &part->news : &part->olds) += 1;
	*(is_new ? &part->plain : &part->prefix) += stretch.size;
	return 0;
}

int delta_plan_number(struct buffer *bytes, uint64_t number, struct error *error)
{
	uint8_t text[10];
	size_t size = 0;
	do {
		text[size] = (uint8_t)(number & 0x7f);
		number >>= 7;
		if (number > 0)
			text[size] |= 0x80;
		size++;
	} while (number > 0);
	return buffer_append(bytes, text, size, error);
}

bool delta_plan_take(const uint8_t **at, const uint8_t *end, uint64_t *ret_number)
{
	uint64_t number = 0;
	for (unsigned shift = 0; shift < 63 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

/* Contents follow one another mostly, so the step from the last one is what is written. Bit 0: a stretch that is not
 * the whole file, offset and size follow; bit 1: backwards. */
static int write_stretch(const struct delta_stretch *stretch, size_t *last, bool whole, struct buffer *ret_bytes,
			 struct error *error)
{
	uint64_t cut = whole ? 0 : 1;
	uint64_t code = stretch->content < *last ? (uint64_t)(*last - stretch->content - 1) << 2 | 2 | cut
						 : (uint64_t)(stretch->content - *last) << 2 | cut;
	int result = delta_plan_number(ret_bytes, code, error);
	*last = stretch->content;
	if (result == 0 && !whole)
		result = delta_plan_number(ret_bytes, stretch->offset, error);
	if (result == 0 && !whole)
		result = delta_plan_number(ret_bytes, stretch->size, error);
	return result;
}

static int write_part(const struct delta_plan *plan, const struct delta_part *part,
		      const struct manifest *const sides[2], size_t last[2], struct buffer *ret_bytes,
		      struct error *error)
{
	int result = delta_plan_number(ret_bytes, (uint64_t)part->branch, error);
	if (result == 0)
		result = delta_plan_number(ret_bytes, part->olds, error);
	if (result == 0)
		result = delta_plan_number(ret_bytes, part->news, error);
	for (size_t i = 0; result == 0 && i < part->olds + part->news; i++) {
		const struct delta_stretch *stretch = &plan->stretches[part->first + i];
		size_t side = i < part->olds ? 0 : 1;
		bool whole = stretch->offset == 0 && stretch->size == sides[side]->contents[stretch->content].size;
		result = write_stretch(stretch, &last[side], whole, ret_bytes, error);
	}
	if (result == 0)
		result = delta_plan_number(ret_bytes, part->stored, error);
	return result == 0 ? buffer_append(ret_bytes, part->hash, HASH_SIZE, error) : result;
}

int delta_plan_write(const struct delta_plan *plan, const struct manifest *old, const struct manifest *new,
		     struct buffer *ret_bytes, struct error *error)
{
	const struct manifest *const sides[2] = {old, new};
	size_t last[2] = {0, 0};
	int result = delta_plan_number(ret_bytes, plan->part_count, error);
	for (size_t i = 0; result == 0 && i < plan->part_count; i++)
		result = write_part(plan, &plan->parts[i], sides, last, ret_bytes, error);
	return result;
}

struct reader {
	const uint8_t *at, *end;
	const struct manifest *sides[2];
	size_t last[2];
	uint64_t *made; /* by new content: bytes that parts make of it so far */
	struct delta_plan plan;
};

static void reader_end(struct reader *reader)
{
	free(reader->made);
	delta_plan_free(&reader->plan);
}

static int read_stretch(struct reader *reader, size_t side, struct error *error)
{
	const struct manifest *manifest = reader->sides[side];
	uint64_t code = 0;
	struct delta_stretch stretch = {0};

	if (!delta_plan_take(&reader->at, reader->end, &code))
		return REFUSE(error, "the index of the delta ends early");
	uint64_t step = code >> 2;
	bool cut = (code & 1) != 0, back = (code & 2) != 0;
	if (step >= manifest->content_count || (back && step + 1 > reader->last[side]) ||
	    (!back && reader->last[side] + step >= manifest->content_count))
		return REFUSE(error, "the delta names a content that no release has");
	stretch.content = back ? reader->last[side] - (size_t)step - 1 : reader->last[side] + (size_t)step;
	const struct manifest_content *content = &manifest->contents[stretch.content];
	stretch.size = content->size;
	if (cut && (!delta_plan_take(&reader->at, reader->end, &stretch.offset) ||
		    !delta_plan_take(&reader->at, reader->end, &stretch.size)))
		return REFUSE(error, "the index of the delta ends early");
	if (stretch.size == 0 || stretch.offset > content->size || stretch.size > content->size - stretch.offset)
		return REFUSE(error, "the delta names a stretch outside its file");
	if (side == 1) {
		if (stretch.offset != reader->made[stretch.content])
			return REFUSE(error, "the delta makes a file twice or out of order");
		reader->made[stretch.content] += stretch.size;
	}
	reader->last[side] = stretch.content;
	return delta_plan_add(&reader->plan, side == 1, stretch, error);
}

static int read_part(struct reader *reader, struct error *error)
{
	uint64_t branch = 0, olds = 0, news = 0, stored = 0;
	int result = delta_plan_begin(&reader->plan, error);
	if (result < 0)
		return result;
	if (!delta_plan_take(&reader->at, reader->end, &branch) || !delta_plan_take(&reader->at, reader->end, &olds) ||
	    !delta_plan_take(&reader->at, reader->end, &news))
		return REFUSE(error, "the index of the delta ends early");
	if (branch >= BRANCH_KINDS || olds > STRETCHES_MOST || news == 0 || news > STRETCHES_MOST)
		return REFUSE(error, "a part of the delta is of no known kind");
	for (uint64_t i = 0; result == 0 && i < olds + news; i++) {
		result = read_stretch(reader, i < olds ? 0 : 1, error);
		const struct delta_part *part = &reader->plan.parts[reader->plan.part_count - 1];
		if (result == 0 && (part->prefix > DELTA_PREFIX_MOST || part->plain > DELTA_PLAIN_MOST))
			return error_set(error, ERROR_DATA, "length", "a part of the delta is larger than any may be");
	}
	if (result < 0)
		return result;
	struct delta_part *part = &reader->plan.parts[reader->plan.part_count - 1];
	if (!delta_plan_take(&reader->at, reader->end, &stored) || reader->end - reader->at < HASH_SIZE)
		return REFUSE(error, "the index of the delta ends early");
	if (stored == 0 || stored > STORED_MOST)
		return error_set(error, ERROR_DATA, "length", "a part of the delta has %llu bytes, which none has",
				 (unsigned long long)stored);
	part->branch = (enum branch)branch;
	part->stored = stored;
	memcpy(part->hash, reader->at, HASH_SIZE);
	reader->at += HASH_SIZE;
	return 0;
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
	if (!delta_plan_take(&reader.at, reader.end, &count) || count > PARTS_MOST)
		return REFUSE(error, "the index of the delta does not say how many parts there are");
	for (uint64_t i = 0; i < count; i++) {
		int result = read_part(&reader, error);
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
