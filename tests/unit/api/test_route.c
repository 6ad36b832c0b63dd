/* Who may what, and what a body may hold: the table of routes, asked without HTTP. */
#include "api_fixture.h"

static void test_roles(void **state)
{
	static const struct {
		const char *who, *method, *path, *body;
		int code;
	} cases[] = {
		{"a/auditor", "GET", "/v1/customers", NULL, 0},
		{"a/auditor", "POST", "/v1/customers", "{\"name\":\"new\"}", 77},
		{"t/technician", "POST", "/v1/customers", "{\"name\":\"new\"}", 77},
		{"s/accounts", "POST", "/v1/customers", "{\"name\":\"new\"}", 0},
		{"s/accounts", "POST", "/v1/contracts/C1/renew", "{\"until\":\"2028-01-01\"}", 0},
		{"t/technician", "POST", "/v1/contracts/C1/renew", "{\"until\":\"2029-01-01\"}", 77},
		{"s/accounts", "POST", "/v1/upgrades", "{\"appliance\":\"box1\",\"to\":\"2.0\"}", 77},
		{"p/approver", "POST", "/v1/upgrades", "{\"appliance\":\"box1\",\"to\":\"2.0\"}", 77},
		{"t/technician", "POST", "/v1/releases/2.0/halt", "{\"reason\":\"bad\"}", 0},
		{"t/technician", "POST", "/v1/releases/2.0/unhalt", NULL, 77},
		{"p/approver", "POST", "/v1/releases/2.0/unhalt", NULL, 0},
		{"t/technician", "POST", "/v1/upgrades/0123456789abcdef/approve", NULL, 77},
		{"t/technician", "POST", "/v1/technicians", "{}", 77},
		{"s/accounts", "POST", "/v1/appliances/box1/revoke", NULL, 77},
		{"n/nobody", "GET", "/v1/status", NULL, 77},
		{"r/admin", "GET", "/v1/status", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].code, (struct world *)*state, cases[i].who, cases[i].method, cases[i].path,
		       cases[i].body);
}

static void test_shape(void **state)
{
	static const struct {
		const char *method, *path, *body;
		int code;
	} cases[] = {
		{"GET", "/v1/nothing", NULL, 64},
		{"GET", "/v1/customers/", NULL, 64},
		{"GET", "//v1/customers", NULL, 64},
		{"GET", "v1/customers", NULL, 64},
		{"GET", "", NULL, 64},
		{"GET", "/v1/customers/a/b/c/d/e/f/g/h", NULL, 64},
		{"PATCH", "/v1/customers", NULL, 64},
		{"POST", "/v1/customers", NULL, 64},                          /* name is required */
		{"POST", "/v1/customers", "{\"name\":\"x\",\"more\":1}", 64}, /* a closed set */
		{"POST", "/v1/customers", "{\"name\":7}", 64},                /* of another type */
		{"POST", "/v1/customers", "{\"name\":\"../x\"}", 64},         /* no name */
		{"POST", "/v1/customers", "{\"name\":\"\"}", 64},
		{"POST", "/v1/customers", "{\"name\":\".x\"}", 64},
		{"GET", "/v1/customers", "{}", 64},        /* takes none */
		{"GET", "/v1/customers/nobody", NULL, 64}, /* unknown objects */
		{"GET", "/v1/appliances/nobody", NULL, 64},
		{"GET", "/v1/contracts/nobody", NULL, 64},
		{"GET", "/v1/windows/nobody", NULL, 64},
		{"GET", "/v1/upgrades/0123456789abcdef", NULL, 64},
		{"GET", "/v1/imports/x", NULL, 64},
		{"DELETE", "/v1/freezes/nobody", NULL, 64},
		{"DELETE", "/v1/technicians/nobody", NULL, 64},
		{"POST", "/v1/imports", "{\"directory\":\"relative\"}", 64},
		{"POST", "/v1/imports", "{\"directory\":\"/a\\nb\"}", 64},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].code, (struct world *)*state, "root/admin", cases[i].method, cases[i].path,
		       cases[i].body);
}

/* A refusal half-way through a command leaves nothing of it. */
static void test_all_or_nothing(void **state)
{
	struct world *world = *state;

	assert_ok(store_fact_set(world->store, STORE_FACT_ROOT, "", &world->error), world->error);
	expect(75, world, "root/admin", "POST", "/v1/appliances",
	       "{\"name\":\"box9\",\"contract\":\"C1\",\"product\":\"vpn\"}");
	expect(64, world, "root/admin", "GET", "/v1/appliances/box9", NULL);
	assert_false(store_in_transaction(world->store));
}

/* What changed stands in the audit log under the caller's name; what was refused does not. */
static void test_audit(void **state)
{
	struct world *world = *state;

	expect(0, world, "sue/accounts", "POST", "/v1/customers", "{\"name\":\"globex\"}");
	expect(77, world, "tom/technician", "POST", "/v1/customers", "{\"name\":\"initech\"}");
	expect(0, world, "eve/auditor", "GET", "/v1/audit", NULL);
	const json_t *last = json_array_get(world->answer, json_array_size(world->answer) - 1);
	assert_string_equal(jsonio_string(last, "actor"), "technician:sue");
	assert_string_equal(jsonio_string(last, "action"), "customer add");
	assert_string_equal(jsonio_string(last, "object"), "globex");
	expect(0, world, "eve/auditor", "GET", "/v1/audit/verify", NULL);
}

static void test_technicians(void **state)
{
	struct world *world = *state;
	const char *const key =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f bob@desk\\n";
	char body[512];

	snprintf(body, sizeof(body), "{\"name\":\"bob\",\"login\":\"bob\",\"role\":\"admin\",\"key\":\"%s\"}", key);
	expect(0, world, "root/admin", "POST", "/v1/technicians", body);
	expect(73, world, "root/admin", "POST", "/v1/technicians", body);
	snprintf(body, sizeof(body), "{\"name\":\"kim\",\"login\":\"kim\",\"role\":\"boss\",\"key\":\"%s\"}", key);
	expect(65, world, "root/admin", "POST", "/v1/technicians", body);
	expect(65, world, "root/admin", "POST", "/v1/technicians",
	       "{\"name\":\"kim\",\"login\":\"kim\",\"role\":\"auditor\",\"key\":\"ssh-rsa AAAA\"}");
	expect(77, world, "root/admin", "DELETE", "/v1/technicians/bob", NULL); /* the last admin */
	expect(0, world, "root/admin", "GET", "/v1/technicians", NULL);
	assert_int_equal(json_array_size(world->answer), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_roles, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_shape, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_all_or_nothing, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_audit, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_technicians, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
