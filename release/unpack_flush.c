#include "base/file.h"
#include "release/unpack_state.h"

/* What a disk takes a good part of a second for; less costs more commits of its journal, which hold up whoever makes
 * files, than it gains. */
#define BYTES_LEAST ((uint64_t)256 * 1024 * 1024)
/* What a file costs beside its bytes. */
#define BYTES_A_FILE 4096

/* Under the lock, which is free while the file system is synced. */
static int sync_once(struct unpack *unpack, struct error *error)
{
	unpack->flush.written = 0;
	int result = progress_flush(&unpack->progress, error);
	if (result < 0)
		return result;
	pthread_mutex_unlock(&unpack->lock);
	result = file_sync_filesystem(unpack->staging.directory, error);
	pthread_mutex_lock(&unpack->lock);
	return result == 0 ? progress_flushed(&unpack->progress, error) : result;
}

static void *serve(void *context)
{
	struct unpack *unpack = context;
	struct unpack_flush *flush = &unpack->flush;

	pthread_mutex_lock(&unpack->lock);
	while (flush->result == 0 && flush->written >= BYTES_LEAST)
		flush->result = sync_once(unpack, &flush->error);
	flush->busy = false;
	pthread_mutex_unlock(&unpack->lock);
	return NULL;
}

static void join(struct unpack_flush *flush)
{
	if (flush->runs)
		pthread_join(flush->thread, NULL);
	flush->runs = false;
}

void unpack_flush_count(struct unpack *unpack, const struct manifest_content *content)
{
	struct unpack_flush *flush = &unpack->flush;

	flush->written += content->files * (content->size + BYTES_A_FILE);
	if (flush->busy || flush->written < BYTES_LEAST || flush->result < 0)
		return;
	/* The one before, which has ended. */
	join(flush);
	flush->runs = pthread_create(&flush->thread, NULL, serve, unpack) == 0;
	flush->busy = flush->runs;
}

int unpack_flush_end(struct unpack *unpack, struct error *error)
{
	join(&unpack->flush);
	if (unpack->flush.result < 0)
		*error = unpack->flush.error;
	return unpack->flush.result;
}
