#include "tests/unit/store/store_fixture.h"

static int claim(struct store *store, const char *id, const char *owner, int64_t reported, int64_t now,
		 int64_t *ret_fence, struct error *error)
{
	return store_upgrade_claim(store, id, owner, reported, now + 60, now, ret_fence, error);
}

static void of_two_claims_one_wins(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	CLEANUP(store_free) struct store *other = NULL;
	int64_t first = 0, second = -1;
	MUST(store_open(fixture->path, &other, &error));
	fixture_due(fixture->store, "box1", id);
	MUST(claim(fixture->store, id, "one", 0, FIXTURE_NOW, &first, &error));
	assert_int_equal(claim(other, id, "two", 0, FIXTURE_NOW, &second, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "claimed");
	assert_int_equal(first, 1);
	assert_int_equal(second, -1);
}

static void the_larger_fence_is_taken(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_appliance box;
	int64_t fence = 0;
	fixture_due(fixture->store, "box1", id);
	MUST(claim(fixture->store, id, "one", 41, FIXTURE_NOW, &fence, &error));
	assert_int_equal(fence, 42);
	MUST(store_appliance_get(fixture->store, "box1", &box, &error));
	assert_int_equal(box.fence, 42);
	MUST(store_upgrade_reclaim(fixture->store, id, "one", 5, FIXTURE_NOW + 60, FIXTURE_NOW, &fence, &error));
	assert_int_equal(fence, 43);
}

static void a_lease_keeps_others_out_until_it_ends(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	int64_t fence = 0, later = 0;
	fixture_due(fixture->store, "box1", id);
	MUST(claim(fixture->store, id, "one", 0, FIXTURE_NOW, &fence, &error));
	assert_int_equal(store_upgrade_reclaim(fixture->store, id, "two", 0, FIXTURE_NOW + 119, FIXTURE_NOW + 59,
					       &later, &error),
			 -ERROR_NOT_NOW);
	MUST(store_upgrade_renew(fixture->store, id, "one", fence, FIXTURE_NOW + 80, &error));
	assert_int_equal(store_upgrade_reclaim(fixture->store, id, "two", 0, FIXTURE_NOW + 130, FIXTURE_NOW + 70,
					       &later, &error),
			 -ERROR_NOT_NOW);
	MUST(store_upgrade_reclaim(fixture->store, id, "two", 0, FIXTURE_NOW + 140, FIXTURE_NOW + 80, &later, &error));
	assert_true(later > fence);
	/* The first worker's late write and renewal are refused. */
	assert_int_equal(store_upgrade_renew(fixture->store, id, "one", fence, FIXTURE_NOW + 200, &error),
			 -ERROR_NOT_NOW);
	struct store_upgrade_step step = {.to = UPGRADE_COMMITTED,
					  .owner = UPGRADE_HOOK,
					  .actor = "hook:box1",
					  .text = "done",
					  .fence = fence,
					  .now = FIXTURE_NOW + 90};
	assert_int_equal(store_upgrade_step(fixture->store, id, &step, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "fence");
	step.fence = later;
	MUST(store_upgrade_step(fixture->store, id, &step, &error));
}

static void two_nodes_of_a_pair_never_run_together(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char first[STORE_UPGRADE_ID_SIZE], second[STORE_UPGRADE_ID_SIZE];
	int64_t fence = 0;
	fixture_due(fixture->store, "box1", first);
	fixture_due(fixture->store, "box2", second);
	MUST(claim(fixture->store, first, "one", 0, FIXTURE_NOW, &fence, &error));
	assert_int_equal(claim(fixture->store, second, "one", 0, FIXTURE_NOW, &fence, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "ha-group");
	/* Neither a lost tunnel nor a lease that ran out frees the slot. */
	MUST(fixture_step(fixture->store, first, UPGRADE_UNKNOWN, UPGRADE_ENGINE, &error));
	assert_int_equal(claim(fixture->store, second, "one", 0, FIXTURE_NOW + 900, &fence, &error), -ERROR_NOT_NOW);
	MUST(fixture_step(fixture->store, first, UPGRADE_NEEDS_HUMAN, UPGRADE_HOOK, &error));
	assert_int_equal(claim(fixture->store, second, "one", 0, FIXTURE_NOW + 900, &fence, &error), -ERROR_NOT_NOW);
	MUST(fixture_step(fixture->store, first, UPGRADE_ROLLED_BACK, UPGRADE_TECHNICIAN, &error));
	MUST(claim(fixture->store, second, "one", 0, FIXTURE_NOW + 900, &fence, &error));
}

static void nothing_is_claimed_outside_its_window(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	int64_t fence = 0;
	fixture_due(fixture->store, "box1", id);
	assert_int_equal(claim(fixture->store, id, "one", 0, FIXTURE_NOW - 1, &fence, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "window");
	assert_int_equal(claim(fixture->store, id, "one", 0, FIXTURE_NOW + 3601, &fence, &error), -ERROR_NOT_NOW);
	MUST(claim(fixture->store, id, "one", 0, FIXTURE_NOW + 3600, &fence, &error));
}

static void an_appliance_has_one_unfinished_upgrade(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE], other[STORE_UPGRADE_ID_SIZE] = "";
	struct store_upgrade booking = fixture_booking("box1");
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	assert_int_equal(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, other, &error),
			 -ERROR_NOT_NOW);
	assert_string_equal(error.name, "booked");
	assert_string_equal(other, "");
	MUST(store_upgrade_abort(fixture->store, id, "technician:ann", "not wanted", FIXTURE_NOW, &error));
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, other, &error));
}

static void nobody_approves_himself(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade booking = fixture_booking("box1"), row;
	strcpy(booking.needs, "approver,customer");
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	assert_int_equal(
		store_upgrade_approve(fixture->store, id, "approver", "ann", "technician:ann", FIXTURE_NOW, &error),
		-ERROR_NOT_PERMITTED);
	MUST(store_upgrade_approve(fixture->store, id, "approver", "bob", "technician:bob", FIXTURE_NOW, &error));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_REQUESTED);
	assert_string_equal(row.needs, "customer");
	MUST(store_upgrade_approve(fixture->store, id, "customer", "carol", "customer:carol", FIXTURE_NOW, &error));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_BOOKED);
	assert_string_equal(row.approved_by, "bob,carol");
}

static void held_goes_back_to_where_it_was(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade booking = fixture_booking("box1"), row;
	struct store_upgrade_step free_it = {.owner = UPGRADE_ENGINE,
					     .actor = "engine",
					     .text = "tunnel is back",
					     .held_for = "tunnel",
					     .fence = -1,
					     .now = FIXTURE_NOW};
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	MUST(fixture_step(fixture->store, id, UPGRADE_STAGING, UPGRADE_ENGINE, &error));
	MUST(fixture_step(fixture->store, id, UPGRADE_HELD, UPGRADE_ENGINE, &error));
	free_it.held_for = "entitlement";
	assert_int_equal(store_upgrade_resume(fixture->store, id, &free_it, &error), -ERROR_NOT_NOW);
	free_it.held_for = "tunnel";
	MUST(store_upgrade_resume(fixture->store, id, &free_it, &error));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_BOOKED); /* staging begins again */
	assert_string_equal(row.held_for, "");
}

static void an_illegal_step_says_what_is_legal(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade booking = fixture_booking("box1"), row;
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	assert_int_equal(fixture_step(fixture->store, id, UPGRADE_COMMITTED, UPGRADE_TECHNICIAN, &error),
			 -ERROR_NOT_NOW);
	assert_non_null(strstr(error.text, "abort"));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_BOOKED);
}

static void an_abort_of_a_running_one_only_asks(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade row;
	int64_t fence = 0;
	fixture_due(fixture->store, "box1", id);
	MUST(claim(fixture->store, id, "one", 0, FIXTURE_NOW, &fence, &error));
	MUST(store_upgrade_abort(fixture->store, id, "technician:ann", "stop", FIXTURE_NOW, &error));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_RUNNING);
	assert_true(row.abort);
}

static void moved_to(struct store *store, const char *id, const char *needs, const char *actor)
{
	struct error error;
	struct store_upgrade booking = fixture_booking("box1");
	strcpy(booking.needs, needs);
	MUST(store_upgrade_reschedule(store, id, &booking, UPGRADE_TECHNICIAN, actor, "another hour", FIXTURE_NOW,
				      &error));
}

static void an_hour_that_needs_nobody_books_what_waited(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade booking = fixture_booking("box1"), row;
	strcpy(booking.needs, "customer");
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	moved_to(fixture->store, id, "", "technician:ann");
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_BOOKED);
}

/* Ann asked, Bob chose another hour: what stands then was asked by both. */
static void who_moved_it_cannot_approve_it(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade booking = fixture_booking("box1");
	strcpy(booking.needs, "approver");
	MUST(store_upgrade_book(fixture->store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	moved_to(fixture->store, id, "approver", "technician:bob");
	static const char *const both[] = {"ann", "bob"}, *const actors[] = {"technician:ann", "technician:bob"};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(
			store_upgrade_approve(fixture->store, id, "approver", both[i], actors[i], FIXTURE_NOW, &error),
			-ERROR_NOT_PERMITTED);
		assert_string_equal(error.name, "approval");
	}
	MUST(store_upgrade_approve(fixture->store, id, "approver", "eve", "technician:eve", FIXTURE_NOW, &error));
}

/* A lost box must not keep the other node of its pair waiting for ever. */
static void revoking_a_box_ends_what_it_had(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE], other[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade row;
	bool taken = true;
	int64_t fence = 0;
	fixture_due(fixture->store, "box1", id);
	fixture_due(fixture->store, "box2", other);
	MUST(claim(fixture->store, id, "one", 0, FIXTURE_NOW, &fence, &error));
	MUST(fixture_step(fixture->store, id, UPGRADE_UNKNOWN, UPGRADE_ENGINE, &error));
	MUST(store_appliance_revoke(fixture->store, "box1", "technician:ann", FIXTURE_NOW, &error));
	MUST(store_upgrade_get(fixture->store, id, &row, &error));
	assert_int_equal(row.state, UPGRADE_NEEDS_HUMAN);
	assert_int_equal(claim(fixture->store, other, "one", 0, FIXTURE_NOW, &fence, &error), -ERROR_NOT_NOW);
	MUST(fixture_step(fixture->store, id, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN, &error));
	MUST(store_upgrade_get(fixture->store, other, &row, &error));
	MUST(store_upgrade_slot_taken(fixture->store, &row, &taken, &error));
	assert_false(taken);
	MUST(store_appliance_revoke(fixture->store, "box2", "technician:ann", FIXTURE_NOW, &error));
	MUST(store_upgrade_get(fixture->store, other, &row, &error));
	assert_int_equal(row.state, UPGRADE_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_two_claims_one_wins, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(the_larger_fence_is_taken, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_lease_keeps_others_out_until_it_ends, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(two_nodes_of_a_pair_never_run_together, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_claimed_outside_its_window, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_appliance_has_one_unfinished_upgrade, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(nobody_approves_himself, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(held_goes_back_to_where_it_was, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_illegal_step_says_what_is_legal, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_abort_of_a_running_one_only_asks, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_hour_that_needs_nobody_books_what_waited, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(revoking_a_box_ends_what_it_had, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(who_moved_it_cannot_approve_it, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
