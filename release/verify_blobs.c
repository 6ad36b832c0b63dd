#include "release/verify_blobs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define THREADS_MOST 16

struct work {
	int directory;
	struct bundle *bundle;
	const struct manifest *manifest;
	atomic_size_t next;
	pthread_mutex_t lock; /* over what follows */
	size_t failed;        /* the lowest index that failed; blob_count: none did */
	struct error error;
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

static void *verify_share(void *context)
{
	struct work *work = context;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);

	for (;;) {
		size_t index = atomic_fetch_add(&work->next, 1);
		struct error error = {0};
		if (index >= work->manifest->blob_count)
			return NULL;
		if (verify_one(work, &work->manifest->blobs[index], &bytes, &error) == 0)
			continue;
		pthread_mutex_lock(&work->lock);
		if (index < work->failed) {
			work->failed = index;
			work->error = error;
		}
		pthread_mutex_unlock(&work->lock);
		/* Those before it are being looked at; those after it do not matter any more. */
		atomic_store(&work->next, work->manifest->blob_count);
	}
}

int verify_blobs(int directory, struct bundle *bundle, const struct manifest *manifest, struct error *error)
{
	struct work work = {
		.directory = directory, .bundle = bundle, .manifest = manifest, .failed = manifest->blob_count};
	pthread_t threads[THREADS_MOST];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int count = 0;

	pthread_mutex_init(&work.lock, NULL);
	/* One share is this thread's own; a thread that cannot be had is one fewer. */
	while (count < THREADS_MOST && count + 1 < cores &&
	       pthread_create(&threads[count], NULL, verify_share, &work) == 0)
		count++;
	verify_share(&work);
	while (count > 0)
		pthread_join(threads[--count], NULL);
	pthread_mutex_destroy(&work.lock);
	if (work.failed == manifest->blob_count)
		return 0;
	*error = work.error;
	return -(int)error->code;
}
