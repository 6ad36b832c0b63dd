#include "release/blob.h"

#include <zstd.h>

#include "release/manifest.h"

#define BLOB_LEVEL 19

static void free_compressor(ZSTD_CCtx **compressor)
{
	ZSTD_freeCCtx(*compressor);
}

static void free_decompressor(ZSTD_DCtx **decompressor)
{
	ZSTD_freeDCtx(*decompressor);
}

int blob_compress(const void *plain, size_t size, struct buffer *ret_stored, struct error *error)
{
	CLEANUP(free_compressor) ZSTD_CCtx *compressor = ZSTD_createCCtx();
	uint8_t *room = NULL;

	if (compressor == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compress");
	if (size == 0 || size > MANIFEST_BLOB_PLAIN_MOST)
		return error_set(error, ERROR_BUG, "length", "a blob of %zu bytes is not made", size);
	/* The hash in the manifest covers the frame; the plain size in its head is what blob_decompress checks. */
	size_t code = ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, BLOB_LEVEL);
	if (!ZSTD_isError(code))
		code = ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 0);
	if (!ZSTD_isError(code))
		code = ZSTD_CCtx_setParameter(compressor, ZSTD_c_contentSizeFlag, 1);
	if (ZSTD_isError(code))
		return error_set(error, ERROR_BUG, "zstd", "zstd refuses its settings: %s", ZSTD_getErrorName(code));
	size_t bound = ZSTD_compressBound(size);
	int result = buffer_reserve(ret_stored, bound, &room, error);
	if (result < 0)
		return result;
	code = ZSTD_compress2(compressor, room, bound, plain, size);
	if (ZSTD_isError(code))
		return error_set(error, ERROR_BUG, "zstd", "zstd does not compress: %s", ZSTD_getErrorName(code));
	buffer_commit(ret_stored, code);
	return 0;
}

int blob_decompress(const void *stored, size_t size, size_t plain_size, struct buffer *ret_plain, struct error *error)
{
	CLEANUP(free_decompressor) ZSTD_DCtx *decompressor = ZSTD_createDCtx();
	uint8_t *room = NULL;

	if (decompressor == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to decompress");
	if (plain_size == 0 || plain_size > MANIFEST_BLOB_PLAIN_MOST)
		return error_set(error, ERROR_DATA, "length", "a blob of %zu plain bytes is not read", plain_size);
	if (ZSTD_findFrameCompressedSize(stored, size) != size)
		return error_set(error, ERROR_DATA, "format", "a blob is not one whole zstd frame");
	if (ZSTD_getFrameContentSize(stored, size) != plain_size)
		return error_set(error, ERROR_DATA, "length",
				 "a blob does not have the %zu plain bytes that the manifest "
				 "says",
				 plain_size);
	int result = buffer_reserve(ret_plain, plain_size, &room, error);
	if (result < 0)
		return result;
	size_t code = ZSTD_decompressDCtx(decompressor, room, plain_size, stored, size);
	if (ZSTD_isError(code) || code != plain_size)
		return error_set(error, ERROR_DATA, "format", "a blob cannot be decompressed: %s",
				 ZSTD_isError(code) ? ZSTD_getErrorName(code) : "wrong size");
	buffer_commit(ret_plain, plain_size);
	return 0;
}
