#include "tests/unit/act/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/status.h"

static char version[LAYOUT_VERSION_SIZE];

/* The order is refused with this code and name, and nothing has changed. */
static void refuse(struct fixture *fixture, const struct switch_request *request, int code, const char *name)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	enum journal_stage before = fixture_stage_of(fixture);

	assert_int_equal(switch_run(&fixture->layout, request, NULL, NULL, &result, &error), -code);
	assert_string_equal(error.name, name);
	assert_int_equal(fixture_stage_of(fixture), before);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	assert_false(fixture_exists(fixture, "units.log"));
}

static void test_commits(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(jsonio_free) json_t *status = NULL;
	struct error error = {0};

	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_HOOKS), JOURNAL_COMMITTED);
	assert_string_equal(fixture_whole(fixture, version), "1.1");
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	CLEANUP(free_pointer) char *hooks = fixture_text(fixture, "hooks.log");
	assert_string_equal(units, "stop\nstart 1.1\n");
	assert_string_equal(hooks, "preflight 1.0 1.1\npre-switch 1.0 1.1\npost-switch 1.0 1.1\n");
	assert_true(fixture_exists(fixture, "product/releases/1.0"));
	assert_false(fixture_exists(fixture, "product/releases/.staging-1.1"));
	CLEANUP(free_pointer) char *said = fixture_text(fixture, "state/shop/output/up-1.pre-switch");
	assert_string_equal(said, "said\n");

	assert_int_equal(status_read(&fixture->layout, &status, &error), 0);
	assert_string_equal(jsonio_string(status, "state"), "committed");
	assert_string_equal(jsonio_string(status, "version"), "1.1");
	assert_string_equal(jsonio_string(status, "fallback"), "1.0");
	assert_int_equal(jsonio_integer(status, "fence"), 1);
	const json_t *journal = jsonio_member(status, "journal");
	assert_string_equal(jsonio_string(journal, "upgrade"), "up-1");
	assert_string_equal(jsonio_string(journal, "state"), "committed");
	const json_t *receipt = json_object_get(jsonio_member(journal, "receipt"), "signed");
	assert_string_equal(jsonio_string(receipt, "outcome"), "committed");
	assert_int_equal(json_array_size(jsonio_member(receipt, "steps")), 6);
}

static void test_sick_release_goes_back(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];

	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_SICK | FIXTURE_HOOKS), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	CLEANUP(free_pointer) char *hooks = fixture_text(fixture, "hooks.log");
	assert_string_equal(units, "stop\nstart 1.1\nstop\nstart 1.0\n");
	assert_non_null(strstr(hooks, "undo 1.1 1.0\n"));

	/* The digest is in quarantine: neither staged nor switched to again, until it is taken off. */
	struct error error = {0};
	CLEANUP(jsonio_free) json_t *list = NULL;
	assert_int_equal(quarantine_list(&fixture->layout, &list, &error), 0);
	assert_int_equal(json_array_size(list), 1);
	strcpy(sha256, jsonio_string(json_array_get(list, 0), "sha256"));
	struct switch_request again = fixture_order(fixture, "up-2", "1.1", sha256);
	CLEANUP(run_result_free) struct run_result result = {0};
	assert_int_equal(switch_run(&fixture->layout, &again, NULL, NULL, &result, &error), -ERROR_DATA);
	assert_string_equal(error.name, "quarantine");
	assert_int_equal(quarantine_remove(&fixture->layout, "1.1", &error), 0);
	assert_int_equal(quarantine_remove(&fixture->layout, "1.1", &error), -ERROR_DATA);
	again.fence = ++fixture->fence;
	assert_int_equal(switch_run(&fixture->layout, &again, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_ROLLED_BACK);
}

static void test_migrated_data_comes_back(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "data/precious", "kept\n");
	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_SICK | FIXTURE_MIGRATION),
			 JOURNAL_ROLLED_BACK);
	/* 1.0 was started again after the restore and wrote its own name over the snapshot's "factory". */
	CLEANUP(free_pointer) char *file = fixture_text(fixture, "data/file");
	CLEANUP(free_pointer) char *precious = fixture_text(fixture, "data/precious");
	assert_string_equal(file, "1.0\n");
	assert_string_equal(precious, "kept\n");
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};
	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	char path[256];
	snprintf(path, sizeof path, "state/shop/discarded/up-1.%lld/0/file",
		 (long long)journal_state(journal)->run.started);
	CLEANUP(free_pointer) char *discarded = fixture_text(fixture, path);
	assert_string_equal(discarded, "1.1\n");
	assert_false(fixture_exists(fixture, "state/shop/snapshots/up-1"));
}

static void test_failed_hook_goes_back(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_HOOKS | FIXTURE_PRE_FAILS),
			 JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	assert_string_equal(units, "stop\nstop\nstart 1.0\n");
}

static void test_failed_way_back_is_inconsistent(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_HOOKS | FIXTURE_SICK | FIXTURE_UNDO_FAILS),
			 JOURNAL_INCONSISTENT);
	/* Code is back all the same, but nothing else runs until somebody has looked. */
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	struct switch_request request = fixture_order(fixture, "up-2", "1.1", "00");
	CLEANUP(run_result_free) struct run_result result = {0};
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "inconsistent");
	assert_int_equal(resume_clear(&fixture->layout, "looked at it", &error), 0);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_IDLE);
	assert_int_equal(resume_clear(&fixture->layout, "again", &error), -ERROR_NOT_NOW);
	fixture_stage(fixture, "1.2", FIXTURE_GOOD, sha256);
	request = fixture_order(fixture, "up-3", "1.2", sha256);
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_COMMITTED);
}

static void test_window(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];
	int64_t now = clock_now();

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.start = now + 600;
	refuse(fixture, &request, ERROR_NOT_NOW, "window");
	request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.last_start = now - 1;
	refuse(fixture, &request, ERROR_NOT_NOW, "window");
	request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.end = request.last_start = now - 1;
	refuse(fixture, &request, ERROR_NOT_NOW, "window");
}

/* The window ends while health is still asked for: with `finish` that is no matter, without it the box goes back and
 * the release is not blamed. */
static void test_end_of_window(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	CLEANUP(jsonio_free) json_t *list = NULL;
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_SICK, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.end = clock_now() + 1;
	request.last_start = request.end;
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	if (strstr(result.reason, "window")) {
		assert_int_equal(quarantine_list(&fixture->layout, &list, &error), 0);
		assert_int_equal(json_array_size(list), 0);
	}
}

static void test_fence(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	CLEANUP(run_result_free) struct run_result again = {0};
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];
	int64_t seen = 0;

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	assert_int_equal(fence_raise(&fixture->layout, "order-key-1", 7, &error), 0);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.fence = 6;
	refuse(fixture, &request, ERROR_DATA, "fence");
	request.fence = 7;
	refuse(fixture, &request, ERROR_DATA, "fence");
	request.fence = 8;
	request.start = clock_now() + 600;
	refuse(fixture, &request, ERROR_NOT_NOW, "window");
	/* Seen is seen, though that order came to nothing. */
	assert_int_equal(fence_read(&fixture->layout, "order-key-1", &seen, &error), 0);
	assert_int_equal(seen, 8);
	request.start = 0;
	refuse(fixture, &request, ERROR_DATA, "fence");
	request.fence = 9;
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_COMMITTED);
	/* The same order again is the same answer, not another run. */
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &again, &error), 0);
	assert_int_equal(again.outcome, JOURNAL_COMMITTED);
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");
	assert_string_equal(units, "stop\nstart 1.1\n");
	/* Another key counts for itself. */
	assert_int_equal(fence_read(&fixture->layout, "order-key-2", &seen, &error), 0);
	assert_int_equal(seen, 0);
}

static void test_refusals(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE], other[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_HOOKS | FIXTURE_PREFLIGHT_75, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	refuse(fixture, &request, ERROR_NOT_NOW, "hook");

	memset(other, 'a', sizeof other - 1);
	other[sizeof other - 1] = '\0';
	request = fixture_order(fixture, "up-1", "1.1", other);
	refuse(fixture, &request, ERROR_DATA, "hash");
	request = fixture_order(fixture, "up-1", "9.9", sha256);
	refuse(fixture, &request, ERROR_NOT_NOW, "staged");

	fixture_stage(fixture, "1.2", FIXTURE_REBOOT, sha256);
	request = fixture_order(fixture, "up-1", "1.2", sha256);
	refuse(fixture, &request, ERROR_NOT_NOW, "restart");

	/* Unwell before: not the moment. */
	fixture_stage(fixture, "1.3", FIXTURE_GOOD, sha256);
	free(fixture->settings.probes[0]->expect);
	fixture->settings.probes[0]->expect = strdup("some other answer");
	request = fixture_order(fixture, "up-1", "1.3", sha256);
	refuse(fixture, &request, ERROR_NOT_NOW, "health");
}

static void test_altered_release_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];

	static const char *const altered[] = {"product/releases/1.1/version", "state/shop/hooks/1.1/preflight"};

	for (size_t i = 0; i < ARRAY_SIZE(altered); i++) {
		CLEANUP(run_result_free) struct run_result result = {0};
		CLEANUP(jsonio_free) json_t *status = NULL;
		struct error error = {0};
		fixture_stage(fixture, "1.1", FIXTURE_HOOKS, sha256);
		fixture_write(fixture, altered[i], "#!/bin/sh\nexit 0\n");
		struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
		assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_DATA);
		assert_string_equal(error.name, "tree");
		assert_string_equal(fixture_whole(fixture, version), "1.0");
		assert_false(fixture_exists(fixture, "units.log"));
		/* Not even a hook of it ran, and it is not said to be staged. */
		assert_false(fixture_exists(fixture, "hooks.log"));
		assert_int_equal(status_read(&fixture->layout, &status, &error), 0);
		assert_string_equal(jsonio_string(status, "state"), "idle");
		assert_null(json_object_get(status, "staged"));
	}
	assert_int_equal(fixture_upgrade(fixture, "up-2", "1.1", FIXTURE_HOOKS), JOURNAL_COMMITTED);
}

static void test_local_needs_no_fence(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	struct switch_request request = fixture_order(fixture, "local-1", "1.1", sha256);
	refuse(fixture, &request, ERROR_DATA, "upgrade");
	request.upgrade = "up-1";
	request.order_key = "";
	refuse(fixture, &request, ERROR_DATA, "upgrade");
	request.upgrade = "local-1";
	request.fence = 0;
	request.order_key = "";
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.outcome, JOURNAL_COMMITTED);
}

static void test_old_releases_go(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_upgrade(fixture, "up-1", "1.1", FIXTURE_GOOD), JOURNAL_COMMITTED);
	assert_int_equal(fixture_upgrade(fixture, "up-2", "1.2", FIXTURE_GOOD), JOURNAL_COMMITTED);
	assert_int_equal(fixture_upgrade(fixture, "up-3", "1.3", FIXTURE_HOOKS), JOURNAL_COMMITTED);
	assert_false(fixture_exists(fixture, "product/releases/1.0"));
	assert_false(fixture_exists(fixture, "product/releases/1.1"));
	assert_false(fixture_exists(fixture, "state/shop/manifests/1.1.json"));
	assert_true(fixture_exists(fixture, "product/releases/1.2")); /* the fallback */
	assert_string_equal(fixture_whole(fixture, version), "1.3");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_commits),
		TEST(test_sick_release_goes_back),
		TEST(test_migrated_data_comes_back),
		TEST(test_failed_hook_goes_back),
		TEST(test_failed_way_back_is_inconsistent),
		TEST(test_window),
		TEST(test_end_of_window),
		TEST(test_fence),
		TEST(test_refusals),
		TEST(test_altered_release_is_refused),
		TEST(test_local_needs_no_fence),
		TEST(test_old_releases_go),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
