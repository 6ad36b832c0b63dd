#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

#define RUN_PATH             "/usr/sbin:/usr/bin:/sbin:/bin"
#define RUN_ENVIRONMENT_MOST 40
#define RUN_GRACE_MS         5000
#define RUN_ORPHANED         SIGUSR1

static void command_child(const char *const *argv, const char *const *environment, const char *directory)
{
	char *closed[RUN_ENVIRONMENT_MOST + 2] = {"PATH=" RUN_PATH};
	sigset_t none;

	for (int i = 0; i < RUN_ENVIRONMENT_MOST && environment && environment[i]; i++)
		closed[i + 1] = (char *)environment[i];
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (directory && chdir(directory) < 0)
		_exit(127);
	if (fault_point("process.exec") == 0)
		execvpe(argv[0], (char *const *)argv, closed);
	_exit(127);
}

/* Between us and the command, and the leader of its group: when we die before the command, it takes the whole group
 * with it. What an interrupted hook goes on to write would else meet the data that was just put back. */
static void guard_child(const char *const *argv, const char *const *environment, const char *directory, int output,
			pid_t parent)
{
	sigset_t told;
	int status = 0, number = 0;

	for (number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigemptyset(&told);
	sigaddset(&told, SIGCHLD);
	sigaddset(&told, SIGTERM); /* it is for the command, whose end is waited for */
	sigaddset(&told, RUN_ORPHANED);
	sigprocmask(SIG_SETMASK, &told, NULL);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || setsid() < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		_exit(127);
	syscall(SYS_close_range, 3U, ~0U, 0);
	if (prctl(PR_SET_PDEATHSIG, RUN_ORPHANED) < 0 || getppid() != parent)
		_exit(127);
	pid_t pid = fork();
	if (pid == 0)
		command_child(argv, environment, directory);
	/* Else the output would not end with the command. */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	while (pid > 0) {
		if (sigwait(&told, &number) == 0 && number == RUN_ORPHANED)
			kill(0, SIGKILL);
		if (waitpid(pid, &status, WNOHANG) == pid)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
	_exit(127);
}

/* Reads what is there; keeps up to the buffer's limit. False at end of file. */
static bool drain(int fd, struct buffer *output)
{
	char chunk[4096];
	ssize_t got = read(fd, chunk, sizeof chunk);
	struct error ignored;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	if (output) {
		size_t room = output->limit ? output->limit - output->size : (size_t)got;
		size_t kept = (size_t)got < room ? (size_t)got : room;
		if (kept && buffer_append(output, chunk, kept, &ignored) < 0)
			output->limit = output->size;
	}
	return true;
}

/* Whether it has ended. It stays there to be reaped: until then its process group's number is nobody else's. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno == ECHILD : info.si_pid == pid;
}

/* False at the deadline. A command that leaves a grandchild with its output open has ended all the same: the process
 * decides, not the pipe. */
static bool wait_for_end(pid_t pid, int pidfd, int output_fd, struct buffer *output, int64_t deadline)
{
	bool open = true;

	while (!has_ended(pid)) {
		struct pollfd watched[2] = {{.fd = pidfd, .events = POLLIN},
					    {.fd = open ? output_fd : -1, .events = POLLIN}};
		int64_t left = deadline - clock_ticks_ms();
		if (left <= 0)
			return false;
		if (poll(watched, 2, left > 1000 ? 1000 : (int)left) < 0 && errno != EINTR)
			return false;
		if (watched[1].revents)
			open = drain(output_fd, output);
	}
	for (int i = 0; open && i < 64; i++) {
		struct pollfd rest = {.fd = output_fd, .events = POLLIN};
		if (poll(&rest, 1, 0) <= 0)
			break;
		open = drain(output_fd, output);
	}
	return true;
}

/* -1: somebody else took its end, which nobody may. */
static int reap(pid_t pid)
{
	int status = 0;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int process_run(const char *const *argv, const char *const *environment, const char *directory, int64_t timeout_ms,
		struct buffer *output, int *ret_status, struct error *error)
{
	int pipes[2];

	if (fault_point("process.run") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "%s cannot be started", argv[0]);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "%s cannot be started", argv[0]);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		guard_child(argv, environment, directory, pipes[1], parent);
	close(pipes[1]);
	CLEANUP(file_close) int reader = pipes[0];
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "%s cannot be started", argv[0]);
	fcntl(reader, F_SETFL, O_NONBLOCK);
	CLEANUP(file_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (wait_for_end(pid, pidfd, reader, output, clock_ticks_ms() + timeout_ms)) {
		int status = reap(pid);
		if (status < 0)
			return error_set_errno(error, ERROR_BUG, "process", "%s: its end was not seen", argv[0]);
		*ret_status = status;
		return 0;
	}
	kill(-pid, SIGTERM);
	wait_for_end(pid, pidfd, reader, output, clock_ticks_ms() + RUN_GRACE_MS);
	/* Its children too: none may work on when we have gone on. */
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	reap(pid);
	return error_set(error, ERROR_NOT_NOW, "timeout", "%s did not end within %lld s", argv[0],
			 (long long)(timeout_ms / 1000));
}
