/* The door of time is turned by hand: clock_now and clock_boot_id are this program's own (see meson.build). */
#include "tests/unit/act/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int64_t __real_clock_now(void);
int64_t __wrap_clock_now(void);

void __real_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE]);
void __wrap_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE]);

static char boots = 'a'; /* the first letter of the boot id */

void __wrap_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE])
{
	__real_clock_boot_id(id);
	id[0] = boots;
}

static int64_t moved; /* seconds that somebody sets the clock forward */
static int64_t by;    /* what it is moved by while an upgrade runs */

int64_t __wrap_clock_now(void)
{
	return __real_clock_now() + moved;
}

static bool move_clock(void *context UNUSED, const char *state, const char *step UNUSED, const char *text UNUSED)
{
	if (strcmp(state, "switched") == 0)
		moved = by;
	return true;
}

static enum journal_stage upgrade(struct fixture *fixture, unsigned kind, int64_t lasts, int64_t set_by,
				  struct run_result *result)
{
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	moved = 0;
	by = set_by;
	fixture_stage(fixture, "1.1", kind, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.last_start = request.end = clock_now() + lasts;
	if (switch_run(&fixture->layout, &request, move_clock, NULL, result, &error) < 0)
		fail_msg("%s", error.text);
	return result->outcome;
}

/* A clock set forward past the window's end does not end it. */
static void test_set_forward(void **state)
{
	CLEANUP(run_result_free) struct run_result result = {0};

	assert_int_equal(upgrade(*state, FIXTURE_GOOD, 3600, 86400, &result), JOURNAL_COMMITTED);
}

/* Nor does one set back make it longer: the probe would be asked for a minute, the window ends after two seconds. */
static void test_set_back(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	int64_t began = clock_ticks_ms();

	fixture->settings.probes[0]->deadline = 60;
	assert_int_equal(upgrade(fixture, FIXTURE_SICK, 2, -86400, &result), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(result.reason, "window"));
	assert_true(clock_ticks_ms() - began < 30000);
}

#ifdef NIGHTSHIFT_FAULT_POINTS
/* Switched when the power went, and nobody ran resume at boot: the product may run by now. Its data is not put back
 * beneath it, and a resume that is killed as well is followed by one that still knows of the restart. */
static void test_resume_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE], from[128], to[128], version[LAYOUT_VERSION_SIZE];
	static const char *const faults[] = {"act.health.begin=kill", "act.back-switch.begin=kill"};
	struct resume_report report = {0};
	struct error error = {0};

	moved = by = 0;
	fixture_stage(fixture, "1.1", FIXTURE_MIGRATION, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	snprintf(from, sizeof from, "%s/hook.conf", fixture->directory);
	snprintf(to, sizeof to, "%s/hidden.conf", fixture->directory);
	assert_int_equal(rename(from, to), 0); /* no watcher after a restart */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		int status = 0;
		pid_t pid = fork();
		if (pid == 0) {
			struct run_result result = {0};
			setenv("NIGHTSHIFT_FAULT", faults[i], 1);
			_exit(i == 0 ? switch_run(&fixture->layout, &request, NULL, NULL, &result, &error) == 0
				     : resume_run(&fixture->layout, 60000, &report, &error) == 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		boots = 'b';
	}
	assert_int_equal(rename(to, from), 0);
	assert_int_equal(resume_run(&fixture->layout, 60000, &report, &error), 0);
	assert_int_equal(report.outcome, JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(report.text, "restart of the machine"));
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	assert_string_equal(units, "stop\nstart 1.1\nstop\nstop\nstart 1.0\n");
	CLEANUP(journal_free) struct journal *journal = NULL;
	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	assert_true(journal_step_is_ok(&journal_state(journal)->run, "back-verify"));
	assert_true(journal_step_is_ok(&journal_state(journal)->run, "back-health"));
}
#endif

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_set_forward),
		TEST(test_set_back),
#ifdef NIGHTSHIFT_FAULT_POINTS
		TEST(test_resume_after_a_restart),
#endif
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
