#include "release/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "release/blob.h"
#include "release/unpack_state.h"

/* What staging takes beyond the tree: blobs in flight, the progress file, directories. */
#define SPACE_MARGIN ((uint64_t)32 * 1024 * 1024)

struct span unpack_span(const struct manifest *manifest, size_t index)
{
	const struct manifest_blob *blob = &manifest->blobs[index];
	size_t low = 0, high = manifest->content_count;
	/* The first content that ends behind the blob's start. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct manifest_content *content = &manifest->contents[middle];
		if (content->offset + content->size <= blob->offset)
			low = middle + 1;
		else
			high = middle;
	}
	struct span span = {low, low};
	while (span.end < manifest->content_count && manifest->contents[span.end].offset < blob->offset + blob->plain)
		span.end++;
	return span;
}

struct overlap unpack_overlap(const struct manifest *manifest, size_t blob_index, size_t content_index)
{
	const struct manifest_blob *blob = &manifest->blobs[blob_index];
	const struct manifest_content *content = &manifest->contents[content_index];
	uint64_t start = content->offset > blob->offset ? content->offset : blob->offset;
	uint64_t content_end = content->offset + content->size, blob_end = blob->offset + blob->plain;
	uint64_t end = content_end < blob_end ? content_end : blob_end;
	return (struct overlap){
		.in_blob = start - blob->offset,
		.in_content = start - content->offset,
		.size = end > start ? (size_t)(end - start) : 0,
		.whole = end - start == content->size,
	};
}

const struct manifest_entry *unpack_file(const struct manifest *manifest, size_t content, size_t index)
{
	return manifest_file(manifest, &manifest->contents[content], index);
}

struct unpack_hand *unpack_hand_take(struct unpack *unpack, struct error *error)
{
	pthread_mutex_lock(&unpack->lock);
	struct unpack_hand *hand = unpack->hands;
	if (hand != NULL)
		unpack->hands = hand->next;
	pthread_mutex_unlock(&unpack->lock);
	if (hand != NULL)
		return hand;
	hand = calloc(1, sizeof(*hand));
	if (hand != NULL && (hand->plain = malloc(MANIFEST_BLOB_PLAIN_MOST)) != NULL) {
		hand->staging = STAGING_HAND_EMPTY;
		return hand;
	}
	free(hand);
	error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to unpack release %s", unpack->manifest->version);
	return NULL;
}

void unpack_hand_return(struct unpack *unpack, struct unpack_hand *hand)
{
	pthread_mutex_lock(&unpack->lock);
	hand->next = unpack->hands;
	unpack->hands = hand;
	pthread_mutex_unlock(&unpack->lock);
}

/* All of its files stand. */
static void count_content(struct unpack *unpack, size_t index)
{
	pthread_mutex_lock(&unpack->lock);
	if (!unpack->done[index])
		unpack_flush_count(unpack, &unpack->manifest->contents[index]);
	unpack->done[index] = true;
	pthread_mutex_unlock(&unpack->lock);
}

int unpack_write(struct unpack *unpack, struct staging_hand *hand, size_t index, const void *bytes, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	int result = 0;

	for (size_t i = 0; result == 0 && i < content->files; i++)
		result = staging_write(&unpack->staging, hand, unpack_file(unpack->manifest, index, i), bytes,
				       (size_t)content->size, error);
	if (result == 0)
		count_content(unpack, index);
	return result;
}

int unpack_spread(struct unpack *unpack, struct staging_hand *hand, size_t index, struct error *error)
{
	const struct manifest_entry *first = unpack_file(unpack->manifest, index, 0);

	for (size_t i = 1; i < unpack->manifest->contents[index].files; i++) {
		bool taken = false;
		int result = staging_copy(&unpack->staging, hand, first, unpack_file(unpack->manifest, index, i),
					  &taken, error);
		if (result < 0)
			return result;
		if (!taken)
			return error_set(error, ERROR_DATA, "hash", "%s changed while it was copied", first->path);
	}
	count_content(unpack, index);
	return 0;
}

static int allocate(struct unpack *unpack, struct error *error)
{
	size_t contents = unpack->manifest->content_count + 1, blobs = unpack->manifest->blob_count + 1;
	unpack->done = calloc(contents, sizeof(*unpack->done));
	unpack->blobs = calloc(blobs, sizeof(*unpack->blobs));
	unpack->wanted = calloc(blobs, sizeof(*unpack->wanted));
	if (unpack->done == NULL || unpack->blobs == NULL || unpack->wanted == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to unpack release %s",
				 unpack->manifest->version);
	return 0;
}

int unpack_begin(int staging, const struct manifest *manifest, int base, const struct manifest *base_manifest,
		 enum unpack_share share, struct unpack **ret_unpack, struct error *error)
{
	CLEANUP(unpack_free) struct unpack *unpack = calloc(1, sizeof(*unpack));

	if (unpack == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to unpack release %s",
				 manifest->version);
	unpack->manifest = manifest;
	unpack->staging = (struct staging){.directory = -1, .roots = {-1, -1}};
	unpack->progress.fd = -1;
	pthread_mutex_init(&unpack->lock, NULL);
	int result = allocate(unpack, error);
	if (result == 0)
		result = progress_open(staging, manifest, &unpack->progress, error);
	if (result == 0)
		result = staging_open(staging, manifest, unpack->progress.fresh, &unpack->staging, error);
	if (result == 0)
		result = unpack_gather(unpack, base, base_manifest, share, error);
	if (result == 0)
		result = unpack_plan(unpack, error);
	if (result < 0)
		return result;
	*ret_unpack = TAKE(unpack);
	return 0;
}

void unpack_free(struct unpack **unpack)
{
	struct unpack *old = TAKE(*unpack);
	struct error ignored;
	if (old == NULL)
		return;
	/* progress says whether it failed. */
	(void)!unpack_flush_end(old, &ignored);
	while (old->hands != NULL) {
		struct unpack_hand *hand = old->hands;
		old->hands = hand->next;
		staging_hand_free(&hand->staging);
		free(hand->plain);
		free(hand);
	}
	staging_close(&old->staging);
	progress_close(&old->progress);
	pthread_mutex_destroy(&old->lock);
	free(old->done);
	free(old->blobs);
	free(old->wanted);
	free(old->chains);
	free(old);
}

bool unpack_next_blob(struct unpack *unpack, size_t *ret_index)
{
	pthread_mutex_lock(&unpack->lock);
	while (unpack->next < unpack->manifest->blob_count && unpack->blobs[unpack->next] != BLOB_IDLE)
		unpack->next++;
	bool found = unpack->next < unpack->manifest->blob_count;
	if (found) {
		*ret_index = unpack->next;
		unpack->blobs[unpack->next++] = BLOB_HANDED_OUT;
	}
	pthread_mutex_unlock(&unpack->lock);
	return found;
}

void unpack_give_back(struct unpack *unpack, size_t index)
{
	pthread_mutex_lock(&unpack->lock);
	if (index < unpack->manifest->blob_count && unpack->blobs[index] == BLOB_HANDED_OUT) {
		unpack->blobs[index] = BLOB_IDLE;
		if (index < unpack->next)
			unpack->next = index;
	}
	pthread_mutex_unlock(&unpack->lock);
}

static int check_stored(const struct unpack *unpack, size_t index, const void *stored, size_t size, struct error *error)
{
	const struct manifest_blob *blob = &unpack->manifest->blobs[index];
	uint8_t hash[HASH_SIZE];

	if (size != blob->stored)
		return error_set(error, ERROR_DATA, "length",
				 "blob %zu of release %s came with %zu bytes instead of %llu", index,
				 unpack->manifest->version, size, (unsigned long long)blob->stored);
	hash_bytes(HASH_BLAKE2B, stored, size, hash);
	if (!hash_equal(hash, blob->hash))
		return error_set(error, ERROR_DATA, "hash", "blob %zu of release %s is not what the manifest says",
				 index, unpack->manifest->version);
	return 0;
}

/* A file that a blob brings whole. */
struct piece {
	size_t entry, content;
	const uint8_t *bytes;
};

static int by_entry(const void *a, const void *b)
{
	size_t x = ((const struct piece *)a)->entry, y = ((const struct piece *)b)->entry;
	return (x > y) - (x < y);
}

/* A stretch is hashed by its chain. */
static int write_stretch(struct unpack *unpack, struct unpack_hand *hand, size_t index, const struct overlap *overlap,
			 struct error *error)
{
	pthread_mutex_lock(&unpack->lock);
	bool done = unpack->done[index];
	pthread_mutex_unlock(&unpack->lock);
	return done ? 0
		    : staging_write_at(&unpack->staging, &hand->staging, unpack_file(unpack->manifest, index, 0),
				       overlap->in_content, hand->plain + overlap->in_blob, overlap->size, error);
}

static int check_content(const struct unpack *unpack, size_t index, const uint8_t *bytes, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	uint8_t hash[HASH_SIZE];

	hash_bytes(HASH_BLAKE2B, bytes, (size_t)content->size, hash);
	return hash_equal(hash, content->hash)
		       ? 0
		       : error_set(error, ERROR_DATA, "hash", "%s of release %s is not what the manifest says",
				   unpack_file(unpack->manifest, index, 0)->path, unpack->manifest->version);
}

/* Looks at each content of a blob: stretches are written, what is whole is hashed and becomes pieces. */
static int take_contents(struct unpack *unpack, struct unpack_hand *hand, size_t index, struct piece *pieces,
			 size_t *ret_count, uint64_t *ret_sum, struct error *error)
{
	const struct manifest *manifest = unpack->manifest;
	const struct span span = unpack_span(manifest, index);
	uint64_t sum = 0;
	size_t count = 0;

	for (size_t i = span.first; i < span.end; i++) {
		const struct manifest_content *content = &manifest->contents[i];
		const struct overlap overlap = unpack_overlap(manifest, index, i);
		const uint8_t *bytes = hand->plain + overlap.in_blob;
		int result = 0;
		if (overlap.size > 0 && !overlap.whole) {
			sum = unpack_sum(sum, bytes, overlap.size);
			result = write_stretch(unpack, hand, i, &overlap, error);
		} else if (overlap.size > 0 && !unpack->done[i]) {
			result = check_content(unpack, i, bytes, error);
			for (size_t file = 0; file < content->files; file++)
				pieces[count++] =
					(struct piece){manifest->file_order[content->first_file + file], i, bytes};
		}
		if (result < 0)
			return result;
	}
	*ret_count = count;
	*ret_sum = sum;
	return 0;
}

/* In the order of their paths: neighbours in a blob are alike, neighbours in a directory are quick to reach. */
static int write_pieces(struct unpack *unpack, struct unpack_hand *hand, struct piece *pieces, size_t count,
			struct error *error)
{
	int result = 0;

	qsort(pieces, count, sizeof(*pieces), by_entry);
	for (size_t i = 0; result == 0 && i < count; i++) {
		const struct manifest_entry *entry = &unpack->manifest->entries[pieces[i].entry];
		result = staging_write(&unpack->staging, &hand->staging, entry, pieces[i].bytes, (size_t)entry->size,
				       error);
	}
	for (size_t i = 0; result == 0 && i < count; i++)
		count_content(unpack, pieces[i].content);
	return result;
}

static int write_blob(struct unpack *unpack, struct unpack_hand *hand, size_t index, struct error *error)
{
	const struct span span = unpack_span(unpack->manifest, index);
	size_t most = 1, count = 0;
	uint64_t sum = 0;

	for (size_t i = span.first; i < span.end; i++)
		most += unpack->manifest->contents[i].files;
	CLEANUP(free_pointer) struct piece *pieces = calloc(most, sizeof(*pieces));
	if (pieces == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to unpack release %s",
				 unpack->manifest->version);
	int result = take_contents(unpack, hand, index, pieces, &count, &sum, error);
	if (result == 0)
		result = write_pieces(unpack, hand, pieces, count, error);
	if (result < 0)
		return result;
	pthread_mutex_lock(&unpack->lock);
	result = progress_blob(&unpack->progress, index, sum, error);
	if (result == 0)
		unpack->blobs[index] = BLOB_DONE;
	pthread_mutex_unlock(&unpack->lock);
	return result < 0 ? result : unpack_advance(unpack, &hand->staging, index, hand->plain, error);
}

int unpack_blob(struct unpack *unpack, size_t index, const void *stored, size_t size, struct error *error)
{
	if (index >= unpack->manifest->blob_count)
		return error_set(error, ERROR_BUG, "blob", "blob %zu is not of release %s", index,
				 unpack->manifest->version);
	pthread_mutex_lock(&unpack->lock);
	bool had = unpack->blobs[index] == BLOB_DONE;
	pthread_mutex_unlock(&unpack->lock);
	int result = had ? 0 : check_stored(unpack, index, stored, size, error);
	if (had || result < 0)
		return result;
	struct unpack_hand *hand = unpack_hand_take(unpack, error);
	if (hand == NULL)
		return -(int)error->code;
	result = blob_unpatch((struct blob_prefix){NULL, 0}, stored, size, hand->plain,
			      (size_t)unpack->manifest->blobs[index].plain, error);
	if (result == 0)
		result = write_blob(unpack, hand, index, error);
	unpack_hand_return(unpack, hand);
	return result;
}

struct unpack_progress unpack_progress(const struct unpack *unpack)
{
	struct unpack_progress progress = {0};
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&unpack->lock;

	pthread_mutex_lock(lock);
	for (size_t i = 0; i < unpack->manifest->blob_count; i++) {
		if (!unpack->wanted[i])
			continue;
		progress.blobs++;
		progress.bytes += unpack->manifest->blobs[i].stored;
		if (unpack->blobs[i] == BLOB_DONE) {
			progress.blobs_done++;
			progress.bytes_done += unpack->manifest->blobs[i].stored;
		}
	}
	pthread_mutex_unlock(lock);
	return progress;
}

int unpack_finish(struct unpack *unpack, struct error *error)
{
	int result = unpack_flush_end(unpack, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < unpack->manifest->content_count; i++)
		if (!unpack->done[i])
			return error_set(error, ERROR_DATA, "incomplete", "%s of release %s has not come yet",
					 unpack_file(unpack->manifest, i, 0)->path, unpack->manifest->version);
	return staging_finish_directories(&unpack->staging, error);
}

int unpack_sync(struct unpack *unpack, struct error *error)
{
	return file_sync_filesystem(unpack->staging.directory, error);
}

uint64_t unpack_space_needed(const struct manifest *manifest)
{
	uint64_t hooks = 0;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].root == MANIFEST_HOOKS)
			hooks += manifest->entries[i].size;
	return manifest->tree_bytes + hooks + SPACE_MARGIN;
}
