/* Every named point of all that act does is found by doing it once, then each is struck: killed there, killed again in
 * the resume, the disk full there or its answer EIO. What must hold then is whole.h's. */
#include "tests/unit/act/sweep.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* A sample, always the same; all of them with NIGHTSHIFT_SWEEP=1 in the environment. */
static const struct sweep_pace sample = {.first = 2, .stride = 3, .again = 17};
static const struct sweep_pace sample_of_pairs = {.first = 2, .stride = 11, .again = 17, .machine = 1};
/* Sanitizers make every process that is started thirty times as dear. */
static const struct sweep_pace sanitized = {.first = 2, .stride = 13, .again = 17};
static const struct sweep_pace sanitized_pairs = {.first = 2, .stride = 43, .again = 17, .machine = 1};
static const struct sweep_pace all = {.first = 0, .stride = 1, .again = 11, .machine = 1};

struct swept {
	struct sweep *sweep;
	struct sweep_count count;
};

static int begin(void **state)
{
	static struct swept swept;

	swept.sweep = sweep_new(scene_table, SCENE_COUNT);
	*state = &swept;
	return 0;
}

/* The line that is quoted. */
static int end(void **state)
{
	struct swept *swept = *state;
	const unsigned *runs = swept->count.runs, *outcomes = swept->count.outcomes;

	print_message("sweep: %u points of %u names; %u runs: %u killed, %u ENOSPC, %u EIO, %u killed twice; %u alike; "
		      "%u old, "
		      "%u new, %u mixed, %u lost, %u untrue, %u stuck\n",
		      sweep_points(swept->sweep), sweep_names(swept->sweep),
		      runs[SWEEP_KILL] + runs[SWEEP_ENOSPC] + runs[SWEEP_EIO] + runs[SWEEP_KILL_TWICE],
		      runs[SWEEP_KILL], runs[SWEEP_ENOSPC], runs[SWEEP_EIO], runs[SWEEP_KILL_TWICE], swept->count.alike,
		      outcomes[WHOLE_OLD], outcomes[WHOLE_NEW], outcomes[WHOLE_MIXED], outcomes[WHOLE_LOST],
		      outcomes[WHOLE_UNTRUE], outcomes[WHOLE_STUCK]);
	sweep_free(&swept->sweep);
	return 0;
}

static const struct sweep_pace *find_pace(enum sweep_action action)
{
	bool twice = action == SWEEP_KILL_TWICE;

	if (getenv("NIGHTSHIFT_SWEEP"))
		return &all;
	return SANITIZED ? (twice ? &sanitized_pairs : &sanitized) : (twice ? &sample_of_pairs : &sample);
}

static void sweep_all(struct swept *swept, enum sweep_action action)
{
	sweep_run(swept->sweep, action, find_pace(action), &swept->count);
	assert_true(swept->count.runs[action] >= 40);
	for (size_t i = WHOLE_NEW + 1; i < WHOLE_VERDICTS; i++)
		assert_int_equal(swept->count.outcomes[i], 0);
}

static void test_killed_anywhere(void **state)
{
	sweep_all(*state, SWEEP_KILL);
}

static void test_full_disk_anywhere(void **state)
{
	sweep_all(*state, SWEEP_ENOSPC);
}

static void test_broken_disk_anywhere(void **state)
{
	sweep_all(*state, SWEEP_EIO);
}

static void test_killed_twice(void **state)
{
	sweep_all(*state, SWEEP_KILL_TWICE);
}

/* The design wants all that is written, renamed, started and said to be named. */
static void test_points_are_many(void **state)
{
	struct swept *swept = *state;

	assert_true(sweep_names(swept->sweep) >= 60);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points_are_many),    cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_full_disk_anywhere), cmocka_unit_test(test_broken_disk_anywhere),
		cmocka_unit_test(test_killed_twice),
	};
	int watched = fixture_watch(argc, argv);

#ifndef NIGHTSHIFT_FAULT_POINTS
	print_message("skipped: act/sweep (built without fault_points)\n");
	return watched >= 0 ? watched : 77;
#endif
	/* The one that is named, or all. */
	if (watched < 0 && argc > 1)
		cmocka_set_test_filter(argv[1]);
	return watched >= 0 ? watched : cmocka_run_group_tests(tests, begin, end);
}
