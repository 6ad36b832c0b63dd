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

#endif
