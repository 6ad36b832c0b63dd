#include "release/unpack.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "release/blob.h"
#include "release/unpack_state.h"

/* What staging takes beyond the tree: blobs in flight, the progress file, directories. */
#define SPACE_MARGIN ((uint64_t)32 * 1024 * 1024)

/* The contents that lie in a blob: [first, end). */
struct span {
	size_t first, end;
};

static struct span blob_span(const struct manifest *manifest, size_t index)
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

/* Where a content and a blob meet: `in_blob` and `in_content` are offsets. */
struct overlap {
	uint64_t in_blob, in_content;
	size_t size;
	bool whole; /* the blob has all of the content */
};

static struct overlap find_overlap(const struct manifest *manifest, size_t blob_index, size_t content_index)
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

static const struct manifest_entry *file_of(const struct manifest *manifest, const struct manifest_content *content,
					    size_t index)
{
	return &manifest->entries[manifest->file_order[content->first_file + index]];
}

int unpack_spread(struct unpack *unpack, size_t index, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	const struct manifest_entry *first = file_of(unpack->manifest, content, 0);

	for (size_t i = 1; i < content->files; i++) {
		const struct manifest_entry *entry = file_of(unpack->manifest, content, i);
		bool taken = false;
		int result = staging_copy(&unpack->staging, first, entry, &taken, error);
		if (result < 0)
			return result;
		if (!taken)
			return error_set(error, ERROR_DATA, "hash", "%s changed while it was copied", first->path);
	}
	pthread_mutex_lock(&unpack->lock);
	unpack->done[index] = true;
	int result = progress_content(&unpack->progress, index, error);
	pthread_mutex_unlock(&unpack->lock);
	return result;
}

/* The blob is wanted again, by every content of it that is not whole. Under the lock. */
static void reopen_blob(struct unpack *unpack, size_t index)
{
	const struct span span = blob_span(unpack->manifest, index);

	if (unpack->blobs[index] != BLOB_DONE)
		return;
	unpack->blobs[index] = BLOB_IDLE;
	if (index < unpack->next)
		unpack->next = index;
	for (size_t i = span.first; i < span.end; i++)
		if (!unpack->done[i] && find_overlap(unpack->manifest, index, i).size > 0)
			unpack->pending[i]++;
}

/* Every stretch is there: the whole is hashed. When it is wrong although each blob was right, the manifest contradicts
 * itself or the disk lies; its blobs are wanted again either way. */
static int complete_content(struct unpack *unpack, size_t index, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	const struct manifest_entry *first = file_of(unpack->manifest, content, 0);

	if (staging_holds(&unpack->staging, first)) {
		int result = staging_finish_file(&unpack->staging, first, error);
		return result < 0 ? result : unpack_spread(unpack, index, error);
	}
	pthread_mutex_lock(&unpack->lock);
	for (size_t i = unpack->first_blob[index]; i < unpack->manifest->blob_count; i++) {
		if (unpack->manifest->blobs[i].offset >= content->offset + content->size)
			break;
		reopen_blob(unpack, i);
	}
	pthread_mutex_unlock(&unpack->lock);
	return error_set(error, ERROR_DATA, "hash", "%s of release %s is not what the manifest says", first->path,
			 unpack->manifest->version);
}

/* An earlier try recorded this content: it counts again when its files still hash to it. */
static int keep_content(struct unpack *unpack, size_t index, bool *ret_kept, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];

	*ret_kept = false;
	if (!unpack->progress.contents[index] ||
	    !staging_holds(&unpack->staging, file_of(unpack->manifest, content, 0)))
		return 0;
	for (size_t i = 1; i < content->files; i++)
		if (!staging_holds(&unpack->staging, file_of(unpack->manifest, content, i))) {
			*ret_kept = true;
			return unpack_spread(unpack, index, error);
		}
	unpack->done[index] = true;
	*ret_kept = true;
	return 0;
}

static int share_content(struct unpack *unpack, size_t index, int base, const struct manifest *base_manifest,
			 enum unpack_share share, bool *ret_taken, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	const struct manifest_content *old = manifest_find_content(base_manifest, content->hash);

	*ret_taken = false;
	for (size_t i = 0; old != NULL && i < old->files && !*ret_taken; i++) {
		const struct manifest_entry *from = file_of(base_manifest, old, i);
		if (from->root != MANIFEST_TREE)
			continue;
		int result = staging_share(&unpack->staging, base, from, file_of(unpack->manifest, content, 0), share,
					   ret_taken, error);
		if (result < 0)
			return result;
	}
	return *ret_taken ? unpack_spread(unpack, index, error) : 0;
}

/* Before anything is fetched: what is empty, what an earlier try left, what the running release has. */
static int gather_content(struct unpack *unpack, size_t index, int base, const struct manifest *base_manifest,
			  enum unpack_share share, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	const struct manifest_entry *first = file_of(unpack->manifest, content, 0);
	bool kept = false;

	int result = keep_content(unpack, index, &kept, error);
	if (result < 0 || kept)
		return result;
	if (content->size == 0) {
		result = staging_write(&unpack->staging, first, "", 0, error);
		return result < 0 ? result : complete_content(unpack, index, error);
	}
	if (base >= 0 && base_manifest != NULL)
		result = share_content(unpack, index, base, base_manifest, share, &kept, error);
	if (result < 0 || kept)
		return result;
	/* A file that may not be written on must not be met by staging_write_at: it could be another release's too. */
	return staging_may_continue(&unpack->staging, first) ? 0 : staging_remove(&unpack->staging, first, error);
}

/* The stretches that an unpacked blob left in files of several blobs are still what it brought. */
static bool stretches_hold(struct unpack *unpack, size_t index, uint8_t *plain)
{
	const struct manifest *manifest = unpack->manifest;
	const struct span span = blob_span(manifest, index);
	uint8_t hash[HASH_SIZE];

	for (size_t i = span.first; i < span.end; i++) {
		const struct overlap overlap = find_overlap(manifest, index, i);
		if (overlap.size > 0 && !staging_read_at(&unpack->staging, file_of(manifest, &manifest->contents[i], 0),
							 overlap.in_content, plain + overlap.in_blob, overlap.size))
			return false;
	}
	hash_bytes(HASH_BLAKE2B, plain, (size_t)manifest->blobs[index].plain, hash);
	return hash_equal(hash, unpack->progress.plain[index]);
}

int unpack_plan(struct unpack *unpack, struct error *error)
{
	const struct manifest *manifest = unpack->manifest;
	CLEANUP(free_pointer) uint8_t *plain = malloc(MANIFEST_BLOB_PLAIN_MOST);

	if (plain == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to plan release %s",
				 manifest->version);
	for (size_t i = 0; i < manifest->content_count; i++) {
		unpack->first_blob[i] = manifest->blob_count;
		unpack->pending[i] = 0;
	}
	for (size_t i = 0; i < manifest->blob_count; i++) {
		const struct span span = blob_span(manifest, i);
		bool needed = false;
		for (size_t c = span.first; c < span.end; c++) {
			if (unpack->first_blob[c] > i)
				unpack->first_blob[c] = i;
			needed |= !unpack->done[c];
		}
		bool had = unpack->progress.blobs[i];
		unpack->wanted[i] = needed || had;
		unpack->blobs[i] = !needed || (had && stretches_hold(unpack, i, plain)) ? BLOB_DONE : BLOB_IDLE;
		for (size_t c = span.first; c < span.end; c++)
			if (unpack->blobs[i] == BLOB_IDLE && find_overlap(manifest, i, c).size > 0)
				unpack->pending[c]++;
	}
	for (size_t i = 0; i < manifest->content_count; i++) {
		if (unpack->done[i] || unpack->pending[i] > 0)
			continue;
		/* Recorded blobs brought all of it. When the whole is wrong its blobs were just marked as wanted again.
		 */
		struct error why;
		if (complete_content(unpack, i, &why) < 0 && why.code != ERROR_DATA) {
			*error = why;
			return -(int)why.code;
		}
	}
	return 0;
}

static int allocate(struct unpack *unpack, struct error *error)
{
	size_t contents = unpack->manifest->content_count + 1, blobs = unpack->manifest->blob_count + 1;
	unpack->done = calloc(contents, sizeof(*unpack->done));
	unpack->pending = calloc(contents, sizeof(*unpack->pending));
	unpack->first_blob = calloc(contents, sizeof(*unpack->first_blob));
	unpack->blobs = calloc(blobs, sizeof(*unpack->blobs));
	unpack->wanted = calloc(blobs, sizeof(*unpack->wanted));
	if (unpack->done == NULL || unpack->pending == NULL || unpack->first_blob == NULL || unpack->blobs == NULL ||
	    unpack->wanted == NULL)
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
	for (size_t i = 0; result == 0 && i < manifest->content_count; i++)
		result = gather_content(unpack, i, base, base_manifest, share, error);
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
	if (old == NULL)
		return;
	staging_close(&old->staging);
	progress_close(&old->progress);
	pthread_mutex_destroy(&old->lock);
	free(old->done);
	free(old->pending);
	free(old->first_blob);
	free(old->blobs);
	free(old->wanted);
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

/* One content's share of a blob: a whole file is hashed before it is written, a stretch when its file is whole. */
static int write_content(struct unpack *unpack, size_t blob, size_t index, const uint8_t *plain, struct error *error)
{
	const struct manifest_content *content = &unpack->manifest->contents[index];
	const struct manifest_entry *first = file_of(unpack->manifest, content, 0);
	const struct overlap overlap = find_overlap(unpack->manifest, blob, index);
	uint8_t hash[HASH_SIZE];

	if (!overlap.whole)
		return staging_write_at(&unpack->staging, first, overlap.in_content, plain + overlap.in_blob,
					overlap.size, error);
	hash_bytes(HASH_BLAKE2B, plain + overlap.in_blob, overlap.size, hash);
	if (!hash_equal(hash, content->hash))
		return error_set(error, ERROR_DATA, "hash", "%s of release %s is not what the manifest says",
				 first->path, unpack->manifest->version);
	int result = staging_write(&unpack->staging, first, plain + overlap.in_blob, overlap.size, error);
	return result < 0 ? result : unpack_spread(unpack, index, error);
}

/* After its writes: the blob is done; contents for which it was the last are completed. Those can only be the two that
 * reach over its ends: what lies inside is whole already. */
static int settle_blob(struct unpack *unpack, size_t index, const struct buffer *plain, struct error *error)
{
	const struct span span = blob_span(unpack->manifest, index);
	uint8_t hash[HASH_SIZE];
	size_t last[2], count = 0;

	hash_bytes(HASH_BLAKE2B, plain->data, plain->size, hash);
	pthread_mutex_lock(&unpack->lock);
	int result = progress_blob(&unpack->progress, index, hash, error);
	if (result == 0)
		unpack->blobs[index] = BLOB_DONE;
	for (size_t i = span.first; result == 0 && i < span.end; i++) {
		if (find_overlap(unpack->manifest, index, i).size == 0 || unpack->pending[i] == 0)
			continue;
		if (--unpack->pending[i] == 0 && !unpack->done[i] && count < ARRAY_SIZE(last))
			last[count++] = i;
	}
	pthread_mutex_unlock(&unpack->lock);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = complete_content(unpack, last[i], error);
	return result;
}

int unpack_blob(struct unpack *unpack, size_t index, const void *stored, size_t size, struct error *error)
{
	CLEANUP(buffer_free) struct buffer plain = BUFFER_INIT(MANIFEST_BLOB_PLAIN_MOST);

	if (index >= unpack->manifest->blob_count)
		return error_set(error, ERROR_BUG, "blob", "blob %zu is not of release %s", index,
				 unpack->manifest->version);
	pthread_mutex_lock(&unpack->lock);
	bool had = unpack->blobs[index] == BLOB_DONE;
	pthread_mutex_unlock(&unpack->lock);
	if (had)
		return 0;
	int result = check_stored(unpack, index, stored, size, error);
	if (result == 0)
		result = blob_decompress(stored, size, (size_t)unpack->manifest->blobs[index].plain, &plain, error);
	if (result < 0)
		return result;
	const struct span span = blob_span(unpack->manifest, index);
	for (size_t i = span.first; result == 0 && i < span.end; i++) {
		pthread_mutex_lock(&unpack->lock);
		bool done = unpack->done[i];
		pthread_mutex_unlock(&unpack->lock);
		if (!done && find_overlap(unpack->manifest, index, i).size > 0)
			result = write_content(unpack, index, i, plain.data, error);
	}
	return result < 0 ? result : settle_blob(unpack, index, &plain, error);
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
	for (size_t i = 0; i < unpack->manifest->content_count; i++)
		if (!unpack->done[i])
			return error_set(error, ERROR_DATA, "incomplete", "%s of release %s has not come yet",
					 file_of(unpack->manifest, &unpack->manifest->contents[i], 0)->path,
					 unpack->manifest->version);
	int result = staging_finish_directories(&unpack->staging, error);
	return result < 0 ? result : file_sync_filesystem(unpack->staging.directory, error);
}

uint64_t unpack_space_needed(const struct manifest *manifest)
{
	uint64_t hooks = 0;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].root == MANIFEST_HOOKS)
			hooks += manifest->entries[i].size;
	return manifest->tree_bytes + hooks + SPACE_MARGIN;
}
