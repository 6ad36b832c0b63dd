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

/* Passages of the one name that is waited for: of all threads, and of children that were forked since the first of
 * them. */
static atomic_uint *passed;

static void share_count(void)
{
	void *page = mmap(NULL, sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

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

int fault_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *wanted = getenv("NIGHTSHIFT_FAULT");

	record(name);
	if (!wanted)
		return 0;
	pthread_once(&once, share_count);
	size_t length = strcspn(wanted, ":=");
	if (strlen(name) != length || strncmp(name, wanted, length) != 0)
		return 0;
	const char *rest = wanted + length;
	unsigned at = 1;
	if (*rest == ':')
		at = (unsigned)strtoul(rest + 1, NULL, 10);
	const char *action = strchr(wanted, '=');
	if (!passed || atomic_fetch_add(passed, 1) + 1 != at || !action)
		return 0;
	if (strcmp(action, "=kill") == 0)
		kill(getpid(), SIGKILL);
	errno = strcmp(action, "=enospc") == 0 ? ENOSPC : EIO;
	return -1;
}

#else
/* A translation unit must not be empty. */
typedef int fault_points_are_not_built;
#endif
