#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/crew_memory.h"
#include "base/fault.h"
#include "base/file.h"
#include "release/blob.h"
#include "release/delta_deliver.h"
#include "release/delta_frame.h"
#include "release/delta_number.h"

/* What a part may take beside its bytes without being looked at first. */
#define LARGE ((size_t)16 * 1024 * 1024)

struct delta {
	int fd;
	const struct manifest *old, *new;
	struct delta_plan plan;
	uint64_t *offsets; /* by part, in the file */
};

static int read_at(int fd, uint64_t offset, void *bytes, size_t size, struct error *error)
{
	if (fault_point("delta.read") < 0)
		return error_set_errno(error, ERROR_DATA, "read", "the delta cannot be read");
	return file_read_exact(fd, "the delta", offset, bytes, size, error);
}

static int read_hashed(int fd, uint64_t offset, void *bytes, size_t size, const uint8_t expected[static HASH_SIZE],
		       struct error *error)
{
	uint8_t hash[HASH_SIZE];
	int result = read_at(fd, offset, bytes, size, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_BLAKE2B, bytes, size, hash);
	return hash_equal(hash, expected) ? 0 : error_set(error, ERROR_DATA, "hash", "the delta is damaged");
}

void delta_free(struct delta **delta)
{
	struct delta *old = TAKE(*delta);
	if (old == NULL)
		return;
	delta_plan_free(&old->plan);
	free(old->offsets);
	free(old);
}

/* Where the index begins; *ret_offset is behind it. */
static int read_index(struct delta *delta, uint64_t at, uint64_t size, uint64_t *ret_offset, struct error *error)
{
	uint8_t head[64];
	const uint8_t *next = head;
	size_t have = size - at < sizeof(head) ? (size_t)(size - at) : sizeof(head);
	uint64_t plain = 0, stored = 0;

	int result = read_at(delta->fd, at, head, have, error);
	if (result < 0)
		return result;
	if (!delta_number_take(&next, head + have, &plain) || !delta_number_take(&next, head + have, &stored) ||
	    head + have - next < HASH_SIZE)
		return error_set(error, ERROR_DATA, "delta", "the delta has no index");
	uint64_t from = at + (uint64_t)(next - head) + HASH_SIZE;
	if (plain == 0 || plain > DELTA_INDEX_MOST || stored == 0 || from > size || stored > size - from)
		return error_set(error, ERROR_DATA, "length", "the index of the delta has a size that none has");
	CLEANUP(free_pointer) uint8_t *bytes = malloc((size_t)stored);
	CLEANUP(free_pointer) uint8_t *index = malloc((size_t)plain);
	if (bytes == NULL || index == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the index of a delta");
	result = read_hashed(delta->fd, from, bytes, (size_t)stored, next, error);
	if (result == 0)
		result =
			blob_unpatch((struct blob_prefix){NULL, 0}, bytes, (size_t)stored, index, (size_t)plain, error);
	if (result == 0)
		result = delta_plan_read(index, (size_t)plain, delta->old, delta->new, &delta->plan, error);
	*ret_offset = from + stored;
	return result;
}

static int read_delta(struct delta *delta, struct error *error)
{
	uint8_t first[4 * MANIFEST_NAME_MOST];
	struct delta_head head;
	struct stat status;

	if (fstat(delta->fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > DELTA_BYTES_MOST)
		return error_set(error, ERROR_DATA, "delta", "that is no delta");
	uint64_t size = (uint64_t)status.st_size, at = 0;
	size_t have = size < sizeof(first) ? (size_t)size : sizeof(first);
	int result = read_at(delta->fd, 0, first, have, error);
	if (result == 0)
		result = delta_read_head(first, have, &head, error);
	if (result < 0)
		return result;
	if (strcmp(head.product, delta->new->product) != 0 || strcmp(head.from, delta->old->version) != 0 ||
	    strcmp(head.to, delta->new->version) != 0)
		return error_set(error, ERROR_DATA, "wrong-target", "the delta is for %s from %s to %s", head.product,
				 head.from, head.to);
	if (head.size > size)
		return error_set(error, ERROR_DATA, "length", "the delta ends in the middle");
	result = read_index(delta, head.size, size, &at, error);
	if (result < 0)
		return result;
	delta->offsets = calloc(delta->plan.part_count + 1, sizeof(*delta->offsets));
	if (delta->offsets == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the index of a delta");
	for (size_t i = 0; i < delta->plan.part_count; i++) {
		delta->offsets[i] = at;
		at += delta->plan.parts[i].stored;
	}
	return at == size ? 0 : error_set(error, ERROR_DATA, "length", "the delta has not the bytes that it says");
}

int delta_open(int fd, const struct manifest *old, const struct manifest *new, struct delta **ret_delta,
	       struct error *error)
{
	CLEANUP(delta_free) struct delta *delta = calloc(1, sizeof(*delta));

	if (delta == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to read a delta");
	*delta = (struct delta){.fd = fd, .old = old, .new = new};
	int result = read_delta(delta, error);
	if (result == 0)
		*ret_delta = TAKE(delta);
	return result;
}

int delta_check(const struct delta *delta, struct error *error)
{
	for (size_t i = 0; i < delta->plan.part_count; i++) {
		const struct delta_part *part = &delta->plan.parts[i];
		CLEANUP(free_pointer) uint8_t *bytes = malloc((size_t)part->stored);
		if (bytes == NULL)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to check a delta");
		int result = read_hashed(delta->fd, delta->offsets[i], bytes, (size_t)part->stored, part->hash, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* The map by which the part has a stretch rewritten; NULL: it has it as it is. */
static const struct delta_map *map_of(const struct delta *delta, const struct delta_part *part, enum delta_side side,
				      const struct delta_stretch *stretch)
{
	return part->rewritten ? delta_maps_find(&delta->plan.maps, side, stretch->content) : NULL;
}

static int load_prefix(const struct delta *delta, struct delta_base *base, const struct delta_part *part,
		       uint8_t *bytes, struct error *error)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < part->olds; i++) {
		const struct delta_stretch *stretch = &delta->plan.stretches[part->first + i];
		delta_base_read(base, stretch->content, stretch->offset, bytes, (size_t)stretch->size);
		const struct delta_map *map = map_of(delta, part, DELTA_OLD, stretch);
		if (map != NULL)
			result =
				delta_map_rewrite(map, DELTA_OLD, bytes, (size_t)stretch->size, stretch->offset, error);
		bytes += stretch->size;
	}
	return result;
}

struct applying {
	const struct delta *delta;
	int base;
	const struct delta_sink *sink;
	struct crew_memory memory;
};

static void applying_end(struct applying *applying)
{
	crew_memory_end(&applying->memory);
}

/* One block for all that a part needs, cut in pieces. */
struct sides {
	uint8_t *prefix, *plain, *stored, *room; /* DELTA_DELIVER_ROOM */
};

static struct sides cut_block(const struct delta_part *part, uint8_t *block)
{
	struct sides sides = {.room = block};
	sides.prefix = sides.room + DELTA_DELIVER_ROOM;
	sides.plain = sides.prefix + part->prefix;
	sides.stored = sides.plain + part->plain;
	return sides;
}

/* What was patched, from the shape that maps give it. */
static int restore_plain(const struct delta *delta, const struct delta_part *part, uint8_t *plain, struct error *error)
{
	int result = 0;
	for (size_t i = part->olds; result == 0 && i < part->olds + part->news; i++) {
		const struct delta_stretch *stretch = &delta->plan.stretches[part->first + i];
		const struct delta_map *map = map_of(delta, part, DELTA_NEW, stretch);
		if (stretch->source != DELTA_PATCHED)
			continue;
		if (map != NULL)
			result = delta_map_restore(map, plain, (size_t)stretch->size, stretch->offset, error);
		plain += stretch->size;
	}
	return result;
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to apply a delta");
}

static int apply_part(const struct applying *applying, const struct delta_deliver *deliver, size_t index,
		      const struct sides *sides, struct error *error)
{
	const struct delta *delta = applying->delta;
	const struct delta_part *part = &delta->plan.parts[index];

	int result =
		read_hashed(delta->fd, delta->offsets[index], sides->stored, (size_t)part->stored, part->hash, error);
	if (result == 0)
		result = load_prefix(delta, deliver->base, part, sides->prefix, error);
	if (result == 0 && part->plain > 0)
		result = delta_frame_read((struct blob_prefix){sides->prefix, (size_t)part->prefix}, sides->stored,
					  (size_t)part->stored, sides->plain, (size_t)part->plain, error);
	if (result == 0)
		result = restore_plain(delta, part, sides->plain, error);
	return result < 0 ? result : delta_deliver_part(deliver, part, sides->plain, error);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* How much the frame of a large part will take by itself: mostly far less than it could. */
static int look_ahead(struct applying *applying, size_t index, size_t *ret_left, struct error *error)
{
	const struct delta *delta = applying->delta;
	const struct delta_part *part = &delta->plan.parts[index];
	uint8_t *stored = crew_memory_borrow(&applying->memory, (size_t)part->stored);

	if (stored == NULL)
		return no_memory(error);
	int result = read_hashed(delta->fd, delta->offsets[index], stored, (size_t)part->stored, part->hash, error);
	if (result == 0)
		result = delta_frame_left(stored, (size_t)part->stored, (size_t)part->prefix, (size_t)part->plain,
					  ret_left, error);
	crew_memory_return(&applying->memory, stored);
	return result;
}

/* Maps and frame take theirs one after the other: it stands behind the pieces of the block, where nobody touches it. */
static int size_block(struct applying *applying, size_t index, size_t *ret_size, struct error *error)
{
	const struct delta_part *part = &applying->delta->plan.parts[index];
	size_t left = part->plain > 0 ? delta_frame_left_most((size_t)part->prefix) : 0;

	int result = left > LARGE ? look_ahead(applying, index, &left, error) : 0;
	if (result == 0)
		*ret_size = DELTA_DELIVER_ROOM + (size_t)(part->prefix + part->plain + part->stored) +
			    larger(left, part->rewritten ? REFERENCE_MEMORY : 0);
	return result;
}

static int work(void *context, size_t worker UNUSED, size_t index, struct error *error)
{
	struct applying *applying = context;
	const struct delta *delta = applying->delta;
	const struct delta_part *part = &delta->plan.parts[index];
	CLEANUP(delta_base_close) struct delta_base base = DELTA_BASE(delta->old, applying->base);
	struct delta_deliver deliver = {.plan = &delta->plan, .new = delta->new, .sink = applying->sink, .base = &base};

	if (!delta_deliver_wanted(&deliver, part))
		return 0;
	size_t size = 0;
	int result = size_block(applying, index, &size, error);
	if (result < 0)
		return result;
	uint8_t *block = crew_memory_borrow(&applying->memory, size);
	if (block == NULL)
		return no_memory(error);
	const struct sides sides = cut_block(part, block);
	deliver.room = sides.room;
	result = apply_part(applying, &deliver, index, &sides, error);
	crew_memory_return(&applying->memory, block);
	return result;
}

int delta_apply(const struct delta *delta, int base, const struct delta_sink *sink, struct error *error)
{
	CLEANUP(applying_end)
	struct applying applying = {
		.delta = delta, .base = base, .sink = sink, .memory = CREW_MEMORY_INIT(DELTA_APPLY_MEMORY)};
	return crew_run(CREW_MOST, delta->plan.part_count, 1, work, &applying, error);
}

/* The old content that the part draws on for this one by its stretch `index`; SIZE_MAX when it draws on none. */
static size_t drawn_on(const struct delta_part *part, const struct delta_stretch *stretches, size_t index,
		       size_t content)
{
	if (index < part->olds)
		return stretches[index].content;
	return stretches[index].content == content ? stretches[index].source : DELTA_PATCHED;
}

static bool makes(const struct delta *delta, const struct delta_part *part, size_t content)
{
	for (size_t i = part->olds; i < part->olds + part->news; i++)
		if (delta->plan.stretches[part->first + i].content == content)
			return true;
	return false;
}

const char *delta_damaged(const struct delta *delta, int tree, size_t content)
{
	CLEANUP(delta_base_close) struct delta_base base = DELTA_BASE(delta->old, tree);
	CLEANUP(free_pointer) bool *seen = calloc(delta->old->content_count + 1, sizeof(*seen));

	for (size_t p = 0; seen != NULL && p < delta->plan.part_count; p++) {
		const struct delta_part *part = &delta->plan.parts[p];
		const struct delta_stretch *stretches = &delta->plan.stretches[part->first];
		const size_t count = makes(delta, part, content) ? part->olds + part->news : 0;
		for (size_t i = 0; i < count; i++) {
			size_t old = drawn_on(part, stretches, i, content);
			if (old == DELTA_PATCHED || seen[old])
				continue;
			seen[old] = true;
			if (!delta_base_holds(&base, old))
				return manifest_file(delta->old, &delta->old->contents[old], 0)->path;
		}
	}
	return NULL;
}
