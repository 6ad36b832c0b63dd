#include "tests/unit/act/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/act/fixture.h"

#define WORKERS_MOST 32

static pid_t start(worker *work, void *context, size_t number)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		work(context, number);
		fflush(NULL);
		_exit(0);
	}
	return pid;
}

unsigned workers_run(worker *work, void *context, size_t each, size_t most)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t count = each * (cores < 1 ? 1 : (size_t)cores);
	pid_t workers[WORKERS_MOST];
	unsigned failed = 0;

	if (count > most)
		count = most;
	assert_true(count <= WORKERS_MOST);
	fflush(NULL);
	for (size_t i = 0; i < count; i++)
		workers[i] = start(work, context, i + 1);
	for (size_t i = 0; i < count; i++) {
		int status = 0;
		assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
		if (WIFSIGNALED(status))
			fprintf(stderr, "a worker was ended by signal %d\n", WTERMSIG(status));
		failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	return failed;
}
