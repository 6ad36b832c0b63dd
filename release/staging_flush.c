#include "release/staging_flush.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"

/* A disk has this done in a part of a second; less at a time costs more commits of the journal than it gains. */
#define FLUSH_BYTES ((size_t)64 * 1024 * 1024)
/* What a file costs beside its bytes. */
#define FILE_BYTES ((size_t)4096)

struct staging_flush {
	int directory;
	atomic_size_t written; /* since the last wish */
	pthread_t thread;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t turned;
	bool wanted, ends;
};

static void *serve(void *context)
{
	struct staging_flush *flush = context;

	pthread_mutex_lock(&flush->lock);
	for (;;) {
		while (!flush->wanted && !flush->ends)
			pthread_cond_wait(&flush->turned, &flush->lock);
		if (flush->ends)
			break;
		flush->wanted = false;
		pthread_mutex_unlock(&flush->lock);
		if (fault_point("staging.flush") == 0)
			(void)!syncfs(flush->directory);
		pthread_mutex_lock(&flush->lock);
	}
	pthread_mutex_unlock(&flush->lock);
	return NULL;
}

static void drop(struct staging_flush *flush)
{
	pthread_mutex_destroy(&flush->lock);
	pthread_cond_destroy(&flush->turned);
	free(flush);
}

struct staging_flush *staging_flush_new(int directory)
{
	struct staging_flush *flush = calloc(1, sizeof(*flush));

	if (flush == NULL)
		return NULL;
	flush->directory = directory;
	pthread_mutex_init(&flush->lock, NULL);
	pthread_cond_init(&flush->turned, NULL);
	if (pthread_create(&flush->thread, NULL, serve, flush) == 0)
		return flush;
	drop(flush);
	return NULL;
}

static void tell(struct staging_flush *flush, bool *what)
{
	pthread_mutex_lock(&flush->lock);
	*what = true;
	pthread_cond_signal(&flush->turned);
	pthread_mutex_unlock(&flush->lock);
}

void staging_flush_free(struct staging_flush **flush)
{
	struct staging_flush *old = TAKE(*flush);
	if (old == NULL)
		return;
	tell(old, &old->ends);
	pthread_join(old->thread, NULL);
	drop(old);
}

void staging_flush_count(struct staging_flush *flush, size_t size)
{
	size_t before, more = size + FILE_BYTES;

	if (flush == NULL)
		return;
	before = atomic_fetch_add(&flush->written, more);
	if (before / FLUSH_BYTES != (before + more) / FLUSH_BYTES)
		tell(flush, &flush->wanted);
}
