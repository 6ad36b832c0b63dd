/* Work on every core that this process may use. */
#ifndef BASE_CREW_H
#define BASE_CREW_H

#include <pthread.h>

#include "base/error.h"

#define CREW_MOST 16

/* Cores of this process, at most `most` and CREW_MOST, at least one. */
size_t crew_size(size_t most);

/* One piece of work; `worker` is below crew_size(most): whoever does it may keep something between his pieces. */
typedef int crew_work(void *context, size_t worker, size_t index, struct error *error);

/* work(0) … work(count - 1), in about that order, on crew_size(most) threads of which this one is the first; `step`
 * pieces are taken at a time. One that fails keeps those from being done that nobody has begun; the error is that of
 * the lowest that failed. A thread that cannot be had is one fewer. */
int crew_run(size_t most, size_t count, size_t step, crew_work *work, void *context, struct error *error) MUST_CHECK;

/* Memory that pieces under way have between them. */
struct crew_block;
struct crew_memory {
	size_t most;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t given; /* back */
	size_t taken;
	struct crew_block *idle; /* of what is taken: blocks that nobody uses */
};
#define CREW_MEMORY_INIT(maximum)                                                                                      \
	((struct crew_memory){.most = (maximum), .lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER})
void crew_memory_end(struct crew_memory *memory); /* also the CLEANUP function */

/* Waits until `size` bytes are left of it; who is alone is let through whatever he takes. */
void crew_memory_take(struct crew_memory *memory, size_t size);
void crew_memory_give(struct crew_memory *memory, size_t size);

/* A block of at least `size` bytes of it (NULL: the machine has none), and back. A block that came back is kept for
 * whoever asks for no more than it has: so large a one costs more to have cleared than to fill. */
void *crew_memory_borrow(struct crew_memory *memory, size_t size);
void crew_memory_return(struct crew_memory *memory, void *block);

#endif
