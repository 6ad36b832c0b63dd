/* Processes: our own roles, started anew from the same program with only the descriptors they need, and foreign
 * commands with a closed environment, a time limit and bounded output. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include "base/buffer.h"

/* A role of the running program, by fork and exec of /proc/self/exe: a fresh address space, argv[0] `title` (what ps
 * shows), `arguments` after it (NULL-terminated), the environment as it is, and descriptors 0, 1, 2 plus `fds[i]`
 * at 3 + i; every other descriptor is closed. Changes to uid/gid when `uid` is not (uid_t)-1 (supplementary groups
 * dropped). The child dies with its parent (PR_SET_PDEATHSIG) and cannot gain privileges. */
struct process_role {
	const char *title;
	const char *const *arguments;
	const int *fds;
	size_t fd_count;
	uid_t uid;
	gid_t gid;
};
int process_start_role(const struct process_role *role, pid_t *ret_pid, struct error *error) MUST_CHECK;

/* A foreign command. `argv` NULL-terminated, argv[0] an absolute path or found in a fixed path
 * (/usr/sbin:/usr/bin:/sbin:/bin). Environment is exactly `environment` (NULL-terminated "K=V") plus PATH. stdin is
 * /dev/null. stdout and stderr together go to `output` (NULL: dropped), of which the first output->limit bytes are kept
 * and the rest read and dropped. After `timeout_ms` the process group gets SIGTERM, and SIGKILL once the
 * command has ended, or five seconds later; then ERROR_NOT_NOW "timeout". A caller that dies before the command takes
 * its whole group with it. *ret_status: exit code, or 128 + signal. */
int process_run(const char *const *argv, const char *const *environment, const char *directory, int64_t timeout_ms,
		struct buffer *output, int *ret_status, struct error *error) MUST_CHECK;

/* Descriptor passing over unix sockets (SOCK_SEQPACKET): one message with at most one descriptor; fd -1 for none.
 * receive: *ret_size 0 at end of file. *ret_fd is -1 or owned by the caller. Non-blocking sockets give ERROR_NOT_NOW
 * "again". */
int process_send(int socket, const void *bytes, size_t size, int fd, struct error *error) MUST_CHECK;
int process_receive(int socket, void *bytes, size_t capacity, size_t *ret_size, int *ret_fd,
		    struct error *error) MUST_CHECK;
/* A SOCK_SEQPACKET (`stream` false) or SOCK_STREAM pair, close-on-exec. */
int process_socketpair(bool stream, int ret_pair[static 2], struct error *error) MUST_CHECK;

/* "name" → uid and gid; ERROR_CONFIG "user" when unknown. */
int process_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct error *error) MUST_CHECK;

#endif
