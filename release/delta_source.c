#include "release/delta_source.h"

#include <string.h>

#include "release/blob.h"
#include "release/bundle.h"

void delta_source_close(struct delta_source *source)
{
	manifest_free(&source->manifest);
	buffer_free(&source->bytes);
	spool_close(&source->plain);
}

static int lay_open(struct bundle *bundle, struct delta_source *source, struct error *error)
{
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
	CLEANUP(buffer_free) struct buffer plain = BUFFER_INIT(MANIFEST_BLOB_PLAIN_MOST);

	for (size_t i = 0; i < source->manifest->blob_count; i++) {
		const struct manifest_blob *blob = &source->manifest->blobs[i];
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		uint8_t hash[HASH_SIZE];
		buffer_clear(&stored);
		buffer_clear(&plain);
		hash_to_hex(blob->hash, HASH_SIZE, name + strlen(name));
		int result = bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &stored, error);
		if (result < 0)
			return result;
		hash_bytes(HASH_BLAKE2B, stored.data, stored.size, hash);
		if (stored.size != blob->stored || !hash_equal(hash, blob->hash))
			return error_set(error, ERROR_DATA, "hash", "%s is not what its name says", name);
		result = blob_decompress(stored.data, stored.size, (size_t)blob->plain, &plain, error);
		if (result == 0)
			result = spool_append(&source->plain, plain.data, plain.size, NULL, error);
		if (result < 0)
			return result;
	}
	return 0;
}

int delta_source_open(const char *path, const char *beside, struct delta_source *ret_source, struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(delta_source_close)
	struct delta_source source = {.bytes = BUFFER_INIT(MANIFEST_BYTES_MOST), .plain = {.fd = -1}};

	int result = bundle_open(path, &bundle, error);
	if (result < 0)
		return result;
	const struct buffer *bytes = bundle_manifest(bundle);
	result = buffer_append(&source.bytes, bytes->data, bytes->size, error);
	if (result == 0)
		result = manifest_parse(bytes->data, bytes->size, &source.manifest, error);
	if (result == 0)
		result = spool_open(beside, &source.plain, error);
	if (result == 0)
		result = lay_open(bundle, &source, error);
	if (result < 0)
		return error_prefix(error, "%s", path);
	*ret_source = source;
	source = (struct delta_source){.plain = {.fd = -1}};
	return 0;
}

bool delta_source_in_tree(const struct manifest *manifest, const struct manifest_content *content)
{
	for (size_t i = 0; i < content->files; i++)
		if (manifest_file(manifest, content, i)->root == MANIFEST_TREE)
			return true;
	return false;
}
