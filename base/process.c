#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"

#define PROCESS_FDS_MOST       16
#define PROCESS_ARGUMENTS_MOST 30
#define PROCESS_FIRST_FD       3

/* Moves the wanted descriptors to 3, 4, … and closes all others. First far up, so that none is overwritten before it
 * was moved. */
static int place_descriptors(const int *fds, size_t count)
{
	int high[PROCESS_FDS_MOST];
	int base = PROCESS_FIRST_FD + (int)count;

	for (size_t i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, base);
		if (high[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(high[i], PROCESS_FIRST_FD + (int)i) < 0)
			return -1;
	return (int)syscall(SYS_close_range, (unsigned)base, ~0U, 0);
}

static int become(uid_t uid, gid_t gid)
{
	if (uid == (uid_t)-1)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -1;
	/* No way back. */
	return uid != 0 && setuid(0) == 0 ? -1 : 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		if (signal_number != SIGKILL && signal_number != SIGSTOP)
			signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void role_child(const struct process_role *role, pid_t parent)
{
	char *argv[PROCESS_ARGUMENTS_MOST + 2] = {(char *)role->title};

	for (int i = 0; i < PROCESS_ARGUMENTS_MOST && role->arguments && role->arguments[i]; i++)
		argv[i + 1] = (char *)role->arguments[i];
	reset_signals();
	int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	/* The program's descriptor must outlive close_range: it sits behind the last wanted one, closing on exec. */
	int wanted[PROCESS_FDS_MOST + 1];
	memcpy(wanted, role->fds, role->fd_count * sizeof *wanted);
	wanted[role->fd_count] = program;
	int program_at = PROCESS_FIRST_FD + (int)role->fd_count;
	if (program < 0 || place_descriptors(wanted, role->fd_count + 1) < 0 ||
	    fcntl(program_at, F_SETFD, FD_CLOEXEC) < 0 || become(role->uid, role->gid) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(ERROR_BUG);
	fexecve(program_at, argv, environ);
	_exit(ERROR_BUG);
}

int process_start_role(const struct process_role *role, pid_t *ret_pid, struct error *error)
{
	pid_t parent = getpid();

	if (role->fd_count >= PROCESS_FDS_MOST)
		return error_set(error, ERROR_BUG, "process", "%s was given too many descriptors", role->title);
	if (fault_point("process.start") < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "%s cannot be started", role->title);
	pid_t pid = fork();
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "%s cannot be started", role->title);
	if (pid == 0)
		role_child(role, parent);
	*ret_pid = pid;
	return 0;
}

int process_send(int socket, const void *bytes, size_t size, int fd, struct error *error)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control.space;
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	if (fault_point("process.send") < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the other process cannot be reached");
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return error_set(error, ERROR_NOT_NOW, "again", "the other process is not reading");
	if (sent < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the other process cannot be reached");
	return 0;
}

int process_receive(int socket, void *bytes, size_t capacity, size_t *ret_size, int *ret_fd, struct error *error)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = capacity};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
	int fd = -1;
	ssize_t got;

	if (fault_point("process.read") < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the other process cannot be read");
	do
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return error_set(error, ERROR_NOT_NOW, "again", "nothing is there to be read");
	if (got < 0 && errno == ECONNRESET)
		got = 0;
	if (got < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the other process cannot be read");
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head))
		if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(head), sizeof fd);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		file_close(&fd);
		return error_set(error, ERROR_DATA, "length", "a message between processes is longer than %zu bytes",
				 capacity);
	}
	*ret_size = (size_t)got;
	*ret_fd = fd;
	return 0;
}

int process_socketpair(bool stream, int ret_pair[static 2], struct error *error)
{
	if (socketpair(AF_UNIX, (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, ret_pair) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "a socket pair cannot be made");
	return 0;
}

int process_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct error *error)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	if (getpwnam_r(name, &entry, text, sizeof text, &found) != 0 || !found)
		return error_set(error, ERROR_CONFIG, "user", "there is no user \"%s\" on this machine", name);
	*ret_uid = entry.pw_uid;
	*ret_gid = entry.pw_gid;
	return 0;
}
