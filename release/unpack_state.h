/* What the unpack*.c files share. */
#ifndef RELEASE_UNPACK_STATE_H
#define RELEASE_UNPACK_STATE_H

#include <pthread.h>

#include "release/progress.h"
#include "release/staging.h"

enum blob_state { BLOB_IDLE, BLOB_HANDED_OUT, BLOB_DONE };

struct unpack {
	const struct manifest *manifest;
	struct staging staging;
	struct progress progress;
	pthread_mutex_t lock; /* over what follows */
	bool *done;           /* by content: every file of it is there, whole */
	size_t *pending;      /* by content: blobs that still have to bring a stretch of it */
	size_t *first_blob;   /* by content: of the blobs that carry it */
	enum blob_state *blobs;
	bool *wanted; /* by blob: its content had to come as a blob, now or in an earlier try */
	size_t next;
};

/* The first file of a content stands and was hashed: the others become copies of it, and it is done. */
int unpack_spread(struct unpack *unpack, size_t index, struct error *error) MUST_CHECK;
/* Which blobs are needed, and how many stretches each content waits for. Only before a blob was handed out. */
int unpack_plan(struct unpack *unpack, struct error *error) MUST_CHECK;

#endif
