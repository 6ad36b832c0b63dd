#include "tests/unit/act/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/quarantine.h"
#include "base/file.h"

static char version[LAYOUT_VERSION_SIZE];

static void test_nothing_to_do(void **state)
{
	struct fixture *fixture = *state;
	struct resume_report report = {0};
	struct error error = {0};

	for (int i = 0; i < 2; i++) {
		assert_int_equal(resume_run(&fixture->layout, 0, &report, &error), 0);
		assert_false(report.acted);
		assert_string_equal(report.version, "1.0");
	}
}

/* The process that switches is killed while it looks at health: nobody calls resume, the watcher does. */
static void test_watcher_brings_it_back(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];
	enum journal_stage stage = JOURNAL_CHECKING;

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	pid_t pid = fork();
	if (pid == 0) {
		struct run_result result = {0};
		struct error error = {0};
		struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
		setenv("NIGHTSHIFT_FAULT", "act.health.begin=kill", 1);
		_exit(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error) == 0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	for (int i = 0; i < 1000 && journal_stage_is_open(stage); i++) {
		usleep(10000);
		stage = fixture_stage_of(fixture);
	}
	assert_int_equal(stage, JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
}

static enum journal_stage wait_for_end(struct fixture *fixture)
{
	for (int tries = 0; tries < 1000 && journal_stage_is_open(fixture_stage_of(fixture)); tries++)
		usleep(10000);
	return fixture_stage_of(fixture);
}

/* resume before the product's units: all is put back and hashed, units and health are a watcher's, who does nothing of
 * it again. */
static void test_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_WRITE, &journal, &error), 0);
	assert_int_equal(journal_enter_take(journal, JOURNAL_PREPARING,
					    json_pack("{s:s,s:s,s:s}", "upgrade", "up-1", "from", "1.0", "to", "1.1"),
					    &error),
			 0);
	assert_int_equal(journal_begin(journal, "stop", &error), 0);
	struct run run = {.layout = &fixture->layout, .journal = journal, .restarted = true, .booting = true};
	int lock = -1;
	assert_int_equal(layout_lock(&fixture->layout, 0, &lock, &error), 0);
	assert_int_equal(rollback_finish(&run, "a power cut", ROLLBACK_BLAMELESS, &error), 0);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_ROLLING_BACK);
	assert_false(fixture_exists(fixture, "units.log"));
	assert_true(journal_step_is_ok(run_now(&run), "back-verify"));
	assert_false(journal_step_begun(run_now(&run), "back-health"));
	journal_free(&journal);
	close(lock);
	assert_int_equal(wait_for_end(fixture), JOURNAL_ROLLED_BACK);
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	assert_string_equal(units, "start 1.0\n");
	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	const struct journal_run *ended = &journal_state(journal)->run;
	assert_true(journal_step_is_ok(ended, "back-health"));
	assert_int_equal(journal_step_count(ended, "back-switch"), 1);
}

/* Health was found good and only the last line is missing: forward, not back. */
static void test_finishes_what_was_good(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];
	struct resume_report report = {0};
	struct error error = {0};

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	pid_t pid = fork();
	if (pid == 0) {
		struct run_result result = {0};
		struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
		/* The write that would have said "committed". */
		setenv("NIGHTSHIFT_FAULT", "act.journal.write:16=kill", 1);
		_exit(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error) == 0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(resume_run(&fixture->layout, 60000, &report, &error), 0);
	assert_int_equal(report.outcome, JOURNAL_COMMITTED);
	assert_string_equal(fixture_whole(fixture, version), "1.1");
}

/* A release whose health was bad, killed before its digest was kept out: it is kept out all the same. */
static void test_blame_survives(void **state)
{
	struct fixture *fixture = *state;
	static const char *const faults[] = {"act.quarantine.write=kill", "act.back-stop.begin=kill",
					     "act.quarantine.write=enospc"};
	struct resume_report report = {0};
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char sha256[HASH_HEX_SIZE], upgrade[8];
		bool quarantined = false;
		int status = 0;
		snprintf(upgrade, sizeof upgrade, "up-%zu", i);
		fixture_stage(fixture, "1.1", FIXTURE_SICK, sha256);
		struct switch_request request = fixture_order(fixture, upgrade, "1.1", sha256);
		pid_t pid = fork();
		if (pid == 0) {
			struct run_result result = {0};
			setenv("NIGHTSHIFT_FAULT", faults[i], 1);
			_exit(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error) == 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(resume_run(&fixture->layout, 60000, &report, &error), 0);
		assert_int_equal(fixture_stage_of(fixture), JOURNAL_ROLLED_BACK);
		assert_int_equal(quarantine_has(&fixture->layout, sha256, &quarantined, &error), 0);
		if (!quarantined)
			fail_msg("%s: the sick release may come again", faults[i]);
		assert_int_equal(quarantine_remove(&fixture->layout, sha256, &error), 0);
	}
}

static void test_rollback_after_commit(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct rollback_plan plan;
	struct error error = {0};
	struct rollback_request request = {.upgrade = "local-back"};

	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "fallback");
	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_HOOKS), JOURNAL_COMMITTED);
	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), 0);
	assert_string_equal(plan.to, "1.0");
	assert_false(plan.migrated);
	request.version = "0.9";
	assert_int_equal(rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_NOT_NOW);
	request.version = NULL;
	assert_int_equal(rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	CLEANUP(free_pointer) char *hooks = fixture_text(fixture, "hooks.log");
	assert_non_null(strstr(hooks, "undo 1.1 1.0"));
	assert_int_equal(rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "fallback");
}

static void test_rollback_of_migrated_data(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct rollback_plan plan;
	struct error error = {0};
	struct rollback_request request = {.upgrade = "local-back"};

	fixture_write(fixture, "data/precious", "before\n");
	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_MIGRATION), JOURNAL_COMMITTED);
	fixture_write(fixture, "data/precious", "after\n");
	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), 0);
	assert_true(plan.migrated && plan.can_restore);
	assert_int_equal(rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "data");
	assert_string_equal(fixture_whole(fixture, version), "1.1");
	request.restore_data = true;
	assert_int_equal(rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_ROLLED_BACK);
	CLEANUP(free_pointer) char *precious = fixture_text(fixture, "data/precious");
	assert_string_equal(precious, "before\n");
}

/* A journal that was tampered with stops everything, until somebody clears it and the tree is found whole. */
static void test_damaged_journal(void **state)
{
	struct fixture *fixture = *state;
	struct resume_report report = {0};
	struct error error = {0};
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "state/shop/journal");

	char *at = strstr(text, "receiving");
	assert_non_null(at);
	at[0] = 'R';
	fixture_write(fixture, "state/shop/journal", text);
	assert_int_equal(resume_run(&fixture->layout, 0, &report, &error), -ERROR_DATA);
	assert_string_equal(error.name, "journal");
	/* Of a person who writes much, nothing is half done. */
	char much[600];
	memset(much, 'x', sizeof much - 1);
	much[sizeof much - 1] = '\0';
	assert_int_equal(resume_clear(&fixture->layout, much, &error), -ERROR_USAGE);
	assert_int_equal(resume_clear(&fixture->layout, "\xff", &error), -ERROR_USAGE);
	assert_int_equal(resume_run(&fixture->layout, 0, &report, &error), -ERROR_DATA);
	assert_int_equal(resume_clear(&fixture->layout, "looked at it", &error), 0);
	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_GOOD), JOURNAL_COMMITTED);
	fixture_write(fixture, "product/releases/1.1/version", "1.X");
	assert_int_equal(resume_clear(&fixture->layout, "looked again", &error), -ERROR_DATA);
	assert_string_equal(error.name, "tree");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_to_do),
#ifdef NIGHTSHIFT_FAULT_POINTS
		TEST(test_watcher_brings_it_back),
		TEST(test_finishes_what_was_good),
		TEST(test_blame_survives),
#endif
		TEST(test_after_a_restart),
		TEST(test_rollback_after_commit),
		TEST(test_rollback_of_migrated_data),
		TEST(test_damaged_journal),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
