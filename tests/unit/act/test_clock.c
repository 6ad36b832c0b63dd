/* The door of time is turned by hand: clock_now is this program's own (see meson.build). */
#include "tests/unit/act/fixture.h"

#include <string.h>

int64_t __real_clock_now(void);
int64_t __wrap_clock_now(void);

static int64_t moved; /* seconds that somebody sets the clock forward */
static int64_t by;    /* what it is moved by while an upgrade runs */

int64_t __wrap_clock_now(void)
{
	return __real_clock_now() + moved;
}

static bool move_clock(void *context UNUSED, const char *state, const char *step UNUSED, const char *text UNUSED)
{
	if (strcmp(state, "switched") == 0)
		moved = by;
	return true;
}

static enum journal_stage upgrade(struct fixture *fixture, unsigned kind, int64_t lasts, int64_t set_by,
				  struct run_result *result)
{
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	moved = 0;
	by = set_by;
	fixture_stage(fixture, "1.1", kind, sha256);
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	request.last_start = request.end = clock_now() + lasts;
	if (switch_run(&fixture->layout, &request, move_clock, NULL, result, &error) < 0)
		fail_msg("%s", error.text);
	return result->outcome;
}

/* A clock set forward past the window's end does not end it. */
static void test_set_forward(void **state)
{
	CLEANUP(run_result_free) struct run_result result = {0};

	assert_int_equal(upgrade(*state, FIXTURE_GOOD, 3600, 86400, &result), JOURNAL_COMMITTED);
}

/* Nor does one set back make it longer: the probe would be asked for a minute, the window ends after two seconds. */
static void test_set_back(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	int64_t began = clock_ticks_ms();

	fixture->settings.probes[0]->deadline = 60;
	assert_int_equal(upgrade(fixture, FIXTURE_SICK, 2, -86400, &result), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(result.reason, "window"));
	assert_true(clock_ticks_ms() - began < 30000);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_set_forward),
		TEST(test_set_back),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
