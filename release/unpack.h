/* Building a new release's tree in a staging directory from what is at hand and from blobs as they come. Runs where the
 * foreign bytes are parsed (the hook's check process, `verify`), sandboxed, and writes only beneath `staging`.
 *
 * staging/tree/…   the tree      staging/hooks/…   the release's hooks      staging/progress   blobs that are done */
#ifndef RELEASE_UNPACK_H
#define RELEASE_UNPACK_H

#include "release/manifest.h"

/* Several threads may call unpack_next_blob, unpack_give_back, unpack_blob and unpack_progress at the same time. */
struct unpack;

enum unpack_share { UNPACK_AUTO, UNPACK_REFLINK, UNPACK_HARDLINK, UNPACK_COPY };

/* Makes directories and links, re-hashes what an earlier try left and keeps what is good, and takes unchanged contents
 * from `base` (the tree of the version that runs, with its manifest; -1 and NULL: none), re-hashed on the way.
 * Leftovers of another release's try are removed. The manifest is borrowed until unpack_free. */
int unpack_begin(int staging, const struct manifest *manifest, int base, const struct manifest *base_manifest,
		 enum unpack_share share, struct unpack **ret_unpack, struct error *error) MUST_CHECK;

/* Contents that are not there yet and that the delta makes from `base`, the tree whose manifest it was opened with; on
 * every core, each content hashed before it counts. Before the first unpack_next_blob. Whatever it cannot make, because
 * a base file or the delta itself is damaged, is left to the blobs; an error is one of the staging directory alone.
 * Memory: DELTA_APPLY_MEMORY. */
struct delta;
struct unpack_made {
	size_t contents;      /* that were made */
	size_t missed;        /* that came out wrong */
	char damaged[256];    /* one base file that is not what its manifest says; "" when none was met */
	struct error refused; /* why the delta ended early; code 0 when it did not */
};
int unpack_delta(struct unpack *unpack, const struct delta *delta, int base, struct unpack_made *ret_made,
		 struct error *error) MUST_CHECK;
/* Stored bytes of the blobs that are still to come. */
uint64_t unpack_bytes_left(const struct unpack *unpack);

/* The next blob that is still needed and was not handed out yet; false when all were. unpack_give_back returns one
 * whose transfer broke. */
bool unpack_next_blob(struct unpack *unpack, size_t *ret_index);
void unpack_give_back(struct unpack *unpack, size_t index);

/* The stored bytes of blob `index`: the hash is compared before a byte is decompressed ("hash"), the plain size before
 * it is written ("length"), each file's hash when it is whole. */
int unpack_blob(struct unpack *unpack, size_t index, const void *stored, size_t size, struct error *error) MUST_CHECK;

struct unpack_progress {
	size_t blobs, blobs_done;
	uint64_t bytes, bytes_done; /* stored bytes to fetch */
};
struct unpack_progress unpack_progress(const struct unpack *unpack);

/* All contents there: final modes (owners are act's). ERROR_DATA "incomplete" when something is missing. */
int unpack_finish(struct unpack *unpack, struct error *error) MUST_CHECK;
/* One syncfs: for who does not seal the tree, which syncs it. */
int unpack_sync(struct unpack *unpack, struct error *error) MUST_CHECK;
void unpack_free(struct unpack **unpack);

/* Room that the staging will need, for preflight. */
uint64_t unpack_space_needed(const struct manifest *manifest);

#endif
