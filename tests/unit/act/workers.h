/* Processes that share out what there is to do: an assertion that fails in one ends it with a message. */
#ifndef TESTS_ACT_WORKERS_H
#define TESTS_ACT_WORKERS_H

#include <stddef.h>

typedef void worker(void *context, size_t number); /* numbers from 1 on */

/* `each` workers a core, at most `most`; when all have ended, how many did not come to their end. */
unsigned workers_run(worker *work, void *context, size_t each, size_t most);

#endif
