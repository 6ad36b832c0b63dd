#include "release/delta_match.h"

#include <stdlib.h>
#include <string.h>

#include "release/delta_sketch.h"

#define READ_STEP (1024 * 1024)
/* A sketch is told of this much of a file: more of it says the same. */
#define SKETCH_MOST ((uint64_t)64 * 1024 * 1024)
/* Hashes of a sketch that must be shared, of DELTA_SKETCH_SIZE. */
#define SHARED_LEAST 2
/* A hash that so many old contents have (a licence's text) says nothing. */
#define COMMON_MOST 64
/* A file of the same name counts as like when neither is so many times as large as the other. */
#define SIZE_RATIO 8

/* A hash of an old content's sketch; or an old file's name. */
struct mark {
	uint64_t hash;
	size_t content;
};
struct name {
	const char *base, *path;
	size_t content;
};

struct match {
	const struct delta_source *old, *new;
	size_t *matches;
	struct mark *marks; /* by hash */
	size_t mark_count;
	struct name *names; /* by base name, then path */
	size_t name_count;
	uint8_t *bytes; /* READ_STEP */
};

static void match_end(struct match *match)
{
	free(match->matches);
	free(match->marks);
	free(match->names);
	free(match->bytes);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static int by_hash(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->content > y->content) - (x->content < y->content);
}

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->base, y->base);
	return order != 0 ? order : strcmp(x->path, y->path);
}

static size_t at_path(const struct match *match, const struct manifest_content *content)
{
	for (size_t i = 0; i < content->files; i++) {
		const struct manifest_entry *entry = manifest_file(match->new->manifest, content, i);
		if (entry->root != MANIFEST_TREE)
			continue;
		const struct manifest_entry *old = manifest_find(match->old->manifest, MANIFEST_TREE, entry->path);
		const struct manifest_content *found = old != NULL && old->type == MANIFEST_FILE && old->size > 0
							       ? manifest_find_content(match->old->manifest, old->hash)
							       : NULL;
		if (found != NULL)
			return (size_t)(found - match->old->manifest->contents);
	}
	return DELTA_MATCH_NONE;
}

static int sketch_content(const struct match *match, const struct delta_source *source, size_t index,
			  struct delta_sketch *ret_sketch, struct error *error)
{
	const struct manifest_content *content = &source->manifest->contents[index];
	uint64_t most = content->size < SKETCH_MOST ? content->size : SKETCH_MOST;

	delta_sketch_begin(ret_sketch);
	for (uint64_t at = 0; at < most;) {
		size_t part = most - at < READ_STEP ? (size_t)(most - at) : READ_STEP;
		int result = spool_read(&source->plain, content->offset + at, match->bytes, part, error);
		if (result < 0)
			return result;
		delta_sketch_update(ret_sketch, match->bytes, part);
		at += part;
	}
	return 0;
}

static int index_old(struct match *match, struct error *error)
{
	const struct manifest *old = match->old->manifest;

	match->marks = calloc(old->content_count * DELTA_SKETCH_SIZE + 1, sizeof(*match->marks));
	match->names = calloc(old->file_count + 1, sizeof(*match->names));
	if (match->marks == NULL || match->names == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	for (size_t i = 0; i < old->content_count; i++) {
		const struct manifest_content *content = &old->contents[i];
		struct delta_sketch sketch;
		if (content->size == 0 || !delta_source_in_tree(old, content))
			continue;
		int result = sketch_content(match, match->old, i, &sketch, error);
		if (result < 0)
			return result;
		for (size_t j = 0; j < sketch.count; j++)
			match->marks[match->mark_count++] = (struct mark){sketch.least[j], i};
		for (size_t j = 0; j < content->files; j++) {
			const struct manifest_entry *entry = manifest_file(old, content, j);
			if (entry->root == MANIFEST_TREE)
				match->names[match->name_count++] =
					(struct name){base_name(entry->path), entry->path, i};
		}
	}
	qsort(match->marks, match->mark_count, sizeof(*match->marks), by_hash);
	qsort(match->names, match->name_count, sizeof(*match->names), by_name);
	return 0;
}

static size_t first_mark(const struct match *match, uint64_t hash)
{
	size_t low = 0, high = match->mark_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (match->marks[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int by_content(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	return (x > y) - (x < y);
}

/* The old content that shares the most hashes; of equals the first. */
static int by_sketch(const struct match *match, size_t index, size_t *ret_content, struct error *error)
{
	struct delta_sketch sketch;
	size_t votes[DELTA_SKETCH_SIZE * COMMON_MOST], count = 0, best = SHARED_LEAST - 1;

	*ret_content = DELTA_MATCH_NONE;
	int result = sketch_content(match, match->new, index, &sketch, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < sketch.count; i++) {
		size_t first = first_mark(match, sketch.least[i]), end = first;
		while (end < match->mark_count && match->marks[end].hash == sketch.least[i] &&
		       end - first <= COMMON_MOST)
			end++;
		for (size_t j = first; end - first <= COMMON_MOST && j < end; j++)
			votes[count++] = match->marks[j].content;
	}
	qsort(votes, count, sizeof(votes[0]), by_content);
	for (size_t i = 0, end = 0; i < count; i = end) {
		while (end < count && votes[end] == votes[i])
			end++;
		if (end - i > best) {
			best = end - i;
			*ret_content = votes[i];
		}
	}
	return 0;
}

static size_t likeness(const char *a, const char *b)
{
	size_t front = 0, back = 0, a_size = strlen(a), b_size = strlen(b);
	size_t least = a_size < b_size ? a_size : b_size;
	while (front < least && a[front] == b[front])
		front++;
	while (back < least - front && a[a_size - back - 1] == b[b_size - back - 1])
		back++;
	return front + back;
}

static size_t like_name(const struct match *match, const struct manifest_content *content)
{
	size_t best = 0, found = DELTA_MATCH_NONE;
	const struct manifest_entry *entry = manifest_file(match->new->manifest, content, 0);
	const char *base = base_name(entry->path);
	size_t low = 0, high = match->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(match->names[middle].base, base) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < match->name_count && strcmp(match->names[low].base, base) == 0; low++) {
		const struct name *name = &match->names[low];
		uint64_t size = match->old->manifest->contents[name->content].size;
		size_t like = likeness(entry->path, name->path);
		if (like > best && size / SIZE_RATIO <= content->size && content->size / SIZE_RATIO <= size) {
			best = like;
			found = name->content;
		}
	}
	return found;
}

static bool stands_already(const struct match *match, const struct manifest_content *content)
{
	const struct manifest_content *same = manifest_find_content(match->old->manifest, content->hash);
	return content->size == 0 || (same != NULL && delta_source_in_tree(match->old->manifest, same));
}

int delta_match(const struct delta_source *old, const struct delta_source *new, size_t **ret_matches,
		struct error *error)
{
	CLEANUP(match_end) struct match match = {.old = old, .new = new};
	const struct manifest *manifest = new->manifest;
	size_t unknown = 0;

	match.matches = calloc(manifest->content_count + 1, sizeof(*match.matches));
	match.bytes = malloc(READ_STEP);
	if (match.matches == NULL || match.bytes == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare the releases");
	for (size_t i = 0; i < manifest->content_count; i++) {
		const struct manifest_content *content = &manifest->contents[i];
		match.matches[i] = stands_already(&match, content) ? DELTA_MATCH_SAME : at_path(&match, content);
		unknown += match.matches[i] == DELTA_MATCH_NONE ? 1 : 0;
	}
	int result = unknown > 0 ? index_old(&match, error) : 0;
	for (size_t i = 0; result == 0 && unknown > 0 && i < manifest->content_count; i++) {
		if (match.matches[i] != DELTA_MATCH_NONE)
			continue;
		result = by_sketch(&match, i, &match.matches[i], error);
		if (result == 0 && match.matches[i] == DELTA_MATCH_NONE)
			match.matches[i] = like_name(&match, &manifest->contents[i]);
	}
	if (result < 0)
		return result;
	*ret_matches = TAKE(match.matches);
	return 0;
}
