/* The power goes: an upgrade runs on a disk that is recorded below its file system; for every moment of it the disk is
 * made again as a power cut would have left it, mounted, and brought up with `resume`, which is cut again in its turn.
 * The box is whole old or whole new, with data to match; what had been told and answered is there; the next upgrade
 * succeeds.
 *
 * The program is the test, the machine that is recorded and the machine that comes up again (errand.h). */
#include "tests/unit/act/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/power/replay.h"
#include "tests/power/rig.h"
#include "tests/unit/act/workers.h"

#define STORIES_MOST 32
#define A_CORE       3 /* workers: mounting waits more than it works */

struct test {
	const char *directory;
	const struct storage *storage;
	const struct story *story; /* NULL: all */
};

/* What the workers share. */
struct board {
	atomic_size_t next;
	struct tally tallies[STORIES_MOST]; /* by story */
};

struct work {
	const struct test *test;
	struct board *board;
};

static void work(void *context, size_t number UNUSED)
{
	const struct work *work = context;
	const struct test *test = work->test;
	size_t i;

	while ((i = atomic_fetch_add(&work->board->next, 1)) < story_count) {
		if (test->story && test->story != &stories[i])
			continue;
		struct errand errand = {test->directory, test->storage, &stories[i], alike_new()};
		replay_story(&errand, &work->board->tallies[i]);
		alike_free(&errand.alike);
	}
}

static void test_power(void **state)
{
	const struct test *test = *state;
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct work shared = {test, board};
	struct tally all = {0};
	char what[96];

	assert_true(board != MAP_FAILED && story_count <= STORIES_MOST);
	unsigned failed = workers_run(work, &shared, A_CORE, test->story ? 1 : STORIES_MOST);
	for (size_t i = 0; i < story_count; i++) {
		if (test->story && test->story != &stories[i])
			continue;
		snprintf(what, sizeof what, "power, %s, %s", test->storage->name, stories[i].name);
		tally_tell(what, &board->tallies[i]);
		tally_add(&all, &board->tallies[i]);
	}
	munmap(board, sizeof *board);
	/* This one is for whoever reads the report of all tests. */
	snprintf(what, sizeof what, "sweep: power, %s", test->storage->name);
	tally_tell(what, &all);
	assert_int_equal(failed, 0);
	assert_true(test->story || all.flushes + all.torn >= 50);
	assert_int_equal(all.verdicts[WHOLE_OLD] + all.verdicts[WHOLE_NEW], all.flushes + all.torn);
	assert_int_equal(all.damaged, 0);
}

static int run_on_storage(const struct storage *storage, const struct story *story)
{
	char directory[] = "/tmp/power-XXXXXX";
	struct test what = {directory, storage, story};
	const struct CMUnitTest test = {.name = storage->name, .test_func = test_power, .initial_state = &what};

	if (!mkdtemp(directory))
		return 73;
	int failed = _cmocka_run_group_tests("power", &test, 1, NULL, NULL);
	rmdir(directory);
	return failed;
}

/* A machine's part, a watcher, or the test: STORAGE [STORY]. */
int main(int argc, char **argv)
{
	int watched = fixture_watch(argc, argv);
	int played = watched >= 0 ? watched : errand_main(argc, argv);

	if (played >= 0)
		return played;
	const struct storage *storage = argc == 2 || argc == 3 ? storage_find(argv[1]) : NULL;
	const struct story *story = argc == 3 ? story_find(argv[2]) : NULL;
	if (!storage || (argc == 3 && !story))
		return 64;
	const char *lacks = rig_lacks() ? rig_lacks() : storage_lacks(storage);
	if (!lacks)
		return run_on_storage(storage, story);
	print_message("skipped: power/%s (%s)\n", storage->name, lacks);
	return 77;
}
