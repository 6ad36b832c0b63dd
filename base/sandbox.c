#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

/* One row a call and the needs that let it in; SANDBOX_COMPUTE rows are always let in. */
struct allowed {
	unsigned needs;
	int call;
};

static const struct allowed allowed[] = {
	{SANDBOX_COMPUTE, SCMP_SYS(brk)},
	{SANDBOX_COMPUTE, SCMP_SYS(mmap)},
	{SANDBOX_COMPUTE, SCMP_SYS(munmap)},
	{SANDBOX_COMPUTE, SCMP_SYS(mremap)},
	{SANDBOX_COMPUTE, SCMP_SYS(mprotect)},
	{SANDBOX_COMPUTE, SCMP_SYS(madvise)},
	{SANDBOX_COMPUTE, SCMP_SYS(read)},
	{SANDBOX_COMPUTE, SCMP_SYS(readv)},
	{SANDBOX_COMPUTE, SCMP_SYS(pread64)},
	{SANDBOX_COMPUTE, SCMP_SYS(write)},
	{SANDBOX_COMPUTE, SCMP_SYS(writev)},
	{SANDBOX_COMPUTE, SCMP_SYS(pwrite64)},
	{SANDBOX_COMPUTE, SCMP_SYS(lseek)},
	{SANDBOX_COMPUTE, SCMP_SYS(close)},
	{SANDBOX_COMPUTE, SCMP_SYS(close_range)},
	{SANDBOX_COMPUTE, SCMP_SYS(dup)},
	{SANDBOX_COMPUTE, SCMP_SYS(dup2)},
	{SANDBOX_COMPUTE, SCMP_SYS(dup3)},
	{SANDBOX_COMPUTE, SCMP_SYS(fcntl)},
	{SANDBOX_COMPUTE, SCMP_SYS(fstat)},
	{SANDBOX_COMPUTE, SCMP_SYS(pipe2)},
	{SANDBOX_COMPUTE, SCMP_SYS(poll)},
	{SANDBOX_COMPUTE, SCMP_SYS(ppoll)},
	{SANDBOX_COMPUTE, SCMP_SYS(select)},
	{SANDBOX_COMPUTE, SCMP_SYS(pselect6)},
	{SANDBOX_COMPUTE, SCMP_SYS(epoll_create1)},
	{SANDBOX_COMPUTE, SCMP_SYS(epoll_ctl)},
	{SANDBOX_COMPUTE, SCMP_SYS(epoll_wait)},
	{SANDBOX_COMPUTE, SCMP_SYS(epoll_pwait)},
	{SANDBOX_COMPUTE, SCMP_SYS(eventfd2)},
	{SANDBOX_COMPUTE, SCMP_SYS(signalfd4)},
	{SANDBOX_COMPUTE, SCMP_SYS(sendmsg)},
	{SANDBOX_COMPUTE, SCMP_SYS(recvmsg)},
	{SANDBOX_COMPUTE, SCMP_SYS(sendto)},
	{SANDBOX_COMPUTE, SCMP_SYS(recvfrom)},
	{SANDBOX_COMPUTE, SCMP_SYS(socketpair)},
	{SANDBOX_COMPUTE, SCMP_SYS(shutdown)},
	{SANDBOX_COMPUTE, SCMP_SYS(getsockopt)},
	{SANDBOX_COMPUTE, SCMP_SYS(setsockopt)},
	{SANDBOX_COMPUTE, SCMP_SYS(getsockname)},
	{SANDBOX_COMPUTE, SCMP_SYS(getpeername)},
	{SANDBOX_COMPUTE, SCMP_SYS(clock_gettime)},
	{SANDBOX_COMPUTE, SCMP_SYS(clock_nanosleep)},
	{SANDBOX_COMPUTE, SCMP_SYS(clock_getres)},
	{SANDBOX_COMPUTE, SCMP_SYS(gettimeofday)},
	{SANDBOX_COMPUTE, SCMP_SYS(time)},
	{SANDBOX_COMPUTE, SCMP_SYS(nanosleep)},
	{SANDBOX_COMPUTE, SCMP_SYS(getrandom)},
	{SANDBOX_COMPUTE, SCMP_SYS(getpid)},
	{SANDBOX_COMPUTE, SCMP_SYS(getppid)},
	{SANDBOX_COMPUTE, SCMP_SYS(gettid)},
	{SANDBOX_COMPUTE, SCMP_SYS(getuid)},
	{SANDBOX_COMPUTE, SCMP_SYS(geteuid)},
	{SANDBOX_COMPUTE, SCMP_SYS(getgid)},
	{SANDBOX_COMPUTE, SCMP_SYS(getegid)},
	{SANDBOX_COMPUTE, SCMP_SYS(rt_sigaction)},
	{SANDBOX_COMPUTE, SCMP_SYS(rt_sigprocmask)},
	{SANDBOX_COMPUTE, SCMP_SYS(rt_sigreturn)},
	{SANDBOX_COMPUTE, SCMP_SYS(sigaltstack)},
	{SANDBOX_COMPUTE, SCMP_SYS(restart_syscall)},
	{SANDBOX_COMPUTE, SCMP_SYS(futex)},
	{SANDBOX_COMPUTE, SCMP_SYS(sched_yield)},
	{SANDBOX_COMPUTE, SCMP_SYS(sched_getaffinity)},
	{SANDBOX_COMPUTE, SCMP_SYS(set_robust_list)},
	{SANDBOX_COMPUTE, SCMP_SYS(rseq)},
	{SANDBOX_COMPUTE, SCMP_SYS(sysinfo)},
	{SANDBOX_COMPUTE, SCMP_SYS(uname)},
	{SANDBOX_COMPUTE, SCMP_SYS(exit)},
	{SANDBOX_COMPUTE, SCMP_SYS(exit_group)},
	{SANDBOX_FILES, SCMP_SYS(open)},
	{SANDBOX_FILES, SCMP_SYS(openat)},
	{SANDBOX_FILES, SCMP_SYS(openat2)},
	{SANDBOX_FILES, SCMP_SYS(stat)},
	{SANDBOX_FILES, SCMP_SYS(lstat)},
	{SANDBOX_FILES, SCMP_SYS(newfstatat)},
	{SANDBOX_FILES, SCMP_SYS(statx)},
	{SANDBOX_FILES, SCMP_SYS(access)},
	{SANDBOX_FILES, SCMP_SYS(faccessat)},
	{SANDBOX_FILES, SCMP_SYS(faccessat2)},
	{SANDBOX_FILES, SCMP_SYS(fstatfs)},
	{SANDBOX_FILES, SCMP_SYS(statfs)},
	{SANDBOX_FILES, SCMP_SYS(getdents64)},
	{SANDBOX_FILES, SCMP_SYS(getcwd)},
	{SANDBOX_FILES, SCMP_SYS(readlink)},
	{SANDBOX_FILES, SCMP_SYS(readlinkat)},
	{SANDBOX_FILES, SCMP_SYS(mkdir)},
	{SANDBOX_FILES, SCMP_SYS(mkdirat)},
	{SANDBOX_FILES, SCMP_SYS(rename)},
	{SANDBOX_FILES, SCMP_SYS(renameat)},
	{SANDBOX_FILES, SCMP_SYS(renameat2)},
	{SANDBOX_FILES, SCMP_SYS(unlink)},
	{SANDBOX_FILES, SCMP_SYS(unlinkat)},
	{SANDBOX_FILES, SCMP_SYS(rmdir)},
	{SANDBOX_FILES, SCMP_SYS(linkat)},
	{SANDBOX_FILES, SCMP_SYS(symlinkat)},
	{SANDBOX_FILES, SCMP_SYS(fchmod)},
	{SANDBOX_FILES, SCMP_SYS(fchmodat)},
	{SANDBOX_FILES, SCMP_SYS(utimensat)},
	{SANDBOX_FILES, SCMP_SYS(ftruncate)},
	{SANDBOX_FILES, SCMP_SYS(fallocate)},
	{SANDBOX_FILES, SCMP_SYS(copy_file_range)},
	{SANDBOX_FILES, SCMP_SYS(sendfile)},
	{SANDBOX_FILES, SCMP_SYS(fadvise64)},
	{SANDBOX_FILES, SCMP_SYS(fsync)},
	{SANDBOX_FILES, SCMP_SYS(fdatasync)},
	{SANDBOX_FILES, SCMP_SYS(syncfs)},
	{SANDBOX_FILES, SCMP_SYS(sync_file_range)},
	{SANDBOX_FILES, SCMP_SYS(flock)},
	{SANDBOX_FILES, SCMP_SYS(umask)},
	{SANDBOX_FORK, SCMP_SYS(fork)},
	{SANDBOX_FORK, SCMP_SYS(vfork)},
	{SANDBOX_FORK, SCMP_SYS(wait4)},
	{SANDBOX_FORK, SCMP_SYS(waitid)},
	{SANDBOX_FORK, SCMP_SYS(kill)},
	/* A child narrows itself further: these can only take away. */
	{SANDBOX_FORK, SCMP_SYS(prctl)},
	{SANDBOX_FORK, SCMP_SYS(seccomp)},
	{SANDBOX_FORK, SCMP_SYS(landlock_create_ruleset)},
	{SANDBOX_FORK, SCMP_SYS(landlock_add_rule)},
	{SANDBOX_FORK, SCMP_SYS(landlock_restrict_self)},
	{SANDBOX_CONNECT, SCMP_SYS(connect)},
	{SANDBOX_CONNECT, SCMP_SYS(bind)},
	{SANDBOX_CONNECT, SCMP_SYS(sendmmsg)},
	{SANDBOX_CONNECT, SCMP_SYS(recvmmsg)},
	{SANDBOX_ACCEPT, SCMP_SYS(accept)},
	{SANDBOX_ACCEPT, SCMP_SYS(accept4)},
	{SANDBOX_CONNECT, SCMP_SYS(accept)},
	{SANDBOX_CONNECT, SCMP_SYS(accept4)},
};

/* CLONE_THREAD and friends: a thread is let in always, a process only with SANDBOX_FORK, a namespace never. */
#define SANDBOX_CLONE_THREAD     0x00010000UL
#define SANDBOX_CLONE_NAMESPACES 0x7E020080UL
/* FICLONE, the one ioctl that unchanged files are shared by; FIONREAD for libraries that ask how much is there. */
#define SANDBOX_FICLONE  0x40049409UL
#define SANDBOX_FIONREAD 0x541BUL

static int allow_clone(scmp_filter_ctx filter, unsigned needs)
{
	/* clone3 hides its flags behind a pointer: glibc falls back to clone when it is not there. */
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
		return -1;
	if (needs & SANDBOX_FORK)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					SCMP_A0(SCMP_CMP_MASKED_EQ, SANDBOX_CLONE_NAMESPACES, 0));
	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, SANDBOX_CLONE_NAMESPACES | SANDBOX_CLONE_THREAD, SANDBOX_CLONE_THREAD));
}

/* Nobody's signals and limits but its own: a role of root could end the supervisor otherwise. After a fork "its own" is
 * another number. */
static int allow_self(scmp_filter_ctx filter, unsigned needs)
{
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	const struct scmp_arg_cmp none = SCMP_A0(SCMP_CMP_EQ, 0);

	if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), needs & SANDBOX_FORK ? 0 : 1, &self) < 0)
		return -1;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, &none);
}

/* What connecting and resolving take; no packet, raw kernel or virtual machine sockets. */
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static int allow_sockets(scmp_filter_ctx filter, unsigned needs)
{
	for (size_t i = 0; needs & SANDBOX_CONNECT && i < ARRAY_SIZE(families); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i])) < 0)
			return -1;
	return 0;
}

static int fill_filter(scmp_filter_ctx filter, unsigned needs)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i].needs == SANDBOX_COMPUTE || (allowed[i].needs & needs))
			if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i].call, 0) < 0)
				return -1;
	if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, SANDBOX_FICLONE)) < 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, SANDBOX_FIONREAD)) < 0)
		return -1;
	if (allow_self(filter, needs) < 0 || allow_sockets(filter, needs) < 0)
		return -1;
	return allow_clone(filter, needs);
}

int sandbox_enter(unsigned needs, const char *who, struct error *error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

	if (!filter || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || fill_filter(filter, needs) < 0 ||
	    seccomp_load(filter) < 0) {
		seccomp_release(filter);
		return error_set_errno(error, ERROR_CONFIG, "sandbox", "%s cannot enter its sandbox", who);
	}
	seccomp_release(filter);
	return 0;
}

/* The rights that each version of the interface knows; older kernels refuse a bit they do not know. */
static uint64_t handled_rights(long version)
{
	uint64_t rights = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; /* version 1: EXECUTE … MAKE_SYM */

	if (version >= 2)
		rights |= 1ULL << 13; /* REFER */
	if (version >= 3)
		rights |= 1ULL << 14; /* TRUNCATE */
	if (version >= 5)
		rights |= 1ULL << 15; /* IOCTL_DEV */
	return rights;
}

int sandbox_confine(const struct sandbox_path *paths, size_t count, bool *ret_enforced, struct error *error)
{
	const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*ret_enforced = false;
	if (version < 1)
		return 0;
	struct landlock_ruleset_attr attributes = {.handled_access_fs = handled_rights(version)};
	CLEANUP(file_close) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
	if (ruleset < 0)
		return error_set_errno(error, ERROR_CONFIG, "sandbox", "file access cannot be confined");
	for (size_t i = 0; i < count; i++) {
		struct landlock_path_beneath_attr beneath = {
			.allowed_access = paths[i].writable
						  ? attributes.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE
						  : reading,
			.parent_fd = paths[i].fd,
		};
		if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
			return error_set_errno(error, ERROR_CONFIG, "sandbox", "file access cannot be confined");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set_errno(error, ERROR_CONFIG, "sandbox", "file access cannot be confined");
	*ret_enforced = true;
	return 0;
}
