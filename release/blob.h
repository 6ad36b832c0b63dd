/* Blobs: one plain zstd frame each, over at most MANIFEST_BLOB_PLAIN_MOST bytes. The one place that includes zstd.h. */
#ifndef RELEASE_BLOB_H
#define RELEASE_BLOB_H

#include "base/buffer.h"

/* Level 19. The same bytes under the same libzstd give the same frame, on any number of cores (appends). */
int blob_compress(const void *plain, size_t size, struct buffer *ret_stored, struct error *error) MUST_CHECK;

/* Exactly one frame that says, and has, exactly `plain_size` bytes ("length" otherwise; appends). Its hash was compared
 * before: the decompressor meets no byte that nobody signed for. */
int blob_decompress(const void *stored, size_t size, size_t plain_size, struct buffer *ret_plain,
		    struct error *error) MUST_CHECK;

/* A patch is one frame of `plain` whose matches may lie in `prefix`, the old content. Prefix and plain together are at
 * most BLOB_WINDOW_MOST. `quick`: a look at how small it would be, at a hundredth of the time (appends). */
#define BLOB_WINDOW_MOST ((size_t)1 << 27)
struct blob_prefix {
	const void *bytes; /* borrowed */
	size_t size;
};
int blob_patch(struct blob_prefix prefix, const void *plain, size_t size, bool quick, struct buffer *ret_stored,
	       struct error *error) MUST_CHECK;
/* Bytes that blob_patch takes while it works, without prefix, plain and result. */
size_t blob_patch_memory(size_t prefix_size, size_t size);
/* Exactly one frame that says, and has, exactly `plain_size` bytes, which ret_plain has room for. Takes no memory in
 * proportion to them. A prefix with wrong bytes gives wrong bytes, never more of them. */
int blob_unpatch(struct blob_prefix prefix, const void *stored, size_t size, void *ret_plain, size_t plain_size,
		 struct error *error) MUST_CHECK;

#endif
