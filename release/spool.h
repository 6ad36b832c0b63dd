/* A temporary file without a name, for what pack has read and compressed and has still to write. */
#ifndef RELEASE_SPOOL_H
#define RELEASE_SPOOL_H

#include "base/error.h"

struct spool {
	int fd; /* -1: not open */
	uint64_t size;
};

/* On the file system of `beside`, the file that is going to be made. */
int spool_open(const char *beside, struct spool *ret_spool, struct error *error) MUST_CHECK;
void spool_close(struct spool *spool);

/* At the end; *ret_offset (may be NULL) is where it went. Not for several threads at once. */
int spool_append(struct spool *spool, const void *bytes, size_t size, uint64_t *ret_offset,
		 struct error *error) MUST_CHECK;
/* Exactly `size` bytes; for any number of threads. */
int spool_read(const struct spool *spool, uint64_t offset, void *bytes, size_t size, struct error *error) MUST_CHECK;

#endif
