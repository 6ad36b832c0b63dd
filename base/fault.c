#include "base/fault.h"

#ifdef NIGHTSHIFT_FAULT_POINTS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Passages of the one name that is waited for; a fork counts on from its parent. */
static unsigned passed;

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
	const char *wanted = getenv("NIGHTSHIFT_FAULT");

	record(name);
	if (!wanted)
		return 0;
	size_t length = strcspn(wanted, ":=");
	if (strlen(name) != length || strncmp(name, wanted, length) != 0)
		return 0;
	const char *rest = wanted + length;
	unsigned at = 1;
	if (*rest == ':')
		at = (unsigned)strtoul(rest + 1, NULL, 10);
	const char *action = strchr(wanted, '=');
	if (++passed != at || !action)
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
