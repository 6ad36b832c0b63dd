/* What a client keeps, loads, recovers from and fetches beyond one refresh. */
#include "trust_fixture.h"

static void last_valid_set_survives_every_failure(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	add_target(&s->repository, "a.json", "A");
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	set_version(s->repository.targets, 3);
	set_version(s->repository.snapshot, 3);
	set_version(s->repository.timestamp, 3);
	s->repository.signers[ROLE_TARGETS] = "\6";
	publish_targets(&s->repository);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "signature");
	assert_int_equal(version_of(trust_targets(s->trust)), 2);
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
	assert_int_equal(version_of(trust_targets(s->trust)), 2);
	assert_non_null(json_object_get(json_object_get(trust_targets(s->trust), "targets"), "a.json"));

	s->repository.broken.code = ERROR_UNREACHABLE;
	assert_int_equal(refresh(s, &error), -ERROR_UNREACHABLE);
	assert_int_equal(version_of(trust_targets(s->trust)), 2);

	s->repository.broken.code = ERROR_NONE;
	s->repository.signers[ROLE_TARGETS] = "\4";
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 1, 4, 4, 4);
}

static void stored_files_are_verified_again_on_load(void **state)
{
	static const char *const files[] = {"timestamp.json", "snapshot.json", "targets.json"};
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(buffer_free) struct buffer bytes = {0};
		char *digit;

		assert_ok(file_read_at(s->directory, files[i], &bytes, &error));
		digit = strstr((char *)bytes.data, "\"version\":1");
		assert_non_null(digit);
		while (strstr(digit + 1, "\"version\":1"))
			digit = strstr(digit + 1, "\"version\":1");
		digit[10] = '7';
		assert_ok(file_replace_at(s->directory, files[i], bytes.data, bytes.size, 0644, &error));
		reopen(s);
		if (i == 0)
			assert_ok(trust_load(s->trust, NOW, &error)); /* no timestamp is needed, a false one is none */
		else
			assert_refused(trust_load(s->trust, NOW, &error), ERROR_DATA, "missing");
		assert_int_equal(trust_version(s->trust, (enum role_kind)(i + 1)), 0);
		assert_ok(refresh(s, &error));
	}
}

static void load_says_when_the_set_has_expired(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_refused(trust_load(s->trust, NOW, &error), ERROR_DATA, "missing");
	assert_ok(refresh(s, &error));
	reopen(s);
	assert_refused(trust_load(s->trust, 1893456000, &error), ERROR_DATA, "freeze");
	assert_int_equal(version_of(trust_targets(s->trust)), 1);
}

static void fast_forward_is_cured_by_rotating_keys(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.targets, 1);
	set_version(s->repository.snapshot, 1000000);
	set_version(s->repository.timestamp, 1000000);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 1, 1000000, 1000000, 1);

	set_version(s->repository.snapshot, 2);
	set_version(s->repository.timestamp, 2);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");

	set_version(s->repository.root, 2);
	set_role(&s->repository, "timestamp", "\10", 1);
	publish_root(&s->repository);
	s->repository.signers[ROLE_TIMESTAMP] = "\10";
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 2, 2, 2, 1);
}

static void rotated_snapshot_key_cures_a_fast_forwarded_targets(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	json_object_set_new(json_object_get(s->repository.snapshot, "meta"), "far.json",
			    json_pack("{s:i}", "version", 1000000));
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	json_object_del(json_object_get(s->repository.snapshot, "meta"), "far.json");
	set_version(s->repository.root, 2);
	set_role(&s->repository, "snapshot", "\10", 1);
	publish_root(&s->repository);
	s->repository.signers[ROLE_SNAPSHOT] = "\10";
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 2, 2, 2, 2);
}

/* An added key is no rotation: the numbers that stand go on counting. */
static void added_key_keeps_the_numbers(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.timestamp, 8);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	set_version(s->repository.root, 2);
	set_role(&s->repository, "timestamp", "\2\10", 1);
	publish_root(&s->repository);
	set_version(s->repository.timestamp, 7);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
}

static void without_timestamp_the_newest_snapshot_is_found(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	publish_next(&s->repository);
	publish_next(&s->repository);
	repository_remove(&s->repository, "metadata/timestamp.json");
	assert_ok(trust_refresh(s->trust, repository_source(&s->repository), TRUST_NO_TIMESTAMP, NOW, &error));
	assert_versions(s, 1, 0, 3, 3);
	s->repository.asked[0] = '\0';
	assert_ok(trust_refresh(s->trust, repository_source(&s->repository), TRUST_NO_TIMESTAMP, NOW, &error));
	assert_string_equal(s->repository.asked, "metadata/2.root.json metadata/4.snapshot.json ");
	publish_next(&s->repository);
	assert_ok(trust_refresh(s->trust, repository_source(&s->repository), TRUST_NO_TIMESTAMP, NOW, &error));
	assert_versions(s, 1, 0, 4, 4);
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
	assert_versions(s, 1, 0, 4, 4);
	repository_remove(&s->repository, "metadata/timestamp.json");
	assert_refused(refresh(s, &error), ERROR_DATA, "missing");
}

static void without_timestamp_all_else_is_checked(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct trust_source source = repository_source(&s->repository);

	repository_remove(&s->repository, "metadata/1.snapshot.json");
	assert_refused(trust_refresh(s->trust, source, TRUST_NO_TIMESTAMP, NOW, &error), ERROR_DATA, "missing");
	s->repository.signers[ROLE_SNAPSHOT] = "\6";
	publish_snapshot(&s->repository);
	assert_refused(trust_refresh(s->trust, source, TRUST_NO_TIMESTAMP, NOW, &error), ERROR_DATA, "signature");
	s->repository.signers[ROLE_SNAPSHOT] = "\3";
	expire(s->repository.snapshot);
	publish_snapshot(&s->repository);
	assert_refused(trust_refresh(s->trust, source, TRUST_NO_TIMESTAMP, NOW, &error), ERROR_DATA, "freeze");
}

static void repository_without_consistent_snapshots(void **state)
{
	static const char *const files[][2] = {{"metadata/1.snapshot.json", "metadata/snapshot.json"},
					       {"metadata/1.targets.json", "metadata/targets.json"}};
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 2);
	json_object_set_new(s->repository.root, "consistent_snapshot", json_false());
	publish_root(&s->repository);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct buffer *from = repository_file(&s->repository, files[i][0]), copy = {0};

		assert_ok(buffer_append(&copy, from->data, from->size, &error));
		repository_put(&s->repository, files[i][1], copy);
	}
	assert_ok(refresh(s, &error));
	assert_string_equal(s->repository.asked, "metadata/2.root.json metadata/3.root.json metadata/timestamp.json "
						 "metadata/snapshot.json metadata/targets.json ");
}

static void targets_are_fetched_by_hash_and_checked(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct trust_source source = repository_source(&s->repository);
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct role_target target;
	bool named = true;
	struct buffer *content;

	add_target(&s->repository, "releases/x/manifest.json", "content");
	add_target(&s->repository, "empty", "");
	add_target(&s->repository, "../../etc/passwd", "evil");
	add_target(&s->repository, "/etc/passwd", "evil");
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	assert_ok(trust_target(s->trust, source, "releases/y", NOW, &target, &named, &error));
	assert_false(named);
	assert_ok(trust_target(s->trust, source, "releases/x/manifest.json", NOW, &target, &named, &error));
	assert_true(named);
	assert_string_equal(json_string_value(json_object_get(target.custom, "says")), "content");
	s->repository.asked[0] = '\0';
	assert_ok(trust_fetch_target(s->trust, source, "releases/x/manifest.json", &target, &bytes, &error));
	assert_string_equal(
		s->repository.asked,
		"targets/releases/x/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.manifest.json ");
	assert_string_equal((char *)bytes.data, "content");

	s->repository.asked[strlen(s->repository.asked) - 1] = '\0';
	content = repository_file(&s->repository, s->repository.asked);
	content->data[0] ^= 1;
	assert_refused(trust_fetch_target(s->trust, source, "releases/x/manifest.json", &target, &bytes, &error),
		       ERROR_DATA, "hash");
	buffer_consume(content, 1);
	assert_refused(trust_fetch_target(s->trust, source, "releases/x/manifest.json", &target, &bytes, &error),
		       ERROR_DATA, "length");
	assert_int_equal(bytes.size, 7);

	assert_ok(trust_target(s->trust, source, "empty", NOW, &target, &named, &error));
	assert_ok(trust_fetch_target(s->trust, source, "empty", &target, &bytes, &error));
	assert_int_equal(bytes.size, 7);
	for (int i = 0; i < 2; i++) {
		const char *path = (const char *[]){"../../etc/passwd", "/etc/passwd"}[i];

		assert_ok(trust_target(s->trust, source, path, NOW, &target, &named, &error));
		assert_true(named);
		assert_refused(trust_fetch_target(s->trust, source, path, &target, &bytes, &error), ERROR_DATA, "path");
	}
}

static void folder_is_a_source(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	char path[64];
	int folder = make_directory(path);
	struct trust_source source = trust_source_folder(&folder);
	CLEANUP(buffer_free) struct buffer bytes = {0};

	assert_ok(file_make_directory_at(folder, "metadata", 0755, &error));
	for (size_t i = 0; i < s->repository.file_count; i++)
		assert_ok(file_replace_at(folder, s->repository.files[i].name, s->repository.files[i].bytes.data,
					  s->repository.files[i].bytes.size, 0644, &error));
	assert_ok(trust_refresh(s->trust, source, TRUST_ALL, NOW, &error));
	assert_versions(s, 1, 1, 1, 1);
	assert_refused(source.fetch(source.context, "metadata/timestamp.json", 10, &bytes, &error), ERROR_DATA,
		       "length");
	buffer_free(&bytes);
	assert_refused(source.fetch(source.context, "metadata/9.root.json", 10, &bytes, &error), ERROR_DATA, "missing");
	assert_true(source.fetch(source.context, "../../../etc/passwd", 10000, &bytes, &error) < 0);
	assert_true(source.fetch(source.context, "metadata", 10000, &bytes, &error) < 0);
	assert_int_equal(symlinkat("/etc/passwd", folder, "metadata/2.root.json"), 0);
	assert_true(trust_refresh(s->trust, source, TRUST_ALL, NOW, &error) < 0);
	drop_directory(path, folder);
}

static void what_cannot_be_read_is_not_passed_over(void **state)
{
	static const char *const blocked[] = {"timestamp.json/x", "snapshot.json/x", "targets.json/x"};
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
		json_int_t before = version_of(s->repository.targets);
		char name[32];

		/* A directory in the way: what had been accepted cannot be known. */
		snprintf(name, sizeof name, "%.*s", (int)strcspn(blocked[i], "/"), blocked[i]);
		assert_ok(file_remove_tree_at(s->directory, name, &error));
		assert_ok(file_make_directory_at(s->directory, name, 0755, &error));
		assert_ok(file_make_directory_at(s->directory, blocked[i], 0755, &error));
		publish_next(&s->repository);
		assert_int_equal(refresh(s, &error), -ERROR_DATA);
		assert_string_equal(error.name, "read");
		assert_true(trust_version(s->trust, (enum role_kind)(i + 1)) <= before);
		assert_ok(file_remove_tree_at(s->directory, name, &error));
		assert_ok(refresh(s, &error));
		assert_int_equal(trust_version(s->trust, ROLE_TARGETS), version_of(s->repository.targets));
	}
}

static void assert_newest_root_stored(struct state *s)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	const struct buffer *newest = repository_file(&s->repository, "metadata/2.root.json");
	struct error error = {0};

	assert_ok(file_read_at(s->directory, "root.json", &bytes, &error));
	assert_int_equal(bytes.size, newest->size);
	assert_memory_equal(bytes.data, newest->data, bytes.size);
}

/* The history is cut off: root.json is ahead of it then, and the next refresh brings both to one version. */
static void root_json_never_lags_behind_the_history(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	set_version(s->repository.root, 2);
	publish_root(&s->repository);
	assert_ok(file_create_at(s->directory, "root_history", "", 0, 0644, &error));
	assert_true(refresh(s, &error) < 0);
	assert_newest_root_stored(s);
	assert_ok(file_remove_tree_at(s->directory, "root_history", &error));
	reopen(s);
	assert_int_equal(trust_version(s->trust, ROLE_ROOT), 2);
	assert_ok(refresh(s, &error));
	assert_versions(s, 2, 1, 1, 1);
	assert_newest_root_stored(s);
	assert_ok(file_remove_tree_at(s->directory, "root.json", &error));
	reopen(s);
	assert_int_equal(trust_version(s->trust, ROLE_ROOT), 2);
}

/* Where another root had been taken and its turn was cut short, nothing of the old keys' is taken any more: neither
 * what lies here nor what is offered. */
static void interrupted_turn_goes_on(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	CLEANUP(buffer_free) struct buffer root = {0};
	set_version(s->repository.root, 2);
	set_role(&s->repository, "timestamp", "\2\6", 1);
	publish_root(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 2, 2, 2, 2);
	/* Only now is a key taken out, so that the signature of the other one would hold. */
	set_version(s->repository.root, 3);
	set_role(&s->repository, "timestamp", "\2\7", 1);
	root = sign_document(s->repository.root, "\1");
	assert_ok(file_replace_at(s->directory, "root.json", root.data, root.size, 0644, &error));
	reopen(s);
	assert_int_equal(trust_version(s->trust, ROLE_ROOT), 3);
	assert_refused(trust_load(s->trust, NOW, &error), ERROR_DATA, "missing");
	/* The support centre holds it back. */
	s->repository.signers[ROLE_TIMESTAMP] = "\6";
	publish_next(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "signature");
	s->repository.signers[ROLE_TIMESTAMP] = "\7";
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 3, 3, 3, 3);
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
}

static void malformed_metadata_is_refused_by_name(void **state)
{
	static const char *const texts[] = {"",
					    "{",
					    "[]",
					    "null",
					    "{\"signed\":{},\"signatures\":[]}",
					    "{\"signed\":[],\"signatures\":[]}",
					    "{\"signed\":{},\"signatures\":{}}",
					    "{\"signed\":{\"_type\":\"timestamp\"},\"signatures\":[null]}"};
	struct state *s = *state;
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buffer bytes = {0};

		assert_ok(buffer_append_string(&bytes, texts[i], &error));
		repository_put(&s->repository, "metadata/timestamp.json", bytes);
		assert_int_equal(refresh(s, &error), -ERROR_DATA);
		assert_versions(s, 1, 0, 0, 0);
	}
}

static void root_hash_does_not_change_with_signatures(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer more = sign_document(s->repository.root, "\1\5");
	uint8_t a[HASH_SIZE], b[HASH_SIZE];

	trust_root_hash(s->installed.data, s->installed.size, a);
	trust_root_hash(more.data, more.size, b);
	assert_memory_equal(a, b, HASH_SIZE);
	set_version(s->repository.root, 2);
	buffer_free(&more);
	more = sign_document(s->repository.root, "\1");
	trust_root_hash(more.data, more.size, b);
	assert_memory_not_equal(a, b, HASH_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(last_valid_set_survives_every_failure),
		TEST(stored_files_are_verified_again_on_load),
		TEST(load_says_when_the_set_has_expired),
		TEST(fast_forward_is_cured_by_rotating_keys),
		TEST(rotated_snapshot_key_cures_a_fast_forwarded_targets),
		TEST(added_key_keeps_the_numbers),
		TEST(without_timestamp_the_newest_snapshot_is_found),
		TEST(without_timestamp_all_else_is_checked),
		TEST(repository_without_consistent_snapshots),
		TEST(targets_are_fetched_by_hash_and_checked),
		TEST(folder_is_a_source),
		TEST(what_cannot_be_read_is_not_passed_over),
		TEST(root_json_never_lags_behind_the_history),
		TEST(interrupted_turn_goes_on),
		TEST(malformed_metadata_is_refused_by_name),
		TEST(root_hash_does_not_change_with_signatures),
	};
	return cmocka_run_group_tests_name("trust_store", tests, NULL, NULL);
}
