#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/crew_memory.h"
#include "base/file.h"
#include "release/blob.h"
#include "release/delta_frame.h"
#include "release/delta_group.h"
#include "release/delta_match.h"
#include "release/delta_number.h"
#include "release/delta_survey.h"

#define COPY_STEP (1024 * 1024)

struct making {
	const struct delta_make *make;
	struct delta_source old, new;
	struct delta_plan plan;
	size_t *matches;
	struct delta_copies copies;
	struct spool stored;
	uint64_t *offsets; /* of the parts in it */
	struct crew_memory memory;
	pthread_mutex_t lock; /* over what follows, the spool and the plan's hashes */
	size_t done;
};

static void making_end(struct making *making)
{
	delta_source_close(&making->old);
	delta_source_close(&making->new);
	delta_plan_free(&making->plan);
	spool_close(&making->stored);
	delta_copies_free(&making->copies);
	free(making->matches);
	free(making->offsets);
	pthread_mutex_destroy(&making->lock);
	crew_memory_end(&making->memory);
}

/* One side of a part, end to end, without what is copied. */
static int read_stretches(const struct delta_source *source, const struct delta_stretch *stretches, size_t count,
			  uint8_t *bytes, struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		const struct delta_stretch *stretch = &stretches[i];
		if (stretch->source != DELTA_PATCHED)
			continue;
		uint64_t offset = source->manifest->contents[stretch->content].offset + stretch->offset;
		int result = spool_read(&source->plain, offset, bytes, (size_t)stretch->size, error);
		if (result < 0)
			return result;
		bytes += stretch->size;
	}
	return 0;
}

struct sides {
	uint8_t *prefix, *plain;
};

static void free_sides(struct sides *sides)
{
	free(sides->prefix);
	free(sides->plain);
}

static int load_sides(const struct making *making, const struct delta_part *part, const struct sides *sides,
		      struct error *error)
{
	const struct delta_stretch *stretches = &making->plan.stretches[part->first];
	int result = read_stretches(&making->old, stretches, part->olds, sides->prefix, error);
	return result < 0 ? result
			  : read_stretches(&making->new, stretches + part->olds, part->news, sides->plain, error);
}

/* Rewrites a new stretch and sees to it that it can be restored. */
static int rewrite_new(const struct delta_map *map, uint8_t *bytes, const struct delta_stretch *stretch,
		       bool *ret_is_same, struct error *error)
{
	size_t size = (size_t)stretch->size;
	CLEANUP(free_pointer) uint8_t *copy = malloc(size);

	if (copy == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to make a delta");
	memcpy(copy, bytes, size);
	int result = delta_map_rewrite(map, DELTA_NEW, bytes, size, stretch->offset, error);
	if (result == 0)
		result = delta_map_restore(map, bytes, size, stretch->offset, error);
	if (result < 0)
		return result;
	*ret_is_same = memcmp(copy, bytes, size) == 0;
	return delta_map_rewrite(map, DELTA_NEW, bytes, size, stretch->offset, error);
}

/* Both sides as their maps say, where some have one and all that are new can be restored; else they stay as they are.
 */
static int rewrite_sides(const struct making *making, const struct delta_part *part, const struct sides *sides,
			 bool *ret_rewritten, struct error *error)
{
	uint8_t *prefix = sides->prefix, *plain = sides->plain;
	bool is_same = true, rewritten = false;
	int result = 0;

	for (size_t i = 0; result == 0 && is_same && i < part->olds + part->news; i++) {
		const struct delta_stretch *stretch = &making->plan.stretches[part->first + i];
		enum delta_side side = i < part->olds ? DELTA_OLD : DELTA_NEW;
		const struct delta_map *map = delta_maps_find(&making->plan.maps, side, stretch->content);
		uint8_t **at = side == DELTA_OLD ? &prefix : &plain;
		if (stretch->source != DELTA_PATCHED)
			continue;
		if (map != NULL && side == DELTA_OLD)
			result = delta_map_rewrite(map, side, *at, (size_t)stretch->size, stretch->offset, error);
		else if (map != NULL)
			result = rewrite_new(map, *at, stretch, &is_same, error);
		rewritten |= map != NULL;
		*at += stretch->size;
	}
	*ret_rewritten = rewritten && is_same;
	return result < 0 || is_same ? result : load_sides(making, part, sides, error);
}

static int make_part(struct making *making, size_t index, struct error *error)
{
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	CLEANUP(free_sides) struct sides sides = {0};
	struct delta_part *part = &making->plan.parts[index];
	bool rewritten = false;

	sides.prefix = malloc((size_t)part->prefix + 1);
	sides.plain = malloc((size_t)part->plain + 1);
	if (sides.prefix == NULL || sides.plain == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to make a delta");
	int result = load_sides(making, part, &sides, error);
	if (result == 0)
		result = rewrite_sides(making, part, &sides, &rewritten, error);
	if (result == 0 && part->plain > 0)
		result = delta_frame_make((struct blob_prefix){sides.prefix, (size_t)part->prefix}, sides.plain,
					  (size_t)part->plain, &stored, error);
	if (result < 0)
		return result;
	pthread_mutex_lock(&making->lock);
	part->rewritten = rewritten;
	part->stored = stored.size;
	hash_bytes(HASH_BLAKE2B, stored.data, stored.size, part->hash);
	result = spool_append(&making->stored, stored.data, stored.size, &making->offsets[index], error);
	making->done++;
	if (result == 0 && making->make->progress != NULL)
		making->make->progress(making->make->context, making->done, making->plan.part_count);
	pthread_mutex_unlock(&making->lock);
	return result;
}

static size_t part_memory(const struct delta_part *part)
{
	size_t sides = (size_t)part->prefix + 2 * (size_t)part->plain;
	return sides + delta_frame_memory((size_t)part->prefix, (size_t)part->plain);
}

static int work(void *context, size_t worker, size_t index, struct error *error)
{
	struct making *making = context;
	size_t memory = part_memory(&making->plan.parts[index]);

	(void)worker;
	crew_memory_take(&making->memory, memory);
	int result = make_part(making, index, error);
	crew_memory_give(&making->memory, memory);
	return result;
}

static int make_parts(struct making *making, struct error *error)
{
	making->offsets = calloc(making->plan.part_count + 1, sizeof(*making->offsets));
	if (making->offsets == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to make a delta");
	return crew_run(CREW_MOST, making->plan.part_count, 1, work, making, error);
}

static int make_head(const struct making *making, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(buffer_free) struct buffer patched = BUFFER_INIT(DELTA_HEAD_MOST);
	const struct buffer *old = &making->old.bytes, *new = &making->new.bytes;
	struct delta_head head = {.manifest_size = new->size};

	if (old->size > BLOB_WINDOW_MOST - new->size)
		return error_set(error, ERROR_DATA, "length", "the manifests are too long for a delta");
	int result =
		blob_patch((struct blob_prefix){old->data, old->size}, new->data, new->size, false, &patched, error);
	if (result < 0)
		return result;
	memcpy(head.product, making->new.manifest->product, sizeof(head.product));
	memcpy(head.from, making->old.manifest->version, sizeof(head.from));
	memcpy(head.to, making->new.manifest->version, sizeof(head.to));
	hash_bytes(HASH_BLAKE2B, old->data, old->size, head.old_manifest);
	head.patch_size = patched.size;
	hash_bytes(HASH_BLAKE2B, patched.data, patched.size, head.patch_hash);
	return delta_plan_head(&head, patched.data, ret_bytes, error);
}

/* Plain size, stored size, hash, bytes. */
static int make_index(const struct making *making, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(buffer_free) struct buffer plain = BUFFER_INIT(DELTA_INDEX_MOST);
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	uint8_t hash[HASH_SIZE];

	int result = delta_plan_write(&making->plan, making->old.manifest, making->new.manifest, &plain, error);
	if (result == 0)
		result = blob_patch((struct blob_prefix){NULL, 0}, plain.data, plain.size, false, &stored, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, plain.size, error);
	if (result == 0)
		result = delta_number_write(ret_bytes, stored.size, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_BLAKE2B, stored.data, stored.size, hash);
	result = buffer_append(ret_bytes, hash, HASH_SIZE, error);
	return result == 0 ? buffer_append(ret_bytes, stored.data, stored.size, error) : result;
}

static int copy_part(const struct making *making, size_t index, int fd, struct error *error)
{
	CLEANUP(free_pointer) uint8_t *bytes = malloc(COPY_STEP);
	uint64_t left = making->plan.parts[index].stored, at = making->offsets[index];
	int result = bytes != NULL ? 0 : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write a delta");

	while (result == 0 && left > 0) {
		size_t step = left < COPY_STEP ? (size_t)left : COPY_STEP;
		result = spool_read(&making->stored, at, bytes, step, error);
		if (result == 0)
			result = file_write_fd(fd, making->make->output, bytes, step, error);
		at += step;
		left -= step;
	}
	return result;
}

static int write_file(const struct making *making, int fd, struct delta_made *made, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);

	int result = make_head(making, &bytes, error);
	made->head = bytes.size;
	if (result == 0)
		result = make_index(making, &bytes, error);
	if (result == 0)
		result = file_write_fd(fd, making->make->output, bytes.data, bytes.size, error);
	made->bytes = bytes.size + making->stored.size;
	for (size_t i = 0; result == 0 && i < making->plan.part_count; i++)
		result = copy_part(making, i, fd, error);
	if (result == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made durable",
				       making->make->output);
	return result;
}

static int write_output(const struct making *making, struct delta_made *made, struct error *error)
{
	CLEANUP(free_pointer) char *temporary = NULL;
	CLEANUP(free_pointer) char *parent = strdup(making->make->output);
	CLEANUP(file_close) int fd = -1;
	CLEANUP(file_close) int directory = -1;

	if (parent == NULL || asprintf(&temporary, "%s.XXXXXX", making->make->output) < 0) {
		temporary = NULL;
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to write a delta");
	}
	int result = file_open_directory(dirname(parent), &directory, error);
	if (result < 0)
		return result;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made", making->make->output);
	result = write_file(making, fd, made, error);
	if (result == 0 && rename(temporary, making->make->output) < 0)
		result = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be put in place",
					 making->make->output);
	if (result < 0)
		unlink(temporary);
	return result < 0 ? result : file_sync_directory(directory, error);
}

static int open_sources(struct making *making, struct error *error)
{
	const struct delta_make *make = making->make;
	int result = delta_source_open(make->old, make->output, &making->old, error);
	if (result == 0)
		result = delta_source_open(make->new, make->output, &making->new, error);
	if (result < 0)
		return result;
	const struct manifest *old = making->old.manifest, *new = making->new.manifest;
	if (strcmp(old->product, new->product) != 0)
		return error_set(error, ERROR_USAGE, "product", "%s is of product %s, %s of %s", make->old,
				 old->product, make->new, new->product);
	if (strcmp(old->version, new->version) == 0)
		return error_set(error, ERROR_USAGE, "version", "both bundles are %s %s", new->product, new->version);
	return 0;
}

int delta_make(const struct delta_make *make, struct delta_made *ret_made, struct error *error)
{
	CLEANUP(making_end)
	struct making making = {.make = make,
				.old = {.plain = {.fd = -1}},
				.new = {.plain = {.fd = -1}},
				.stored = {.fd = -1},
				.lock = PTHREAD_MUTEX_INITIALIZER,
				.memory = CREW_MEMORY_INIT(DELTA_MAKE_MEMORY)};
	struct delta_made made = {0};

	int result = open_sources(&making, error);
	if (result == 0)
		result = spool_open(make->output, &making.stored, error);
	if (result == 0)
		result = delta_match(&making.old, &making.new, &making.matches, error);
	if (result == 0)
		result = delta_copies_find(&making.old, &making.new, making.matches, &making.copies, error);
	if (result == 0)
		result = delta_group(making.old.manifest, making.new.manifest, making.matches, &making.copies,
				     &making.plan, error);
	if (result == 0)
		result = delta_survey(&making.old, &making.new, making.matches, DELTA_MAKE_MEMORY, &making.plan.maps,
				      error);
	if (result == 0)
		result = make_parts(&making, error);
	if (result == 0)
		result = write_output(&making, &made, error);
	if (result < 0)
		return result;
	made.parts = making.plan.part_count;
	for (size_t i = 0; i < making.new.manifest->content_count; i++)
		made.contents += making.matches[i] != DELTA_MATCH_SAME ? 1 : 0;
	*ret_made = made;
	return 0;
}
