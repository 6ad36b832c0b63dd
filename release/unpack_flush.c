#include "base/file.h"
#include "release/unpack_state.h"

/* What a disk takes a good part of a second for; less is as soon done at the end. */
#define BYTES_LEAST ((uint64_t)64 * 1024 * 1024)
/* What a file costs beside its bytes. */
#define BYTES_A_FILE 4096

static bool is_worth_it(const struct unpack *unpack)
{
	const struct manifest *manifest = unpack->manifest;
	uint64_t bytes = 0;

	for (size_t i = 0; i < manifest->content_count && bytes < BYTES_LEAST; i++)
		if (unpack->done[i])
			bytes += manifest->contents[i].files * (manifest->contents[i].size + BYTES_A_FILE);
	return bytes >= BYTES_LEAST;
}

static void *flush(void *context)
{
	struct unpack *unpack = context;

	int result = file_sync_filesystem(unpack->staging.directory, &unpack->flush.error);
	pthread_mutex_lock(&unpack->lock);
	if (result == 0)
		result = progress_flushed(&unpack->progress, &unpack->flush.error);
	unpack->flush.result = result;
	pthread_mutex_unlock(&unpack->lock);
	return NULL;
}

int unpack_flush_begin(struct unpack *unpack, struct error *error)
{
	int result = is_worth_it(unpack) ? progress_flush(&unpack->progress, error) : 1;

	if (result != 0)
		return result < 0 ? result : 0;
	unpack->flush.runs = pthread_create(&unpack->flush.thread, NULL, flush, unpack) == 0;
	return unpack->flush.runs ? 0 : progress_flushed(&unpack->progress, error);
}

int unpack_flush_end(struct unpack *unpack, struct error *error)
{
	if (unpack->flush.runs)
		pthread_join(unpack->flush.thread, NULL);
	unpack->flush.runs = false;
	if (unpack->flush.result < 0)
		*error = unpack->flush.error;
	return unpack->flush.result;
}
