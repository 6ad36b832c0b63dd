/* staging/progress: what an earlier try has done, so that a broken transfer goes on at the blob that it had reached. A
 * hint and no proof: whatever it says is re-hashed before it is believed, so it needs no fsync and may end in the
 * middle of a line. */
#ifndef RELEASE_PROGRESS_H
#define RELEASE_PROGRESS_H

#include "release/manifest.h"

struct progress {
	int fd;                      /* append only; -1 closed */
	bool fresh;                  /* nothing was there, or it was another release's */
	bool *contents;              /* by index: written whole */
	bool *blobs;                 /* by index: unpacked */
	uint8_t (*plain)[HASH_SIZE]; /* by blob: BLAKE2b of its plain bytes */
};

/* Reads what stands and opens it for more; a file that belongs to another manifest is begun anew. */
int progress_open(int staging, const struct manifest *manifest, struct progress *ret_progress,
		  struct error *error) MUST_CHECK;
void progress_close(struct progress *progress);

int progress_content(const struct progress *progress, size_t index, struct error *error) MUST_CHECK;
int progress_blob(const struct progress *progress, size_t index, const uint8_t plain[static HASH_SIZE],
		  struct error *error) MUST_CHECK;

#endif
