#include "tests/unit/act/outage.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/act/fixture.h"

#define WATCHERS_MOST 64

int outage_boots(const char *path)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64);
	struct error ignored;

	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0 || !text.data)
		return 0;
	return (int)strtol((const char *)text.data, NULL, 10);
}

static pid_t holder_of(const char *directory)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64);
	char path[128];
	struct error ignored;

	snprintf(path, sizeof path, "%s/state/shop/lock", directory);
	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0 || !text.data)
		return 0;
	return (pid_t)strtol((const char *)text.data, NULL, 10);
}

/* Whether one of its arguments is the configuration below `directory`. */
static bool is_of(const char *pid, const char *directory)
{
	char path[64], text[2048] = "";
	size_t length = strlen(directory);

	snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
	CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(text + at) + 1)
		if (strncmp(text + at, directory, length) == 0 && strncmp(text + at + length, "/hook.conf", 10) == 0)
			return true;
	return false;
}

struct struck {
	pid_t pids[WATCHERS_MOST];
	size_t count;
};

static bool is_struck(const struct struck *struck, pid_t pid)
{
	for (size_t i = 0; i < struck->count; i++)
		if (struck->pids[i] == pid)
			return true;
	return false;
}

/* Returns whether any was found that was not found before. */
static bool stop_watchers(const char *directory, pid_t spared, struct struck *struck)
{
	DIR *processes = opendir("/proc");
	size_t before = struck->count;
	const struct dirent *entry;

	assert_non_null(processes);
	while ((entry = readdir(processes)) && struck->count < WATCHERS_MOST) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || pid == spared || pid == getpid() || pid == getppid() || is_struck(struck, pid) ||
		    !is_of(entry->d_name, directory))
			continue;
		if (kill(pid, SIGSTOP) == 0)
			struck->pids[struck->count++] = pid;
	}
	closedir(processes);
	return struck->count > before;
}

static void put_line(const char *directory, const char *name, int flags, const char *format, int number)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	assert_true(fd >= 0 && dprintf(fd, format, number) > 0);
	close(fd);
}

static bool can_run(const char *directory, const char *name, int mode, char path[static 128])
{
	snprintf(path, 128, "%s/%s", directory, name);
	return access(path, mode) == 0;
}

void outage_make(const char *directory, enum outage outage)
{
	struct struck struck = {0};
	pid_t holder = holder_of(directory);
	char path[128], next[128];

	put_line(directory, "units.log", O_APPEND, "reboot\n", 0);
	if (can_run(directory, "stuck", F_OK, path))
		return;
	while (stop_watchers(directory, outage == OUTAGE_CUT ? 0 : holder, &struck))
		;
	for (size_t i = 0; i < struck.count; i++)
		kill(struck.pids[i], SIGKILL);
	snprintf(path, sizeof path, "%s/boots", directory);
	snprintf(next, sizeof next, "%s/boots.next", directory);
	put_line(directory, "boots.next", O_TRUNC, "%d\n", outage_boots(path) + 1);
	assert_int_equal(rename(next, path), 0);
	if (can_run(directory, "loader", X_OK, path))
		assert_int_equal(system(path), 0);
	if (outage == OUTAGE_RESTART && holder > 0)
		kill(holder, SIGKILL);
}

static bool asked;

bool outage_can(void)
{
	return asked;
}

int outage_main(int argc, char **argv)
{
	asked = true;
	if (argc < 3 || strcmp(argv[1], OUTAGE_WORD) != 0)
		return -1;
	outage_make(argv[2], OUTAGE_RESTART);
	return 0;
}
