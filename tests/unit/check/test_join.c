/* A join is struck at each of its points, the first one of a box and one that replaces another: killed there, the disk
 * full there or its answer EIO, and killed again by whoever brings it to its end. The box is of one join or the other
 * altogether, and it joins anew. */
#include "tests/unit/check/joined.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "appliance-hook/cli/joining.h"
#include "tests/unit/fixture.h"

#define POINTS_MOST 200
#define POINT_SIZE  64
#define LOG         "points"
#define BOX         "box"
#define AGAIN       5

struct points {
	char names[POINTS_MOST][POINT_SIZE]; /* "file.write:3" */
	size_t count;
};

static unsigned runs, outcomes[2];

static struct hook_settings settings_of(void)
{
	return (struct hook_settings){
		.product = (char *)"shop",
		.product_root = (char *)BOX "/product",
		.state = (char *)BOX "/state",
		.user = (char *)"",
	};
}

/* A join, or its end by serve (number 0), in a child; 0, or -1 when it failed or was killed. */
static int play(int number, const char *fault, const char *log)
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct hook_settings settings = settings_of();
		struct error error = {0};
		if (log)
			setenv("NIGHTSHIFT_FAULT_LOG", log, 1);
		setenv("NIGHTSHIFT_FAULT", fault, 1);
		int result = number ? joined_join(&settings, number, &error) : joined_settle(&settings, &error);
		_exit(result < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void find_points(int number, struct points *points)
{
	char line[POINT_SIZE];
	points->count = 0;
	unlink(LOG);
	play(number, "", LOG);
	FILE *log = fopen(LOG, "r");
	if (!log)
		return;
	while (fgets(line, sizeof(line), log)) {
		size_t passage = 1, length = strcspn(line, "\n");
		line[length] = '\0';
		assert_true(points->count < POINTS_MOST && length < POINT_SIZE - 8);
		for (size_t i = 0; i < points->count; i++)
			passage += strncmp(points->names[i], line, length) == 0 && points->names[i][length] == ':';
		snprintf(points->names[points->count++], POINT_SIZE, "%.50s:%zu", line, passage);
	}
	fclose(log);
}

/* An appliance of that join. */
static void make_box(int number)
{
	struct error error = {0};
	assert_ok(file_remove_tree_at(AT_FDCWD, BOX, &error), error);
	assert_int_equal(mkdir(BOX, 0755), 0);
	if (number)
		assert_int_equal(play(number, "", NULL), 0);
}

static void assert_sound(const char *after)
{
	const struct hook_settings settings = settings_of();
	char text[JOINED_TEXT_SIZE];
	if (!joined_is_sound(&settings, text))
		fail_msg("after %s: %s", after, text);
}

static void assert_whole(int before, bool answered, const char *after)
{
	const struct hook_settings settings = settings_of();
	char text[JOINED_TEXT_SIZE];
	assert_int_equal(play(0, "", NULL), 0);
	int number = joined_number(&settings, text);
	if (number != before + 1 && (answered || number != before))
		fail_msg("after %s the box is of join %d, and %d was %s: %s", after, number, before + 1,
			 answered ? "answered" : "tried", text);
	outcomes[number - before]++;
	if (play(before + 2, "", NULL) < 0 || joined_number(&settings, text) != before + 2)
		fail_msg("after %s the box cannot join: %s", after, text);
	runs++;
}

static void strike(int before, const char *point, const char *action)
{
	char fault[POINT_SIZE + 16];
	snprintf(fault, sizeof(fault), "%s=%s", point, action);
	make_box(before);
	bool answered = play(before + 1, fault, NULL) == 0;
	assert_sound(fault);
	assert_whole(before, answered, fault);
}

/* One in so many; all with NIGHTSHIFT_SWEEP=1 in the environment. */
static size_t stride_of(size_t sampled)
{
	return getenv("NIGHTSHIFT_SWEEP") ? 1 : sampled;
}

/* Killed there, and again at every AGAIN-th point of what serve then does: others for each first. */
static void strike_twice(int before, const char *point, size_t nth)
{
	static struct points again;
	char first[POINT_SIZE + 16], second[POINT_SIZE + 16];
	snprintf(first, sizeof(first), "%s=kill", point);
	make_box(before);
	play(before + 1, first, NULL);
	find_points(0, &again);
	for (size_t i = nth % AGAIN; i < again.count; i += AGAIN) {
		snprintf(second, sizeof(second), "%s=kill", again.names[i]);
		make_box(before);
		play(before + 1, first, NULL);
		play(0, second, NULL);
		assert_sound(second);
		assert_whole(before, false, second);
	}
}

static void strike_all(const char *action)
{
	static struct points points;
	for (int before = 0; before < 2; before++) {
		make_box(before);
		find_points(before + 1, &points);
		assert_true(points.count >= 20);
		for (size_t i = 0; i < points.count; i += stride_of(3)) {
			if (action)
				strike(before, points.names[i], action);
			else
				strike_twice(before, points.names[i], i);
		}
	}
}

static void test_killed_anywhere(void **state UNUSED)
{
	strike_all("kill");
}

static void test_killed_twice(void **state UNUSED)
{
	strike_all(NULL);
}

static void test_full_disk_anywhere(void **state UNUSED)
{
	strike_all("enospc");
}

static void test_broken_disk_anywhere(void **state UNUSED)
{
	strike_all("eio");
}

static int end_all(void **state)
{
	print_message("sweep: a join: %u runs; %u as before, %u joined; each joined anew\n", runs, outcomes[0],
		      outcomes[1]);
	return fixture_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_killed_twice),
		cmocka_unit_test(test_full_disk_anywhere),
		cmocka_unit_test(test_broken_disk_anywhere),
	};
#ifndef NIGHTSHIFT_FAULT_POINTS
	print_message("skipped: check/join (built without fault_points)\n");
	return 77;
#endif
	return cmocka_run_group_tests(tests, fixture_directory, end_all);
}
