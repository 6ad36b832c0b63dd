/* What was staged begins its way to the disk while more is being written, so that little is left for the sync at the
 * end. A hint: nobody waits for it, nothing relies on it, and what it cannot do the sync at the end will tell. */
#ifndef RELEASE_STAGING_FLUSH_H
#define RELEASE_STAGING_FLUSH_H

#include <stddef.h>

struct staging_flush;

/* Begins a thread that syncs the file system of `directory` (borrowed) now and then; NULL where there can be none,
 * which the other calls take as well. */
struct staging_flush *staging_flush_new(int directory);
/* The sync that is under way is waited for; also the CLEANUP function. */
void staging_flush_free(struct staging_flush **flush);
/* A file of `size` bytes more was written. From any thread. */
void staging_flush_count(struct staging_flush *flush, size_t size);

#endif
