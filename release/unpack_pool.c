#include "release/unpack_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/crew.h"

struct unpack_pool {
	struct unpack *unpack;
	pthread_t threads[UNPACK_THREADS_MOST];
	size_t thread_count;
	pthread_mutex_t lock;  /* over what follows */
	pthread_cond_t given;  /* to the threads */
	pthread_cond_t turned; /* to the owner: one took the waiting blob, or ended its own */
	bool waits;            /* a blob lies in `stored` */
	size_t index;
	struct buffer stored;
	size_t busy;
	bool ends;
	int result;
	struct error error; /* of the first that failed */
};

static void note(struct unpack_pool *pool, int result, const struct error *error)
{
	if (result == 0 || pool->result < 0)
		return;
	pool->result = result;
	pool->error = *error;
}

static void *serve(void *context)
{
	struct unpack_pool *pool = context;
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->waits && !pool->ends)
			pthread_cond_wait(&pool->given, &pool->lock);
		if (!pool->waits)
			break;
		struct buffer spare = stored;
		stored = pool->stored;
		pool->stored = spare;
		size_t index = pool->index;
		bool spoilt = pool->result < 0;
		pool->waits = false;
		pool->busy++;
		pthread_cond_signal(&pool->turned);
		pthread_mutex_unlock(&pool->lock);
		struct error error;
		int result = spoilt ? 0 : unpack_blob(pool->unpack, index, stored.data, stored.size, &error);
		pthread_mutex_lock(&pool->lock);
		note(pool, result, &error);
		pool->busy--;
		pthread_cond_signal(&pool->turned);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int unpack_pool_new(struct unpack *unpack, struct unpack_pool **ret_pool, struct error *error)
{
	struct unpack_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to unpack a release");
	pool->unpack = unpack;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->given, NULL);
	pthread_cond_init(&pool->turned, NULL);
	while (pool->thread_count < crew_size(UNPACK_THREADS_MOST) &&
	       pthread_create(&pool->threads[pool->thread_count], NULL, serve, pool) == 0)
		pool->thread_count++;
	*ret_pool = pool;
	return 0;
}

void unpack_pool_free(struct unpack_pool **pool)
{
	struct unpack_pool *old = TAKE(*pool);
	if (old == NULL)
		return;
	pthread_mutex_lock(&old->lock);
	old->ends = true;
	pthread_cond_broadcast(&old->given);
	pthread_mutex_unlock(&old->lock);
	while (old->thread_count > 0)
		pthread_join(old->threads[--old->thread_count], NULL);
	pthread_mutex_destroy(&old->lock);
	pthread_cond_destroy(&old->given);
	pthread_cond_destroy(&old->turned);
	buffer_free(&old->stored);
	free(old);
}

/* What any blob met so far. Under the lock. */
static int outcome(const struct unpack_pool *pool, struct error *error)
{
	if (pool->result < 0)
		*error = pool->error;
	return pool->result;
}

int unpack_pool_give(struct unpack_pool *pool, size_t index, struct buffer *stored, struct error *error)
{
	if (pool->thread_count == 0) {
		int result = unpack_blob(pool->unpack, index, stored->data, stored->size, error);
		buffer_clear(stored);
		return result;
	}
	pthread_mutex_lock(&pool->lock);
	while (pool->waits)
		pthread_cond_wait(&pool->turned, &pool->lock);
	struct buffer spare = pool->stored;
	const size_t limit = stored->limit;
	pool->stored = *stored;
	pool->index = index;
	pool->waits = true;
	*stored = spare;
	stored->limit = limit;
	buffer_clear(stored);
	pthread_cond_signal(&pool->given);
	int result = outcome(pool, error);
	pthread_mutex_unlock(&pool->lock);
	return result;
}

int unpack_pool_drain(struct unpack_pool *pool, struct error *error)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->waits || pool->busy > 0)
		pthread_cond_wait(&pool->turned, &pool->lock);
	int result = outcome(pool, error);
	pthread_mutex_unlock(&pool->lock);
	return result;
}

int unpack_bundle(struct unpack *unpack, struct bundle *bundle, const struct manifest *manifest, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
	CLEANUP(unpack_pool_free) struct unpack_pool *pool = NULL;
	int result = unpack_pool_new(unpack, &pool, error);

	for (size_t index = 0; result == 0 && unpack_next_blob(unpack, &index);) {
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		hash_to_hex(manifest->blobs[index].hash, HASH_SIZE, name + strlen(name));
		result = bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &bytes, error);
		if (result == 0)
			result = unpack_pool_give(pool, index, &bytes, error);
	}
	return result == 0 ? unpack_pool_drain(pool, error) : result;
}
