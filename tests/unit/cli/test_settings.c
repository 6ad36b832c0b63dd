/* nightshiftd.conf: defaults, paths from the file's own directory, and what is refused with 78. */
#include "tests/unit/fixture.h"

#include "orchestrator/settings.h"

static int load(const char *text, struct settings *settings, struct error *error)
{
	struct error ignored;

	assert_ok(file_replace_at(AT_FDCWD, "n.conf", text, strlen(text), 0600, &ignored), ignored);
	*error = (struct error){0};
	return settings_load("n.conf", settings, error);
}

static void test_defaults(void **state)
{
	(void)state;
	CLEANUP(settings_free) struct settings settings = {0};
	struct error error;

	assert_ok(load("", &settings, &error), error);
	assert_string_equal(settings.hub_listen, "0.0.0.0:2022");
	assert_string_equal(settings.hub_public, "");
	assert_string_equal(settings.api_tls_listen, "");
	assert_string_equal(settings.store_path, "/var/lib/nightshift/store.db");
	assert_int_equal(settings.policy_lapsed, SETTINGS_LAPSED_BLOCKED);
	assert_int_equal(settings.policy_approvals, SETTINGS_APPROVALS_NONE);
}

static void test_given(void **state)
{
	(void)state;
	CLEANUP(settings_free) struct settings settings = {0};
	char directory[4096], wanted[4200];
	struct error error;

	assert_non_null(getcwd(directory, sizeof(directory)));
	assert_ok(load("[hub]\npublic = hub.example:443\n[api]\nsocket = api.sock\n[store]\nurl = sqlite:data/s.db\n"
		       "[policy]\nlapsed = published\napprovals = second-person\n",
		       &settings, &error),
		  error);
	snprintf(wanted, sizeof(wanted), "%s/api.sock", directory);
	assert_string_equal(settings.api_socket, wanted);
	snprintf(wanted, sizeof(wanted), "%s/data/s.db", directory);
	assert_string_equal(settings.store_path, wanted);
	assert_int_equal(settings.policy_lapsed, SETTINGS_LAPSED_PUBLISHED);
	assert_int_equal(settings.policy_approvals, SETTINGS_APPROVALS_SECOND_PERSON);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"[store]\nurl = postgres:x\n", "store"},           {"[store]\nurl = sqlite:\n", "store"},
		{"[hub]\npublic = hub.example\n", "address"},       {"[hub]\npublic = hub.example:0\n", "address"},
		{"[hub]\npublic = hub.example:65536\n", "address"}, {"[hub]\npublic = :2022\n", "address"},
		{"[hub]\nlisten = ::1:2022\n", "address"},          {"[hub]\nlisten = 0.0.0.0:2022x\n", "address"},
	};
	struct settings settings = {0};
	struct error error;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_refused(load(cases[i].text, &settings, &error), error, ERROR_CONFIG, cases[i].name);
		assert_null(settings.store_path);
	}
	assert_int_equal(load("[policy]\nlapsed = never\n", &settings, &error), -78);
	assert_int_equal(load("[hub]\nlisten_on = x\n", &settings, &error), -78);
	assert_int_equal(settings_load("absent.conf", &settings, &error), -78);
}

static void test_addresses(void **state)
{
	(void)state;
	char host[16];
	uint16_t port;
	struct error error;

	assert_ok(settings_split_address("[::1]:2022", host, sizeof(host), &port, &error), error);
	assert_string_equal(host, "::1");
	assert_int_equal(port, 2022);
	assert_refused(settings_split_address("a-name-too-long-for-it:1", host, sizeof(host), &port, &error), error,
		       ERROR_CONFIG, "address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
