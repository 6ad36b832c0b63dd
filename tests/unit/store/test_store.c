#include "tests/unit/store/store_fixture.h"

#include "orchestrator/store/store_release.h"
#include "orchestrator/store/store_task.h"

static int64_t count(struct store *store, const char *sql)
{
	struct error error;
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	MUST(store_query(store, &query, &error, sql, ""));
	MUST(store_query_next(query, &row, &error));
	assert_true(row);
	return store_query_integer(query, 0);
}

static void pragmas_are_as_promised(void **state)
{
	struct store_fixture *fixture = *state;
	assert_int_equal(count(fixture->store, "PRAGMA synchronous"), 2);
	assert_int_equal(count(fixture->store, "PRAGMA foreign_keys"), 1);
	assert_int_equal(count(fixture->store, "PRAGMA journal_mode = WAL") == 0, true);
	assert_int_equal(count(fixture->store, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"),
			 1);
}

static void an_older_store_is_migrated_and_keeps_its_rows(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char path[128];
	CLEANUP(store_free) struct store *old = NULL;
	snprintf(path, sizeof path, "%s/old.db", fixture->directory);
	MUST(store_open_at(path, 1, &old, &error));
	assert_int_equal(count(old, "PRAGMA user_version"), 1);
	MUST(store_change(old, NULL, &error, "INSERT INTO customer VALUES ('acme', 1)", ""));
	store_free(&old);
	MUST(store_open(path, &old, &error));
	assert_int_equal(count(old, "PRAGMA user_version"), store_shape());
	assert_int_equal(count(old, "SELECT count(*) FROM customer"), 1);
}

static void a_newer_store_is_refused(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	struct store *again = NULL;
	MUST(store_change(fixture->store, NULL, &error, "PRAGMA user_version = 999", ""));
	assert_int_equal(store_open(fixture->path, &again, &error), -ERROR_CONFIG);
	assert_string_equal(error.name, "store-version");
	assert_null(again);
}

static void what_is_not_committed_is_gone(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	{
		CLEANUP(store_rollback) struct store_transaction outer = {0};
		MUST(store_begin(fixture->store, &outer, &error));
		MUST(store_change(fixture->store, NULL, &error, "INSERT INTO customer VALUES ('kept', 1)", ""));
		{
			CLEANUP(store_rollback) struct store_transaction inner = {0};
			MUST(store_begin(fixture->store, &inner, &error));
			MUST(store_change(fixture->store, NULL, &error, "INSERT INTO customer VALUES ('inner', 1)",
					  ""));
		}
		MUST(store_commit(&outer, &error));
	}
	assert_false(store_in_transaction(fixture->store));
	assert_int_equal(count(fixture->store, "SELECT count(*) FROM customer WHERE name = 'kept'"), 1);
	assert_int_equal(count(fixture->store, "SELECT count(*) FROM customer WHERE name = 'inner'"), 0);
	{
		CLEANUP(store_rollback) struct store_transaction outer = {0};
		MUST(store_begin(fixture->store, &outer, &error));
		MUST(store_change(fixture->store, NULL, &error, "INSERT INTO customer VALUES ('lost', 1)", ""));
	}
	assert_int_equal(count(fixture->store, "SELECT count(*) FROM customer WHERE name = 'lost'"), 0);
}

static void errors_have_their_class(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	assert_int_equal(store_change(fixture->store, NULL, &error, "INSERT INTO customer VALUES ('acme', 1)", ""),
			 -ERROR_CANNOT_CREATE);
	assert_string_equal(error.name, "exists");
	assert_int_equal(
		store_change(fixture->store, NULL, &error, "INSERT INTO contact VALUES ('nobody','a','b')", ""),
		-ERROR_DATA);
	assert_string_equal(error.name, "missing");
	assert_int_equal(store_change(fixture->store, NULL, &error, "DELETE FROM contact WHERE name = ?", "", NULL),
			 -ERROR_BUG);
}

static void another_connections_commit_shows(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	CLEANUP(store_free) struct store *other = NULL;
	int64_t before = 0, after = 0;
	MUST(store_open(fixture->path, &other, &error));
	MUST(store_data_version(fixture->store, &before, &error));
	MUST(store_change(other, NULL, &error, "INSERT INTO customer VALUES ('other', 1)", ""));
	MUST(store_data_version(fixture->store, &after, &error));
	assert_int_not_equal(before, after);
}

static void a_join_code_works_once(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	uint8_t code[HASH_SIZE] = {1}, key[HASH_SIZE] = {2}, other[HASH_SIZE] = {3};
	char name[STORE_NAME_SIZE] = "";
	MUST(store_appliance_code(fixture->store, "box1", code, FIXTURE_NOW + 10, "technician:ann", FIXTURE_NOW,
				  &error));
	assert_int_equal(store_appliance_join(fixture->store, code, key, "id1", FIXTURE_NOW + 10, name, &error),
			 -ERROR_NOT_PERMITTED);
	MUST(store_appliance_join(fixture->store, code, key, "id1", FIXTURE_NOW + 5, name, &error));
	assert_string_equal(name, "box1");
	assert_int_equal(store_appliance_join(fixture->store, code, other, "id2", FIXTURE_NOW + 5, name, &error),
			 -ERROR_NOT_PERMITTED);
	/* Another appliance cannot take the same key. */
	MUST(store_appliance_code(fixture->store, "box2", other, FIXTURE_NOW + 10, "technician:ann", FIXTURE_NOW,
				  &error));
	assert_int_equal(store_appliance_join(fixture->store, other, key, "id1", FIXTURE_NOW + 5, name, &error),
			 -ERROR_NOT_PERMITTED);
}

static void an_older_generation_is_a_duplicate(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	struct store_appliance box;
	struct store_appliance_hello hello = {
		.version = "1.0", .state = "idle", .fence = 7, .generation = 5, .now = FIXTURE_NOW};
	bool duplicate = true;
	MUST(store_appliance_hello(fixture->store, "box1", &hello, &duplicate, &error));
	assert_false(duplicate);
	hello.generation = 4;
	hello.fence = 3;
	MUST(store_appliance_hello(fixture->store, "box1", &hello, &duplicate, &error));
	assert_true(duplicate);
	MUST(store_appliance_get(fixture->store, "box1", &box, &error));
	assert_int_equal(box.fence, 7);
	assert_true(box.duplicate);
	assert_int_equal(count(fixture->store, "SELECT count(*) FROM audit WHERE action = 'appliance duplicate'"), 1);
}

static void put_release(struct store *store, const char *version, int64_t sequence, bool stop, const char *min_from)
{
	struct error error;
	struct store_release release = {.sequence = sequence, .stop = stop, .length = 1};
	strcpy(release.product, "vpn");
	snprintf(release.version, sizeof release.version, "%s", version);
	snprintf(release.min_from, sizeof release.min_from, "%s", min_from);
	MUST(store_release_put(store, &release, &error));
}

static void expect_path(struct store *store, const char *from, const char *to, const char *rule, const char *named)
{
	struct error error = {0};
	int status = store_release_path(store, "vpn", from, to, &error);
	if (!rule) {
		assert_int_equal(status, 0);
		return;
	}
	assert_int_not_equal(status, 0);
	assert_string_equal(error.name, rule);
	assert_non_null(strstr(error.text, named));
}

static void a_way_between_versions_keeps_its_rules(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	put_release(fixture->store, "1.0", 1, false, "");
	put_release(fixture->store, "1.5", 2, true, "");
	put_release(fixture->store, "2.0", 3, false, "1.0");
	put_release(fixture->store, "3.0", 4, false, "2.0");
	expect_path(fixture->store, "1.5", "2.0", NULL, NULL);
	expect_path(fixture->store, "1.0", "2.0", "stop", "1.5");
	expect_path(fixture->store, "1.5", "3.0", "min-from", "2.0");
	expect_path(fixture->store, "2.0", "1.5", "older", "2.0");
	expect_path(fixture->store, "2.0", "2.0", "same", "2.0");
	expect_path(fixture->store, "2.0", "9.0", "unknown-release", "9.0");
	expect_path(fixture->store, "elsewhere", "2.0", NULL, NULL);
	MUST(store_release_halt(fixture->store, "2.0", STORE_HALT, "it burns", "technician:ann", FIXTURE_NOW, &error));
	expect_path(fixture->store, "1.5", "2.0", "halt", "it burns");
	/* A later import keeps the halt. */
	put_release(fixture->store, "2.0", 3, false, "1.0");
	expect_path(fixture->store, "1.5", "2.0", "halt", "it burns");
}

static void a_task_is_answered_once(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	struct store_task task;
	json_t *answer = json_pack("{s:b}", "ok", 1), *result = NULL;
	int64_t id = 0;
	bool found = false, done = true;
	MUST(store_task_add(fixture->store, "plan", "box1", "1.1", "technician:ann", FIXTURE_NOW, &id, &error));
	MUST(store_task_result(fixture->store, id, &done, &result, &error));
	assert_false(done);
	MUST(store_task_next(fixture->store, 0, &task, &found, &error));
	assert_true(found);
	assert_int_equal(task.id, id);
	MUST(store_task_done(fixture->store, id, answer, FIXTURE_NOW, &error));
	MUST(store_task_next(fixture->store, 0, &task, &found, &error));
	assert_false(found);
	MUST(store_task_result(fixture->store, id, &done, &result, &error));
	assert_true(done);
	assert_true(jsonio_boolean(result, "ok"));
	jsonio_free(&answer);
	jsonio_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pragmas_are_as_promised, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_older_store_is_migrated_and_keeps_its_rows, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_newer_store_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_committed_is_gone, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(errors_have_their_class, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(another_connections_commit_shows, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_join_code_works_once, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_way_between_versions_keeps_its_rules, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_task_is_answered_once, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_older_generation_is_a_duplicate, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
