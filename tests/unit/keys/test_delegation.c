/* The search of TUF §5.6.7 through delegated roles. */
#include "fixture.h"

struct state {
	struct repository repository;
	struct trust *trust;
	char path[64];
	int directory;
};

static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);
	CLEANUP(buffer_free) struct buffer installed = {0};
	struct error error = {0};

	repository_init(&s->repository);
	s->directory = make_directory(s->path);
	installed = sign_document(s->repository.root, "\1");
	assert_ok(trust_open(s->directory, installed.data, installed.size, &s->trust, &error));
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct state *s = *state;

	trust_free(&s->trust);
	repository_free(&s->repository);
	drop_directory(s->path, s->directory);
	free(s);
	return 0;
}

/* `from` (a targets document) delegates the pattern to `name`, whose key is `number`. */
static void delegate(json_t *from, const char *name, char number, const char *pattern, bool terminating)
{
	json_t *delegations = json_object_get(from, "delegations"), *role;

	if (!delegations) {
		delegations = json_pack("{s:{}, s:[]}", "keys", "roles");
		json_object_set_new(from, "delegations", delegations);
	}
	role = role_of(json_object_get(delegations, "keys"), (char[]){number, '\0'}, 1);
	json_object_set_new(role, "name", json_string(name));
	json_object_set_new(role, "paths", json_pack("[s]", pattern));
	json_object_set_new(role, "terminating", json_boolean(terminating));
	json_array_append_new(json_object_get(delegations, "roles"), role);
}

/* A targets document with one target, of a length by which it is known again. */
static json_t *role_with(const char *target, int length)
{
	json_t *document = head("targets", 1);

	json_object_set_new(document, "targets", json_object());
	if (target)
		json_object_set_new(json_object_get(document, "targets"), target,
				    json_pack("{s:i, s:{s:s}}", "length", length, "hashes", "sha256",
					      "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"));
	return document;
}

static void publish_role(struct state *s, const char *name, const char *quoted, json_t *document, const char *signers)
{
	char line[128], file[128];

	snprintf(line, sizeof line, "%s.json", name);
	snprintf(file, sizeof file, "metadata/%lld.%s.json", (long long)version_of(document), quoted);
	json_object_set_new(json_object_get(s->repository.snapshot, "meta"), line,
			    json_pack("{s:I}", "version", version_of(document)));
	repository_put(&s->repository, file, sign_document(document, signers));
	json_decref(document);
}

static void publish(struct state *s)
{
	struct error error = {0};

	if (repository_file(&s->repository, "metadata/timestamp.json"))
		publish_next(&s->repository);
	else
		publish_all(&s->repository);
	assert_ok(trust_refresh(s->trust, repository_source(&s->repository), TRUST_ALL, NOW, &error));
	s->repository.asked[0] = '\0';
}

/* The length of what was found; -1: no such target; -65: refused. */
static int find(struct state *s, const char *path)
{
	struct error error = {0};
	struct role_target target;
	bool named;
	int r = trust_target(s->trust, repository_source(&s->repository), path, NOW, &target, &named, &error);

	if (r)
		return r;
	return named ? (int)target.length : -1;
}

static void first_delegation_goes_before_the_second(void **state)
{
	struct state *s = *state;

	delegate(s->repository.targets, "a", 5, "*", false);
	delegate(s->repository.targets, "b", 6, "*", false);
	publish_role(s, "a", "a", role_with("x", 10), "\5");
	publish_role(s, "b", "b", role_with("x", 20), "\6");
	publish(s);
	assert_int_equal(find(s, "x"), 10);
	assert_string_equal(s->repository.asked, "metadata/1.a.json ");
	assert_int_equal(find(s, "y"), -1);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.b.json ");
	assert_int_equal(find(s, "y"), -1);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.b.json ");
}

static void search_goes_deep_before_wide(void **state)
{
	struct state *s = *state;
	json_t *a = role_with(NULL, 0);

	delegate(s->repository.targets, "a", 5, "*", false);
	delegate(s->repository.targets, "b", 6, "*", false);
	delegate(a, "c", 7, "*", false);
	publish_role(s, "a", "a", a, "\5");
	publish_role(s, "b", "b", role_with("x", 20), "\6");
	publish_role(s, "c", "c", role_with("x", 30), "\7");
	publish(s);
	assert_int_equal(find(s, "x"), 30);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.c.json ");
}

static void terminating_delegation_ends_the_search(void **state)
{
	struct state *s = *state;
	json_t *a = role_with(NULL, 0);

	delegate(s->repository.targets, "a", 5, "*", false);
	delegate(s->repository.targets, "b", 6, "*", false);
	delegate(a, "c", 7, "x*", true);
	delegate(a, "d", 8, "*", false);
	publish_role(s, "a", "a", a, "\5");
	publish_role(s, "b", "b", role_with("xx", 20), "\6");
	publish_role(s, "c", "c", role_with(NULL, 0), "\7");
	publish_role(s, "d", "d", role_with("xx", 40), "\10");
	publish(s);
	/* Neither the later brother d nor the uncle b is asked. */
	assert_int_equal(find(s, "xx"), -1);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.c.json ");
	/* For a path that the terminating one does not cover they are. */
	assert_int_equal(find(s, "y"), -1);
	assert_non_null(strstr(s->repository.asked, "1.d.json metadata/1.b.json"));
}

static void paths_must_be_covered_by_every_delegation_of_the_chain(void **state)
{
	struct state *s = *state;
	json_t *a = role_with("other/x", 10);

	delegate(s->repository.targets, "a", 5, "dir/*", false);
	delegate(a, "b", 6, "*/*", false);
	publish_role(s, "a", "a", a, "\5");
	publish_role(s, "b", "b", role_with("other/x", 20), "\6");
	publish(s);
	assert_int_equal(find(s, "other/x"), -1);
	assert_string_equal(s->repository.asked, "");
	assert_int_equal(find(s, "dir/x"), -1);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.b.json ");
}

static void hash_prefixes_choose_the_bin(void **state)
{
	struct state *s = *state;
	json_t *roles;

	/* sha256("x") = 2d711642… */
	delegate(s->repository.targets, "bin-2", 5, "", false);
	delegate(s->repository.targets, "bin-3", 6, "", false);
	roles = json_object_get(json_object_get(s->repository.targets, "delegations"), "roles");
	for (size_t i = 0; i < 2; i++) {
		json_object_del(json_array_get(roles, i), "paths");
		json_object_set_new(json_array_get(roles, i), "path_hash_prefixes",
				    json_pack("[s, s]", i ? "3" : "2d7", "ff"));
	}
	publish_role(s, "bin-2", "bin-2", role_with("x", 20), "\5");
	publish_role(s, "bin-3", "bin-3", role_with("x", 30), "\6");
	publish(s);
	assert_int_equal(find(s, "x"), 20);
	assert_string_equal(s->repository.asked, "metadata/1.bin-2.json ");
}

static void cycles_and_chains_end(void **state)
{
	struct state *s = *state;
	json_t *a = role_with(NULL, 0), *b = role_with(NULL, 0);

	delegate(s->repository.targets, "a", 5, "*", false);
	delegate(a, "b", 6, "*", false);
	delegate(b, "a", 5, "*", false);
	delegate(b, "b", 6, "*", false);
	publish_role(s, "a", "a", a, "\5");
	publish_role(s, "b", "b", b, "\6");
	publish(s);
	assert_int_equal(find(s, "x"), -1);
	assert_string_equal(s->repository.asked, "metadata/1.a.json metadata/1.b.json ");
}

static void at_most_thirty_two_roles_are_visited(void **state)
{
	struct state *s = *state;
	json_t *from = json_incref(s->repository.targets);
	int asked = 0;

	for (int i = 0; i < 40; i++) {
		json_t *next = role_with(i == 31 ? "last" : i == 32 ? "beyond" : NULL, i);
		char name[16];

		snprintf(name, sizeof name, "r%d", i);
		delegate(from, name, 5, "*", false);
		if (i > 0) {
			char before[16];

			snprintf(before, sizeof before, "r%d", i - 1);
			publish_role(s, before, before, from, "\5");
		} else {
			json_decref(from);
		}
		from = next;
	}
	publish_role(s, "r39", "r39", from, "\5");
	publish(s);
	assert_int_equal(find(s, "last"), 31);
	assert_int_equal(find(s, "beyond"), -1);
	for (const char *c = s->repository.asked; *c; c++)
		asked += *c == ' ';
	assert_int_equal(asked, 32);
}

static void role_names_are_quoted_on_the_wire_and_on_disk(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	delegate(s->repository.targets, "../a b", 5, "*", false);
	publish_role(s, "../a b", "..%2Fa%20b", role_with("x", 10), "\5");
	publish(s);
	assert_int_equal(find(s, "x"), 10);
	assert_string_equal(s->repository.asked, "metadata/1...%2Fa%20b.json ");
	assert_ok(file_read_at(s->directory, "..%2Fa%20b.json", &bytes, &error));
	assert_int_equal(bytes.size, repository_file(&s->repository, "metadata/1...%2Fa%20b.json")->size);
}

static void what_cannot_be_verified_ends_the_search(void **state)
{
	struct state *s = *state;
	json_t *expired = role_with("x", 10);

	delegate(s->repository.targets, "a", 5, "*", false);
	delegate(s->repository.targets, "b", 6, "*", false);
	publish_role(s, "b", "b", role_with("x", 20), "\6");
	publish(s);
	assert_int_equal(find(s, "x"), -ERROR_DATA); /* a is not in the snapshot */
	publish_role(s, "a", "a", role_with("x", 10), "\6");
	publish(s);
	assert_int_equal(find(s, "x"), -ERROR_DATA); /* signed by b's key */
	repository_remove(&s->repository, "metadata/1.a.json");
	assert_int_equal(find(s, "x"), -ERROR_DATA); /* not there */
	expire(expired);
	publish_role(s, "a", "a", expired, "\5"); /* CVE-2026-6967 */
	assert_int_equal(find(s, "x"), -ERROR_DATA);
	publish_role(s, "a", "a", role_with("x", 10), "\5");
	assert_int_equal(find(s, "x"), 10);
}

static void delegated_version_and_hash_are_the_snapshots(void **state)
{
	struct state *s = *state;
	json_t *meta = json_object_get(s->repository.snapshot, "meta");
	struct buffer *file;

	delegate(s->repository.targets, "a", 5, "*", false);
	publish_role(s, "a", "a", role_with("x", 10), "\5");
	file = repository_file(&s->repository, "metadata/1.a.json");
	json_object_set_new(meta, "a.json", meta_line(1, file));
	publish(s);
	file->data[file->size - 2] ^= 1;
	assert_int_equal(find(s, "x"), -ERROR_DATA);
	file->data[file->size - 2] ^= 1;
	assert_int_equal(find(s, "x"), 10);

	/* The next version is another file; what is stored does not do. */
	json_object_set_new(meta, "a.json", json_pack("{s:i}", "version", 2));
	publish(s);
	assert_int_equal(find(s, "x"), -ERROR_DATA);
	assert_string_equal(s->repository.asked, "metadata/2.a.json ");
}

/* go-tuf 759, python-tuf 2977: a role that one delegator vouched for is nothing to another. */
static void role_is_verified_under_the_delegator_in_force(void **state)
{
	struct state *s = *state;
	json_t *a = role_with(NULL, 0), *b = role_with(NULL, 0), *c = role_with("one/x", 10);

	json_object_set_new(json_object_get(c, "targets"), "two/x",
			    json_deep_copy(json_object_get(json_object_get(c, "targets"), "one/x")));
	delegate(s->repository.targets, "a", 5, "one/*", false);
	delegate(s->repository.targets, "b", 6, "two/*", false);
	delegate(a, "c", 7, "*/*", false);
	delegate(b, "c", 8, "*/*", false);
	publish_role(s, "a", "a", a, "\5");
	publish_role(s, "b", "b", b, "\6");
	publish_role(s, "c", "c", c, "\7");
	publish(s);
	assert_int_equal(find(s, "one/x"), 10);
	assert_int_equal(find(s, "two/x"), -ERROR_DATA);
	assert_int_equal(find(s, "one/x"), 10);
}

static void stored_role_is_verified_after_its_key_was_changed(void **state)
{
	struct state *s = *state;
	struct trust_source none = {0};
	struct role_target target;
	struct error error = {0};
	bool named;

	delegate(s->repository.targets, "a", 5, "*", false);
	publish_role(s, "a", "a", role_with("x", 10), "\5");
	publish(s);
	assert_int_equal(find(s, "x"), 10);
	assert_ok(trust_target(s->trust, none, "x", NOW, &target, &named, &error));
	assert_true(named);
	json_object_del(s->repository.targets, "delegations");
	delegate(s->repository.targets, "a", 6, "*", false);
	publish(s);
	assert_refused(trust_target(s->trust, none, "x", NOW, &target, &named, &error), ERROR_DATA, "missing");
	assert_int_equal(find(s, "x"), -ERROR_DATA);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_delegation_goes_before_the_second),
		TEST(search_goes_deep_before_wide),
		TEST(terminating_delegation_ends_the_search),
		TEST(paths_must_be_covered_by_every_delegation_of_the_chain),
		TEST(hash_prefixes_choose_the_bin),
		TEST(cycles_and_chains_end),
		TEST(at_most_thirty_two_roles_are_visited),
		TEST(role_names_are_quoted_on_the_wire_and_on_disk),
		TEST(what_cannot_be_verified_ends_the_search),
		TEST(delegated_version_and_hash_are_the_snapshots),
		TEST(role_is_verified_under_the_delegator_in_force),
		TEST(stored_role_is_verified_after_its_key_was_changed),
	};
	return cmocka_run_group_tests_name("delegation", tests, NULL, NULL);
}
