#include "release/layout.h"

#include <stdlib.h>
#include <string.h>

static int by_path(const void *a, const void *b)
{
	const struct manifest_entry *x = a, *y = b;
	return x->root != y->root ? (x->root > y->root) - (x->root < y->root) : strcmp(x->path, y->path);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* The last extension; none for dot files and names without. */
static const char *extension(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot != NULL && dot != name ? dot : "";
}

/* Like stands by like: extension, then name, then where it lies. */
static int by_likeness(const void *a, const void *b, void *context)
{
	const struct manifest *manifest = context;
	const struct manifest_entry *x = &manifest->entries[*(const size_t *)a],
				    *y = &manifest->entries[*(const size_t *)b];
	const char *x_name = base_name(x->path), *y_name = base_name(y->path);
	int order = strcmp(extension(x_name), extension(y_name));
	if (order == 0)
		order = strcmp(x_name, y_name);
	return order != 0 ? order : by_path(x, y);
}

static int by_hash(const void *a, const void *b, void *context)
{
	const struct manifest *manifest = context;
	const struct manifest_entry *x = &manifest->entries[*(const size_t *)a],
				    *y = &manifest->entries[*(const size_t *)b];
	int order = memcmp(x->hash, y->hash, HASH_SIZE);
	return order != 0 ? order : by_likeness(a, b, context);
}

/* The first file of each content in order of likeness stands for it. */
static int plan_contents(struct manifest *manifest, struct error *error)
{
	CLEANUP(free_pointer) size_t *order = calloc(manifest->entry_count + 1, sizeof(*order));
	size_t files = 0, distinct = 0;

	free(manifest->contents);
	manifest->contents = calloc(manifest->entry_count + 1, sizeof(*manifest->contents));
	manifest->content_count = 0;
	if (order == NULL || manifest->contents == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to lay out release %s",
				 manifest->version);
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].type == MANIFEST_FILE)
			order[files++] = i;
	qsort_r(order, files, sizeof(*order), by_hash, manifest);
	for (size_t i = 0; i < files; i++)
		if (i == 0 ||
		    memcmp(manifest->entries[order[i - 1]].hash, manifest->entries[order[i]].hash, HASH_SIZE) != 0)
			order[distinct++] = order[i];
	qsort_r(order, distinct, sizeof(*order), by_likeness, manifest);
	for (size_t i = 0; i < distinct; i++) {
		struct manifest_content *content = &manifest->contents[manifest->content_count++];
		memcpy(content->hash, manifest->entries[order[i]].hash, HASH_SIZE);
		content->size = manifest->entries[order[i]].size;
	}
	return 0;
}

struct cutter {
	struct manifest *manifest;
	uint64_t current;
};

static int cut(struct cutter *cutter, struct error *error)
{
	struct manifest *manifest = cutter->manifest;
	if (cutter->current == 0)
		return 0;
	if (manifest->blob_count == MANIFEST_BLOBS_MOST)
		return error_set(error, ERROR_DATA, "length", "release %s is too large", manifest->version);
	if ((manifest->blob_count & (manifest->blob_count + 1)) == 0) {
		/* Room doubles at each 2^n - 1. */
		struct manifest_blob *blobs =
			reallocarray(manifest->blobs, 2 * (manifest->blob_count + 1), sizeof(*blobs));
		if (blobs == NULL)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to lay out release %s",
					 manifest->version);
		manifest->blobs = blobs;
	}
	manifest->blobs[manifest->blob_count++] = (struct manifest_blob){.plain = cutter->current};
	cutter->current = 0;
	return 0;
}

/* A blob ends between files where it can, so that one changed file makes few blobs change: a file of a blob's size or
 * more fills blobs up, a smaller one goes in whole or begins the next. */
static int plan_blobs(struct manifest *manifest, struct error *error)
{
	struct cutter cutter = {.manifest = manifest};

	free(manifest->blobs);
	manifest->blobs = NULL;
	manifest->blob_count = 0;
	for (size_t i = 0; i < manifest->content_count; i++) {
		uint64_t rest = manifest->contents[i].size;
		int result = 0;
		if (rest < LAYOUT_BLOB_SIZE && cutter.current + rest > LAYOUT_BLOB_SIZE + LAYOUT_BLOB_SIZE / 2)
			result = cut(&cutter, error);
		while (result == 0 && rest >= LAYOUT_BLOB_SIZE) {
			uint64_t part = LAYOUT_BLOB_SIZE - cutter.current;
			cutter.current += part;
			rest -= part;
			result = cut(&cutter, error);
		}
		cutter.current += rest;
		if (result == 0 && cutter.current >= LAYOUT_BLOB_SIZE)
			result = cut(&cutter, error);
		if (result < 0)
			return result;
	}
	return cut(&cutter, error);
}

int layout_plan(struct manifest *manifest, struct error *error)
{
	qsort(manifest->entries, manifest->entry_count, sizeof(*manifest->entries), by_path);
	int result = plan_contents(manifest, error);
	return result < 0 ? result : plan_blobs(manifest, error);
}

static int by_blob_hash(const void *a, const void *b, void *context)
{
	const struct manifest_blob *blobs = context;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = memcmp(blobs[x].hash, blobs[y].hash, HASH_SIZE);
	return order != 0 ? order : (x > y) - (x < y);
}

int layout_mark_repeated(const struct manifest *manifest, bool *ret_repeated, struct error *error)
{
	CLEANUP(free_pointer) size_t *order = calloc(manifest->blob_count + 1, sizeof(*order));
	if (order == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to lay out release %s",
				 manifest->version);
	for (size_t i = 0; i < manifest->blob_count; i++)
		order[i] = i;
	qsort_r(order, manifest->blob_count, sizeof(*order), by_blob_hash, manifest->blobs);
	for (size_t i = 0; i < manifest->blob_count; i++)
		ret_repeated[order[i]] = i > 0 && memcmp(manifest->blobs[order[i - 1]].hash,
							 manifest->blobs[order[i]].hash, HASH_SIZE) == 0;
	return 0;
}
