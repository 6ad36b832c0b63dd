/* Work on every core that this process may use. */
#ifndef BASE_CREW_H
#define BASE_CREW_H

#include "base/error.h"

#define CREW_MOST 16
/* For work on the files of a tree: a disk is no faster than four cores hash, and every one holds what it reads. */
#define CREW_OF_FILES 4

/* Cores of this process, at most `most` and CREW_MOST, at least one. */
size_t crew_size(size_t most);

/* One piece of work; `worker` is below crew_size(most): whoever does it may keep something between his pieces. */
typedef int crew_work(void *context, size_t worker, size_t index, struct error *error);

/* work(0) … work(count - 1), in about that order, on crew_size(most) threads of which this one is the first; `step`
 * pieces are taken at a time. One that fails keeps those from being done that nobody has begun; the error is that of
 * the lowest that failed. A thread that cannot be had is one fewer. */
int crew_run(size_t most, size_t count, size_t step, crew_work *work, void *context, struct error *error) MUST_CHECK;

#endif
