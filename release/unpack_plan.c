#include <stdlib.h>

#include "release/unpack_state.h"

uint64_t unpack_sum(uint64_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at < size; at += STAGING_ROOM)
		sum = hash_quick(sum, bytes + at, size - at < STAGING_ROOM ? size - at : STAGING_ROOM);
	return sum;
}

static void add_to_sum(void *context, const void *bytes, size_t size)
{
	uint64_t *sum = context;
	*sum = hash_quick(*sum, bytes, size);
}

static void add_to_hash(void *context, const void *bytes, size_t size)
{
	hash_update(context, bytes, size);
}

/* Which blob has the byte at `offset` of the content stream. */
static size_t blob_at(const struct manifest *manifest, uint64_t offset)
{
	size_t low = 0, high = manifest->blob_count;
	while (low + 1 < high) {
		size_t middle = low + (high - low) / 2;
		if (manifest->blobs[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static struct chain *find_chain(struct unpack *unpack, size_t content)
{
	size_t low = 0, high = unpack->chain_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (unpack->chains[middle].content == content)
			return &unpack->chains[middle];
		if (unpack->chains[middle].content < content)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void begin_chain(struct chain *chain)
{
	hash_begin(&chain->hash, HASH_BLAKE2B);
	chain->hashed = 0;
	chain->busy = false;
}

/* The blob that carries the chain's next byte, if it is done. Under the lock. */
static bool next_link(const struct unpack *unpack, const struct chain *chain, size_t *ret_blob)
{
	const struct manifest_content *content = &unpack->manifest->contents[chain->content];

	if (chain->hashed == content->size)
		return false;
	*ret_blob = blob_at(unpack->manifest, content->offset + chain->hashed);
	return unpack->blobs[*ret_blob] == BLOB_DONE;
}

/* The whole is not what was promised although each blob was: the manifest contradicts itself or the disk lies. Its
 * blobs are wanted again either way. */
static int break_chain(struct unpack *unpack, struct chain *chain, struct error *error)
{
	const struct manifest *manifest = unpack->manifest;
	const struct manifest_content *content = &manifest->contents[chain->content];

	pthread_mutex_lock(&unpack->lock);
	for (size_t i = blob_at(manifest, content->offset);
	     i < manifest->blob_count && manifest->blobs[i].offset < content->offset + content->size; i++) {
		if (unpack->blobs[i] != BLOB_DONE)
			continue;
		unpack->blobs[i] = BLOB_IDLE;
		if (i < unpack->next)
			unpack->next = i;
	}
	begin_chain(chain);
	pthread_mutex_unlock(&unpack->lock);
	return error_set(error, ERROR_DATA, "hash", "%s of release %s is not what the manifest says",
			 unpack_file(manifest, chain->content, 0)->path, manifest->version);
}

static int end_chain(struct unpack *unpack, struct staging_hand *hand, struct chain *chain, struct error *error)
{
	const struct manifest_entry *first = unpack_file(unpack->manifest, chain->content, 0);
	uint8_t hash[HASH_SIZE];

	hash_end(&chain->hash, hash);
	if (!hash_equal(hash, first->hash))
		return break_chain(unpack, chain, error);
	int result = staging_finish_file(&unpack->staging, hand, first, error);
	return result < 0 ? result : unpack_spread(unpack, hand, chain->content, error);
}

/* One stretch, from memory where it is there. */
static bool hash_link(struct unpack *unpack, struct staging_hand *hand, struct chain *chain,
		      const struct overlap *overlap, const uint8_t *plain)
{
	if (plain == NULL)
		return staging_read_at(&unpack->staging, hand, unpack_file(unpack->manifest, chain->content, 0),
				       overlap->in_content, overlap->size, add_to_hash, &chain->hash);
	hash_update(&chain->hash, plain + overlap->in_blob, overlap->size);
	return true;
}

/* As far as its stretches are there: while one thread hashes, others bring more. */
static int follow_chain(struct unpack *unpack, struct staging_hand *hand, struct chain *chain, size_t blob,
			const uint8_t *plain, struct error *error)
{
	size_t link = 0;
	bool good = true;

	pthread_mutex_lock(&unpack->lock);
	if (chain->busy || unpack->done[chain->content]) {
		pthread_mutex_unlock(&unpack->lock);
		return 0;
	}
	chain->busy = true;
	while (good && next_link(unpack, chain, &link)) {
		const struct overlap overlap = unpack_overlap(unpack->manifest, link, chain->content);
		pthread_mutex_unlock(&unpack->lock);
		good = hash_link(unpack, hand, chain, &overlap, link == blob ? plain : NULL);
		pthread_mutex_lock(&unpack->lock);
		chain->hashed += overlap.size;
	}
	bool whole = chain->hashed == unpack->manifest->contents[chain->content].size;
	/* One that ended stays busy: nobody meets it again. */
	chain->busy = whole || !good;
	pthread_mutex_unlock(&unpack->lock);
	if (!good)
		return break_chain(unpack, chain, error);
	return whole ? end_chain(unpack, hand, chain, error) : 0;
}

int unpack_advance(struct unpack *unpack, struct staging_hand *hand, size_t blob, const uint8_t *plain,
		   struct error *error)
{
	const struct span span = unpack_span(unpack->manifest, blob);
	int result = 0;

	for (size_t i = span.first; result == 0 && i < span.end; i++) {
		struct chain *chain = find_chain(unpack, i);
		if (chain != NULL)
			result = follow_chain(unpack, hand, chain, blob, plain, error);
	}
	return result;
}

/* The stretches that an unpacked blob left in files of several blobs are still what it brought. */
static bool stretches_hold(struct unpack *unpack, struct staging_hand *hand, size_t index)
{
	const struct span span = unpack_span(unpack->manifest, index);
	uint64_t sum = 0;

	for (size_t i = span.first; i < span.end; i++) {
		const struct overlap overlap = unpack_overlap(unpack->manifest, index, i);
		if (overlap.size > 0 && !overlap.whole &&
		    !staging_read_at(&unpack->staging, hand, unpack_file(unpack->manifest, i, 0), overlap.in_content,
				     overlap.size, add_to_sum, &sum))
			return false;
	}
	return sum == unpack->progress.sums[index];
}

static void plan_blob(struct unpack *unpack, struct staging_hand *hand, size_t index)
{
	const struct span span = unpack_span(unpack->manifest, index);
	bool had = unpack->progress.blobs[index], whole = false, partial = false;

	for (size_t i = span.first; i < span.end; i++) {
		const struct overlap overlap = unpack_overlap(unpack->manifest, index, i);
		if (overlap.size == 0 || unpack->done[i])
			continue;
		whole |= overlap.whole;
		partial |= !overlap.whole;
	}
	unpack->wanted[index] = whole || partial || had;
	bool stands = !whole && (!partial || (had && stretches_hold(unpack, hand, index)));
	unpack->blobs[index] = stands ? BLOB_DONE : BLOB_IDLE;
}

/* One for each content that reaches over a blob's end and is not there. */
static int plan_chains(struct unpack *unpack, struct error *error)
{
	const struct manifest *manifest = unpack->manifest;
	size_t most = manifest->blob_count + 1;
	/* Hash states are aligned to more than malloc gives. */
	struct chain *chains = aligned_alloc(_Alignof(struct chain), most * sizeof(*chains));

	if (chains == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to plan release %s",
				 manifest->version);
	free(unpack->chains);
	unpack->chains = chains;
	unpack->chain_count = 0;
	for (size_t i = 0; i < manifest->blob_count; i++) {
		const struct span span = unpack_span(manifest, i);
		if (span.end == span.first)
			continue;
		/* The last of a blob may go on in the next; it is counted where it ends this way for the first time. */
		const struct manifest_content *last = &manifest->contents[span.end - 1];
		bool reaches = last->offset + last->size > manifest->blobs[i].offset + manifest->blobs[i].plain;
		bool begins = last->offset >= manifest->blobs[i].offset;
		if (!reaches || !begins || unpack->done[span.end - 1])
			continue;
		struct chain *chain = &chains[unpack->chain_count++];
		chain->content = span.end - 1;
		begin_chain(chain);
	}
	return 0;
}

int unpack_plan(struct unpack *unpack, struct error *error)
{
	struct unpack_hand *hand = unpack_hand_take(unpack, error);
	if (hand == NULL)
		return -(int)error->code;
	int result = plan_chains(unpack, error);
	for (size_t i = 0; result == 0 && i < unpack->manifest->blob_count; i++)
		plan_blob(unpack, &hand->staging, i);
	/* Recorded blobs may have brought all of a content. When the whole is wrong its blobs were just marked as
	 * wanted again. */
	for (size_t i = 0; result == 0 && i < unpack->chain_count; i++) {
		struct error why;
		if (follow_chain(unpack, &hand->staging, &unpack->chains[i], 0, NULL, &why) < 0 &&
		    why.code != ERROR_DATA) {
			*error = why;
			result = -(int)why.code;
		}
	}
	unpack_hand_return(unpack, hand);
	return result;
}
