/* Memory that pieces of work under way have between them: what each takes waits until the others leave room. */
#ifndef BASE_CREW_MEMORY_H
#define BASE_CREW_MEMORY_H

#include <pthread.h>
#include <stddef.h>

struct crew_memory_block;
struct crew_memory {
	size_t most;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t given; /* back */
	size_t taken;
	struct crew_memory_block *idle; /* of what is taken: blocks that nobody uses */
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
