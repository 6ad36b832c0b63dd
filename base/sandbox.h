/* What a process gives up before it meets foreign bytes. Each call is irrevocable. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/error.h"

/* seccomp allow-lists by need; the sum of the bits is the list. What is not on it returns EPERM (sockets, exec, ptrace,
 * mounts, keyrings, module loading are never on it unless the bit says so). Signals and limits reach nobody but itself,
 * but with SANDBOX_FORK. */
enum sandbox_need {
	SANDBOX_COMPUTE = 0,      /* memory, time, read/write/poll/sendmsg/recvmsg on open descriptors, threads, exit */
	SANDBOX_FILES = 1 << 0,   /* open, create, rename, unlink, chmod, links, sync: beneath descriptors it holds */
	SANDBOX_FORK = 1 << 1,    /* fork and wait, no exec */
	SANDBOX_CONNECT = 1 << 2, /* outgoing sockets and name resolution */
	SANDBOX_ACCEPT = 1 << 3,  /* accept on listening descriptors it holds */
};
int sandbox_enter(unsigned needs, const char *who, struct error *error) MUST_CHECK;

struct sandbox_path {
	int fd;
	bool writable;
};
/* Landlock: file access only beneath these open directories (read, or read and write). *ret_enforced says whether the
 * kernel has it; absence is no error. */
int sandbox_confine(const struct sandbox_path *paths, size_t count, bool *ret_enforced, struct error *error) MUST_CHECK;

#endif
