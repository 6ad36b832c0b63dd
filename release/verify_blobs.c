#include "release/verify_blobs.h"

#include <fcntl.h>
#include <string.h>

#include "base/crew.h"
#include "base/file.h"

struct work {
	int directory;
	struct bundle *bundle;
	const struct manifest *manifest;
	struct buffer bytes[CREW_MOST]; /* by worker, of a bundle's blob */
};

static int verify_one(const struct work *work, const struct manifest_blob *blob, struct buffer *bytes,
		      struct error *error)
{
	char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	int result;

	hash_to_hex(blob->hash, HASH_SIZE, name + strlen(name));
	if (work->bundle != NULL) {
		buffer_clear(bytes);
		result = bundle_read(work->bundle, name, MANIFEST_BLOB_STORED_MOST, bytes, error);
		if (result < 0)
			return result;
		hash_bytes(HASH_BLAKE2B, bytes->data, bytes->size, hash);
		size = bytes->size;
	} else {
		CLEANUP(file_close) int fd = -1;
		result = file_open_beneath(work->directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
		if (result == 0)
			result = hash_file(HASH_BLAKE2B, fd, name, hash, &size, error);
		if (result < 0)
			return result;
	}
	if (size != blob->stored || !hash_equal(hash, blob->hash))
		return error_set(error, ERROR_DATA, "hash", "%s is not what the manifest says", name);
	return 0;
}

static int verify_index(void *context, size_t worker, size_t index, struct error *error)
{
	struct work *work = context;

	return verify_one(work, &work->manifest->blobs[index], &work->bytes[worker], error);
}

int verify_blobs(int directory, struct bundle *bundle, const struct manifest *manifest, struct error *error)
{
	struct work work = {.directory = directory, .bundle = bundle, .manifest = manifest};

	for (size_t i = 0; i < CREW_MOST; i++)
		work.bytes[i] = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
	int result = crew_run(CREW_MOST, manifest->blob_count, 1, verify_index, &work, error);
	for (size_t i = 0; i < CREW_MOST; i++)
		buffer_free(&work.bytes[i]);
	return result;
}
