/* The client workflow of TUF §5 against a repository that lies. */
#include "fixture.h"

struct state {
	struct repository repository;
	struct trust *trust;
	struct buffer installed;
	char path[64];
	int directory;
};

static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);
	struct error error = {0};

	repository_init(&s->repository);
	publish_all(&s->repository);
	s->directory = make_directory(s->path);
	s->installed = sign_document(s->repository.root, "\1");
	assert_ok(trust_open(s->directory, s->installed.data, s->installed.size, &s->trust, &error));
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct state *s = *state;

	trust_free(&s->trust);
	repository_free(&s->repository);
	buffer_free(&s->installed);
	drop_directory(s->path, s->directory);
	free(s);
	return 0;
}

static int refresh(struct state *s, struct error *error)
{
	s->repository.asked[0] = '\0';
	return trust_refresh(s->trust, repository_source(&s->repository), TRUST_ALL, NOW, error);
}

/* As a later run of the program would start. */
static void reopen(struct state *s)
{
	struct error error = {0};

	trust_free(&s->trust);
	assert_ok(trust_open(s->directory, s->installed.data, s->installed.size, &s->trust, &error));
}

static void assert_versions(const struct state *s, int root, int timestamp, int snapshot, int targets)
{
	assert_int_equal(trust_version(s->trust, ROLE_ROOT), root);
	assert_int_equal(trust_version(s->trust, ROLE_TIMESTAMP), timestamp);
	assert_int_equal(trust_version(s->trust, ROLE_SNAPSHOT), snapshot);
	assert_int_equal(trust_version(s->trust, ROLE_TARGETS), targets);
}

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

static void what_cannot_be_stored_is_not_trusted(void **state)
{
	static const char *const blocked[] = {"timestamp.json/x", "snapshot.json/x", "targets.json/x"};
	struct state *s = *state;
	struct error error = {0};

	assert_ok(refresh(s, &error));
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
		json_int_t before = version_of(s->repository.targets);
		char name[32];

		/* A directory in the way cannot be replaced by a file. */
		snprintf(name, sizeof name, "%.*s", (int)strcspn(blocked[i], "/"), blocked[i]);
		assert_ok(file_remove_tree_at(s->directory, name, &error));
		assert_ok(file_make_directory_at(s->directory, name, 0755, &error));
		assert_ok(file_make_directory_at(s->directory, blocked[i], 0755, &error));
		publish_next(&s->repository);
		assert_int_equal(refresh(s, &error), -ERROR_CANNOT_CREATE);
		assert_true(trust_version(s->trust, (enum role_kind)(i + 1)) <= before);
		assert_ok(file_remove_tree_at(s->directory, name, &error));
		assert_ok(refresh(s, &error));
		assert_int_equal(trust_version(s->trust, ROLE_TARGETS), version_of(s->repository.targets));
	}
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

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
		TEST(what_cannot_be_stored_is_not_trusted),
		TEST(malformed_metadata_is_refused_by_name),
		TEST(root_hash_does_not_change_with_signatures),
	};
	return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
