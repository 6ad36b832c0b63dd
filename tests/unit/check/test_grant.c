/* The tunnel's grant: bounded in scope and time, closed by a reboot, kept only while it is good. */
#include "appliance-hook/cli/grant.h"
#include "tests/unit/fixture.h"

#define NOW INT64_C(1800000000)

static void test_make(void **state)
{
	struct grant grant;
	struct error error;
	(void)state;
	assert_ok(grant_make("status,upgrade", 0, "ticket 7", NOW, &grant, &error), error);
	assert_int_equal(grant.until, NOW + 8 * 3600);
	assert_true(grant.open && !grant.permanent);
	assert_ok(grant_make("shell", 72 * 3600, "", NOW, &grant, &error), error);
	static const char *const scopes[] = {"",       "status,",       ",status", "root", "status,,upgrade",
					     "Status", "status upgrade"};
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++)
		assert_refused(grant_make(scopes[i], 60, "", NOW, &grant, &error), error, ERROR_USAGE, "scope");
	assert_refused(grant_make("status", 72 * 3600 + 1, "", NOW, &grant, &error), error, ERROR_USAGE, "for");
	assert_refused(grant_make("status", -1, "", NOW, &grant, &error), error, ERROR_USAGE, "for");
	char reason[GRANT_REASON_MOST + 2];
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	assert_refused(grant_make("status", 60, reason, NOW, &grant, &error), error, ERROR_USAGE, "reason");
}

static void test_time(void **state)
{
	struct grant grant;
	struct error error;
	(void)state;
	assert_ok(grant_make("status", 3600, "", NOW, &grant, &error), error);
	assert_true(grant_is_good(&grant, NOW));
	assert_true(grant_is_good(&grant, NOW + 3599));
	assert_false(grant_is_good(&grant, NOW + 3600));
	/* A clock set back by a month does not stretch it. */
	assert_false(grant_is_good(&grant, NOW - 30 * 86400));
	/* After a reboot. */
	grant.boot[0] = grant.boot[0] == 'a' ? 'b' : 'a';
	assert_false(grant_is_good(&grant, NOW));
	grant_make_permanent(NOW, &grant);
	grant.boot[0] = 'x';
	assert_true(grant_is_good(&grant, NOW + 400 * INT64_C(86400)));
	assert_string_equal(grant.scope, "status,upgrade");
	grant.open = false;
	assert_false(grant_is_good(&grant, NOW));
}

static void test_stored(void **state)
{
	int directory = *(int *)*state;
	struct grant grant, read;
	struct error error;
	assert_ok(grant_load(directory, NOW, &read, &error), error);
	assert_false(read.open);
	assert_ok(grant_make("status,shell", 3600, "ticket \"7\"", NOW, &grant, &error), error);
	assert_ok(grant_store(directory, &grant, &error), error);
	assert_ok(grant_load(directory, NOW + 10, &read, &error), error);
	assert_true(read.open);
	assert_string_equal(read.scope, "status,shell");
	assert_string_equal(read.reason, "ticket \"7\"");
	assert_int_equal(read.until, grant.until);
	assert_ok(grant_load(directory, NOW + 3600, &read, &error), error);
	assert_false(read.open);
	assert_int_equal(read.until, 0);
	/* A file that somebody else wrote opens nothing. */
	assert_ok(file_replace_at(directory, "tunnel.json", "{\"open\":true}", 13, 0644, &error), error);
	assert_refused(grant_load(directory, NOW, &read, &error), error, ERROR_DATA, "format");
	assert_false(read.open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_stored),
	};
	return cmocka_run_group_tests_name("check/grant", tests, fixture_directory, fixture_remove);
}
