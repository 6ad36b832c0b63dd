/* The client workflow of TUF §5 against a repository that lies. */
#include "trust_fixture.h"

static void assert_stored(struct state *s, const char *file, const char *original)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	const struct buffer *published = repository_file(&s->repository, original);
	struct error error = {0};

	assert_ok(file_read_at(s->directory, file, &bytes, &error));
	assert_int_equal(bytes.size, published->size);
	assert_memory_equal(bytes.data, published->data, bytes.size);
}

static void first_refresh_stores_the_files_as_they_came(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_versions(s, 1, 0, 0, 0);
	assert_null(trust_targets(s->trust));
	assert_ok(refresh(s, &error));
	assert_versions(s, 1, 1, 1, 1);
	assert_string_equal(
		s->repository.asked,
		"metadata/2.root.json metadata/timestamp.json metadata/1.snapshot.json metadata/1.targets.json ");
	assert_stored(s, "timestamp.json", "metadata/timestamp.json");
	assert_stored(s, "snapshot.json", "metadata/1.snapshot.json");
	assert_stored(s, "targets.json", "metadata/1.targets.json");
	assert_int_equal(trust_expires(s->trust, ROLE_SNAPSHOT), 1893456000);
}

static void same_timestamp_asks_for_nothing_more(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	reopen(s);
	assert_ok(refresh(s, &error));
	assert_string_equal(s->repository.asked, "metadata/2.root.json metadata/timestamp.json ");
	assert_versions(s, 1, 1, 1, 1);
}

static void new_timestamp_of_the_same_snapshot_keeps_the_snapshot(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	set_version(s->repository.timestamp, 2);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	assert_string_equal(s->repository.asked, "metadata/2.root.json metadata/timestamp.json ");
	assert_versions(s, 1, 2, 1, 1);
}

static void installed_root_must_sign_itself(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct trust *trust = NULL;
	CLEANUP(buffer_free) struct buffer other = sign_document(s->repository.root, "\2");

	assert_refused(trust_open(s->directory, other.data, other.size, &trust, &error), ERROR_DATA, "signature");
	assert_null(trust);
}

static void roots_are_followed_one_by_one(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 2);
	set_role(&s->repository, "root", "\5\6", 2);
	s->repository.signers[ROLE_ROOT] = "\1\5\6";
	publish_root(&s->repository);
	set_version(s->repository.root, 3);
	s->repository.signers[ROLE_ROOT] = "\5\6";
	publish_root(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 3, 1, 1, 1);
	assert_stored(s, "root.json", "metadata/3.root.json");
	reopen(s);
	assert_versions(s, 3, 0, 0, 0);
	assert_ok(refresh(s, &error));
	assert_string_equal(s->repository.asked, "metadata/4.root.json metadata/timestamp.json ");
}

static void root_without_the_old_threshold_is_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 2);
	set_role(&s->repository, "root", "\5", 1);
	s->repository.signers[ROLE_ROOT] = "\5";
	publish_root(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "signature");
	assert_versions(s, 1, 0, 0, 0);
}

/* CVE-2020-15163. */
static void root_without_its_own_threshold_is_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 2);
	set_role(&s->repository, "root", "\5", 1);
	s->repository.signers[ROLE_ROOT] = "\1";
	publish_root(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "signature");
	assert_versions(s, 1, 0, 0, 0);
	reopen(s);
	assert_versions(s, 1, 0, 0, 0);
}

/* CVE-2025-2885. */
static void root_that_skips_a_version_is_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 3);
	repository_put(&s->repository, "metadata/2.root.json", sign_document(s->repository.root, "\1"));
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	set_version(s->repository.root, 1);
	repository_put(&s->repository, "metadata/2.root.json", sign_document(s->repository.root, "\1"));
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	assert_versions(s, 1, 0, 0, 0);
}

static void only_the_last_root_must_be_fresh(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.root, 2);
	expire(s->repository.root);
	publish_root(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "freeze");
	assert_versions(s, 2, 0, 0, 0);
	set_version(s->repository.root, 3);
	json_object_set_new(s->repository.root, "expires", json_string(FUTURE));
	publish_root(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 3, 1, 1, 1);
}

static void planted_root_json_is_no_anchor(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer planted = {0};

	set_version(s->repository.root, 2);
	set_role(&s->repository, "root", "\7", 1);
	planted = sign_document(s->repository.root, "\7");
	assert_ok(file_replace_at(s->directory, "root.json", planted.data, planted.size, 0644, &error));
	assert_ok(file_make_directory_at(s->directory, "root_history", 0755, &error));
	assert_ok(file_replace_at(s->directory, "root_history/2.root.json", planted.data, planted.size, 0644, &error));
	reopen(s);
	assert_versions(s, 1, 0, 0, 0);
}

static void wrong_signers_are_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	for (int kind = ROLE_TIMESTAMP; kind < ROLE_KINDS; kind++) {
		const char *before = s->repository.signers[kind];

		s->repository.signers[kind] = "\1\6";
		publish_next(&s->repository);
		assert_refused(refresh(s, &error), ERROR_DATA, "signature");
		assert_int_equal(trust_version(s->trust, (enum role_kind)kind), 0);
		s->repository.signers[kind] = before;
	}
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
}

static void timestamp_may_not_go_back(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.timestamp, 5);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	set_version(s->repository.timestamp, 4);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	reopen(s);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	assert_int_equal(trust_version(s->trust, ROLE_TIMESTAMP), 5);
}

static void timestamp_may_not_take_the_snapshot_back(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	set_version(s->repository.snapshot, 3);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
	set_version(s->repository.snapshot, 2);
	set_version(s->repository.timestamp, 2);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	assert_versions(s, 1, 1, 3, 1);
}

static void snapshot_may_not_lower_or_drop_a_targets_file(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	json_t *meta = json_object_get(s->repository.snapshot, "meta");

	json_object_set_new(meta, "extra.json", json_pack("{s:i}", "version", 4));
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));

	json_object_set_new(meta, "extra.json", json_pack("{s:i}", "version", 3));
	publish_next(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	json_object_del(meta, "extra.json");
	publish_next(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "version");
	assert_int_equal(trust_version(s->trust, ROLE_SNAPSHOT), 1);

	json_object_set_new(meta, "extra.json", json_pack("{s:i}", "version", 4));
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
}

static void expired_files_are_a_freeze(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	json_t *const parts[] = {s->repository.timestamp, s->repository.snapshot, s->repository.targets};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		json_object_set_new(parts[i], "expires", json_string(PAST));
		publish_next(&s->repository);
		assert_refused(refresh(s, &error), ERROR_DATA, "freeze");
		json_object_set_new(parts[i], "expires", json_string(FUTURE));
	}
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	/* At the very second of expiry it is over. */
	assert_refused(trust_refresh(s->trust, repository_source(&s->repository), TRUST_ALL, 1893456000, &error),
		       ERROR_DATA, "freeze");
	assert_ok(trust_refresh(s->trust, repository_source(&s->repository), TRUST_ALL, 1893455999, &error));
}

/* CVE-2025-2888: what was refused is not kept, so the next good one is taken. */
static void expired_timestamp_is_not_kept(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	set_version(s->repository.timestamp, 9);
	expire(s->repository.timestamp);
	publish_timestamp(&s->repository);
	assert_refused(refresh(s, &error), ERROR_DATA, "freeze");
	assert_versions(s, 1, 1, 1, 1);
	set_version(s->repository.timestamp, 2);
	json_object_set_new(s->repository.timestamp, "expires", json_string(FUTURE));
	publish_timestamp(&s->repository);
	assert_ok(refresh(s, &error));
}

static void mixed_and_swapped_files_are_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct buffer *snapshot, older = {0};

	/* Another validly signed snapshot under the name that the timestamp states: hash. */
	json_object_set_new(json_object_get(s->repository.snapshot, "meta"), "other.json",
			    json_pack("{s:i}", "version", 1));
	snapshot = repository_file(&s->repository, "metadata/1.snapshot.json");
	buffer_free(snapshot);
	*snapshot = sign_document(s->repository.snapshot, "\3");
	assert_refused(refresh(s, &error), ERROR_DATA, "length");

	/* Without stated hash and length the version must still be the stated one. */
	json_object_set_new(s->repository.timestamp, "meta", json_pack("{s:{s:i}}", "snapshot.json", "version", 2));
	set_version(s->repository.timestamp, 2);
	publish_timestamp(&s->repository);
	assert_ok(buffer_append(&older, snapshot->data, snapshot->size, &error));
	repository_put(&s->repository, "metadata/2.snapshot.json", older);
	assert_refused(refresh(s, &error), ERROR_DATA, "mix");
	assert_int_equal(trust_version(s->trust, ROLE_SNAPSHOT), 0);
}

static void targets_of_another_hash_or_version_are_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct buffer *targets = repository_file(&s->repository, "metadata/1.targets.json");

	targets->data[targets->size - 3] ^= 1;
	assert_refused(refresh(s, &error), ERROR_DATA, "hash");
	json_object_set_new(json_object_get(s->repository.snapshot, "meta"), "targets.json",
			    json_pack("{s:i}", "version", 2));
	set_version(s->repository.snapshot, 2);
	set_version(s->repository.timestamp, 2);
	publish_snapshot(&s->repository);
	publish_timestamp(&s->repository);
	repository_put(&s->repository, "metadata/2.targets.json", sign_document(s->repository.targets, "\4"));
	assert_refused(refresh(s, &error), ERROR_DATA, "mix");
	assert_null(trust_targets(s->trust));
}

static void endless_data_is_cut_off(void **state)
{
	static const struct {
		const char *name;
		size_t size;
	} files[] = {{"metadata/2.root.json", ROLE_ROOT_MOST}, {"metadata/timestamp.json", ROLE_TIMESTAMP_MOST}};
	struct state *s = *state;
	struct error error = {0};
	struct buffer *snapshot;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct buffer bytes = {0};
		uint8_t *room;

		assert_ok(buffer_reserve(&bytes, files[i].size + 1, &room, &error));
		memset(room, ' ', files[i].size + 1);
		buffer_commit(&bytes, files[i].size + 1);
		repository_put(&s->repository, files[i].name, bytes);
		assert_refused(refresh(s, &error), ERROR_DATA, "length");
		repository_remove(&s->repository, files[i].name);
	}
	publish_timestamp(&s->repository);
	/* One byte more than the timestamp states is never read. */
	snapshot = repository_file(&s->repository, "metadata/1.snapshot.json");
	assert_ok(buffer_append(snapshot, "\n", 1, &error));
	assert_refused(refresh(s, &error), ERROR_DATA, "length");
}

/* A source that ignores its bound gains nothing. */
static int fetch_without_bound(void *context, const char *name, size_t most, struct buffer *ret_bytes,
			       struct error *error)
{
	(void)most;
	return repository_fetch(context, name, SIZE_MAX, ret_bytes, error);
}

static void source_that_ignores_its_bound_is_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct trust_source source = {.fetch = fetch_without_bound, .context = &s->repository};

	assert_ok(buffer_append(repository_file(&s->repository, "metadata/1.snapshot.json"), "\n", 1, &error));
	assert_refused(trust_refresh(s->trust, source, TRUST_ALL, NOW, &error), ERROR_DATA, "length");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_refresh_stores_the_files_as_they_came),
		TEST(same_timestamp_asks_for_nothing_more),
		TEST(new_timestamp_of_the_same_snapshot_keeps_the_snapshot),
		TEST(installed_root_must_sign_itself),
		TEST(roots_are_followed_one_by_one),
		TEST(root_without_the_old_threshold_is_refused),
		TEST(root_without_its_own_threshold_is_refused),
		TEST(root_that_skips_a_version_is_refused),
		TEST(only_the_last_root_must_be_fresh),
		TEST(planted_root_json_is_no_anchor),
		TEST(wrong_signers_are_refused),
		TEST(timestamp_may_not_go_back),
		TEST(timestamp_may_not_take_the_snapshot_back),
		TEST(snapshot_may_not_lower_or_drop_a_targets_file),
		TEST(expired_files_are_a_freeze),
		TEST(expired_timestamp_is_not_kept),
		TEST(mixed_and_swapped_files_are_refused),
		TEST(targets_of_another_hash_or_version_are_refused),
		TEST(endless_data_is_cut_off),
		TEST(source_that_ignores_its_bound_is_refused),
	};
	return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
