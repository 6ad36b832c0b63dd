/* A machine that can be switched off: this very program again, as process 1 of its own processes, with mounts of its
 * own. When it ends every process of it ends, and its mounts and loop devices with them, however it ends. */
#ifndef TESTS_POWER_RIG_H
#define TESTS_POWER_RIG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Why no machine can be run here, as a sentence; NULL when it can. */
const char *rig_lacks(void);

struct rig {
	pid_t pid;
	int pidfd;
	int output; /* what it said, a file in memory */
};

/* `words` are its arguments behind the program's name, NULL at the end; `files` its descriptors from 3 on. */
struct rig rig_start(const char *const words[], const int *files, size_t count);
/* Its exit code, -1 when it was killed; what it said in *ret_said, to be freed. */
int rig_wait(struct rig *rig, char **ret_said);

/* Inside. `directory` holds, from now on, an empty directory "box" and empty files "disk0", "disk1", in memory. */
void rig_begin(const char *directory);
/* A loop device on `backing`; it goes when nothing uses it any more. Returns it, open, and its path. */
int rig_attach(int backing, char ret_device[static 32]);
/* Disk 0 at the box, disk 1 at its directory "state". 0 or -1 with errno. */
int rig_mount(const char *directory, unsigned disk, const char *device, const char *filesystem, const char *options);
/* Ends every other process and unmounts the box. */
void rig_end(const char *directory);

#endif
