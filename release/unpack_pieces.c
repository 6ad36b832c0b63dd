#include "release/unpack_pieces.h"

#include <stdlib.h>

#include "base/list.h"

/* What was written and is not hashed yet. */
struct stretch {
	uint64_t at, end;
};

struct unpack_pieces {
	struct hash_state hash;
	uint64_t hashed;         /* bytes; what follows under the unpacking's lock */
	bool busy;               /* somebody is hashing */
	bool unreadable;         /* a piece could not be read back */
	struct stretch *waiting; /* none of them at `hashed` but while somebody is busy */
	size_t count, room;
};

struct unpack_pieces *unpack_pieces_new(void)
{
	/* Hash states are aligned to more than malloc gives. */
	struct unpack_pieces *pieces = aligned_alloc(_Alignof(struct unpack_pieces), sizeof(*pieces));
	if (pieces == NULL)
		return NULL;
	*pieces = (struct unpack_pieces){0};
	hash_begin(&pieces->hash, HASH_BLAKE2B);
	return pieces;
}

void unpack_pieces_free(struct unpack_pieces **pieces)
{
	struct unpack_pieces *old = TAKE(*pieces);
	if (old != NULL)
		free(old->waiting);
	free(old);
}

/* Goes on behind one that waits, or is one more. Under the lock. */
static int add(struct unpack_pieces *pieces, struct stretch stretch, struct error *error)
{
	for (size_t i = 0; i < pieces->count; i++) {
		if (pieces->waiting[i].end != stretch.at)
			continue;
		pieces->waiting[i].end = stretch.end;
		return 0;
	}
	struct stretch *waiting = list_grow(pieces->waiting, pieces->count, &pieces->room, sizeof(*waiting));
	if (waiting == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the pieces of a file");
	pieces->waiting = waiting;
	pieces->waiting[pieces->count++] = stretch;
	return 0;
}

/* The one that is to be hashed next. Under the lock. */
static bool take_next(struct unpack_pieces *pieces, struct stretch *ret_stretch)
{
	for (size_t i = 0; i < pieces->count; i++) {
		if (pieces->waiting[i].at != pieces->hashed)
			continue;
		*ret_stretch = pieces->waiting[i];
		pieces->waiting[i] = pieces->waiting[--pieces->count];
		return true;
	}
	return false;
}

static void add_to_hash(void *context, const void *bytes, size_t size)
{
	hash_update(context, bytes, size);
}

/* From memory as far as `bytes`, which begin at `offset`, go; else as the file has it. */
static bool hash_stretch(const struct unpack *unpack, struct unpack_pieces *pieces, struct staging_hand *hand,
			 const struct manifest_entry *file, struct stretch stretch, uint64_t offset,
			 const uint8_t *bytes, size_t size)
{
	if (stretch.at == offset) {
		hash_update(&pieces->hash, bytes, size);
		stretch.at += size;
	}
	return stretch.at == stretch.end || staging_read_at(&unpack->staging, hand, file, stretch.at,
							    stretch.end - stretch.at, add_to_hash, &pieces->hash);
}

static enum unpack_whole judge(struct unpack_pieces *pieces, const struct manifest_entry *file, bool whole)
{
	uint8_t hash[HASH_SIZE];

	if (!whole)
		return UNPACK_PARTIAL;
	hash_end(&pieces->hash, hash);
	return !pieces->unreadable && hash_equal(hash, file->hash) ? UNPACK_GOOD : UNPACK_BAD;
}

int unpack_pieces_take(struct unpack *unpack, struct unpack_pieces *pieces, struct staging_hand *hand, size_t content,
		       uint64_t offset, const uint8_t *bytes, size_t size, enum unpack_whole *ret_whole,
		       struct error *error)
{
	const struct manifest_entry *file = unpack_file(unpack->manifest, content, 0);
	struct stretch stretch = {offset, offset + size};
	bool good = true;

	int result = staging_write_at(&unpack->staging, hand, file, offset, bytes, size, error);
	if (result < 0)
		return result;
	pthread_mutex_lock(&unpack->lock);
	result = add(pieces, stretch, error);
	bool mine = result == 0 && !pieces->busy;
	while (mine && take_next(pieces, &stretch)) {
		pieces->busy = true;
		pthread_mutex_unlock(&unpack->lock);
		good = hash_stretch(unpack, pieces, hand, file, stretch, offset, bytes, size);
		pthread_mutex_lock(&unpack->lock);
		pieces->unreadable |= !good;
		pieces->hashed = stretch.end;
		pieces->busy = false;
	}
	bool whole = mine && pieces->hashed == file->size;
	pthread_mutex_unlock(&unpack->lock);
	if (result == 0)
		*ret_whole = judge(pieces, file, whole);
	return result;
}
