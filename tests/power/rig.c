#include "tests/power/rig.h"

#include "tests/unit/act/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define FILES_FIRST   3
#define FILES_MOST    5
#define WORDS_MOST    10
#define ATTACH_TRIES  64
#define UNMOUNT_TRIES 200

/* Other tests take loop devices, too: the free one that was named may be gone. -1 with errno. */
static int attach(int backing, char ret_device[static 32])
{
	CLEANUP(file_close) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	const struct loop_config config = {
		.fd = (uint32_t)backing, .block_size = 512, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};

	for (int tries = 0; control >= 0 && tries < ATTACH_TRIES; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return -1;
		snprintf(ret_device, 32, "/dev/loop%d", number);
		CLEANUP(file_close) int loop = open(ret_device, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
			int kept = loop;
			loop = -1;
			return kept;
		}
		usleep(1000);
	}
	return -1;
}

static pid_t clone_apart(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Not one of a user namespace, who may not mount what lies on a disk. */
static bool is_root(void)
{
	CLEANUP(buffer_free) struct buffer map = BUFFER_INIT(4096);
	unsigned inside = 1, outside = 1, count = 0;
	struct error ignored;

	return geteuid() == 0 && file_read_at(AT_FDCWD, "/proc/self/uid_map", &map, &ignored) == 0 &&
	       buffer_append(&map, "", 1, &ignored) == 0 &&
	       sscanf((const char *)map.data, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
	       outside == 0 && count == ~0U;
}

const char *rig_lacks(void)
{
	CLEANUP(file_close) int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	CLEANUP(file_close) int disk = memfd_create("trial", MFD_CLOEXEC);
	CLEANUP(file_close) int loop = -1;
	char device[32];

	if (!is_root())
		return "needs root, to mount";
	if (fuse < 0)
		return "needs /dev/fuse";
	if (disk < 0 || ftruncate(disk, 1024 * 1024) < 0 || (loop = attach(disk, device)) < 0)
		return "needs loop devices";
	pid_t pid = clone_apart();
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? NULL : "needs namespaces for its mounts and processes";
}

static void become(const char *const words[], const int *files, size_t count, int output)
{
	char *argv[WORDS_MOST + 2] = {"power"};
	int kept[FILES_MOST];

	for (size_t i = 0; words[i] && i < WORDS_MOST; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("CMOCKA_MESSAGE_OUTPUT", "STDOUT", 1);
	/* Out of the way first: a descriptor may stand where another has to go. */
	for (size_t i = 0; i < count; i++)
		kept[i] = fcntl(files[i], F_DUPFD, 64);
	if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	for (size_t i = 0; i < count; i++)
		if (dup2(kept[i], FILES_FIRST + (int)i) < 0)
			_exit(126);
	syscall(SYS_close_range, FILES_FIRST + (unsigned)count, ~0U, 0);
	execv("/proc/self/exe", argv);
	_exit(127);
}

struct rig rig_start(const char *const words[], const int *files, size_t count)
{
	struct rig rig = {.output = memfd_create("said", MFD_CLOEXEC)};

	assert_true(rig.output >= 0 && count <= FILES_MOST);
	rig.pid = clone_apart();
	if (rig.pid == 0)
		become(words, files, count, rig.output);
	if (rig.pid < 0)
		fail_msg("a machine cannot be started: %s", strerror(errno));
	rig.pidfd = (int)syscall(SYS_pidfd_open, rig.pid, 0);
	assert_true(rig.pidfd >= 0);
	return rig;
}

int rig_wait(struct rig *rig, char **ret_said)
{
	CLEANUP(buffer_free) struct buffer said = BUFFER_INIT(1024 * 1024);
	struct error ignored;
	int status = 0;

	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	if (lseek(rig->output, 0, SEEK_SET) < 0 || file_read_fd(rig->output, "output", &said, &ignored) < 0 ||
	    !said.data)
		*ret_said = strdup("");
	else
		*ret_said = strndup((const char *)said.data, said.size);
	file_close(&rig->output);
	file_close(&rig->pidfd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail_msg("%s: %s", what, strerror(errno));
}

void rig_begin(const char *directory)
{
	char path[128];

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mounts cannot be made private");
	must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/proc");
	must(mount("power", directory, "tmpfs", MS_NODEV, "mode=0755"), directory);
	snprintf(path, sizeof path, "%s/box", directory);
	must(mkdir(path, 0755), path);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/disk%d", directory, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		must(fd, path);
		close(fd);
	}
}

int rig_attach(int backing, char ret_device[static 32])
{
	int loop = attach(backing, ret_device);

	must(loop, "no loop device can be had");
	return loop;
}

static const char *const mounts[] = {"box", "box/state"};

int rig_mount(const char *directory, unsigned disk, const char *device, const char *filesystem, const char *options)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, mounts[disk]);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -1;
	return mount(device, path, filesystem, MS_NODEV | MS_NOSUID, options);
}

/* What was killed a moment ago may hold it a moment longer. */
static int unmount(const char *path)
{
	int result = umount2(path, 0);

	for (int tries = 0; result < 0 && errno == EBUSY && tries < UNMOUNT_TRIES; tries++) {
		usleep(1000);
		result = umount2(path, 0);
	}
	return result;
}

void rig_end(const char *directory)
{
	char path[128];

	/* Process 1 of a machine, and nobody else: below it is all that "every process" means. */
	assert_int_equal(getpid(), 1);
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	snprintf(path, sizeof path, "%s/%s", directory, mounts[1]);
	if (unmount(path) < 0 && errno != EINVAL && errno != ENOENT)
		must(-1, path);
	snprintf(path, sizeof path, "%s/%s", directory, mounts[0]);
	must(unmount(path), path);
}
