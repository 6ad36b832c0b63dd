#include "release/blob.h"

#include <zstd.h>

#include "release/manifest.h"

#define BLOB_LEVEL 19
/* Of patches; each is measured: what more of it takes in time it does not give back in bytes. */
#define PATCH_CHAIN_MOST 26
#define PATCH_HASH_MOST  24
#define PATCH_SEARCH     4
#define PATCH_WIDE       26 /* a window of so many bits is searched by two steps less: half the time, 3 % more */
#define PATCH_TARGET     999

static void free_compressor(ZSTD_CCtx **compressor)
{
	ZSTD_freeCCtx(*compressor);
}

static void free_decompressor(ZSTD_DCtx **decompressor)
{
	ZSTD_freeDCtx(*decompressor);
}

/* With the settings that it has; appends. */
static int compress(ZSTD_CCtx *compressor, const void *plain, size_t size, struct buffer *ret_stored,
		    struct error *error)
{
	const size_t bound = ZSTD_compressBound(size);
	uint8_t *room = NULL;
	int result = buffer_reserve(ret_stored, bound, &room, error);

	if (result < 0)
		return result;
	size_t code = ZSTD_compress2(compressor, room, bound, plain, size);
	if (ZSTD_isError(code))
		return error_set(error, ERROR_CANNOT_CREATE, "zstd", "zstd does not compress: %s",
				 ZSTD_getErrorName(code));
	buffer_commit(ret_stored, code);
	return 0;
}

int blob_compress(const void *plain, size_t size, struct buffer *ret_stored, struct error *error)
{
	CLEANUP(free_compressor) ZSTD_CCtx *compressor = ZSTD_createCCtx();

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
	return compress(compressor, plain, size, ret_stored, error);
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

/* Settings of a patch: the search covers prefix and plain, which level 19 by itself does only for 8 MiB. */
struct patch_settings {
	int window, chain, hash, search, target, strategy;
};

static int log_of(size_t size)
{
	int log = 10;
	while (((size_t)1 << log) < size)
		log++;
	return log;
}

static struct patch_settings patch_settings(size_t prefix_size, size_t size, bool quick)
{
	int window = log_of(prefix_size + size);
	if (quick)
		return (struct patch_settings){window,    window < 17 ? window : 17, window < 18 ? window : 18, 2, 16,
					       ZSTD_lazy2};
	/* The binary tree holds 2^(chain - 1) positions. */
	return (struct patch_settings){.window = window,
				       .chain = window + 1 < PATCH_CHAIN_MOST ? window + 1 : PATCH_CHAIN_MOST,
				       .hash = window < PATCH_HASH_MOST ? window : PATCH_HASH_MOST,
				       .search = window < PATCH_WIDE ? PATCH_SEARCH : PATCH_SEARCH - 2,
				       .target = PATCH_TARGET,
				       .strategy = ZSTD_btultra2};
}

size_t blob_patch_memory(size_t prefix_size, size_t size)
{
	const struct patch_settings settings = patch_settings(prefix_size, size, false);
	return ((size_t)4 << settings.chain) + ((size_t)4 << settings.hash) + (size_t)16 * 1024 * 1024;
}

static size_t set_patch(ZSTD_CCtx *compressor, const struct patch_settings *settings, bool far)
{
	const struct {
		ZSTD_cParameter name;
		int value;
	} values[] = {
		{ZSTD_c_compressionLevel, BLOB_LEVEL},
		{ZSTD_c_windowLog, settings->window},
		{ZSTD_c_chainLog, settings->chain},
		{ZSTD_c_hashLog, settings->hash},
		{ZSTD_c_searchLog, settings->search},
		{ZSTD_c_targetLength, settings->target},
		{ZSTD_c_strategy, settings->strategy},
		{ZSTD_c_enableLongDistanceMatching, far ? 1 : 0},
		{ZSTD_c_checksumFlag, 0},
		{ZSTD_c_contentSizeFlag, 1},
		{ZSTD_c_dictIDFlag, 0},
	};
	size_t code = 0;
	for (size_t i = 0; i < ARRAY_SIZE(values) && !ZSTD_isError(code); i++)
		code = ZSTD_CCtx_setParameter(compressor, values[i].name, values[i].value);
	return code;
}

int blob_patch(struct blob_prefix prefix, const void *plain, size_t size, bool quick, struct buffer *ret_stored,
	       struct error *error)
{
	CLEANUP(free_compressor) ZSTD_CCtx *compressor = ZSTD_createCCtx();

	if (compressor == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to make a patch");
	if (size == 0 || prefix.size > BLOB_WINDOW_MOST || size > BLOB_WINDOW_MOST - prefix.size)
		return error_set(error, ERROR_BUG, "length", "a patch from %zu to %zu bytes is not made", prefix.size,
				 size);
	const struct patch_settings settings = patch_settings(prefix.size, size, quick);
	size_t code = set_patch(compressor, &settings, quick || settings.window > PATCH_CHAIN_MOST - 1);
	if (!ZSTD_isError(code) && prefix.size > 0)
		code = ZSTD_CCtx_refPrefix(compressor, prefix.bytes, prefix.size);
	if (ZSTD_isError(code))
		return error_set(error, ERROR_BUG, "zstd", "zstd refuses its settings: %s", ZSTD_getErrorName(code));
	return compress(compressor, plain, size, ret_stored, error);
}

int blob_unpatch(struct blob_prefix prefix, const void *stored, size_t size, void *ret_plain, size_t plain_size,
		 struct error *error)
{
	CLEANUP(free_decompressor) ZSTD_DCtx *decompressor = ZSTD_createDCtx();

	if (decompressor == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to apply a patch");
	if (plain_size == 0 || ZSTD_findFrameCompressedSize(stored, size) != size)
		return error_set(error, ERROR_DATA, "format", "a patch is not one whole zstd frame");
	if (ZSTD_getFrameContentSize(stored, size) != plain_size)
		return error_set(error, ERROR_DATA, "length", "a patch does not say the %zu plain bytes that it is for",
				 plain_size);
	size_t code = prefix.size > 0 ? ZSTD_DCtx_refPrefix(decompressor, prefix.bytes, prefix.size) : 0;
	if (!ZSTD_isError(code))
		code = ZSTD_decompressDCtx(decompressor, ret_plain, plain_size, stored, size);
	if (ZSTD_isError(code) || code != plain_size)
		return error_set(error, ERROR_DATA, "format", "a patch cannot be applied: %s",
				 ZSTD_isError(code) ? ZSTD_getErrorName(code) : "wrong size");
	return 0;
}
