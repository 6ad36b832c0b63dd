#include "release/squeeze.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/crew.h"
#include "release/blob.h"

/* What a worker keeps between his blobs. */
struct bench {
	uint8_t *plain;
	size_t at; /* the blob that begins at `offset` of the content stream */
	uint64_t offset;
};

struct run {
	const struct squeeze *job;
	struct bench benches[CREW_MOST];
	pthread_mutex_t lock; /* over what follows, the spool of stored bytes and the manifest's blobs */
	size_t done;
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

static int work(void *context, size_t worker, size_t index, struct error *error)
{
	struct run *run = context;
	struct bench *bench = &run->benches[worker];

	if (bench->plain == NULL)
		bench->plain = malloc(MANIFEST_BLOB_PLAIN_MOST);
	if (bench->plain == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compress");
	for (; bench->at < index; bench->at++)
		bench->offset += run->job->manifest->blobs[bench->at].plain;
	return squeeze_blob(run, index, bench->offset, bench->plain, error);
}

int squeeze_run(const struct squeeze *squeeze, struct error *error)
{
	struct run run = {.job = squeeze, .lock = PTHREAD_MUTEX_INITIALIZER};
	int result = crew_run(CREW_MOST, squeeze->manifest->blob_count, 1, work, &run, error);

	for (size_t i = 0; i < CREW_MOST; i++)
		free(run.benches[i].plain);
	pthread_mutex_destroy(&run.lock);
	return result;
}
