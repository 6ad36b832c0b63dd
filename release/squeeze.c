#include "release/squeeze.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "release/blob.h"

#define THREADS_MOST 16

struct run {
	const struct squeeze *job;
	pthread_mutex_t lock; /* over what follows, the spool of stored bytes and the manifest's blobs */
	size_t next, done;
	int result;
	struct error error; /* of the first that failed */
};

/* A blob's stretch of the content stream, put together from the contents that lie in it. `offset` of contents and blobs
 * is taken from running sums here, for rules_check has not derived them yet. */
static int read_plain(const struct squeeze *job, uint64_t offset, uint8_t *plain, uint64_t size, struct error *error)
{
	const struct manifest *manifest = job->manifest;
	uint64_t at = 0;

	for (size_t i = 0; i < manifest->content_count && size > 0; i++) {
		uint64_t end = at + manifest->contents[i].size;
		if (end > offset) {
			uint64_t inside = offset - at;
			uint64_t part = end - offset < size ? end - offset : size;
			int result = spool_read(job->plain, job->plain_offsets[i] + inside, plain, (size_t)part, error);
			if (result < 0)
				return result;
			plain += part;
			offset += part;
			size -= part;
		}
		at = end;
	}
	return size == 0 ? 0 : error_set(error, ERROR_BUG, "layout", "a blob reaches beyond the content");
}

static int squeeze_blob(struct run *run, size_t index, uint64_t offset, uint8_t *plain, struct error *error)
{
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	struct manifest_blob *blob = &run->job->manifest->blobs[index];

	int result = read_plain(run->job, offset, plain, blob->plain, error);
	if (result == 0)
		result = blob_compress(plain, (size_t)blob->plain, &stored, error);
	if (result < 0)
		return result;
	pthread_mutex_lock(&run->lock);
	blob->stored = stored.size;
	hash_bytes(HASH_BLAKE2B, stored.data, stored.size, blob->hash);
	result = spool_append(run->job->stored, stored.data, stored.size, &run->job->ret_offsets[index], error);
	run->done++;
	if (result == 0 && run->job->progress != NULL)
		run->job->progress(run->job->context, run->done, run->job->manifest->blob_count);
	pthread_mutex_unlock(&run->lock);
	return result;
}

static void *work(void *context)
{
	struct run *run = context;
	const struct manifest *manifest = run->job->manifest;
	CLEANUP(free_pointer) uint8_t *plain = malloc(MANIFEST_BLOB_PLAIN_MOST);
	uint64_t offset = 0;
	size_t at = 0;
	struct error error;
	int result = plain != NULL ? 0 : error_set(&error, ERROR_CANNOT_CREATE, "memory", "no memory to compress");

	while (result == 0) {
		pthread_mutex_lock(&run->lock);
		size_t index = run->result == 0 ? run->next++ : manifest->blob_count;
		pthread_mutex_unlock(&run->lock);
		if (index >= manifest->blob_count)
			return NULL;
		for (; at < index; at++)
			offset += manifest->blobs[at].plain;
		result = squeeze_blob(run, index, offset, plain, &error);
	}
	pthread_mutex_lock(&run->lock);
	if (run->result == 0) {
		run->result = result;
		run->error = error;
	}
	pthread_mutex_unlock(&run->lock);
	return NULL;
}

int squeeze_run(const struct squeeze *squeeze, struct error *error)
{
	struct run run = {.job = squeeze};
	pthread_t threads[THREADS_MOST];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t wanted = cores < 1 ? 1 : cores > THREADS_MOST ? THREADS_MOST : (size_t)cores, started = 0;

	pthread_mutex_init(&run.lock, NULL);
	while (started < wanted && started < squeeze->manifest->blob_count &&
	       pthread_create(&threads[started], NULL, work, &run) == 0)
		started++;
	/* Where no thread can be had it is done here. */
	if (started == 0)
		work(&run);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&run.lock);
	if (run.result < 0)
		*error = run.error;
	return run.result;
}
