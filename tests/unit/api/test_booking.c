/* What may be booked, when, and what waits for whom. */
#include "api_fixture.h"

#define BOOK_2 "{\"appliance\":\"box1\",\"to\":\"2.0\"}"

static void refused(struct world *world, int code, const char *name, const char *body)
{
	expect(code, world, "tom/technician", "POST", "/v1/upgrades", body);
	assert_string_equal(world->error.name, name);
}

static void test_open_window(void **state)
{
	struct world *world = *state;

	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
	assert_string_equal(said(world, "state"), "booked");
	assert_string_equal(said(world, "from_version"), "1.0");
	assert_string_equal(said(world, "requested_by"), "tom");
	assert_true(jsonio_integer(world->answer, "starts") <= NOW);
	assert_true(jsonio_integer(world->answer, "last_start") >= NOW);
	/* need (600 s) is more than the cutoff of a minute */
	assert_int_equal(jsonio_integer(world->answer, "ends") - jsonio_integer(world->answer, "last_start"), 600);
	refused(world, 75, "booked", BOOK_2);
}

static void test_next_and_at(void **state)
{
	struct world *world = *state;

	world_window(world, SUNDAYS);
	refused(world, 75, "window", "{\"appliance\":\"box1\",\"to\":\"2.0\",\"at\":\"2027-01-16T01:30\"}");
	refused(world, 64, "window", "{\"appliance\":\"box1\",\"to\":\"2.0\",\"window\":\"soon\"}");
	refused(world, 64, "window",
		"{\"appliance\":\"box1\",\"to\":\"2.0\",\"window\":\"next\",\"at\":\"2027-01-17T01:30\"}");
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
	assert_string_equal(said(world, "local_start"), "2027-01-17T01:30");
	assert_string_equal(said(world, "zone"), "Europe/London");
	assert_int_equal(jsonio_integer(world->answer, "starts"), 1800149400); /* 2027-01-17T01:30:00Z */
	assert_int_equal(jsonio_integer(world->answer, "fixed"), 0);

	char path[64];
	snprintf(path, sizeof(path), "/v1/upgrades/%s/move", said(world, "id"));
	expect(75, world, "tom/technician", "POST", path, "{\"at\":\"2027-01-24T04:00\"}");
	expect(0, world, "tom/technician", "POST", path, "{\"at\":\"2027-01-24T02:00\"}");
	assert_string_equal(said(world, "local_start"), "2027-01-24T02:00");
	assert_int_equal(jsonio_integer(world->answer, "starts"), 1800756000);
	assert_int_equal(jsonio_integer(world->answer, "fixed"), 1);
	assert_string_equal(said(world, "state"), "booked");
}

static void test_no_window(void **state)
{
	struct world *world = *state;

	assert_ok(store_change(world->store, NULL, &world->error, "DELETE FROM target_window", ""), world->error);
	refused(world, 75, "window", BOOK_2);
}

static void test_entitlement(void **state)
{
	struct world *world = *state;

	/* The last second of support, then the first after it. */
	world->now = 1814400000 - 1; /* 2027-06-30T23:59:59Z */
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
	char path[64];
	snprintf(path, sizeof(path), "/v1/upgrades/%s/abort", said(world, "id"));
	expect(0, world, "tom/technician", "POST", path, NULL);
	world->now++;
	refused(world, 77, "entitlement", BOOK_2);
	assert_non_null(strstr(world->error.text, "2027-06-30"));
	assert_non_null(strstr(world->error.text, "contract renew C1"));
	expect(0, world, "sue/accounts", "POST", "/v1/contracts/C1/renew", "{\"until\":\"2028-06-30\"}");
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
}

static void test_published_policy(void **state)
{
	struct world *world = *state;

	world->now = 1814400000;
	world->settings.lapsed = SETTINGS_LAPSED_PUBLISHED;
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
	assert_string_equal(said(world, "state"), "booked");
}

static void test_beyond_support(void **state)
{
	struct world *world = *state;

	expect(0, world, "tom/technician", "POST", "/v1/upgrades",
	       "{\"appliance\":\"box1\",\"to\":\"2.0\",\"at\":\"2027-07-01T00:00\"}");
	assert_string_equal(said(world, "state"), "held");
	assert_string_equal(said(world, "held_for"), "entitlement");
	assert_int_equal(jsonio_integer(world->answer, "code"), 77);
	assert_non_null(strstr(said(world, "why"), "2027-06-30"));
	/* Nobody resumes that by hand. */
	char path[64];
	snprintf(path, sizeof(path), "/v1/upgrades/%s/resume", said(world, "id"));
	expect(75, world, "tom/technician", "POST", path, NULL);
}

static void test_tier(void **state)
{
	struct world *world = *state;

	world_contract(world, "C2", "standard", "2027-06-30");
	world_appliance(world, "box2", "C2", "1.0");
	const struct store_window_change change = {STORE_WINDOW_CUSTOMER, "acme", ALL_DAY, ""};
	assert_ok(store_window_set(world->store, &change, "w.ini", ACTOR, NOW, &world->error), world->error);
	refused(world, 77, "entitlement", "{\"appliance\":\"box2\",\"to\":\"2.0\"}");
}

static void test_appliance(void **state)
{
	struct world *world = *state;
	struct store_appliance fresh = {0};
	struct error *error = &world->error;

	strcpy(fresh.name, "box3");
	strcpy(fresh.contract, "C1");
	strcpy(fresh.product, "vpn");
	assert_ok(store_appliance_add(world->store, &fresh, ACTOR, NOW, error), *error);
	refused(world, 69, "not-joined", "{\"appliance\":\"box3\",\"to\":\"2.0\"}");
	refused(world, 64, "unknown-appliance", "{\"appliance\":\"box4\",\"to\":\"2.0\"}");
	assert_ok(store_change(world->store, NULL, error, "UPDATE appliance SET duplicate = 1 WHERE name = 'box1'", ""),
		  *error);
	refused(world, 77, "duplicate", BOOK_2);
	expect(0, world, "tom/technician", "POST", "/v1/appliances/box1/revoke", NULL);
	refused(world, 77, "revoked", BOOK_2);
}

static void change_release(struct world *world, const char *sql)
{
	assert_ok(store_change(world->store, NULL, &world->error, sql, ""), world->error);
}

static void test_release(void **state)
{
	struct world *world = *state;

	refused(world, 64, "unknown-release", "{\"appliance\":\"box1\",\"to\":\"9\"}");
	refused(world, 65, "same", "{\"appliance\":\"box1\",\"to\":\"1.0\"}");
	change_release(world, "UPDATE appliance SET version = '3.0'");
	refused(world, 65, "older", BOOK_2);
	change_release(world, "UPDATE appliance SET version = '1.0'");
	change_release(world, "UPDATE release SET channels = 'edge,stables' WHERE version = '2.0'");
	refused(world, 65, "channel", BOOK_2);
	change_release(world, "UPDATE release SET channels = 'edge,stable', stop = 1 WHERE version = '2.0'");
	refused(world, 65, "stop", "{\"appliance\":\"box1\",\"to\":\"3.0\"}");
	change_release(world, "UPDATE release SET stop = 0, yanked = 1 WHERE version = '2.0'");
	refused(world, 65, "yanked", BOOK_2);
	change_release(world, "UPDATE release SET yanked = 0 WHERE version = '2.0'");
	expect(0, world, "tom/technician", "POST", "/v1/releases/2.0/halt", "{\"reason\":\"smoke\"}");
	refused(world, 75, "halt", BOOK_2);
	assert_non_null(strstr(world->error.text, "smoke"));
	expect(0, world, "pat/approver", "POST", "/v1/releases/2.0/unhalt", NULL);
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
}

static void add_freeze(struct world *world, const char *name, const char *scope, const char *blocks)
{
	char ini[512];
	CLEANUP(jsonio_free)
	json_t *body = NULL;

	snprintf(ini, sizeof(ini),
		 "[freeze %s]\nscope = %s\nzone = UTC\nfrom = 2027-01-01T00:00\nto = 2032-06-01T00:00\nblocks = %s\n"
		 "reason = Test\n",
		 name, scope, blocks);
	body = json_pack("{s:s}", "ini", ini);
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(4096);
	assert_ok(jsonio_write(body, false, &text, &world->error), world->error);
	expect(0, world, "tom/technician", "POST", "/v1/freezes", (const char *)text.data);
}

static void test_freezes(void **state)
{
	static const char *const binding[] = {"vendor", "customer:acme", "tag:green"};
	struct world *world = *state;

	expect(0, world, "sue/accounts", "POST", "/v1/customers", "{\"name\":\"globex\"}");
	add_freeze(world, "other", "customer:globex", "all");
	add_freeze(world, "grey", "tag:gree", "all");
	for (size_t i = 0; i < ARRAY_SIZE(binding); i++) {
		add_freeze(world, "bind", binding[i], "all");
		refused(world, 75, "window", BOOK_2);
		refused(world, 75, "frozen", "{\"appliance\":\"box1\",\"to\":\"2.0\",\"at\":\"2027-01-20T03:00\"}");
		expect(0, world, "tom/technician", "DELETE", "/v1/freezes/bind", NULL);
	}
	add_freeze(world, "features", "vendor", "feature");
	refused(world, 75, "window", BOOK_2);
	change_release(world, "UPDATE release SET security = 1 WHERE version = '2.0'");
	expect(0, world, "tom/technician", "POST", "/v1/upgrades", BOOK_2);
	expect(64, world, "tom/technician", "POST", "/v1/freezes",
	       "{\"ini\":\"[freeze x]\\nscope = customer:nobody\\nzone = UTC\\nfrom = 2027-01-01T00:00\\n"
	       "to = 2027-02-01T00:00\\nblocks = all\\nreason = x\\n\"}");
}

static const json_t *find_check(const struct world *world, const char *name)
{
	size_t index;
	const json_t *check;

	json_array_foreach(jsonio_member(world->answer, "checks"), index, check)
	{
		if (strcmp(jsonio_string(check, "name"), name) == 0)
			return check;
	}
	fail_msg("the plan has no check %s", name);
	return NULL;
}

/* A plan says all that is wrong, changes nothing, and leaves the engine a task. */
static void test_plan(void **state)
{
	static const char *const names[] = {"appliance", "entitlement", "channel", "path", "free", "window", "support"};
	struct world *world = *state;

	expect(0, world, "tom/technician", "POST", "/v1/plans", BOOK_2);
	assert_true(jsonio_boolean(world->answer, "ok"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(jsonio_boolean(find_check(world, names[i]), "ok"));
	char path[64];
	snprintf(path, sizeof(path), "/v1/tasks/%lld", (long long)jsonio_integer(world->answer, "task"));
	expect(0, world, "tom/technician", "GET", path, NULL);
	assert_false(jsonio_boolean(world->answer, "done"));
	expect(0, world, "tom/technician", "GET", "/v1/upgrades", NULL);
	assert_int_equal(json_array_size(world->answer), 0);

	world->now = 1814400000; /* lapsed */
	change_release(world, "UPDATE release SET channels = 'edge' WHERE version = '2.0'");
	expect(0, world, "tom/technician", "POST", "/v1/plans", BOOK_2);
	assert_false(jsonio_boolean(world->answer, "ok"));
	assert_int_equal(jsonio_integer(find_check(world, "entitlement"), "code"), 77);
	assert_int_equal(jsonio_integer(find_check(world, "channel"), "code"), 65);
	assert_true(jsonio_boolean(find_check(world, "path"), "ok"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_window, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_next_and_at, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_window, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_entitlement, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_published_policy, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_beyond_support, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_tier, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_appliance, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_release, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_freezes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_plan, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
