/* Power is cut in an upgrade where a service manager starts the product: `resume` runs before its units, so health is
 * asked by a watcher once they run. Against a stand-in for systemctl. */
#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/act/machine.h"

/* "active": the unit runs; "broken": it cannot be started; "slow": not yet. */
#define SYSTEMCTL                                                                                                      \
	"#!/bin/sh\ncd %s\ncase $1 in\n"                                                                               \
	"start) while [ -e slow ]; do sleep 0.02; done; [ -e broken ] && exit 1; ./start; echo > active;;\n"           \
	"stop) ./stop; rm -f active;;\n"                                                                               \
	"is-active) [ -e active ] || exit 3;;\n"                                                                       \
	"esac\nexit 0\n"

static void replace(char **text, const char *old, const char *new)
{
	char *at = strstr(*text, old), *longer = NULL;

	assert_non_null(at);
	assert_true(asprintf(&longer, "%.*s%s%s", (int)(at - *text), *text, new, at + strlen(old)) > 0);
	free(*text);
	*text = longer;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	char text[1024], old[256], directory[sizeof fixture->directory];

	assert_non_null(fixture);
	fixture_make(fixture, NULL);
	fixture_adopt(fixture, "1.0");
	machine_make(fixture, NULL);
	snprintf(text, sizeof text, SYSTEMCTL, fixture->directory);
	fixture_write(fixture, "systemctl", text);
	CLEANUP(free_pointer) char *conf = fixture_text(fixture, "hook.conf");
	snprintf(text, sizeof text, "backend = systemd\nsystemctl = %s/systemctl\n", fixture->directory);
	replace(&conf, "backend = command\n", text);
	snprintf(old, sizeof old, "stop = %s/stop\nstart = %s/start\n", fixture->directory, fixture->directory);
	replace(&conf, old, "stop = shop.service\n");
	fixture_write(fixture, "hook.conf", conf);
	fixture_write(fixture, "active", "");
	snprintf(directory, sizeof directory, "%s", fixture->directory);
	fixture_close(fixture);
	fixture_open(fixture, directory);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	machine_cut(*state);
	machine_close();
	return fixture_teardown(state);
}

static void forget(struct fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	assert_int_equal(unlink(path), 0);
}

static int do_switch(struct fixture *fixture, const char *sha256)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	const struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	struct error error = {0};

	setenv("NIGHTSHIFT_FAULT", "act.post-switch.begin=kill", 1);
	return switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);
}

/* Up to where resume has put back what it can, and the units would start. */
static void cut_and_boot(struct fixture *fixture)
{
	struct resume_report report = {0};
	struct error error = {0};

	machine_cut(fixture);
	assert_int_equal(resume_run(&fixture->layout, 60000, &report, &error), 0);
	assert_true(report.acted && report.goes_on);
	assert_int_equal(report.outcome, JOURNAL_ROLLING_BACK);
	assert_string_equal(report.version, "1.0");
}

static void cut_in_switch(struct fixture *fixture)
{
	char sha256[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_HOOKS | FIXTURE_MIGRATION, sha256);
	assert_true(WIFSIGNALED(machine_do(fixture, do_switch, sha256)));
	fixture_write(fixture, "slow", "");
	cut_and_boot(fixture);
}

static enum journal_stage wait_for_end(struct fixture *fixture)
{
	for (int tries = 0; tries < 2000 && journal_stage_is_open(fixture_stage_of(fixture)); tries++)
		usleep(10000);
	return fixture_stage_of(fixture);
}

static size_t steps(struct fixture *fixture, const char *name)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	return journal_step_count(&journal_state(journal)->run, name);
}

static void test_health_is_asked_after_the_boot(void **state)
{
	struct fixture *fixture = *state;
	char version[LAYOUT_VERSION_SIZE];

	cut_in_switch(fixture);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_ROLLING_BACK);
	forget(fixture, "slow");
	assert_int_equal(wait_for_end(fixture), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	assert_int_equal(steps(fixture, "back-health"), 1);
	assert_int_equal(steps(fixture, "back-data"), 1);
}

static void test_what_does_not_start_is_said(void **state)
{
	struct fixture *fixture = *state;

	cut_in_switch(fixture);
	fixture_write(fixture, "broken", "");
	forget(fixture, "slow");
	assert_int_equal(wait_for_end(fixture), JOURNAL_INCONSISTENT);
}

/* The product may have written since the first boot: its data is put back once. */
static void test_cut_again_before_health(void **state)
{
	struct fixture *fixture = *state;

	cut_in_switch(fixture);
	fixture_write(fixture, "data/since", "the first boot\n");
	cut_and_boot(fixture);
	forget(fixture, "slow");
	assert_int_equal(wait_for_end(fixture), JOURNAL_ROLLED_BACK);
	assert_int_equal(steps(fixture, "back-data"), 1);
	assert_int_equal(steps(fixture, "back-hook"), 1);
	assert_true(fixture_exists(fixture, "data/since"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_health_is_asked_after_the_boot),
		TEST(test_what_does_not_start_is_said),
		TEST(test_cut_again_before_health),
	};
	int watched = fixture_watch(argc, argv);

	if (watched >= 0)
		return watched;
#ifndef NIGHTSHIFT_FAULT_POINTS
	print_message("skipped: act/boot (built without fault_points)\n");
	return 77;
#endif
	if (access("/run/systemd/system", F_OK) == 0) {
		print_message("skipped: act/boot (this machine's own systemd would start the watchers)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
