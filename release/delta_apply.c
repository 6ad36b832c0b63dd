#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/fault.h"
#include "base/file.h"
#include "release/blob.h"
#include "release/delta_frame.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"

/* Contents of up to so many bytes are handed out whole even where they are made of several stretches; copies of more
 * in pieces of it. */
#define COPY_ROOM ((size_t)4 * 1024 * 1024)

struct delta {
	int fd;
	const struct manifest *old, *new;
	struct delta_plan plan;
	uint64_t *offsets; /* by part, in the file */
};

static int read_at(int fd, uint64_t offset, void *bytes, size_t size, struct error *error)
{
	uint8_t *rest = bytes;
	if (fault_point("delta.read") < 0)
		return error_set_errno(error, ERROR_DATA, "read", "the delta cannot be read");
	while (size > 0) {
		ssize_t got = pread(fd, rest, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(error, ERROR_DATA, "read", "the delta cannot be read");
		if (got == 0)
			return error_set(error, ERROR_DATA, "length", "the delta ends in the middle");
		rest += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
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

/* The old content's file in the base tree: the first that can be opened and has its size; -1 when none. */
static int open_base(const struct delta *delta, int base, const struct manifest_content *content)
{
	for (size_t i = 0; i < content->files; i++) {
		const struct manifest_entry *entry =
			&delta->old->entries[delta->old->file_order[content->first_file + i]];
		struct error ignored;
		struct stat status;
		int fd = -1;
		if (entry->root != MANIFEST_TREE ||
		    file_open_beneath(base, entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &ignored) < 0)
			continue;
		if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == content->size)
			return fd;
		file_close(&fd);
	}
	return -1;
}

/* The map by which the part has a stretch rewritten; NULL: it has it as it is. */
static const struct delta_map *map_of(const struct delta *delta, const struct delta_part *part, enum delta_side side,
				      const struct delta_stretch *stretch)
{
	return part->rewritten ? delta_maps_find(&delta->plan.maps, side, stretch->content) : NULL;
}

static int load_prefix(const struct delta *delta, int base, const struct delta_part *part, uint8_t *bytes,
		       struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	int result = 0;
	for (size_t i = 0; result == 0 && i < part->olds; i++) {
		const struct delta_stretch *stretch = &delta->plan.stretches[part->first + i];
		struct error ignored;
		if (i == 0 || stretch->content != stretch[-1].content) {
			file_close(&fd);
			fd = open_base(delta, base, &delta->old->contents[stretch->content]);
		}
		if (fd < 0 || read_at(fd, stretch->offset, bytes, (size_t)stretch->size, &ignored) < 0)
			memset(bytes, 0, (size_t)stretch->size);
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

struct sides {
	uint8_t *prefix, *plain, *stored, *room; /* COPY_ROOM, where something is copied */
};

static void free_sides(struct sides *sides)
{
	free(sides->prefix);
	free(sides->plain);
	free(sides->stored);
	free(sides->room);
}

static void load_copy(const struct applying *applying, const struct delta_stretch *stretch, uint64_t at, uint8_t *bytes,
		      size_t size)
{
	const struct delta *delta = applying->delta;
	CLEANUP(file_close) int fd = open_base(delta, applying->base, &delta->old->contents[stretch->source]);
	struct error ignored;
	if (fd < 0 || read_at(fd, stretch->from + at, bytes, size, &ignored) < 0)
		memset(bytes, 0, size);
}

static int take_copy(const struct applying *applying, const struct delta_stretch *stretch, uint8_t *room,
		     struct error *error)
{
	const struct delta_sink *sink = applying->sink;
	int result = 0;
	for (uint64_t at = 0; result == 0 && at < stretch->size;) {
		size_t step = stretch->size - at < COPY_ROOM ? (size_t)(stretch->size - at) : COPY_ROOM;
		load_copy(applying, stretch, at, room, step);
		result = sink->take(sink->context, stretch->content, stretch->offset + at, room, step, error);
		at += step;
	}
	return result;
}

/* `count` stretches are all of a small content. */
static int take_gathered(const struct applying *applying, const struct delta_stretch *stretches, size_t count,
			 const uint8_t *plain, uint8_t *room, struct error *error)
{
	const struct delta_sink *sink = applying->sink;
	size_t size = 0;
	for (size_t i = 0; i < count; i++) {
		if (stretches[i].source != DELTA_PATCHED) {
			load_copy(applying, &stretches[i], 0, room + size, (size_t)stretches[i].size);
		} else {
			memcpy(room + size, plain, (size_t)stretches[i].size);
			plain += stretches[i].size;
		}
		size += (size_t)stretches[i].size;
	}
	return sink->take(sink->context, stretches->content, 0, room, size, error);
}

/* How many stretches from here on are of one content, with how many bytes; *ret_plain of them are patched. */
static size_t count_content(const struct delta_stretch *stretches, size_t most, uint64_t *ret_plain, uint64_t *ret_size)
{
	uint64_t plain = 0, size = 0;
	size_t count = 0;
	for (; count < most && stretches[count].content == stretches->content; count++) {
		size += stretches[count].size;
		plain += stretches[count].source == DELTA_PATCHED ? stretches[count].size : 0;
	}
	*ret_plain = plain;
	*ret_size = size;
	return count;
}

static int take_content(const struct applying *applying, const struct delta_stretch *stretches, size_t count,
			uint64_t size, const uint8_t *plain, uint8_t *room, struct error *error)
{
	const struct delta_sink *sink = applying->sink;
	int result = 0;

	if (!sink->wants(sink->context, stretches->content))
		return 0;
	if (count > 1 && size <= COPY_ROOM && size == applying->delta->new->contents[stretches->content].size)
		return take_gathered(applying, stretches, count, plain, room, error);
	for (size_t i = 0; result == 0 && i < count; i++) {
		if (stretches[i].source != DELTA_PATCHED) {
			result = take_copy(applying, &stretches[i], room, error);
			continue;
		}
		result = sink->take(sink->context, stretches[i].content, stretches[i].offset, plain,
				    (size_t)stretches[i].size, error);
		plain += stretches[i].size;
	}
	return result;
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

static int hand_out(const struct applying *applying, const struct delta_part *part, uint8_t *plain, uint8_t *room,
		    struct error *error)
{
	const struct delta_stretch *next = &applying->delta->plan.stretches[part->first + part->olds];
	int result = 0;
	for (size_t left = part->news; result == 0 && left > 0;) {
		uint64_t used = 0, size = 0;
		size_t count = count_content(next, left, &used, &size);
		result = take_content(applying, next, count, size, plain, room, error);
		plain += used;
		next += count;
		left -= count;
	}
	return result;
}

static bool is_wanted(const struct applying *applying, const struct delta_part *part)
{
	for (size_t i = part->olds; i < part->olds + part->news; i++)
		if (applying->sink->wants(applying->sink->context,
					  applying->delta->plan.stretches[part->first + i].content))
			return true;
	return false;
}

static int apply_part(const struct applying *applying, size_t index, struct error *error)
{
	const struct delta *delta = applying->delta;
	const struct delta_part *part = &delta->plan.parts[index];
	CLEANUP(free_sides) struct sides sides = {0};

	if (!is_wanted(applying, part))
		return 0;
	sides.prefix = malloc((size_t)part->prefix + 1);
	sides.plain = malloc((size_t)part->plain + 1);
	sides.stored = malloc((size_t)part->stored + 1);
	sides.room = part->copied > 0 ? malloc(COPY_ROOM) : NULL;
	if (sides.prefix == NULL || sides.plain == NULL || sides.stored == NULL ||
	    (part->copied > 0 && sides.room == NULL))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to apply a delta");
	int result =
		read_hashed(delta->fd, delta->offsets[index], sides.stored, (size_t)part->stored, part->hash, error);
	if (result == 0)
		result = load_prefix(delta, applying->base, part, sides.prefix, error);
	if (result == 0 && part->plain > 0)
		result = delta_frame_read((struct blob_prefix){sides.prefix, (size_t)part->prefix}, sides.stored,
					  (size_t)part->stored, sides.plain, (size_t)part->plain, error);
	if (result == 0)
		result = restore_plain(delta, part, sides.plain, error);
	return result < 0 ? result : hand_out(applying, part, sides.plain, sides.room, error);
}

static size_t part_memory(const struct delta_part *part)
{
	size_t copies = part->copied > 0 ? COPY_ROOM : 0;
	return (size_t)(part->prefix + part->plain + part->stored) + copies + (part->rewritten ? REFERENCE_MEMORY : 0) +
	       delta_frame_read_memory((size_t)part->prefix);
}

static int work(void *context, size_t worker, size_t index, struct error *error)
{
	struct applying *applying = context;
	size_t memory = part_memory(&applying->delta->plan.parts[index]);

	(void)worker;
	crew_memory_take(&applying->memory, memory);
	int result = apply_part(applying, index, error);
	crew_memory_give(&applying->memory, memory);
	return result;
}

int delta_apply(const struct delta *delta, int base, const struct delta_sink *sink, struct error *error)
{
	struct applying applying = {
		.delta = delta, .base = base, .sink = sink, .memory = CREW_MEMORY_INIT(DELTA_APPLY_MEMORY)};
	int result = crew_run(CREW_MOST, delta->plan.part_count, 1, work, &applying, error);

	crew_memory_end(&applying.memory);
	return result;
}

static bool old_holds(const struct delta *delta, int base, size_t index)
{
	const struct manifest_content *content = &delta->old->contents[index];
	CLEANUP(file_close) int fd = open_base(delta, base, content);
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	struct error ignored;
	return fd >= 0 && hash_file(HASH_BLAKE2B, fd, "a file of the base", hash, &size, &ignored) == 0 &&
	       size == content->size && hash_equal(hash, content->hash);
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

const char *delta_damaged(const struct delta *delta, int base, size_t content)
{
	for (size_t p = 0; p < delta->plan.part_count; p++) {
		const struct delta_part *part = &delta->plan.parts[p];
		const struct delta_stretch *stretches = &delta->plan.stretches[part->first];
		size_t last = SIZE_MAX;
		for (size_t i = 0; makes(delta, part, content) && i < part->olds + part->news; i++) {
			size_t old = drawn_on(part, stretches, i, content);
			if (old == DELTA_PATCHED || old == last)
				continue;
			last = old;
			if (!old_holds(delta, base, old))
				return delta->old->entries[delta->old->contents[old].first_entry].path;
		}
	}
	return NULL;
}
