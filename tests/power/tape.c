#include "tests/power/tape.h"

#include "tests/unit/act/fixture.h"
#include "tests/unit/act/shared.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENTRIES_MOST 200000
#define BYTES_MOST   ((size_t)512 * 1024 * 1024) /* sparse */
#define WRITE_MOST   (1024 * 1024)
#define IDLE_MS      60000 /* nothing is asked for so long: whoever mounted it is stuck */

struct reel {
	atomic_size_t count;
	atomic_size_t used;
	struct tape_entry entries[ENTRIES_MOST];
	uint8_t bytes[];
};
#define REEL_SIZE (sizeof(struct reel) + BYTES_MOST)

struct tape {
	int fd;
	struct reel *reel;
};

struct tape *tape_open(int fd)
{
	struct tape *tape = calloc(1, sizeof *tape);

	assert_non_null(tape);
	*tape = (struct tape){fd, shared_map(fd, REEL_SIZE)};
	return tape;
}

struct tape *tape_new(void)
{
	return tape_open(shared_new("tape", REEL_SIZE));
}

void tape_free(struct tape **tape)
{
	if (!*tape)
		return;
	munmap((*tape)->reel, REEL_SIZE);
	close((*tape)->fd);
	free(*tape);
	*tape = NULL;
}

int tape_fd(const struct tape *tape)
{
	return tape->fd;
}

size_t tape_count(const struct tape *tape)
{
	return atomic_load(&tape->reel->count);
}

const struct tape_entry *tape_entry(const struct tape *tape, size_t index)
{
	assert_true(index < tape_count(tape));
	return &tape->reel->entries[index];
}

const void *tape_bytes(const struct tape *tape, const struct tape_entry *entry)
{
	return tape->reel->bytes + entry->bytes;
}

/* The disk's server and the marks' program write at the same time: each takes its room first. */
static void put(struct tape *tape, enum tape_kind kind, unsigned disk, uint64_t offset, const void *bytes, size_t size)
{
	size_t at = atomic_fetch_add(&tape->reel->used, size);
	size_t index = atomic_fetch_add(&tape->reel->count, 1);

	assert_true(index < ENTRIES_MOST && at + size <= BYTES_MOST);
	if (size)
		memcpy(tape->reel->bytes + at, bytes, size);
	tape->reel->entries[index] =
		(struct tape_entry){.kind = kind, .disk = disk, .size = (uint32_t)size, .offset = offset, .bytes = at};
}

void tape_mark(struct tape *tape, uint64_t word, const void *bytes, size_t size)
{
	put(tape, TAPE_MARK, 0, word, bytes, size);
}

/* One disk, and the request that came for it. */
struct service {
	struct tape *tape;
	unsigned number;
	uint8_t *disk;
	uint64_t size;
	int fuse;
	bool mounted, gone;
	uint8_t *request;
	const struct fuse_in_header *header;
	const void *body;
};

static void answer(const struct service *service, int error, const void *bytes, size_t size)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof header + size), .error = -error, .unique = service->header->unique};
	const struct iovec parts[] = {{&header, sizeof header}, {(void *)(uintptr_t)bytes, size}};

	/* ENOENT: it was interrupted meanwhile. */
	if (writev(service->fuse, parts, 2) < 0 && errno != ENOENT)
		fail_msg("an answer to FUSE request %u is refused: %s", service->header->opcode, strerror(errno));
}

static void serve_init(const struct service *service)
{
	const struct fuse_init_in *asked = service->body;
	const struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
					   .minor = FUSE_KERNEL_MINOR_VERSION,
					   .max_readahead = asked->max_readahead,
					   .flags = asked->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES),
					   .max_background = 16,
					   .congestion_threshold = 12,
					   .max_write = WRITE_MOST,
					   .time_gran = 1,
					   .max_pages = WRITE_MOST / 4096};

	answer(service, 0, &init, sizeof init);
}

static void serve_attributes(const struct service *service)
{
	const struct fuse_attr_out out = {
		.attr_valid = 3600,
		.attr = {.ino = FUSE_ROOT_ID, .size = service->size, .mode = S_IFREG | 0600, .nlink = 1}};

	answer(service, 0, &out, sizeof out);
}

/* Past the page cache: what is written is heard of when it is written. */
static void serve_open(const struct service *service)
{
	const struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};

	answer(service, 0, &out, sizeof out);
}

static void serve_read(const struct service *service)
{
	const struct fuse_read_in *asked = service->body;
	uint64_t left = asked->offset < service->size ? service->size - asked->offset : 0;

	answer(service, 0, service->disk + (left ? asked->offset : 0), asked->size < left ? asked->size : (size_t)left);
}

static void serve_write(const struct service *service)
{
	const struct fuse_write_in *asked = service->body;
	const struct fuse_write_out out = {.size = asked->size};
	const uint8_t *bytes = (const uint8_t *)(asked + 1);

	if (asked->offset > service->size || asked->size > service->size - asked->offset) {
		answer(service, ENOSPC, NULL, 0);
		return;
	}
	memcpy(service->disk + asked->offset, bytes, asked->size);
	put(service->tape, TAPE_WRITE, service->number, asked->offset, bytes, asked->size);
	answer(service, 0, &out, sizeof out);
}

static void serve_flush(const struct service *service)
{
	put(service->tape, TAPE_FLUSH, service->number, 0, NULL, 0);
	answer(service, 0, NULL, 0);
}

static void serve_nothing(const struct service *service)
{
	answer(service, 0, NULL, 0);
}

static void serve_silence(const struct service *service UNUSED)
{
}

static const struct {
	uint32_t opcode;
	void (*serve)(const struct service *service);
} calls[] = {
	{FUSE_INIT, serve_init},         {FUSE_GETATTR, serve_attributes}, {FUSE_SETATTR, serve_attributes},
	{FUSE_OPEN, serve_open},         {FUSE_READ, serve_read},          {FUSE_WRITE, serve_write},
	{FUSE_FSYNC, serve_flush},       {FUSE_FLUSH, serve_nothing},      {FUSE_RELEASE, serve_nothing},
	{FUSE_DESTROY, serve_nothing},   {FUSE_FORGET, serve_silence},     {FUSE_BATCH_FORGET, serve_silence},
	{FUSE_INTERRUPT, serve_silence},
};

static void serve(const struct service *service)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].opcode == service->header->opcode) {
			calls[i].serve(service);
			return;
		}
	answer(service, ENOSYS, NULL, 0);
}

static void begin(struct service *service, struct tape *tape, unsigned number, const struct tape_disk *disk)
{
	uint8_t *request = malloc(WRITE_MOST + 8192);

	*service = (struct service){.tape = tape,
				    .number = number,
				    .disk = mmap(NULL, disk->size, PROT_READ | PROT_WRITE, MAP_SHARED, disk->file, 0),
				    .size = disk->size,
				    .fuse = disk->fuse,
				    .request = request,
				    .header = (const void *)request,
				    .body = request + sizeof *service->header};
	assert_true(request && service->disk != MAP_FAILED);
}

static void end(struct service *service)
{
	munmap(service->disk, service->size);
	free(service->request);
}

/* One request, if there is any. EPERM: not mounted yet; ENODEV: not mounted any more. */
static void look(struct service *service)
{
	ssize_t got = read(service->fuse, service->request, WRITE_MOST + 8192);

	if (got >= (ssize_t)sizeof *service->header) {
		service->mounted = true;
		serve(service);
	} else if (got < 0 && errno == ENODEV) {
		service->gone = true;
	}
}

void tape_serve(struct tape *tape, const struct tape_disk *disks, unsigned count, int user)
{
	struct service services[TAPE_DISKS];
	struct pollfd ready[TAPE_DISKS + 1] = {{.fd = user, .events = POLLIN}};

	for (unsigned i = 0; i < count; i++)
		begin(&services[i], tape, i, &disks[i]);
	for (;;) {
		unsigned mounted = 0, waiting = 0;
		for (unsigned i = 0; i < count; i++) {
			mounted += services[i].mounted && !services[i].gone;
			waiting += !services[i].mounted && !services[i].gone;
			/* One that is not mounted would only ever report an error. */
			ready[i + 1] = (struct pollfd){
				.fd = services[i].mounted && !services[i].gone ? disks[i].fuse : -1, .events = POLLIN};
		}
		if (mounted == 0 && (waiting == 0 || (ready[0].revents & POLLIN)))
			break;
		ready[0].fd = mounted == 0 ? user : -1;
		if (poll(ready, count + 1, waiting ? 1 : IDLE_MS) == 0 && !waiting)
			fail_msg("the disks are mounted and nobody asks for anything");
		for (unsigned i = 0; i < count; i++)
			if (!services[i].gone)
				look(&services[i]);
	}
	for (unsigned i = 0; i < count; i++)
		end(&services[i]);
}

void tape_mount(int fuse, const char *path)
{
	char options[96];

	snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0,max_read=%d", fuse, S_IFREG | 0600,
		 WRITE_MOST);
	if (mount("disk", path, "fuse", MS_NODEV | MS_NOSUID, options) < 0)
		fail_msg("the recorded disk cannot be mounted: %s", strerror(errno));
}
