#include "tests/unit/act/alike.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/act/fixture.h"
#include "tests/unit/act/shared.h"

#define BOXES_MOST 65536
#define READ_STEP  65536

struct walk {
	const char *const *except;
	struct hash_state hash;
	char path[512];
	size_t length; /* of the path */
	uint8_t bytes[READ_STEP];
};

static void print_file(struct walk *walk, int parent, const char *name)
{
	CLEANUP(file_close) int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t quick = 0;
	ssize_t got;

	assert_true(fd >= 0);
	while ((got = read(fd, walk->bytes, sizeof walk->bytes)) > 0)
		quick = hash_quick(quick, walk->bytes, (size_t)got);
	/* A sector that cannot be read is no content that another may have. */
	assert_int_equal(got, 0);
	hash_update(&walk->hash, &quick, sizeof quick);
}

static void print_link(struct walk *walk, int parent, const char *name)
{
	char target[512];
	ssize_t size = readlinkat(parent, name, target, sizeof target);

	assert_true(size >= 0);
	hash_update(&walk->hash, target, (size_t)size);
}

static bool is_left_out(const struct walk *walk)
{
	for (size_t i = 0; walk->except && walk->except[i]; i++)
		if (strcmp(walk->except[i], walk->path) == 0)
			return true;
	return false;
}

/* Those of base/file.c's, ".NAME." and twelve digits by chance: they are all the same. */
static void print_path(struct walk *walk, const char *name)
{
	const char *dot = strrchr(name, '.');
	bool temporary = name[0] == '.' && dot > name && strlen(dot) == 13 && strspn(dot + 1, "0123456789abcdef") == 12;

	hash_update(&walk->hash, walk->path, walk->length - (temporary ? 12 : 0));
	hash_update(&walk->hash, "", 1);
}

static void print_directory(struct walk *walk, int parent, const char *name);

static void print_name(struct walk *walk, int parent, const char *name)
{
	struct stat status;
	size_t before = walk->length;

	walk->length +=
		(size_t)snprintf(walk->path + before, sizeof walk->path - before, "%s%s", before ? "/" : "", name);
	assert_true(walk->length < sizeof walk->path);
	if (!is_left_out(walk)) {
		assert_int_equal(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW), 0);
		bool is_directory = S_ISDIR(status.st_mode);
		const uint64_t facts[] = {status.st_mode, status.st_uid, status.st_gid,
					  is_directory ? 0 : status.st_nlink,
					  is_directory ? 0 : (uint64_t)status.st_size};
		print_path(walk, name);
		hash_update(&walk->hash, facts, sizeof facts);
		if (is_directory)
			print_directory(walk, parent, name);
		else if (S_ISREG(status.st_mode))
			print_file(walk, parent, name);
		else if (S_ISLNK(status.st_mode))
			print_link(walk, parent, name);
	}
	walk->length = before;
	walk->path[before] = '\0';
}

static int is_real(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void print_directory(struct walk *walk, int parent, const char *name)
{
	CLEANUP(file_close) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent **entries = NULL;
	int count = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_real, alphasort);

	if (count < 0)
		fail_msg("%s cannot be listed: %s", walk->path, strerror(errno));
	for (int i = 0; i < count; i++) {
		print_name(walk, fd, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

void alike_print(const char *directory, const char *const except[], unsigned salt, uint8_t ret_print[HASH_SIZE])
{
	CLEANUP(free_pointer) struct walk *walk = calloc(1, sizeof *walk);

	assert_non_null(walk);
	walk->except = except;
	hash_begin(&walk->hash, HASH_BLAKE2B);
	hash_update(&walk->hash, &salt, sizeof salt);
	print_directory(walk, AT_FDCWD, directory);
	hash_end(&walk->hash, ret_print);
}

struct judged {
	atomic_bool whole; /* written */
	int verdict;
	uint8_t print[HASH_SIZE];
};

struct board {
	atomic_size_t count;
	struct judged boxes[BOXES_MOST];
};

struct alike {
	int fd;
	struct board *board;
};

struct alike *alike_open(int fd)
{
	struct alike *alike = calloc(1, sizeof *alike);

	assert_non_null(alike);
	*alike = (struct alike){fd, shared_map(fd, sizeof *alike->board)};
	return alike;
}

struct alike *alike_new(void)
{
	return alike_open(shared_new("alike", sizeof(struct board)));
}

void alike_free(struct alike **alike)
{
	if (!*alike)
		return;
	munmap((*alike)->board, sizeof *(*alike)->board);
	close((*alike)->fd);
	free(*alike);
	*alike = NULL;
}

int alike_fd(const struct alike *alike)
{
	return alike->fd;
}

bool alike_find(const struct alike *alike, const uint8_t print[HASH_SIZE], int *ret_verdict)
{
	size_t count = atomic_load(&alike->board->count);

	for (size_t i = 0; i < count && i < BOXES_MOST; i++) {
		const struct judged *box = &alike->board->boxes[i];
		if (atomic_load(&box->whole) && memcmp(box->print, print, HASH_SIZE) == 0) {
			*ret_verdict = box->verdict;
			return true;
		}
	}
	return false;
}

/* Two may judge such a box at the same time, and find the same. */
void alike_note(struct alike *alike, const uint8_t print[HASH_SIZE], int verdict)
{
	size_t at = atomic_fetch_add(&alike->board->count, 1);

	assert_true(at < BOXES_MOST);
	struct judged *box = &alike->board->boxes[at];
	memcpy(box->print, print, HASH_SIZE);
	box->verdict = verdict;
	atomic_store(&box->whole, true);
}
