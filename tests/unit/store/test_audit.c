#include "tests/unit/store/store_fixture.h"

#include "orchestrator/store/store_audit.h"

static void append_three(struct store *store)
{
	struct error error;
	MUST(store_audit_append(store, "technician:ann", "one", "a", "first", &error));
	MUST(store_audit_append(store, "technician:ann", "two", "b", "second", &error));
	MUST(store_audit_append(store, "engine", "three", "c", "third", &error));
}

static void an_untouched_log_verifies(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	uint8_t head[HASH_SIZE];
	int64_t seq = 0, rows = 0;
	append_three(fixture->store);
	MUST(store_audit_head(fixture->store, head, &seq, &error));
	MUST(store_audit_verify(fixture->store, head, &rows, &error));
	assert_int_equal(rows, seq);
	assert_int_equal(rows, 5); /* two appliances were added */
}

static void expect_refusal(struct store *store, const char *sql, const char *row)
{
	struct error error;
	int64_t rows = -1;
	append_three(store);
	MUST(store_change(store, NULL, &error, sql, ""));
	assert_int_equal(store_audit_verify(store, NULL, &rows, &error), -ERROR_DATA);
	assert_string_equal(error.name, "audit");
	if (!strstr(error.text, row))
		fail_msg("\"%s\" does not name %s", error.text, row);
	assert_int_equal(rows, -1);
}

static void an_edited_row_is_named(void **state)
{
	expect_refusal(((struct store_fixture *)*state)->store, "UPDATE audit SET detail = 'changed' WHERE seq = 4",
		       "row 4");
}

static void text_moved_between_columns_is_named(void **state)
{
	expect_refusal(((struct store_fixture *)*state)->store,
		       "UPDATE audit SET object = 'bs', detail = 'econd' WHERE seq = 4", "row 4");
}

static void a_removed_row_is_named(void **state)
{
	expect_refusal(((struct store_fixture *)*state)->store, "DELETE FROM audit WHERE seq = 3", "row 3");
}

static void a_row_rehashed_breaks_the_next(void **state)
{
	expect_refusal(((struct store_fixture *)*state)->store, "UPDATE audit SET hash = zeroblob(32) WHERE seq = 3",
		       "row 3");
}

static void a_cut_end_is_found_by_the_head(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	uint8_t head[HASH_SIZE];
	int64_t seq = 0, rows = 0;
	append_three(fixture->store);
	MUST(store_audit_head(fixture->store, head, &seq, &error));
	MUST(store_change(fixture->store, NULL, &error, "DELETE FROM audit WHERE seq = 5", ""));
	MUST(store_audit_verify(fixture->store, NULL, &rows, &error));
	assert_int_equal(store_audit_verify(fixture->store, head, &rows, &error), -ERROR_DATA);
}

static void every_change_of_an_upgrade_is_in_both(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	json_t *object = NULL, *rows = NULL;
	fixture_due(fixture->store, "box1", id);
	MUST(store_upgrade_show(fixture->store, id, &object, &error));
	MUST(store_audit_list(fixture->store, 0, id, 100, &rows, &error));
	/* requested, booked, staging, staged, due */
	assert_int_equal(json_array_size(json_object_get(object, "events")), 5);
	assert_int_equal(json_array_size(rows), 5);
	jsonio_free(&object);
	jsonio_free(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_untouched_log_verifies, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_edited_row_is_named, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(text_moved_between_columns_is_named, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_removed_row_is_named, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_row_rehashed_breaks_the_next, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_cut_end_is_found_by_the_head, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(every_change_of_an_upgrade_is_in_both, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
