/* What stands in the list of releases, who runs what was withdrawn, and what is to be renewed. */
#include "tests/unit/store/store_fixture.h"

#include "orchestrator/store/store_lifetime.h"
#include "orchestrator/store/store_release.h"
#include "orchestrator/store/store_status.h"

static void put(struct store *store, const char *version, int64_t sequence, const char *channels, bool stop,
		const char *yanked)
{
	struct error error;
	struct store_release release = {.length = 10,
					.sequence = sequence,
					.published = 1000,
					.need = 60,
					.stop = stop,
					.yanked = yanked != NULL};
	snprintf(release.version, sizeof release.version, "%s", version);
	snprintf(release.channels, sizeof release.channels, "%s", channels);
	snprintf(release.yank_reason, sizeof release.yank_reason, "%s", yanked ? yanked : "");
	strcpy(release.product, "vpn");
	strcpy(release.target, "t");
	memset(release.sha256, (int)sequence, sizeof release.sha256);
	MUST(store_release_put(store, &release, &error));
}

static void a_stop_counts_in_whatever_channel(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	put(fixture->store, "2.2", 1, "stable", false, NULL);
	put(fixture->store, "2.3", 2, "beta", true, NULL);
	put(fixture->store, "3.0", 3, "stable", false, NULL);
	assert_int_equal(store_release_path(fixture->store, "vpn", "2.2", "3.0", &error), -ERROR_DATA);
	assert_string_equal(error.name, "stop");
	assert_non_null(strstr(error.text, "2.3"));
	MUST(store_release_path(fixture->store, "vpn", "2.2", "2.3", &error));
	MUST(store_release_path(fixture->store, "vpn", "2.3", "3.0", &error));
}

/* A thief's 99.0.0, in no signed list since his key was rotated out, bars nobody's way. */
static void what_no_list_names_is_known_to_nobody(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	struct store_release release;
	CLEANUP(jsonio_free) json_t *rows = NULL;
	put(fixture->store, "2.2", 1, "stable", false, NULL);
	put(fixture->store, "3.0", 3, "stable", false, NULL);
	put(fixture->store, "99.0.0", 99, "stable", true, NULL);
	MUST(store_appliance_runs(fixture->store, "box1", "99.0.0", &error));
	assert_int_equal(store_release_path(fixture->store, "vpn", "99.0.0", "3.0", &error), -ERROR_DATA);
	MUST(store_release_unlist(fixture->store, "vpn", "99.0.0", &error));
	MUST(store_release_path(fixture->store, "vpn", "99.0.0", "3.0", &error));
	assert_int_equal(store_release_get(fixture->store, "vpn", "99.0.0", &release, &error), -ERROR_DATA);
	assert_string_equal(error.name, "unknown-release");
	MUST(store_release_list(fixture->store, NULL, &rows, &error));
	assert_int_equal(json_array_size(rows), 2);
	put(fixture->store, "99.0.0", 4, "stable", false, NULL); /* signed again by those who may */
	MUST(store_release_get(fixture->store, "vpn", "99.0.0", &release, &error));
}

static json_t *status(struct store *store, const char *member)
{
	struct error error;
	CLEANUP(jsonio_free) json_t *object = NULL;
	MUST(store_status(store, FIXTURE_NOW, &object, &error));
	return json_incref(json_object_get(object, member));
}

static void who_runs_what_was_withdrawn_is_listed(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	put(fixture->store, "2.2", 1, "stable", false, "it leaks");
	put(fixture->store, "3.0", 3, "stable", false, NULL);
	MUST(store_appliance_runs(fixture->store, "box1", "2.2", &error));
	MUST(store_appliance_runs(fixture->store, "box2", "3.0", &error));
	CLEANUP(jsonio_free) json_t *withdrawn = status(fixture->store, "withdrawn");
	assert_int_equal(json_array_size(withdrawn), 1);
	assert_string_equal(jsonio_string(json_array_get(withdrawn, 0), "appliance"), "box1");
	assert_string_equal(jsonio_string(json_array_get(withdrawn, 0), "reason"), "it leaks");
}

static void a_third_of_a_life_left_is_a_warning(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	const int64_t day = 86400;
	const struct store_lifetime lives[] = {
		{"root", 1, FIXTURE_NOW + 122 * day, 365 * day},
		{"targets", 2, FIXTURE_NOW + 59 * day, 180 * day},
		{"snapshot", 3, FIXTURE_NOW + 30 * day, 90 * day},
		{"timestamp", 4, FIXTURE_NOW - 1, 7 * day},
	};
	for (size_t i = 0; i < ARRAY_SIZE(lives); i++)
		MUST(store_lifetime_put(fixture->store, &lives[i], &error));
	CLEANUP(jsonio_free) json_t *warnings = status(fixture->store, "warnings");
	assert_int_equal(json_array_size(warnings), 2);
	assert_string_equal(jsonio_string(json_array_get(warnings, 0), "what"), "timestamp");
	assert_non_null(strstr(jsonio_string(json_array_get(warnings, 0), "text"), "expired"));
	assert_string_equal(jsonio_string(json_array_get(warnings, 1), "what"), "targets");
	/* Renewed: nothing more to say of it. */
	const struct store_lifetime renewed = {"targets", 3, FIXTURE_NOW + 180 * day, 180 * day};
	MUST(store_lifetime_put(fixture->store, &renewed, &error));
	CLEANUP(jsonio_free) json_t *left = status(fixture->store, "warnings");
	assert_int_equal(json_array_size(left), 1);
}

#define STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE(a_stop_counts_in_whatever_channel),
		STORE(what_no_list_names_is_known_to_nobody),
		STORE(who_runs_what_was_withdrawn_is_listed),
		STORE(a_third_of_a_life_left_is_a_warning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
