/* Fetching a verified release into its staging directory: blobs over several bulk streams at once, unpacked as they
 * come, sealed by act. Touches nothing that runs. A later try goes on at the blob that this one had reached. */
#ifndef CHECK_STAGING_H
#define CHECK_STAGING_H

#include "appliance-hook/check/verify.h"
#include "release/unpack.h"

#define STAGING_STREAMS_MOST 8
/* Without one bulk stream for so long the session's own stream carries the blobs. */
#define STAGING_BULK_WAIT_MS 15000

struct staging_wish {
	const char *ticket; /* for the bulk streams */
	int64_t streams;    /* how many to ask for; 0: the session's own stream only */
	/* At the start, at the end and at most twice a second between; may be NULL. */
	int (*progress)(void *context, const struct unpack_progress *progress, struct error *error);
	/* Messages on the session's stream that are no part of a fetch. An error ends the staging. */
	stream_other *other;
	void *context;
};

/* Needs verify_all to have passed: room, then blobs, then seal. */
int staging_run(struct verify *verify, const struct staging_wish *wish, struct error *error) MUST_CHECK;

#endif
