#include "base/crew.h"

#include <pthread.h>
#include <sched.h>

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
