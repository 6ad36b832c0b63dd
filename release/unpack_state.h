/* What the unpack*.c files share. */
#ifndef RELEASE_UNPACK_STATE_H
#define RELEASE_UNPACK_STATE_H

#include <pthread.h>

#include "release/progress.h"
#include "release/staging.h"

enum blob_state { BLOB_IDLE, BLOB_HANDED_OUT, BLOB_DONE };

/* A content that several blobs carry: hashed from its start on as its stretches come, in whatever order they do. */
struct chain {
	struct hash_state hash;
	size_t content;
	uint64_t hashed; /* bytes */
	bool busy;       /* somebody is hashing it */
};

/* What one thread needs while it unpacks a blob; kept for the next one. */
struct unpack_hand {
	struct staging_hand staging;
	uint8_t *plain; /* MANIFEST_BLOB_PLAIN_MOST bytes */
	struct unpack_hand *next;
};

/* Syncs on the side. The kernel tells them of a failure of the disk, and nobody after them. */
struct unpack_flush {
	pthread_t thread;
	bool runs, busy;  /* is to be joined; has not ended */
	uint64_t written; /* since the last sync began */
	int result;
	struct error error;
};

struct unpack {
	const struct manifest *manifest;
	struct staging staging;
	struct progress progress;
	bool *done; /* by content: every file of it is there, whole. Each is one thread's, or under the lock */
	pthread_mutex_t lock; /* over what follows */
	enum blob_state *blobs;
	bool *wanted;         /* by blob: its content had to come as a blob, now or in an earlier try */
	struct chain *chains; /* by content */
	size_t chain_count;
	size_t next;
	struct unpack_hand *hands; /* that nobody uses */
	struct unpack_flush flush;
};

/* Where a content and a blob meet: `in_blob` and `in_content` are offsets. */
struct overlap {
	uint64_t in_blob, in_content;
	size_t size;
	bool whole; /* the blob has all of the content */
};
struct overlap unpack_overlap(const struct manifest *manifest, size_t blob, size_t content);
/* The contents that lie in a blob: [first, end). */
struct span {
	size_t first, end;
};
struct span unpack_span(const struct manifest *manifest, size_t blob);
/* File `index` of a content. */
const struct manifest_entry *unpack_file(const struct manifest *manifest, size_t content, size_t index);

struct unpack_hand *unpack_hand_take(struct unpack *unpack, struct error *error) MUST_CHECK; /* NULL: no memory */
void unpack_hand_return(struct unpack *unpack, struct unpack_hand *hand);

/* unpack_gather.c: before anything is fetched: what is empty, what an earlier try left, what the running release has.
 */
int unpack_gather(struct unpack *unpack, int base, const struct manifest *base_manifest, enum unpack_share share,
		  struct error *error) MUST_CHECK;

/* unpack_flush.c: what was written begins its way to the disk while the rest comes, where it is much. The files of a
 * content stand. Under the lock. */
void unpack_flush_count(struct unpack *unpack, const struct manifest_content *content);
/* No more come; waits. When a sync failed, staging has: what an earlier try left does not count then. */
int unpack_flush_end(struct unpack *unpack, struct error *error) MUST_CHECK;

/* A whole content that was hashed goes into all its files. */
int unpack_write(struct unpack *unpack, struct staging_hand *hand, size_t content, const void *bytes,
		 struct error *error) MUST_CHECK;
/* The first file of a content stands and was hashed: the others become copies of it, and it is done. */
int unpack_spread(struct unpack *unpack, struct staging_hand *hand, size_t content, struct error *error) MUST_CHECK;

/* unpack_plan.c: which blobs are needed. Only before a blob was handed out. */
int unpack_plan(struct unpack *unpack, struct error *error) MUST_CHECK;
/* What progress notes of a stretch, one after the other. */
uint64_t unpack_sum(uint64_t sum, const uint8_t *bytes, size_t size);
/* After blob `blob` is done: its contents that reach beyond it are hashed as far as they are there. `plain` (may be
 * NULL) saves reading its bytes back. */
int unpack_advance(struct unpack *unpack, struct staging_hand *hand, size_t blob, const uint8_t *plain,
		   struct error *error) MUST_CHECK;

#endif
