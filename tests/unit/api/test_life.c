/* From the booking to its end, as far as people have a hand in it. */
#include "api_fixture.h"

#define BOOK_2 "{\"appliance\":\"box1\",\"to\":\"2.0\"}"
#define NOTICE ALL_DAY "notice = 72h\n"

static const char *path_to(const char *id, const char *verb)
{
	static char path[96];

	snprintf(path, sizeof(path), "/v1/upgrades/%s/%s", id, verb);
	return path;
}

static void book(struct world *world, const char *who, char id[static STORE_UPGRADE_ID_SIZE])
{
	expect(0, world, who, "POST", "/v1/upgrades", BOOK_2);
	snprintf(id, STORE_UPGRADE_ID_SIZE, "%s", said(world, "id"));
}

/* What engine and hook do, up to the end that is given. */
static void run_to(struct world *world, const char *id, enum upgrade_state end)
{
	static const struct {
		enum upgrade_state to;
		enum upgrade_owner owner;
	} way[] = {{UPGRADE_STAGING, UPGRADE_ENGINE}, {UPGRADE_STAGED, UPGRADE_HOOK}, {UPGRADE_DUE, UPGRADE_ENGINE}};
	struct store_upgrade_step step = {.actor = "engine", .text = "on it", .fence = -1, .now = NOW};
	struct error *error = &world->error;
	int64_t fence = 0;

	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		step.to = way[i].to;
		step.owner = way[i].owner;
		assert_ok(store_upgrade_step(world->store, id, &step, error), *error);
	}
	assert_ok(store_upgrade_claim(world->store, id, "engine-1", 0, NOW + 60, NOW, &fence, error), *error);
	step = (struct store_upgrade_step){
		.to = end, .owner = UPGRADE_HOOK, .actor = "hook:box1", .text = "over", .fence = fence, .now = NOW};
	assert_ok(store_upgrade_step(world->store, id, &step, error), *error);
}

/* Nobody approves his own, whatever his role and whatever the state. */
static void test_own_approval(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];

	book(world, "root/admin", id);
	expect(77, world, "root/admin", "POST", path_to(id, "approve"), NULL);
	expect(0, world, "root/admin", "POST", path_to(id, "abort"), NULL);
	world->settings.approvals = SETTINGS_APPROVALS_SECOND_PERSON;
	book(world, "root/admin", id);
	assert_string_equal(said(world, "state"), "requested");
	assert_string_equal(said(world, "needs"), "approver");
	expect(77, world, "root/admin", "POST", path_to(id, "approve"), NULL);
	expect(77, world, "root/admin", "POST", path_to(id, "decline"), NULL);
	expect(77, world, "tom/technician", "POST", path_to(id, "approve"), NULL);
	expect(0, world, "pat/approver", "POST", path_to(id, "approve"), NULL);
	assert_string_equal(said(world, "state"), "booked");
	assert_string_equal(said(world, "approved_by"), "pat");
	expect(75, world, "pat/approver", "POST", path_to(id, "approve"), NULL);
}

static void test_decline(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];

	world->settings.approvals = SETTINGS_APPROVALS_SECOND_PERSON;
	book(world, "tom/technician", id);
	expect(0, world, "pat/approver", "POST", path_to(id, "decline"), "{\"reason\":\"not this week\"}");
	assert_string_equal(said(world, "state"), "cancelled");
	assert_non_null(strstr(said(world, "why"), "not this week"));
}

/* Nearer than the notice: a contact of the customer must have said yes to somebody else than who asked. */
static void test_notice(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];

	world_window(world, NOTICE);
	book(world, "tom/technician", id);
	assert_string_equal(said(world, "state"), "requested");
	assert_string_equal(said(world, "needs"), "customer");
	expect(64, world, "pat/approver", "POST", path_to(id, "approve"), NULL);
	expect(64, world, "pat/approver", "POST", path_to(id, "approve"), "{\"customer\":\"eve@evil.example\"}");
	expect(0, world, "pat/approver", "POST", path_to(id, "approve"), "{\"customer\":\"ann@ACME.example\"}");
	assert_string_equal(said(world, "state"), "booked");

	/* Moved to where there is time enough it needs nobody; back again it needs the customer anew. */
	expect(0, world, "tom/technician", "POST", path_to(id, "move"), "{\"at\":\"2027-01-20T00:00\"}");
	assert_string_equal(said(world, "state"), "booked");
	assert_string_equal(said(world, "needs"), "");
	expect(0, world, "tom/technician", "POST", path_to(id, "move"), "{\"at\":\"2027-01-17T00:00\"}");
	assert_string_equal(said(world, "state"), "requested");
	assert_string_equal(said(world, "needs"), "customer");
}

static void test_pause_and_abort(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];

	book(world, "tom/technician", id);
	expect(0, world, "pat/approver", "POST", path_to(id, "pause"), "{\"reason\":\"lunch\"}");
	assert_string_equal(said(world, "state"), "held");
	assert_string_equal(said(world, "held_for"), "paused");
	expect(0, world, "tom/technician", "GET", "/v1/appliances/box1/why", NULL);
	assert_non_null(strstr(said(world, "why"), "lunch"));
	expect(0, world, "tom/technician", "POST", path_to(id, "resume"), NULL);
	assert_string_equal(said(world, "state"), "booked");
	expect(75, world, "tom/technician", "POST", path_to(id, "resume"), NULL);
	expect(0, world, "tom/technician", "POST", path_to(id, "abort"), NULL);
	assert_string_equal(said(world, "state"), "cancelled");
	expect(75, world, "tom/technician", "POST", path_to(id, "abort"), NULL);
	expect(75, world, "tom/technician", "POST", path_to(id, "rollback"), NULL);

	/* One that has ended is retried as another one. */
	expect(0, world, "tom/technician", "POST", path_to(id, "retry"), NULL);
	assert_string_equal(said(world, "state"), "booked");
	assert_string_not_equal(said(world, "id"), id);
}

static void test_rollback(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE], back[STORE_UPGRADE_ID_SIZE];

	book(world, "tom/technician", id);
	run_to(world, id, UPGRADE_COMMITTED);
	expect(75, world, "tom/technician", "POST", path_to(id, "rollback"), NULL); /* it says that it runs 1.0 */
	assert_ok(store_change(world->store, NULL, &world->error, "UPDATE appliance SET version = '2.0'", ""),
		  world->error);
	/* Support has ended: the way back never depends on it. */
	world->now = 1814400000 + DAY;
	expect(0, world, "tom/technician", "POST", path_to(id, "rollback"), "{\"reason\":\"slow\"}");
	snprintf(back, sizeof(back), "%s", said(world, "id"));
	assert_string_equal(said(world, "state"), "booked");
	assert_string_equal(said(world, "action"), "rollback");
	assert_string_equal(said(world, "from_version"), "2.0");
	assert_string_equal(said(world, "to_version"), "1.0");
	expect(0, world, "tom/technician", "POST", path_to(back, "move"), "{\"at\":\"2027-07-05T03:00\"}");
	expect(0, world, "tom/technician", "POST", path_to(back, "abort"), NULL);

	/* At once, outside a window: a second person. */
	expect(64, world, "tom/technician", "POST", path_to(id, "rollback"), "{\"now\":true,\"window\":\"next\"}");
	expect(0, world, "root/admin", "POST", path_to(id, "rollback"), "{\"now\":true}");
	snprintf(back, sizeof(back), "%s", said(world, "id"));
	assert_string_equal(said(world, "state"), "requested");
	expect(77, world, "root/admin", "POST", path_to(back, "approve"), NULL);
	expect(0, world, "pat/approver", "POST", path_to(back, "approve"), NULL);
	assert_string_equal(said(world, "state"), "booked");
	assert_true(jsonio_integer(world->answer, "starts") <= world->now);
	assert_true(jsonio_integer(world->answer, "last_start") > world->now);
}

static void test_needs_human(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];

	book(world, "tom/technician", id);
	expect(75, world, "tom/technician", "POST", path_to(id, "resolve"),
	       "{\"as\":\"committed\",\"reason\":\"saw\"}");
	run_to(world, id, UPGRADE_NEEDS_HUMAN);
	expect(0, world, "tom/technician", "POST", path_to(id, "retry"), NULL);
	assert_string_equal(said(world, "id"), id);
	assert_string_equal(said(world, "state"), "booked");
	run_to(world, id, UPGRADE_NEEDS_HUMAN);
	expect(64, world, "tom/technician", "POST", path_to(id, "resolve"), "{\"as\":\"running\",\"reason\":\"saw\"}");
	expect(0, world, "tom/technician", "POST", path_to(id, "resolve"),
	       "{\"as\":\"rolled-back\",\"reason\":\"saw\"}");
	assert_string_equal(said(world, "state"), "rolled-back");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_approval, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_decline, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_notice, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_pause_and_abort, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_rollback, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_needs_human, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
