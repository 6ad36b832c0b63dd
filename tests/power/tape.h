/* Disks whose every write and flush is kept, below any file system: each is one file, served over /dev/fuse, to lie
 * under a loop device. From the tape they can be had as a power cut at any moment would have left them.
 *
 * A loop device passes a write as WRITE and a cache flush as FSYNC; it has no FUA of its own, so the kernel makes each
 * such write one with a flush behind it. */
#ifndef TESTS_POWER_TAPE_H
#define TESTS_POWER_TAPE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tape_kind { TAPE_WRITE, TAPE_FLUSH, TAPE_MARK };

#define TAPE_DISKS 2

struct tape_entry {
	enum tape_kind kind;
	unsigned disk;   /* of a write or flush */
	uint32_t size;   /* of the bytes */
	uint64_t offset; /* on the disk; a mark's word */
	uint64_t bytes;  /* where they are, for tape_bytes */
};

/* Shared memory: whoever has the descriptor may read it and put marks on it. */
struct tape;

struct tape *tape_new(void);
struct tape *tape_open(int fd);
void tape_free(struct tape **tape);
int tape_fd(const struct tape *tape);

size_t tape_count(const struct tape *tape);
const struct tape_entry *tape_entry(const struct tape *tape, size_t index);
const void *tape_bytes(const struct tape *tape, const struct tape_entry *entry);
/* What the program above the disk has reached; `word` and `bytes` are its own. */
void tape_mark(struct tape *tape, uint64_t word, const void *bytes, size_t size);

struct tape_disk {
	int fuse; /* an open /dev/fuse that does not block */
	int file; /* what is on it */
	uint64_t size;
};
/* Serves the disks, which `user` (a pidfd) mounts with tape_mount, until no mount is left or `user` ended before any
 * was made. */
void tape_serve(struct tape *tape, const struct tape_disk *disks, unsigned count, int user);
/* By `user`: the disk's file at `path`, a file that exists. */
void tape_mount(int fuse, const char *path);

#endif
