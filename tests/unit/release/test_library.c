#include "fixture.h"

#include "release/library.h"

#define HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static json_t *targets_of(void)
{
	json_t *targets = json_pack("{s:s, s:s, s:i, s:s, s:{}}", "_type", "targets", "spec_version", "1.0.31",
				    "version", 1, "expires", "2030-01-01T00:00:00Z", "targets");
	assert_non_null(targets);
	json_object_set_new(json_object_get(targets, "targets"), "authority.json",
			    json_pack("{s:i, s:{s:s}}", "length", 10, "hashes", "sha256", HEX));
	return targets;
}

/* Returns the `custom` of the new release, to be changed. */
static json_t *put_release(json_t *targets, const char *version, int sequence)
{
	char path[200];
	json_t *custom = json_pack("{s:s, s:s, s:i, s:s, s:[s], s:s}", "product", "web", "version", version, "sequence",
				   sequence, "published", "2026-11-01", "channels", "stable", "class", "feature");
	snprintf(path, sizeof(path), "web/%s/manifest.json", version);
	json_object_set_new(json_object_get(targets, "targets"), path,
			    json_pack("{s:i, s:{s:s}, s:o}", "length", 100, "hashes", "sha256", HEX, "custom", custom));
	return custom;
}

static void listed(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(jsonio_free) json_t *targets = targets_of();
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	struct library_release release;
	size_t count = 0;

	put_release(targets, "10.0", 2);
	json_t *custom = put_release(targets, "9.0", 1);
	json_object_set_new(custom, "class", json_string("security"));
	json_object_set_new(custom, "yanked", json_pack("{s:s, s:s}", "reason", "broken", "date", "2026-11-02"));
	put_release(targets, "2.0", 3);
	assert_done(library_list(targets, "web", &releases, &count, &error));
	assert_int_equal(count, 3);
	/* By sequence, whatever the versions look like. */
	assert_string_equal(releases[0].version, "9.0");
	assert_string_equal(releases[2].version, "2.0");
	assert_true(releases[0].security && releases[0].yanked);
	assert_string_equal(releases[0].yank_reason, "broken");
	assert_int_equal(releases[0].published, 1793491200);
	free(TAKE(releases));
	assert_done(library_list(targets, "other", &releases, &count, &error));
	assert_int_equal(count, 0);
	assert_done(library_find(targets, "web", "10.0", &release, &error));
	assert_int_equal(release.sequence, 2);
	assert_refused(library_find(targets, "web", "1.0", &release, &error), "unknown-release");
	assert_refused(library_find(targets, "web", "../x", &release, &error), "unknown-release");
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *field, *value;
	} cases[] = {
		{"product", "\"other\""},
		{"version", "\"1.1\""},
		{"version", "\"a/b\""},
		{"sequence", "-1"},
		{"sequence", "\"1\""},
		{"published", "\"yesterday\""},
		{"published", "\"2026-13-01\""},
		{"channels", "[1]"},
		{"channels", "[\"a/b\"]"},
		{"class", "\"urgent\""},
		{"yanked", "{}"},
		{"yanked", "true"},
		{"stop", "1"},
	};
	struct error error;
	struct library_release release;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(jsonio_free) json_t *targets = targets_of();
		json_t *custom = put_release(targets, "1.0", 1);
		json_object_set_new(custom, cases[i].field, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		if (library_find(targets, "web", "1.0", &release, &error) == 0)
			fail_msg("%s = %s was accepted", cases[i].field, cases[i].value);
		assert_int_equal(error.code, ERROR_DATA);
	}
	CLEANUP(jsonio_free) json_t *targets = targets_of();
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	size_t count = 0;
	put_release(targets, "1.0", 1);
	put_release(targets, "1.1", 1);
	assert_refused(library_list(targets, "web", &releases, &count, &error), "library");
}

static void paths(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(jsonio_free) json_t *targets = targets_of();
	put_release(targets, "2.1", 1);
	put_release(targets, "2.2", 2);
	json_t *stop = put_release(targets, "2.3", 3);
	json_object_set_new(stop, "stop", json_true());
	json_object_set_new(stop, "channels", json_pack("[s]", "beta"));
	json_t *major = put_release(targets, "3.0", 4);
	json_object_set_new(major, "min_from", json_string("2.2"));
	json_t *yanked = put_release(targets, "3.1", 5);
	json_object_set_new(yanked, "yanked", json_pack("{s:s, s:s}", "reason", "breaks logins", "date", "2026-11-02"));

	assert_done(library_path_allows(targets, "web", "2.1", "2.2", &error));
	assert_done(library_path_allows(targets, "web", "2.2", "2.3", &error));
	assert_done(library_path_allows(targets, "web", "2.3", "3.0", &error));
	assert_done(library_path_allows(targets, "web", "3.0", "3.0", &error));
	assert_refused(library_path_allows(targets, "web", "2.2", "2.1", &error), "older");
	/* The stop counts whatever its channel; the sentence says where to go first. */
	assert_refused(library_path_allows(targets, "web", "2.2", "3.0", &error), "stop");
	assert_non_null(strstr(error.text, "go to 2.3 first"));
	assert_refused(library_path_allows(targets, "web", "2.1", "3.0", &error), "min-from");
	assert_non_null(strstr(error.text, "go to 2.2 first"));
	assert_refused(library_path_allows(targets, "web", "3.0", "3.1", &error), "yanked");
	assert_non_null(strstr(error.text, "breaks logins"));
	assert_refused(library_path_allows(targets, "web", "2.1", "9", &error), "unknown-release");
	assert_refused(library_path_allows(targets, "web", "0.1", "2.1", &error), "unknown-release");
	/* A withdrawn stop stops nobody. */
	json_object_set_new(stop, "yanked", json_pack("{s:s, s:s}", "reason", "x", "date", "2026-11-02"));
	assert_done(library_path_allows(targets, "web", "2.2", "3.0", &error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(listed), cmocka_unit_test(refused),
					   cmocka_unit_test(paths)};
	return cmocka_run_group_tests_name("library", tests, fixture_start, fixture_end);
}
