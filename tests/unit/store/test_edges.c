#include "tests/unit/store/store_fixture.h"

#include "orchestrator/store/upgrade_edges.h"

static void every_state_is_reached(void **state)
{
	(void)state;
	bool reached[UPGRADE_STATES] = {[UPGRADE_NONE] = true};
	for (size_t round = 0; round < UPGRADE_STATES; round++)
		for (size_t i = 0; i < upgrade_edges_count; i++)
			if (reached[upgrade_edges[i].from])
				reached[upgrade_edges[i].to] = true;
	for (enum upgrade_state at = UPGRADE_NONE; at < UPGRADE_STATES; at++)
		if (!reached[at])
			fail_msg("no way leads to %s", upgrade_state_name(at));
}

static void final_states_have_no_way_out_and_others_do(void **state)
{
	(void)state;
	for (enum upgrade_state at = UPGRADE_REQUESTED; at < UPGRADE_STATES; at++) {
		size_t out = 0;
		for (size_t i = 0; i < upgrade_edges_count; i++)
			out += upgrade_edges[i].from == at;
		if (upgrade_edges_final(at))
			assert_int_equal(out, 0);
		else
			assert_true(out > 0);
	}
}

static void an_edge_stands_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < upgrade_edges_count; i++) {
		const struct upgrade_edge *edge = &upgrade_edges[i];
		assert_ptr_equal(upgrade_edges_find(edge->from, edge->to, edge->owner), edge);
	}
}

static void only_the_hook_says_what_came_of_it(void **state)
{
	(void)state;
	assert_null(upgrade_edges_find(UPGRADE_RUNNING, UPGRADE_COMMITTED, UPGRADE_ENGINE));
	assert_null(upgrade_edges_find(UPGRADE_RUNNING, UPGRADE_COMMITTED, UPGRADE_TECHNICIAN));
	assert_null(upgrade_edges_find(UPGRADE_RUNNING, UPGRADE_CANCELLED, UPGRADE_TECHNICIAN));
	for (size_t i = 0; i < upgrade_edges_count; i++)
		if (upgrade_edges[i].from == UPGRADE_UNKNOWN && upgrade_edges[i].to != UPGRADE_NEEDS_HUMAN)
			assert_int_equal(upgrade_edges[i].owner, UPGRADE_HOOK);
}

static void names_read_back(void **state)
{
	(void)state;
	struct error error;
	for (enum upgrade_state at = UPGRADE_REQUESTED; at < UPGRADE_STATES; at++) {
		enum upgrade_state read = UPGRADE_NONE;
		MUST(upgrade_state_read(upgrade_state_name(at), &read, &error));
		assert_int_equal(read, at);
	}
	enum upgrade_state read = UPGRADE_DUE;
	assert_int_equal(upgrade_state_read("done", &read, &error), -ERROR_DATA);
	assert_int_equal(read, UPGRADE_DUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_is_reached), cmocka_unit_test(final_states_have_no_way_out_and_others_do),
		cmocka_unit_test(an_edge_stands_once),    cmocka_unit_test(only_the_hook_says_what_came_of_it),
		cmocka_unit_test(names_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
