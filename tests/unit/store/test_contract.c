/* Contracts, customers and people. */
#include "store_fixture.h"

#include "orchestrator/store/store_contract.h"
#include "orchestrator/store/store_customer.h"
#include "orchestrator/store/store_technician.h"

#define ACTOR "technician:ann"

static struct store_contract sold(const char *id, const char *kind, const char *tier, int64_t users)
{
	struct store_contract contract = {.users = users};

	snprintf(contract.id, sizeof(contract.id), "%s", id);
	snprintf(contract.kind, sizeof(contract.kind), "%s", kind);
	snprintf(contract.tier, sizeof(contract.tier), "%s", tier);
	strcpy(contract.customer, "acme");
	strcpy(contract.support_until, "2027-03-28");
	strcpy(contract.zone, "Europe/London");
	return contract;
}

/* 2,000 users or more raise the lowest tiers; a better one stays as it is. */
static void test_tiers(void **state)
{
	static const struct {
		const char *kind, *asked;
		int64_t users;
		const char *becomes; /* NULL: refused */
	} cases[] = {
		{"on-premise", "standard", 1999, "standard"},
		{"on-premise", "standard", 2000, "advanced"},
		{"on-premise", "premium", 2000, "premium"},
		{"cloud", "standard", 1999, "standard"},
		{"cloud", "standard", 2000, "priority"},
		{"cloud", "priority", 1, "priority"},
		{"cloud", "premium", 1, NULL},
		{"on-premise", "priority", 1, NULL},
		{"hybrid", "standard", 1, NULL},
		{"on-premise", "", 1, NULL},
		{"on-premise", "standard", -1, NULL},
	};
	struct store_fixture *fixture = *state;
	struct error error;
	char id[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(id, sizeof(id), "T%zu", i);
		const struct store_contract contract = sold(id, cases[i].kind, cases[i].asked, cases[i].users);
		const char *tier = NULL;
		int result = store_contract_add(fixture->store, &contract, ACTOR, FIXTURE_NOW, &tier, &error);
		assert_int_equal(result, cases[i].becomes ? 0 : -65);
		if (cases[i].becomes)
			assert_string_equal(tier, cases[i].becomes);
	}
}

/* The first instant after the day, in the contract's zone: this one ends in the hour after the clocks went forward. */
static void test_end(void **state)
{
	struct store_fixture *fixture = *state;
	struct store_contract contract = sold("E1", "on-premise", "premium", 1), read;
	struct error error;

	MUST(store_contract_add(fixture->store, &contract, ACTOR, FIXTURE_NOW, NULL, &error));
	MUST(store_contract_get(fixture->store, "E1", &read, &error));
	assert_int_equal(read.ends, 1806274800); /* 2027-03-28T23:00:00Z */
	assert_int_equal(store_contract_renew(fixture->store, "E1", "2027-03-27", "", -1, ACTOR, FIXTURE_NOW, &error),
			 -65);
	MUST(store_contract_renew(fixture->store, "E1", "2027-12-31", "", -1, ACTOR, FIXTURE_NOW, &error));
	MUST(store_contract_get(fixture->store, "E1", &read, &error));
	assert_int_equal(read.ends, 1830297600); /* 2028-01-01T00:00:00Z */
	assert_string_equal(read.tier, "premium");
	MUST(store_contract_renew(fixture->store, "E1", "2027-12-31", "standard", 5000, ACTOR, FIXTURE_NOW, &error));
	MUST(store_contract_get(fixture->store, "E1", &read, &error));
	assert_string_equal(read.tier, "advanced");
	assert_int_equal(store_contract_renew(fixture->store, "E1", "2028-02-30", "", -1, ACTOR, FIXTURE_NOW, &error),
			 -65);
	contract = sold("E2", "on-premise", "premium", 1);
	strcpy(contract.zone, "Europe/Atlantis");
	assert_int_equal(store_contract_add(fixture->store, &contract, ACTOR, FIXTURE_NOW, NULL, &error), -65);
}

static void test_renewals(void **state)
{
	struct store_fixture *fixture = *state;
	struct store_contract contract = sold("R1", "on-premise", "premium", 1);
	CLEANUP(jsonio_free) json_t *rows = NULL;
	struct error error;

	MUST(store_customer_contact_add(fixture->store, "acme", "Ann", "Ann@ACME.example", ACTOR, &error));
	MUST(store_contract_add(fixture->store, &contract, ACTOR, FIXTURE_NOW, NULL, &error));
	/* The fixture's own ends at NOW + 1,000,000. */
	MUST(store_contract_renewals(fixture->store, FIXTURE_NOW + 1000000, &rows, &error));
	assert_int_equal(json_array_size(rows), 0);
	jsonio_free(&rows);
	MUST(store_contract_renewals(fixture->store, FIXTURE_NOW + 1000001, &rows, &error));
	assert_int_equal(json_array_size(rows), 1);
	const json_t *contacts = jsonio_member(json_array_get(rows, 0), "contacts");
	assert_string_equal(jsonio_string(json_array_get(contacts, 0), "email"), "Ann@acme.example");
}

static void test_contacts(void **state)
{
	static const char *const bad[] = {"",      "ann",           "@acme", "ann@", "a@b@c",
					  "a b@c", "a@b\r\nBcc: x", "<a@b>", "a,b@c"};
	struct store_fixture *fixture = *state;
	struct error error;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(store_customer_contact_add(fixture->store, "acme", "", bad[i], ACTOR, &error), -65);
	MUST(store_customer_contact_add(fixture->store, "acme", "", "ann@acme.example", ACTOR, &error));
	assert_int_equal(store_customer_contact_add(fixture->store, "acme", "", "ann@ACME.example", ACTOR, &error),
			 -73);
	assert_int_equal(store_customer_contact_add(fixture->store, "nobody", "", "a@b.c", ACTOR, &error), -65);
	assert_string_equal(error.name, "unknown-customer");
	MUST(store_customer_contact_remove(fixture->store, "acme", "ann@acme.EXAMPLE", ACTOR, &error));
	assert_int_equal(store_customer_contact_remove(fixture->store, "acme", "ann@acme.example", ACTOR, &error), -65);
}

static void test_technicians(void **state)
{
	struct store_fixture *fixture = *state;
	struct store_technician person = {.name = "ann", .login = "ann", .role = "admin"}, read;
	struct error error;

	MUST(store_technician_add(fixture->store, &person, ACTOR, FIXTURE_NOW, &error));
	assert_int_equal(store_technician_add(fixture->store, &person, ACTOR, FIXTURE_NOW, &error), -73);
	strcpy(person.name, "ben");
	assert_int_equal(store_technician_add(fixture->store, &person, ACTOR, FIXTURE_NOW, &error),
			 -73); /* the login */
	strcpy(person.login, "ben");
	strcpy(person.role, "king");
	assert_int_equal(store_technician_add(fixture->store, &person, ACTOR, FIXTURE_NOW, &error), -65);
	assert_int_equal(store_technician_by_login(fixture->store, "ben", &read, &error), -65);
	assert_int_equal(store_technician_remove(fixture->store, "ann", ACTOR, &error), -77);
	strcpy(person.role, "admin");
	MUST(store_technician_add(fixture->store, &person, ACTOR, FIXTURE_NOW, &error));
	MUST(store_technician_remove(fixture->store, "ann", ACTOR, &error));
	assert_int_equal(store_technician_by_login(fixture->store, "ann", &read, &error), -65);
	MUST(store_technician_by_login(fixture->store, "ben", &read, &error));
	assert_string_equal(read.name, "ben");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tiers, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_end, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_renewals, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_contacts, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_technicians, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
