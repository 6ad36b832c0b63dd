#include "base/crew_memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Stands before the bytes that were asked for. */
struct crew_memory_block {
	struct crew_memory_block *next;
	size_t size; /* all of it */
	uint8_t bytes[];
};

/* Under the lock. */
static void drop_block(struct crew_memory *memory)
{
	struct crew_memory_block *block = memory->idle;
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
static struct crew_memory_block *take_idle(struct crew_memory *memory, size_t size)
{
	struct crew_memory_block **best = NULL;
	for (struct crew_memory_block **at = &memory->idle; *at != NULL; at = &(*at)->next)
		if ((*at)->size >= size && (best == NULL || (*at)->size < (*best)->size))
			best = at;
	struct crew_memory_block *found = best != NULL ? *best : NULL;
	if (found != NULL)
		*best = found->next;
	return found;
}

/* In steps of an eighth to a sixteenth: who asks for a little more another time meets the same block. */
static size_t round_up(size_t size)
{
	size_t step = 1;
	while (step <= size / 16)
		step *= 2;
	return (size + step - 1) / step * step;
}

void *crew_memory_borrow(struct crew_memory *memory, size_t size)
{
	const size_t whole = round_up(sizeof(struct crew_memory_block) + size);

	pthread_mutex_lock(&memory->lock);
	struct crew_memory_block *block = take_idle(memory, whole);
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
	struct crew_memory_block *block =
		(struct crew_memory_block *)((uint8_t *)bytes - offsetof(struct crew_memory_block, bytes));

	pthread_mutex_lock(&memory->lock);
	block->next = memory->idle;
	memory->idle = block;
	pthread_cond_broadcast(&memory->given);
	pthread_mutex_unlock(&memory->lock);
}
