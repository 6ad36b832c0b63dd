#include "appliance-hook/act/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/hooks.h"
#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/resume.h"
#include "appliance-hook/act/units.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"

#define WATCHER_LOOK_MS     500
#define WATCHER_SNAPSHOT_MS (60 * 60 * 1000) /* for copying data, there and back */
#define WATCHER_TRIES       20
#define WATCHER_RETRY_MS    30000
#define NUMBER_SIZE         24

/* Field 22 of /proc/PID/stat: with the pid it names one process for ever. 0: there is none. */
static unsigned long long start_of(pid_t pid)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(4096);
	char path[64];
	struct error ignored;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0 || text.size == 0)
		return 0;
	/* The name may hold anything; what follows its last parenthesis is field 3. */
	char *at = strrchr((char *)text.data, ')');
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

/* The longest that a run with all its ways back may take: four hooks, four times units, health twice, data twice,
 * the tunnel, and a machine that is asked to restart as often as it may be. */
static int64_t longest_ms(const struct hook_settings *settings)
{
	int64_t probes = 0, units = 1000 * settings->units_timeout;

	for (size_t i = 0; i < settings->probe_count; i++)
		if (settings->probes[i]->deadline > probes)
			probes = settings->probes[i]->deadline;
	return 4 * HOOKS_TIMEOUT_MS + 4 * units + 2 * probes * 1000 + 2 * WATCHER_SNAPSHOT_MS +
	       1000 * settings->hub_back_within + 2 * RESTART_TRIES * (units + 1000 * settings->units_reboot_within);
}

static int by_systemd(const char *upgrade, const char *const *words, struct error *error)
{
	char program[PATH_MAX], unit[128], id[LAYOUT_ID_SIZE];
	const char *argv[16] = {"systemd-run", "--quiet", "--collect", "--property=KillMode=process",
				unit,          "--",      program};
	int exit_code = -1;
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);

	if (size < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "watcher", "the program's own path cannot be read");
	program[size] = '\0';
	layout_id(upgrade, id);
	snprintf(unit, sizeof unit, "--unit=appliance-hook-watch-%s-%ld", id, (long)getpid());
	for (size_t i = 0; words[i] && i < 8; i++)
		argv[7 + i] = words[i];
	int status = process_run(argv, NULL, "/", 30000, NULL, &exit_code, error);
	if (status == 0 && exit_code != 0)
		status = error_set(error, ERROR_CANNOT_CREATE, "watcher", "systemd-run ended with %d", exit_code);
	return status;
}

static void grandchild(const char *const *words, int alarm)
{
	char *argv[10] = {"appliance-hook"};
	sigset_t none;

	for (size_t i = 0; words[i] && i < 8; i++)
		argv[1 + i] = (char *)words[i];
	for (int number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, 0);
	/* What is to strike this process shall not strike the one that watches it. */
	unsetenv("NIGHTSHIFT_FAULT");
	int null = open("/dev/null", O_RDWR);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(alarm, 3) >= 0 &&
	    fcntl(3, F_SETFD, FD_CLOEXEC) == 0 && syscall(SYS_close_range, 4U, ~0U, 0) == 0)
		execv("/proc/self/exe", argv);
	char failed = (char)errno;
	if (write(3, &failed, 1) < 0)
		_exit(2);
	_exit(1);
}

/* Twice forked: the watcher is nobody's child, and outlives act, serve and their session. The pipe closes on exec. */
static int by_fork(const char *const *words, struct error *error)
{
	int pipes[2];
	char failed = 0;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "watcher", "the watcher cannot be started");
	CLEANUP(file_close) int alarm = pipes[0];
	pid_t pid = fork();
	if (pid == 0) {
		pid_t second = setsid() < 0 ? -1 : fork();
		if (second == 0)
			grandchild(words, pipes[1]);
		_exit(second < 0 ? 1 : 0);
	}
	close(pipes[1]);
	int ended = 0;
	while (pid > 0 && waitpid(pid, &ended, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
		return error_set(error, ERROR_CANNOT_CREATE, "watcher", "the watcher cannot be started");
	ssize_t got = read(alarm, &failed, 1);
	if (got != 0) {
		errno = failed;
		return error_set_errno(error, ERROR_CANNOT_CREATE, "watcher", "the watcher cannot be started");
	}
	return 0;
}

int watcher_arm(const struct layout *layout, const struct journal *journal, const char *upgrade, struct error *error)
{
	const struct hook_settings *settings = layout->settings;
	char holder[2 * NUMBER_SIZE], seq[NUMBER_SIZE], deadline[NUMBER_SIZE];
	const char *const words[] = {"--config", settings->file, "watch", upgrade, holder, seq, deadline, NULL};
	int status = point_pass("act.watcher.arm", error);

	if (status < 0)
		return status;
	snprintf(holder, sizeof holder, "%ld.%llu", (long)getpid(), start_of(getpid()));
	snprintf(seq, sizeof seq, "%llu", (unsigned long long)journal_state(journal)->seq);
	snprintf(deadline, sizeof deadline, "%lld", (long long)(clock_ticks_ms() + longest_ms(settings)));
	if (settings->units_backend == HOOK_UNITS_SYSTEMD && access("/run/systemd/system", F_OK) == 0) {
		struct error why = {0};
		if (by_systemd(upgrade, words, &why) == 0)
			return 0;
		log_failure("watcher", &why);
	}
	return by_fork(words, error);
}

struct watch {
	const char *upgrade;
	pid_t pid;
	unsigned long long start; /* of that process */
	uint64_t seq;             /* of the journal when the watcher was armed */
	int64_t deadline;         /* clock_ticks_ms */
	int pidfd;                /* -1 once the holder is gone */
};

static int read_words(const char *const words[static WATCHER_WORDS], struct watch *ret_watch, struct error *error)
{
	struct watch watch = {.upgrade = words[0], .pidfd = -1};
	char *end = NULL;

	watch.pid = (pid_t)strtol(words[1], &end, 10);
	if (watch.pid <= 0 || *end != '.')
		return error_set(error, ERROR_USAGE, "watch", "\"%.40s\" names no process", words[1]);
	watch.start = strtoull(end + 1, NULL, 10);
	watch.seq = strtoull(words[2], NULL, 10);
	watch.deadline = strtoll(words[3], NULL, 10);
	watch.pidfd = (int)syscall(SYS_pidfd_open, watch.pid, 0);
	if (watch.pidfd >= 0 && start_of(watch.pid) != watch.start)
		file_close(&watch.pidfd);
	*ret_watch = watch;
	return 0;
}

static void end_watch(struct watch *watch)
{
	file_close(&watch->pidfd);
}

/* Only the very process that was watched: a pid that came to another is left alone. */
static void end_holder(const struct watch *watch)
{
	if (watch->pidfd >= 0 && watch->start != 0 && start_of(watch->pid) == watch->start &&
	    syscall(SYS_pidfd_send_signal, watch->pidfd, SIGKILL, NULL, 0) == 0)
		log_write(LOG_LEVEL_ERROR, "process %ld did not end upgrade %s in time and was killed",
			  (long)watch->pid, watch->upgrade);
}

enum standing { NOT_BEGUN, UNDER_WAY, ENDED };

static int ask_standing(const struct layout *layout, const struct watch *watch, enum standing *ret_standing,
			struct error *error)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	int status = journal_open(layout->state, JOURNAL_READ, &journal, error);

	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	bool open = journal_stage_is_open(state->stage) && strcmp(state->run.upgrade, watch->upgrade) == 0;
	*ret_standing = open ? UNDER_WAY : state->seq > watch->seq ? ENDED : NOT_BEGUN;
	return 0;
}

/* One look. *ret_done: there is nothing left to watch. The lock tells whether somebody is still at it. */
static int look(const struct layout *layout, struct watch *watch, bool *ret_done, struct error *error)
{
	struct resume_report report = {0};
	enum standing standing = NOT_BEGUN;
	int lock = -1;
	int status = file_lock_at(layout->state, "lock", 0, &lock, error);
	bool free = status == 0;

	file_close(&lock);
	if (!free && strcmp(error->name, "busy") != 0)
		return status;
	status = ask_standing(layout, watch, &standing, error);
	if (status < 0)
		return status;
	*ret_done = standing == ENDED || (standing == NOT_BEGUN && free);
	if (*ret_done)
		return 0;
	if (!free) {
		struct pollfd holder = {.fd = watch->pidfd, .events = POLLIN};
		if (clock_ticks_ms() > watch->deadline)
			end_holder(watch);
		/* Wakes at once when the holder dies. */
		if (poll(&holder, 1, WATCHER_LOOK_MS) > 0)
			file_close(&watch->pidfd);
		return 0;
	}
	status = resume_to_end(layout, 0, &report, error);
	if (status == 0)
		log_write(LOG_LEVEL_WARNING, "%s", report.text);
	*ret_done = status == 0;
	return status;
}

int watcher_watch(const struct layout *layout, const char *const words[static WATCHER_WORDS], struct error *error)
{
	CLEANUP(end_watch) struct watch watch = {.pidfd = -1};
	bool done = false;
	int status = read_words(words, &watch, error);

	if (status < 0)
		return status;
	for (int failures = 0; !done;) {
		status = look(layout, &watch, &done, error);
		if (status == 0)
			continue;
		log_failure("watch", error);
		if (++failures == WATCHER_TRIES || strcmp(error->name, "lock") == 0)
			return status;
		poll(NULL, 0, error->code == ERROR_NOT_NOW ? WATCHER_LOOK_MS : WATCHER_RETRY_MS);
	}
	return 0;
}

int watcher_main(const struct hook_settings *settings, const char *const words[static WATCHER_WORDS],
		 struct error *error)
{
	CLEANUP(layout_close) struct layout layout = LAYOUT_CLOSED;
	int status = layout_open(settings, &layout, error);

	return status == 0 ? watcher_watch(&layout, words, error) : status;
}
