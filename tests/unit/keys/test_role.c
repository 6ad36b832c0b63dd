/* What every metadata file must say, and what of it is believed. */
#include "fixture.h"
#include "keys/delegation.h"
#include "keys/pattern.h"

static void head_is_checked(void **state UNUSED)
{
	static const struct {
		const char *field, *value; /* JSON; NULL: taken out */
		bool good;
	} rows[] = {
		{"_type", "\"targets\"", false},
		{"_type", NULL, false},
		{"_type", "1", false},
		{"spec_version", "\"1.0.0\"", true},
		{"spec_version", "\"1.0\"", true},
		{"spec_version", "\"1.99.4\"", true},
		{"spec_version", "\"2.0.0\"", false},
		{"spec_version", "\"10.0.0\"", false},
		{"spec_version", "\"1\"", false},
		{"spec_version", "\"1.\"", false},
		{"spec_version", "\"1.0.0.0\"", false},
		{"spec_version", "\"1.0.x\"", false},
		{"spec_version", NULL, false},
		{"version", "0", false},
		{"version", "-1", false},
		{"version", "\"1\"", false},
		{"version", "true", false},
		{"version", "9223372036854775807", true},
		{"expires", "\"2030-01-01T00:00:00\"", false},
		{"expires", "\"2030-01-01T00:00:00+00:00\"", false},
		{"expires", "\"2030-13-01T00:00:00Z\"", false},
		{"expires", "\"2030-01-01\"", false},
		{"expires", "1893456000", false},
		{"later", "{\"unknown\":[1]}", true},
	};
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(jsonio_free) json_t *document = head("root", 1);
		struct role_head read = {.version = -5};

		if (rows[i].value)
			json_object_set_new(document, rows[i].field, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(document, rows[i].field);
		if (rows[i].good) {
			assert_ok(role_head(document, ROLE_ROOT, "root", &read, &error));
			assert_int_equal(read.expires, 1893456000);
		} else {
			assert_malformed(role_head(document, ROLE_ROOT, "root", &read, &error));
			assert_int_equal(read.version, -5);
		}
	}
}

static json_t *good_root(void)
{
	struct repository repository;
	json_t *root;

	repository_init(&repository);
	root = json_incref(repository.root);
	repository_free(&repository);
	return root;
}

static void root_needs_keys_for_four_roles(void **state UNUSED)
{
	struct error error = {0};

	for (int kind = 0; kind < ROLE_KINDS; kind++) {
		CLEANUP(jsonio_free) json_t *document = good_root();
		CLEANUP(role_root_free) struct role_root *root = NULL;
		json_t *roles = json_object_get(document, "roles");

		assert_ok(role_root_read(document, &root, &error));
		assert_true(root->consistent_snapshot);
		assert_int_equal(root->roles[kind].count, 1);
		role_root_free(&root);
		json_object_set_new(json_object_get(roles, role_names[kind]), "threshold", json_integer(0));
		assert_malformed(role_root_read(document, &root, &error));
		json_object_set_new(json_object_get(roles, role_names[kind]), "threshold", json_integer(-1));
		assert_malformed(role_root_read(document, &root, &error));
		json_object_del(roles, role_names[kind]);
		assert_malformed(role_root_read(document, &root, &error));
		assert_null(root);
	}
}

static void unknown_keys_are_kept_and_never_count(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = good_root();
	CLEANUP(role_root_free) struct role_root *root = NULL;
	json_t *roles = json_object_get(document, "roles"), *keys = json_object_get(document, "keys");
	struct error error = {0};

	json_object_set_new(
		keys, "any text is an id",
		json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ml-dsa", "scheme", "ml-dsa-65", "keyval", "public", "x"));
	json_object_set_new(
		keys, "damaged",
		json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ed25519", "scheme", "ed25519", "keyval", "public", "abc"));
	json_array_append_new(json_object_get(json_object_get(roles, "root"), "keyids"),
			      json_string("any text is an id"));
	json_array_append_new(json_object_get(json_object_get(roles, "root"), "keyids"), json_string("damaged"));
	json_array_append_new(json_object_get(json_object_get(roles, "root"), "keyids"), json_string("nobody's"));
	json_object_set_new(roles, "mirrors", json_pack("{s:[], s:i}", "keyids", "threshold", 1));
	assert_ok(role_root_read(document, &root, &error));
	assert_int_equal(root->roles[ROLE_ROOT].count, 3);
	assert_int_equal(key_scheme(root->roles[ROLE_ROOT].keys[1]), KEY_UNKNOWN);
	assert_string_equal(key_id(root->roles[ROLE_ROOT].keys[1]), "any text is an id");
	assert_false(key_verify(root->roles[ROLE_ROOT].keys[1], "", 0, (const uint8_t[64]){0}, 64));
	assert_int_equal(key_scheme(root->roles[ROLE_ROOT].keys[2]), KEY_UNKNOWN);
}

static void id_twice_in_a_role_counts_once(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = good_root();
	CLEANUP(role_root_free) struct role_root *root = NULL;
	json_t *ids = json_object_get(json_object_get(json_object_get(document, "roles"), "root"), "keyids");
	struct error error = {0};

	json_array_append(ids, json_array_get(ids, 0));
	assert_ok(role_root_read(document, &root, &error));
	assert_int_equal(root->roles[ROLE_ROOT].count, 1);
}

static void lines_are_checked_all(void **state UNUSED)
{
	static const char *const metas[] = {
		"{}",
		"{\"other.json\":{\"version\":1}}",
		"{\"targets.json\":{\"version\":0}}",
		"{\"targets.json\":{}}",
		"{\"targets.json\":{\"version\":1,\"length\":0}}",
		"{\"targets.json\":{\"version\":1,\"length\":-1}}",
		"{\"targets.json\":{\"version\":1,\"hashes\":{}}}",
		"{\"targets.json\":{\"version\":1,\"hashes\":{\"sha256\":\"00\"}}}",
		"{\"targets.json\":{\"version\":1,\"hashes\":{\"sha512\":\"00\"}}}",
		"{\"targets.json\":{\"version\":1,\"hashes\":{\"md5\":\"d41d8cd98f00b204e9800998ecf8427e\"}}}",
		"{\"targets.json\":{\"version\":1},\"targets.txt\":{\"version\":1}}",
		"{\"targets.json\":{\"version\":1},\"a.json\":1}",
	};
	static const char *const targets[] = {
		"[]",
		"{\"a\":{}}",
		"{\"a\":{\"length\":1}}",
		"{\"a\":{\"length\":-1,\"hashes\":{\"sha256\":\"00\"}}}",
		"{\"a\":{\"length\":1,\"hashes\":{\"sha256\":\"zz\"}}}",
		"{\"\":{\"length\":1,\"hashes\":"
		"{\"sha256\":\"ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73\"}}}",
		"{\"a\":{\"length\":1,\"custom\":1,\"hashes\":"
		"{\"sha256\":\"ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73\"}}}",
	};
	struct role_head read;
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(metas); i++) {
		CLEANUP(jsonio_free) json_t *document = head("snapshot", 1);

		json_object_set_new(document, "meta", json_loads(metas[i], 0, NULL));
		assert_malformed(role_check(document, ROLE_SNAPSHOT, "snapshot", &read, &error));
	}
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		CLEANUP(jsonio_free) json_t *document = head("targets", 1);

		json_object_set_new(document, "targets", json_loads(targets[i], 0, NULL));
		assert_malformed(role_check(document, ROLE_TARGETS, "targets", &read, &error));
	}
}

/* FIPS 180-4's examples of "abc". */
#define ABC_SHA256 "\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""
#define ABC_SHA512                                                                                                     \
	"\"sha512\":\"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                                \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f\""
#define ABD_SHA512                                                                                                     \
	"\"sha512\":\"daaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                                \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f\""
#define UNKNOWN_HASH "\"blake9\":[1]"

static void every_known_hash_must_hold(void **state UNUSED)
{
	static const struct {
		const char *hashes, *bytes, *rule;
	} rows[] = {
		{"{" ABC_SHA256 "}", "abc", NULL},
		{"{" ABC_SHA512 "}", "abc", NULL},
		{"{" ABC_SHA256 "," ABC_SHA512 "," UNKNOWN_HASH "}", "abc", NULL},
		{"{" ABC_SHA256 "}", "abd", "hash"},
		{"{" ABC_SHA512 "}", "abd", "hash"},
		{"{" ABC_SHA256 "," ABD_SHA512 "}", "abc", "hash"},
		{"{" ABC_SHA512 "}", "abcd", "length"},
		{"{" ABC_SHA512 "}", "", "length"},
		{"{" UNKNOWN_HASH "}", "abc", "hash"},
		{"{}", "abc", "hash"},
	};
	struct role_target target;
	struct error error = {0};
	bool named;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(jsonio_free)
		json_t *document = json_pack("{s:{s:{s:i, s:o}}}", "targets", "a", "length", 3, "hashes",
					     json_loads(rows[i].hashes, 0, NULL));

		assert_ok(role_target_read(document, "a", &target, &named, &error));
		assert_true(named);
		assert_int_equal(target.lacks_sha256, !strstr(rows[i].hashes, "sha256"));
		if (rows[i].rule)
			assert_refused(role_target_check(&target, "a", rows[i].bytes, strlen(rows[i].bytes), &error),
				       ERROR_DATA, rows[i].rule);
		else
			assert_ok(role_target_check(&target, "a", rows[i].bytes, strlen(rows[i].bytes), &error));
	}
}

static void a_line_states_as_much_as_it_states(void **state UNUSED)
{
	static const struct {
		const char *line, *rule;
	} rows[] = {
		{"{\"version\":1}", NULL},
		{"{\"version\":1,\"length\":3}", NULL},
		{"{\"version\":1,\"length\":4}", "length"},
		{"{\"version\":1,\"hashes\":{" ABC_SHA512 "," UNKNOWN_HASH "}}", NULL},
		{"{\"version\":1,\"hashes\":{" ABC_SHA256 "," ABD_SHA512 "}}", "hash"},
	};
	struct role_meta meta;
	struct error error = {0};
	bool named;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(jsonio_free)
		json_t *document = json_pack("{s:{s:o}}", "meta", "a.json", json_loads(rows[i].line, 0, NULL));

		assert_ok(role_meta_read(document, "a.json", &meta, &named, &error));
		assert_true(named);
		if (rows[i].rule)
			assert_refused(role_meta_check(&meta, "a.json", "abc", 3, &error), ERROR_DATA, rows[i].rule);
		else
			assert_ok(role_meta_check(&meta, "a.json", "abc", 3, &error));
	}
}

static void delegations_are_checked_all(void **state UNUSED)
{
	static const struct {
		const char *roles;
		bool good;
	} rows[] = {
		{"[]", true},
		{"[{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"terminating\":false,\"paths\":[\"*\"]}]", true},
		{"[{\"name\":\"a/../b\",\"keyids\":[],\"threshold\":1,\"paths\":[\"*\"]}]", true},
		{"[{\"name\":\"\",\"keyids\":[],\"threshold\":1,\"paths\":[]}]", false},
		{"[{\"name\":\"root\",\"keyids\":[],\"threshold\":1,\"paths\":[]}]", false},
		{"[{\"name\":\"targets\",\"keyids\":[],\"threshold\":1,\"paths\":[]}]", false},
		{"[{\"name\":\"a\",\"keyids\":[],\"threshold\":0,\"paths\":[]}]", false},
		{"[{\"name\":\"a\",\"keyids\":[1],\"threshold\":1,\"paths\":[]}]", false},
		{"[{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"paths\":[1]}]", false},
		{"[{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"paths\":[],\"path_hash_prefixes\":[]}]", false},
		{"[{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"paths\":[]},"
		 "{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"paths\":[]}]",
		 false},
		{"[1]", false},
		{"{}", false},
	};
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(jsonio_free)
		json_t *document = json_pack("{s:{s:{}, s:o}}", "delegations", "keys", "roles",
					     json_loads(rows[i].roles, 0, NULL));

		if (rows[i].good)
			assert_ok(delegation_check(document, "targets", &error));
		else
			assert_malformed(delegation_check(document, "targets", &error));
	}
}

static void role_names_never_become_paths(void **state UNUSED)
{
	static const char *const rows[][2] = {
		{"plain-Name_1.0~", "plain-Name_1.0~.json"},
		{"a/b", "a%2Fb.json"},
		{"../../root", "..%2F..%2Froot.json"},
		{"a b%2f?", "a%20b%252f%3F.json"},
		{"\xc3\xbc", "%C3%BC.json"},
		{".", "..json"},
	};
	char file[DELEGATION_FILE_MOST], longest[300];
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_ok(delegation_file(rows[i][0], file, &error));
		assert_string_equal(file, rows[i][1]);
	}
	memset(longest, '/', sizeof longest);
	longest[80] = '\0';
	assert_ok(delegation_file(longest, file, &error));
	longest[80] = '/';
	longest[90] = '\0';
	assert_malformed(delegation_file(longest, file, &error));
}

static void wildcards_never_cross_a_slash(void **state UNUSED)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} rows[] = {
		{"targets/*.tgz", "targets/foo.tgz", true},
		{"targets/*.tgz", "targets/foo.txt", false},
		{"targets/*.tgz", "targets/dir/foo.tgz", false},
		{"foo-version-?.tgz", "foo-version-a.tgz", true},
		{"foo-version-?.tgz", "foo-version-alpha.tgz", false},
		{"*.tgz", "targets/foo.tgz", false},
		{"foo.tgz", "foo.tgz", true},
		{"foo.tgz", "foo.tgz/", false},
		{"*", "", true},
		{"*", "a/b", false},
		{"*/*", "a/b", true},
		{"*/*", "a/b/c", false},
		{"a?c", "a/c", false},
		{"a?c",
		 "a\xc3\xbc"
		 "c",
		 true},
		{"a*b*c*d", "aXbYcZd", true},
		{"a*b*c*d", "aXbYcZ", false},
		{"*a", "aaaa", true},
		{"**", "anything", true},
		{"?*", "", false},
		{"", "", true},
		{"", "a", false},
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"[!a-c]x", "dx", true},
		{"[]]x", "]x", true},
		{"[ab", "[ab", true},
		{"A", "a", false},
		{".*", ".hidden", true},
		{"*.json", ".json", true},
		{"\\*", "*", false},
	};
	char pattern[201], path[5001];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (pattern_matches(rows[i].pattern, rows[i].path) != rows[i].matches)
			fail_msg("%s against %s", rows[i].pattern, rows[i].path);
	/* A hundred stars cost no more than the product of the lengths. */
	for (int i = 0; i < 200; i++)
		pattern[i] = "*a"[i % 2];
	pattern[199] = 'b';
	pattern[200] = '\0';
	memset(path, 'a', 5000);
	path[5000] = '\0';
	assert_false(pattern_matches(pattern, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_is_checked),
		cmocka_unit_test(root_needs_keys_for_four_roles),
		cmocka_unit_test(unknown_keys_are_kept_and_never_count),
		cmocka_unit_test(id_twice_in_a_role_counts_once),
		cmocka_unit_test(lines_are_checked_all),
		cmocka_unit_test(every_known_hash_must_hold),
		cmocka_unit_test(a_line_states_as_much_as_it_states),
		cmocka_unit_test(delegations_are_checked_all),
		cmocka_unit_test(role_names_never_become_paths),
		cmocka_unit_test(wildcards_never_cross_a_slash),
	};
	return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
