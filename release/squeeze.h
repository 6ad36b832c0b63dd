/* Compresses the blobs of a release on every core; the order in which cores finish does not show in the result. */
#ifndef RELEASE_SQUEEZE_H
#define RELEASE_SQUEEZE_H

#include "release/manifest.h"
#include "release/spool.h"

/* Where the plain bytes of the content stream lie: content i at plain_offsets[i] of `plain`. The frames are appended to
 * `stored`, blob i at ret_offsets[i]; hashes and stored sizes go into manifest->blobs. `progress` (may be NULL) is
 * called with blobs done, from any thread but never twice at once. */
struct squeeze {
	struct manifest *manifest;
	const struct spool *plain;
	const uint64_t *plain_offsets;
	struct spool *stored;
	uint64_t *ret_offsets;
	void (*progress)(void *context, size_t done, size_t count);
	void *context;
};
int squeeze_run(const struct squeeze *squeeze, struct error *error) MUST_CHECK;

#endif
