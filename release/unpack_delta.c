#include <stdio.h>
#include <stdlib.h>

#include "release/delta.h"
#include "release/unpack_pieces.h"

/* Several threads bring parts; each takes a hand of the unpacking for as long as it writes one. */
struct making {
	struct unpack *unpack;
	bool *wanted, *missed;         /* by content; `missed` under the lock */
	struct unpack_pieces **pieces; /* by content: of those that come in pieces; set under the lock */
	size_t made;                   /* under the lock */
	bool staging_failed;           /* under the lock: the error is not the delta's */
};

static void making_end(struct making *making)
{
	free(making->wanted);
	free(making->missed);
	for (size_t i = 0; making->pieces != NULL && i < making->unpack->manifest->content_count; i++)
		unpack_pieces_free(&making->pieces[i]);
	free(making->pieces);
}

static bool wants(void *context, size_t content)
{
	const struct making *making = context;
	return making->wanted[content];
}

static const struct manifest_entry *first_file(const struct making *making, size_t index)
{
	return unpack_file(making->unpack->manifest, index, 0);
}

static void count(struct making *making, size_t index, bool good)
{
	pthread_mutex_lock(&making->unpack->lock);
	if (good)
		making->made++;
	else
		making->missed[index] = true;
	pthread_mutex_unlock(&making->unpack->lock);
}

/* A whole file: hashed before it is written. */
static int take_whole(struct making *making, struct staging_hand *hand, size_t index, const uint8_t *bytes, size_t size,
		      struct error *error)
{
	uint8_t hash[HASH_SIZE];

	hash_bytes(HASH_BLAKE2B, bytes, size, hash);
	bool good = hash_equal(hash, making->unpack->manifest->contents[index].hash);
	count(making, index, good);
	return good ? unpack_write(making->unpack, hand, index, bytes, error) : 0;
}

static struct unpack_pieces *pieces_of(struct making *making, size_t index)
{
	pthread_mutex_lock(&making->unpack->lock);
	if (making->pieces[index] == NULL)
		making->pieces[index] = unpack_pieces_new();
	struct unpack_pieces *pieces = making->pieces[index];
	pthread_mutex_unlock(&making->unpack->lock);
	return pieces;
}

static int take_piece(struct making *making, struct staging_hand *hand, size_t index, uint64_t offset,
		      const uint8_t *bytes, size_t size, struct error *error)
{
	const struct staging *staging = &making->unpack->staging;
	const struct manifest_entry *file = first_file(making, index);
	struct unpack_pieces *pieces = pieces_of(making, index);
	enum unpack_whole whole = UNPACK_PARTIAL;

	if (pieces == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to apply a delta");
	int result = unpack_pieces_take(making->unpack, pieces, hand, index, offset, bytes, size, &whole, error);
	if (result < 0 || whole == UNPACK_PARTIAL)
		return result;
	count(making, index, whole == UNPACK_GOOD);
	if (whole == UNPACK_BAD)
		return staging_remove(staging, file, error);
	result = staging_finish_file(staging, hand, file, error);
	return result < 0 ? result : unpack_spread(making->unpack, hand, index, error);
}

static int take(void *context, size_t index, uint64_t offset, const uint8_t *bytes, size_t size, struct error *error)
{
	struct making *making = context;
	bool whole = size == making->unpack->manifest->contents[index].size;
	struct unpack_hand *hand = unpack_hand_take(making->unpack, error);
	int result = hand == NULL ? -(int)error->code
		     : whole      ? take_whole(making, &hand->staging, index, bytes, size, error)
				  : take_piece(making, &hand->staging, index, offset, bytes, size, error);
	if (hand != NULL)
		unpack_hand_return(making->unpack, hand);
	if (result < 0) {
		pthread_mutex_lock(&making->unpack->lock);
		making->staging_failed = true;
		pthread_mutex_unlock(&making->unpack->lock);
	}
	return result;
}

/* Pieces of files that did not become whole may not be met by the blobs as if they were theirs. */
static int drop_pieces(const struct making *making, struct error *error)
{
	const struct manifest *manifest = making->unpack->manifest;
	for (size_t i = 0; i < manifest->content_count; i++) {
		if (making->pieces[i] == NULL || making->unpack->done[i])
			continue;
		int result = staging_remove(&making->unpack->staging, first_file(making, i), error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Which base file was at fault: for the log. One is enough, and only some are looked at. */
static void name_damaged(const struct making *making, const struct delta *delta, int base, struct unpack_made *made)
{
	for (size_t i = 0; i < making->unpack->manifest->content_count; i++) {
		if (!making->missed[i])
			continue;
		made->missed++;
		const char *path = made->missed == 1 ? delta_damaged(delta, base, i) : NULL;
		if (path != NULL)
			snprintf(made->damaged, sizeof(made->damaged), "%.250s", path);
	}
}

int unpack_delta(struct unpack *unpack, const struct delta *delta, int base, struct unpack_made *ret_made,
		 struct error *error)
{
	const struct manifest *manifest = unpack->manifest;
	CLEANUP(making_end) struct making making = {.unpack = unpack};
	const struct delta_sink sink = {wants, take, &making};
	struct unpack_made made = {0};

	making.wanted = calloc(manifest->content_count + 1, sizeof(*making.wanted));
	making.missed = calloc(manifest->content_count + 1, sizeof(*making.missed));
	making.pieces = calloc(manifest->content_count + 1, sizeof(*making.pieces));
	if (making.wanted == NULL || making.missed == NULL || making.pieces == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to apply a delta");
	for (size_t i = 0; i < manifest->content_count; i++)
		making.wanted[i] = !unpack->done[i];
	int result = delta_apply(delta, base, &sink, &made.refused);
	if (result < 0 && making.staging_failed) {
		*error = made.refused;
		return result;
	}
	result = drop_pieces(&making, error);
	if (result == 0)
		result = unpack_plan(unpack, error);
	if (result < 0)
		return result;
	name_damaged(&making, delta, base, &made);
	made.contents = making.made;
	*ret_made = made;
	return 0;
}

uint64_t unpack_bytes_left(const struct unpack *unpack)
{
	const struct unpack_progress progress = unpack_progress(unpack);
	return progress.bytes - progress.bytes_done;
}
