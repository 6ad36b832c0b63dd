/* Every named point of a whole upgrade is found by running one, then each is struck: killed there, killed again in the
 * resume, the disk full there or its answer EIO. After `resume` the box is whole old or whole new, its data agrees with
 * its code, what was written since is kept aside, the journal has ended and says with the receipt what happened, a
 * second resume finds nothing, and the next upgrade succeeds. */
#include "tests/unit/act/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"

#define POINTS_MOST 600

/* Every passage, in order: the n-th of a name is another point than its first. */
struct points {
	char names[POINTS_MOST][72]; /* "act.journal.write:3" */
	size_t count;
};

typedef int sweep_deed(struct fixture *fixture, const char *sha256);

static int do_seal(struct fixture *fixture, const char *sha256)
{
	struct error error = {0};

	return stage_seal(&fixture->layout, "1.1", sha256, &error);
}

static int do_switch(struct fixture *fixture, const char *sha256)
{
	struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	int status = switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

static int do_rollback(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct run_result result = {0};
	struct error error = {0};
	const struct rollback_request request = {.upgrade = "local-back", .restore_data = true};
	int status = rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

/* In a child, which may be killed. Returns its wait status. */
static int strike(struct fixture *fixture, sweep_deed *deed, const char *sha256, const char *variable,
		  const char *value)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv(variable, value, 1);
		_exit(deed(fixture, sha256) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* How often a sick release is asked within its second differs from run to run. */
static bool is_chance(const char *name, size_t passage)
{
	return (strcmp(name, "act.probe.try") == 0 && passage > 3) || (strcmp(name, "process.run") == 0 && passage > 8);
}

static void read_points(struct fixture *fixture, struct points *points)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "points");
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strlen(line), passage = 1;
		assert_true(points->count < POINTS_MOST && length < 64);
		for (size_t i = 0; i < points->count; i++)
			passage += strncmp(points->names[i], line, length) == 0 && points->names[i][length] == ':';
		if (!is_chance(line, passage))
			snprintf(points->names[points->count++], sizeof points->names[0], "%s:%zu", line, passage);
	}
}

struct scene {
	const char *name;
	unsigned kind; /* of release 1.1 */
	sweep_deed *deed;
	bool sealed;             /* 1.1 is staged before the deed */
	bool committed;          /* and committed */
	enum journal_stage ends; /* where an undisturbed deed ends */
	const char *version;     /* what runs then */
};

static const struct scene scenes[] = {
	{"seal", FIXTURE_HOOKS, do_seal, false, false, JOURNAL_STAGED, "1.0"},
	{"switch", FIXTURE_HOOKS, do_switch, true, false, JOURNAL_COMMITTED, "1.1"},
	{"switch with migration", FIXTURE_HOOKS | FIXTURE_MIGRATION, do_switch, true, false, JOURNAL_COMMITTED, "1.1"},
	{"switch that fails", FIXTURE_HOOKS | FIXTURE_MIGRATION | FIXTURE_SICK, do_switch, true, false,
	 JOURNAL_ROLLED_BACK, "1.0"},
	{"rollback with data", FIXTURE_HOOKS | FIXTURE_MIGRATION, do_rollback, true, true, JOURNAL_ROLLED_BACK, "1.0"},
};

static void set_scene(const struct scene *scene, struct fixture *fixture, char sha256[static HASH_HEX_SIZE])
{
	fixture_make(fixture, NULL);
	fixture_adopt(fixture, "1.0");
	fixture_write(fixture, "data/precious", "kept\n");
	if (scene->sealed)
		fixture_stage(fixture, "1.1", scene->kind, sha256);
	else
		fixture_fill(fixture, "1.1", scene->kind, sha256);
	if (scene->committed)
		assert_int_equal(do_switch(fixture, sha256), 0);
	assert_int_equal(unsetenv("NIGHTSHIFT_FAULT"), 0);
}

static int is_leftover(const struct dirent *entry)
{
	return strncmp(entry->d_name, ".data.", 6) == 0;
}

/* Data that was put back is whole in its place, and what the newer version had written is kept. */
static void check_data(struct fixture *fixture, const struct journal_run *run, const char *what)
{
	char path[256];
	struct dirent **found = NULL;

	if (scandir(fixture->directory, &found, is_leftover, NULL) != 0)
		fail_msg("%s: half-restored data lies about: %s", what, found[0]->d_name);
	free(found);
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	if (run->outcome != JOURNAL_ROLLED_BACK || !run->snapshot[0] || !strstr(units, "start 1.1"))
		return;
	snprintf(path, sizeof path, "state/shop/discarded/%s.%lld/0/file", run->upgrade, (long long)run->started);
	CLEANUP(free_pointer) char *discarded = fixture_text(fixture, path);
	if (strcmp(discarded, "1.1\n") != 0)
		fail_msg("%s: what 1.1 wrote is not kept aside: \"%s\"", what, discarded);
}

/* The journal, the receipt and the quarantine say what happened, and what stands agrees. */
static void check_truth(struct fixture *fixture, const char *version, const char *what)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(jsonio_free) json_t *receipt = NULL;
	struct error error = {0};
	bool quarantined = false;

	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	const struct journal_run *run = &journal_state(journal)->run;
	const char *stands = run->requested ? run->to : run->outcome == JOURNAL_COMMITTED ? run->to : run->from;
	if (strcmp(run->upgrade, "adopt") == 0)
		return;
	if (strcmp(stands, version) != 0 || !run->ended || run->ended < run->started)
		fail_msg("%s: %s stands, but the journal says that %s is %s", what, version, run->upgrade,
			 journal_stage_name(run->outcome));
	if ((run->outcome == JOURNAL_ROLLED_BACK) != (run->reason[0] != '\0'))
		fail_msg("%s: %s: reason \"%s\"", what, journal_stage_name(run->outcome), run->reason);
	if (receipts_read(&fixture->layout, run, &receipt, &error) < 0 || !receipt)
		fail_msg("%s: there is no receipt", what);
	const json_t *document = jsonio_member(receipt, "signed");
	if (strcmp(jsonio_string(document, "outcome"), journal_stage_name(run->outcome)) != 0 ||
	    strcmp(jsonio_string(document, "reason"), run->reason) != 0 ||
	    json_array_size(jsonio_member(document, "steps")) != run->step_count)
		fail_msg("%s: the receipt says something else than the journal", what);
	assert_int_equal(quarantine_has(&fixture->layout, run->sha256, &quarantined, &error), 0);
	bool sick = strstr(run->reason, "probe well") && run->outcome == JOURNAL_ROLLED_BACK;
	if (sick && !quarantined)
		fail_msg("%s: gone back for \"%s\", and not in quarantine", what, run->reason);
	check_data(fixture, run, what);
}

/* Whatever was struck, this holds after one resume. */
static void check_whole(struct fixture *fixture, const char *what)
{
	char version[LAYOUT_VERSION_SIZE], expected[80];
	struct resume_report report = {0};
	struct error error = {0};

	if (resume_run(&fixture->layout, 60000, &report, &error) < 0)
		fail_msg("%s: resume: %s", what, error.text);
	enum journal_stage stage = fixture_stage_of(fixture);
	if (journal_stage_is_open(stage) || stage == JOURNAL_INCONSISTENT)
		fail_msg("%s: after resume the state is %s: %s", what, journal_stage_name(stage), report.text);
	fixture_whole(fixture, version);
	CLEANUP(free_pointer) char *precious = fixture_text(fixture, "data/precious");
	CLEANUP(free_pointer) char *file = fixture_text(fixture, "data/file");
	if (strcmp(precious, "kept\n") != 0)
		fail_msg("%s: data was lost: \"%s\"", what, precious);
	/* Started by none yet, or by the version that stands. */
	snprintf(expected, sizeof expected, "%s\n", version);
	if (strcmp(file, "factory\n") != 0 && strcmp(file, expected) != 0)
		fail_msg("%s: %s runs on the data of %s", what, version, file);
	check_truth(fixture, version, what);
	assert_int_equal(resume_run(&fixture->layout, 60000, &report, &error), 0);
	if (report.acted)
		fail_msg("%s: a second resume did something: %s", what, report.text);
	if (fixture_upgrade(fixture, "up-9", "1.9", FIXTURE_GOOD) != JOURNAL_COMMITTED)
		fail_msg("%s: the next upgrade fails", what);
	assert_string_equal(fixture_whole(fixture, version), "1.9");
}

static void find_points(const struct scene *scene, struct points *points)
{
	struct fixture fixture;
	char sha256[HASH_HEX_SIZE], log[128], version[LAYOUT_VERSION_SIZE];

	set_scene(scene, &fixture, sha256);
	snprintf(log, sizeof log, "%s/points", fixture.directory);
	assert_int_equal(strike(&fixture, scene->deed, sha256, "NIGHTSHIFT_FAULT_LOG", log), 0);
	assert_int_equal(fixture_stage_of(&fixture), scene->ends);
	assert_string_equal(fixture_whole(&fixture, version), scene->version);
	read_points(&fixture, points);
	fixture.fence++;
	check_whole(&fixture, scene->name);
	fixture_end(&fixture);
}

static unsigned sweep(const struct scene *scene, const char *action, size_t first, size_t stride)
{
	struct points points = {0};
	unsigned struck = 0;

	find_points(scene, &points);
	for (size_t i = first; i < points.count; i += stride) {
		struct fixture fixture;
		char sha256[HASH_HEX_SIZE], fault[128], what[256];
		snprintf(fault, sizeof fault, "%s=%s", points.names[i], action);
		snprintf(what, sizeof what, "%s, %s", scene->name, fault);
		set_scene(scene, &fixture, sha256);
		int status = strike(&fixture, scene->deed, sha256, "NIGHTSHIFT_FAULT", fault);
		if (strcmp(action, "kill") == 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == 9))
			fail_msg("%s: it was not struck", what);
		fixture.fence++;
		check_whole(&fixture, what);
		fixture_end(&fixture);
		struck++;
	}
	print_message("%s, %s: %u of %zu points\n", scene->name, action, struck, points.count);
	return struck;
}

/* All of them with NIGHTSHIFT_SWEEP=1 in the environment, otherwise every ninth, another ninth each day. */
static void pace(size_t *ret_first, size_t *ret_stride)
{
	bool all = getenv("NIGHTSHIFT_SWEEP") != NULL;

	*ret_stride = all ? 1 : 9;
	*ret_first = all ? 0 : (size_t)(clock_now() / 86400 % 9);
}

static void sweep_all(const char *action)
{
	size_t first, stride;
	unsigned struck = 0;

	pace(&first, &stride);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		struck += sweep(&scenes[i], action, first, stride);
	assert_true(struck >= 10);
}

static void test_killed_anywhere(void **state UNUSED)
{
	sweep_all("kill");
}

static void test_full_disk_anywhere(void **state UNUSED)
{
	sweep_all("enospc");
}

static void test_broken_disk_anywhere(void **state UNUSED)
{
	sweep_all("eio");
}

static int do_resume(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct resume_report report = {0};
	struct error error = {0};

	return resume_run(&fixture->layout, 60000, &report, &error);
}

/* Killed once, and nobody resumes it: the watcher that was armed finds no configuration. */
static void set_killed(const struct scene *scene, struct fixture *fixture, const char *point)
{
	char sha256[HASH_HEX_SIZE], fault[128], from[128], to[128];

	set_scene(scene, fixture, sha256);
	snprintf(from, sizeof from, "%s/hook.conf", fixture->directory);
	snprintf(to, sizeof to, "%s/hidden.conf", fixture->directory);
	assert_int_equal(rename(from, to), 0);
	snprintf(fault, sizeof fault, "%s=kill", point);
	if (!WIFSIGNALED(strike(fixture, scene->deed, sha256, "NIGHTSHIFT_FAULT", fault)))
		fail_msg("%s, %s: it was not struck", scene->name, point);
	fixture->fence++;
}

static void end_killed(struct fixture *fixture, const char *what)
{
	char from[128], to[128];

	snprintf(from, sizeof from, "%s/hidden.conf", fixture->directory);
	snprintf(to, sizeof to, "%s/hook.conf", fixture->directory);
	assert_int_equal(rename(from, to), 0);
	check_whole(fixture, what);
	fixture_end(fixture);
}

/* Killed at `point`, and again at points of the resume. */
static unsigned kill_again(const struct scene *scene, const char *point, size_t first, size_t stride)
{
	struct points points = {0};
	struct fixture fixture;
	char log[128], what[256];
	unsigned struck = 0;

	set_killed(scene, &fixture, point);
	snprintf(log, sizeof log, "%s/points", fixture.directory);
	assert_int_equal(strike(&fixture, do_resume, NULL, "NIGHTSHIFT_FAULT_LOG", log), 0);
	read_points(&fixture, &points);
	end_killed(&fixture, point);
	for (size_t i = first; i < points.count; i += stride) {
		char fault[128];
		snprintf(fault, sizeof fault, "%s=kill", points.names[i]);
		snprintf(what, sizeof what, "%s, %s, then %s", scene->name, point, fault);
		set_killed(scene, &fixture, point);
		if (!WIFSIGNALED(strike(&fixture, do_resume, NULL, "NIGHTSHIFT_FAULT", fault)))
			fail_msg("%s: it was not struck", what);
		end_killed(&fixture, what);
		struck++;
	}
	return struck;
}

/* Pairs are many: when all are asked for, every ninth of each, another each day; else a few. */
static void test_killed_twice(void **state UNUSED)
{
	size_t first, stride, day = (size_t)(clock_now() / 86400);
	unsigned struck = 0;

	pace(&first, &stride);
	for (size_t i = 1; i < ARRAY_SIZE(scenes); i++) {
		struct points points = {0};
		find_points(&scenes[i], &points);
		size_t step = stride == 1 ? 9 : 47, again = stride == 1 ? 9 : 29;
		for (size_t at = day % step; at < points.count; at += step)
			struck += kill_again(&scenes[i], points.names[at], (day + at) % again, again);
	}
	print_message("killed twice: %u pairs\n", struck);
	assert_true(struck >= 5);
}

/* How many points of ours a whole upgrade passes: the design wants all of them named. */
static void test_counts_points(void **state UNUSED)
{
	struct points points = {0};
	unsigned ours = 0;

	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		find_points(&scenes[i], &points);
	for (size_t i = 0; i < points.count; i++)
		ours += strncmp(points.names[i], "act.", 4) == 0 && strcmp(strrchr(points.names[i], ':'), ":1") == 0;
	print_message("%zu passages, %u points of act\n", points.count, ours);
	assert_true(ours >= 25);
}

/* The part that the command line names, or all. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_points),        cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_killed_twice),         cmocka_unit_test(test_full_disk_anywhere),
		cmocka_unit_test(test_broken_disk_anywhere),
	};
	int watched = fixture_watch(argc, argv);

#ifndef NIGHTSHIFT_FAULT_POINTS
	print_message("skipped: act/sweep (built without fault_points)\n");
	return watched >= 0 ? watched : 77;
#endif
	if (watched < 0 && argc > 1)
		cmocka_set_test_filter(argv[1]);
	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
