/* What the sweep counts on: each write to the loop device is on the tape when it has returned, and nothing but a flush
 * makes one; a flush, and a write that must be durable, are there as such. And what a cut keeps of it. */
#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/power/cut.h"
#include "tests/power/rig.h"

#define SIZE      ((uint64_t)16 * 1024 * 1024)
#define BLOCK     4096
#define TAPE_FILE 3
#define FUSE_FILE 4

static void write_block(int fd, char letter, off_t at)
{
	void *block = NULL;

	assert_int_equal(posix_memalign(&block, BLOCK, BLOCK), 0);
	memset(block, letter, BLOCK);
	assert_int_equal(pwrite(fd, block, BLOCK, at), BLOCK);
	free(block);
}

/* The program below the tape: three deeds, a mark after each. */
static void rig_writes(void **state)
{
	const char *directory = *state;
	struct tape *tape = tape_open(TAPE_FILE);
	char path[96], device[32];

	rig_begin(directory);
	snprintf(path, sizeof path, "%s/disk0", directory);
	tape_mount(FUSE_FILE, path);
	CLEANUP(file_close) int disk = open(path, O_RDWR | O_CLOEXEC);
	assert_true(disk >= 0);
	int loop = rig_attach(disk, device);
	CLEANUP(file_close) int plain = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
	CLEANUP(file_close) int durable = open(device, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
	assert_true(plain >= 0 && durable >= 0);
	tape_mark(tape, 0, NULL, 0);
	write_block(plain, 'a', 0);
	write_block(plain, 'b', BLOCK);
	tape_mark(tape, 1, NULL, 0);
	assert_int_equal(fsync(plain), 0);
	tape_mark(tape, 2, NULL, 0);
	write_block(durable, 'c', 0);
	tape_mark(tape, 3, NULL, 0);
	close(loop);
}

static struct tape *record(const char *directory)
{
	CLEANUP(file_close) int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CLEANUP(file_close) int file = cut_blank(SIZE);
	CLEANUP(free_pointer) char *said = NULL;
	struct tape *tape = tape_new();
	const struct tape_disk disk = {fuse, file, SIZE};
	const char *const words[] = {"writes", directory, NULL};
	const int files[] = {tape_fd(tape), fuse};

	assert_true(fuse >= 0);
	struct rig rig = rig_start(words, files, ARRAY_SIZE(files));
	tape_serve(tape, &disk, 1, rig.pidfd);
	if (rig_wait(&rig, &said) != 0)
		fail_msg("%s", said);
	return tape;
}

/* What lies between two marks, as letters. */
static void spell(const struct tape *tape, uint64_t from, char word[static 16])
{
	size_t length = 0;
	bool inside = false;

	for (size_t i = 0; i < tape_count(tape) && length < 15; i++) {
		const struct tape_entry *entry = tape_entry(tape, i);
		if (entry->kind == TAPE_MARK)
			inside = entry->offset == from;
		else if (inside)
			word[length++] = entry->kind == TAPE_WRITE ? 'w' : 'f';
	}
	word[length] = '\0';
}

static char letter_at(int file, off_t at)
{
	char letter = 0;

	assert_int_equal(pread(file, &letter, 1, at), 1);
	return letter;
}

static void check_cuts(const struct tape *tape)
{
	/* Before the first flush, before the second, and at the end. */
	static const char *const durable[] = {"\0\0", "ab", "cb"};
	CLEANUP(free_pointer) struct cut *cuts = NULL;
	size_t flushed = 0, count = cut_plan(tape, 0, &cuts);

	for (size_t i = 0; i < count; i++) {
		CLEANUP(file_close) int file = cut_blank(SIZE);
		cut_play(tape, 0, 0, cuts[i].since[0], file);
		cut_make(tape, &cuts[i], 0, BLOCK, file);
		if (cuts[i].kind != CUT_FLUSHED)
			continue;
		assert_true(flushed < ARRAY_SIZE(durable));
		assert_int_equal(letter_at(file, 0), durable[flushed][0]);
		assert_int_equal(letter_at(file, BLOCK), durable[flushed][1]);
		flushed++;
	}
	assert_int_equal(flushed, ARRAY_SIZE(durable));
}

static void test_tape(void **state)
{
	struct tape *tape = record(*state);
	char word[16];

	spell(tape, 0, word);
	assert_string_equal(word, "ww");
	spell(tape, 1, word);
	assert_string_equal(word, "f");
	spell(tape, 2, word);
	/* The kernel may flush once more behind it. */
	assert_memory_equal(word, "wf", 2);
	assert_int_equal(strspn(word + 1, "f"), strlen(word + 1));
	check_cuts(tape);
	tape_free(&tape);
}

int main(int argc, char **argv)
{
	char directory[] = "/tmp/power-XXXXXX";
	struct CMUnitTest test = {.name = "tape", .test_func = test_tape, .initial_state = directory};
	const char *lacks = rig_lacks();

	if (argc == 3 && getpid() == 1) {
		test.test_func = rig_writes;
		test.initial_state = argv[2];
		return _cmocka_run_group_tests("rig", &test, 1, NULL, NULL);
	}
	if (lacks) {
		print_message("skipped: power/tape (%s)\n", lacks);
		return 77;
	}
	if (!mkdtemp(directory))
		return 73;
	int failed = _cmocka_run_group_tests("power", &test, 1, NULL, NULL);
	rmdir(directory);
	return failed;
}
