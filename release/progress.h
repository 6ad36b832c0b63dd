/* staging/progress: which blobs an earlier try has unpacked, so that a broken transfer goes on at the one that it had
 * reached. A hint and no proof: files are hashed, and stretches of files compared with what is noted here, before they
 * are believed. So it needs no fsync and may end in the middle of a line. */
#ifndef RELEASE_PROGRESS_H
#define RELEASE_PROGRESS_H

#include "release/manifest.h"

struct progress {
	int fd;         /* append only; -1 closed */
	bool fresh;     /* nothing was there, or it was another release's */
	bool *blobs;    /* by index: unpacked */
	uint64_t *sums; /* by blob: hash_quick of its stretches of files that other blobs carry, too */
};

/* Reads what stands and opens it for more; a file that belongs to another manifest is begun anew. */
int progress_open(int staging, const struct manifest *manifest, struct progress *ret_progress,
		  struct error *error) MUST_CHECK;
void progress_close(struct progress *progress);

/* What was written so far begins its way to the disk, and has reached it. When only the first was noted, the disk may
 * have refused bytes that are still read back from memory: nothing of the try counts. */
int progress_flush(const struct progress *progress, struct error *error) MUST_CHECK;
int progress_flushed(const struct progress *progress, struct error *error) MUST_CHECK;
int progress_blob(const struct progress *progress, size_t index, uint64_t sum, struct error *error) MUST_CHECK;

#endif
