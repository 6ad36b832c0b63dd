#include "base/fault.h"

#ifdef NIGHTSHIFT_FAULT_POINTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAULTS_MOST 2

/* Passages of each name that is waited for: of all threads, and of children that were forked since the first of
 * them. */
static atomic_uint *passed;

static void share_counts(void)
{
	void *page =
		mmap(NULL, FAULTS_MOST * sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	passed = page == MAP_FAILED ? NULL : page;
}

static void record(const char *name)
{
	const char *path = getenv("NIGHTSHIFT_FAULT_LOG");
	char line[128];

	if (!path)
		return;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	size_t size = strlen(name) < sizeof line - 1 ? strlen(name) : sizeof line - 1;
	memcpy(line, name, size);
	line[size] = '\n';
	if (write(fd, line, size + 1) < 0)
		errno = 0;
	close(fd);
}

/* Counts a passage of one of them, "name[:n]=action", up to the next comma. Its action when it is time, or NULL. */
static const char *meet(const char *wanted, atomic_uint *count, const char *name)
{
	size_t length = strcspn(wanted, ":=,");

	if (strlen(name) != length || strncmp(name, wanted, length) != 0)
		return NULL;
	const char *rest = wanted + length;
	unsigned at = 1;
	if (*rest == ':')
		at = (unsigned)strtoul(rest + 1, NULL, 10);
	const char *action = rest + strcspn(rest, "=,");
	return atomic_fetch_add(count, 1) + 1 == at && *action == '=' ? action + 1 : NULL;
}

int fault_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *wanted = getenv("NIGHTSHIFT_FAULT"), *action = NULL;

	record(name);
	if (!wanted)
		return 0;
	pthread_once(&once, share_counts);
	for (size_t i = 0; passed && wanted && i < FAULTS_MOST; i++) {
		const char *now = meet(wanted, &passed[i], name);
		action = now ? now : action;
		wanted = strchr(wanted, ',');
		wanted = wanted ? wanted + 1 : NULL;
	}
	if (!action)
		return 0;
	if (strncmp(action, "kill", 4) == 0) {
		kill(getpid(), SIGKILL);
		/* In a sandbox that lets nobody kill. */
		_exit(128 + SIGKILL);
	}
	errno = strncmp(action, "enospc", 6) == 0 ? ENOSPC : EIO;
	return -1;
}

#else
/* A translation unit must not be empty. */
typedef int fault_points_are_not_built;
#endif
