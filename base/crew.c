#include "base/crew.h"

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct crew {
	size_t count, step;
	crew_work *work;
	void *context;
	pthread_mutex_t lock; /* over what follows */
	size_t next, members;
	size_t failed; /* the lowest that did; count: none */
	struct error error;
};

size_t crew_size(size_t most)
{
	cpu_set_t cores;
	/* A machine with more cores than the set has room for says so by an error. */
	size_t size = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (size_t)CPU_COUNT(&cores) : CREW_MOST;

	size = size < CREW_MOST ? size : CREW_MOST;
	size = size < most ? size : most;
	return size > 0 ? size : 1;
}

static void note_failure(struct crew *crew, size_t index, const struct error *error)
{
	pthread_mutex_lock(&crew->lock);
	if (index < crew->failed) {
		crew->failed = index;
		crew->error = *error;
	}
	/* Those before it are being done; those after it do not matter any more. */
	crew->next = crew->count;
	pthread_mutex_unlock(&crew->lock);
}

static void *serve(void *context)
{
	struct crew *crew = context;

	pthread_mutex_lock(&crew->lock);
	size_t worker = crew->members++;
	for (;;) {
		size_t first = crew->next, end = crew->count - first < crew->step ? crew->count : first + crew->step;
		crew->next = end;
		pthread_mutex_unlock(&crew->lock);
		if (first == end)
			return NULL;
		for (; first < end; first++) {
			struct error error = {0};
			if (crew->work(crew->context, worker, first, &error) == 0)
				continue;
			note_failure(crew, first, &error);
			break;
		}
		pthread_mutex_lock(&crew->lock);
	}
}

int crew_run(size_t most, size_t count, size_t step, crew_work *work, void *context, struct error *error)
{
	struct crew crew = {.count = count,
			    .step = step > 0 ? step : 1,
			    .work = work,
			    .context = context,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .failed = count};
	pthread_t threads[CREW_MOST];
	size_t wanted = crew_size(most), started = 0;

	while (started + 1 < wanted && (started + 1) * crew.step < count &&
	       pthread_create(&threads[started], NULL, serve, &crew) == 0)
		started++;
	serve(&crew);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&crew.lock);
	if (crew.failed == count)
		return 0;
	*error = crew.error;
	return -(int)error->code;
}

/* Stands before the bytes that were asked for. */
struct crew_block {
	struct crew_block *next;
	size_t size; /* all of it */
	uint8_t bytes[];
};

/* Under the lock. */
static void drop_block(struct crew_memory *memory)
{
	struct crew_block *block = memory->idle;
	memory->idle = block->next;
	memory->taken -= block->size;
	free(block);
}

void crew_memory_end(struct crew_memory *memory)
{
	while (memory->idle != NULL)
		drop_block(memory);
	pthread_mutex_destroy(&memory->lock);
	pthread_cond_destroy(&memory->given);
}

static bool has_room(const struct crew_memory *memory, size_t size)
{
	return memory->taken == 0 || (size <= memory->most && memory->taken <= memory->most - size);
}

/* Under the lock: what lies idle goes before anybody waits for what is used. */
static void wait_for_room(struct crew_memory *memory, size_t size)
{
	while (!has_room(memory, size)) {
		if (memory->idle != NULL)
			drop_block(memory);
		else
			pthread_cond_wait(&memory->given, &memory->lock);
	}
	memory->taken += size;
}

void crew_memory_take(struct crew_memory *memory, size_t size)
{
	pthread_mutex_lock(&memory->lock);
	wait_for_room(memory, size);
	pthread_mutex_unlock(&memory->lock);
}

void crew_memory_give(struct crew_memory *memory, size_t size)
{
	pthread_mutex_lock(&memory->lock);
	memory->taken -= size;
	pthread_cond_broadcast(&memory->given);
	pthread_mutex_unlock(&memory->lock);
}

/* The smallest that has `size` bytes; NULL: none has. Under the lock. */
static struct crew_block *take_idle(struct crew_memory *memory, size_t size)
{
	struct crew_block **best = NULL;
	for (struct crew_block **at = &memory->idle; *at != NULL; at = &(*at)->next)
		if ((*at)->size >= size && (best == NULL || (*at)->size < (*best)->size))
			best = at;
	struct crew_block *found = best != NULL ? *best : NULL;
	if (found != NULL)
		*best = found->next;
	return found;
}

void *crew_memory_borrow(struct crew_memory *memory, size_t size)
{
	const size_t whole = sizeof(struct crew_block) + size;

	pthread_mutex_lock(&memory->lock);
	struct crew_block *block = take_idle(memory, whole);
	if (block == NULL)
		wait_for_room(memory, whole);
	pthread_mutex_unlock(&memory->lock);
	if (block != NULL)
		return block->bytes;
	block = malloc(whole);
	if (block == NULL) {
		crew_memory_give(memory, whole);
		return NULL;
	}
	block->size = whole;
	return block->bytes;
}

void crew_memory_return(struct crew_memory *memory, void *bytes)
{
	struct crew_block *block = (struct crew_block *)((uint8_t *)bytes - offsetof(struct crew_block, bytes));

	pthread_mutex_lock(&memory->lock);
	block->next = memory->idle;
	memory->idle = block;
	pthread_cond_broadcast(&memory->given);
	pthread_mutex_unlock(&memory->lock);
}
