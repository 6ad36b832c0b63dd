/* The stored bytes of a part: stretches of the plain that its prefix has word for word, and one zstd frame of what is
 * left of the plain over what is left of the prefix. So the search, which costs the same for every byte whether it
 * finds anything or not, goes over what differs. */
#ifndef RELEASE_DELTA_FRAME_H
#define RELEASE_DELTA_FRAME_H

#include "release/blob.h"

/* Appends. */
int delta_frame_make(struct blob_prefix prefix, const void *plain, size_t size, struct buffer *ret_stored,
		     struct error *error) MUST_CHECK;
/* Bytes that delta_frame_make takes at most while it works, without prefix, plain and result. */
size_t delta_frame_memory(size_t prefix_size, size_t size);

/* What delta_frame_read takes beside these is what is left of the prefix: at most so much, else nothing is copied, */
#define DELTA_FRAME_LEFT ((size_t)48 * 1024 * 1024)
size_t delta_frame_left_most(size_t prefix_size);
/* and by these stored bytes exactly so much. */
int delta_frame_left(const void *stored, size_t size, size_t prefix_size, size_t plain_size, size_t *ret_left,
		     struct error *error) MUST_CHECK;
/* Exactly `plain_size` bytes into ret_plain. A prefix with wrong bytes gives wrong bytes, never more of them.
 * ERROR_DATA "format", "length", "delta". */
int delta_frame_read(struct blob_prefix prefix, const void *stored, size_t size, void *ret_plain, size_t plain_size,
		     struct error *error) MUST_CHECK;

#endif
