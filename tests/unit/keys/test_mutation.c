/* Every field of every signed file dropped, changed, doubled and reordered, signature kept: each is refused, and what
 * was trusted before stands. */
#include "fixture.h"
#include "tests/unit/mutate.h"

struct run {
	struct repository repository;
	struct buffer installed;
	unsigned mutations, refused;
};

/* In memory where there is any: each client makes what it trusts durable. */
static int memory_directory(char path[static 64])
{
	struct error error = {0};
	int fd = -1;

	strcpy(path, access("/dev/shm", W_OK) ? "/tmp/keys-XXXXXX" : "/dev/shm/keys-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_ok(file_open_directory(path, &fd, &error));
	return fd;
}

/* A fresh client meets the repository as it is now: it refuses, or has accepted a changed file. */
static bool is_refused(struct run *run)
{
	CLEANUP(trust_free) struct trust *trust = NULL;
	struct role_target target;
	struct error error = {0};
	char path[64];
	int directory = memory_directory(path), r;
	bool named;

	run->repository.asked[0] = '\0';
	assert_ok(trust_open(directory, run->installed.data, run->installed.size, &trust, &error));
	r = trust_refresh(trust, repository_source(&run->repository), TRUST_ALL, NOW, &error);
	if (!r)
		r = trust_target(trust, repository_source(&run->repository), "dir/x", NOW, &target, &named, &error);
	if (r)
		assert_int_equal(error.code, ERROR_DATA);
	drop_directory(path, directory);
	return r != 0;
}

static void try_bytes(struct run *run, const char *name, struct buffer bytes)
{
	struct buffer *file = repository_file(&run->repository, name), original = *file;

	*file = bytes;
	run->mutations++;
	if (is_refused(run))
		run->refused++;
	else
		print_message("accepted %s: %s\n", name, (char *)bytes.data);
	*file = original;
}

struct file {
	struct run *run;
	const char *name;
};

static void try_file(void *context, const char *what UNUSED, const struct buffer *bytes)
{
	const struct file *file = context;

	try_bytes(file->run, file->name, *bytes);
}

static void mutate_file(struct run *run, const char *name)
{
	struct file file = {run, name};
	const struct mutate mutate = {try_file, &file};
	CLEANUP(buffer_free) struct buffer original = {0};
	struct error error = {0};

	assert_ok(buffer_append(&original, repository_file(&run->repository, name)->data,
				repository_file(&run->repository, name)->size, &error));
	mutate_envelope(&mutate, &original, 5);
}

static void every_mutation_is_refused(void **state UNUSED)
{
	static const char *const files[] = {"metadata/2.root.json", "metadata/timestamp.json",
					    "metadata/1.snapshot.json", "metadata/1.targets.json", "metadata/1.a.json"};
	struct run run = {0};
	json_t *delegations, *role, *document = head("targets", 1);
	struct repository *repository = &run.repository;

	repository_init(repository);
	run.installed = sign_document(repository->root, "\1");
	set_version(repository->root, 2);
	set_role(repository, "root", "\1\5", 2);
	repository->signers[ROLE_ROOT] = "\1\5";
	delegations = json_pack("{s:{}, s:[]}", "keys", "roles");
	role = role_of(json_object_get(delegations, "keys"), "\6\7", 2);
	json_object_set_new(role, "name", json_string("a"));
	json_object_set_new(role, "paths", json_pack("[s,s]", "dir/*", "other"));
	json_object_set_new(role, "terminating", json_true());
	json_array_append_new(json_object_get(delegations, "roles"), role);
	json_object_set_new(repository->targets, "delegations", delegations);
	add_target(repository, "y", "Y");
	json_object_set_new(document, "targets", json_deep_copy(json_object_get(repository->targets, "targets")));
	json_object_set(json_object_get(document, "targets"), "dir/x",
			json_object_get(json_object_get(document, "targets"), "y"));
	/* The snapshot states versions alone, so that the signature is what refuses. */
	json_object_set_new(json_object_get(repository->snapshot, "meta"), "a.json", json_pack("{s:i}", "version", 1));
	repository_put(repository, "metadata/1.a.json", sign_document(document, "\6\7"));
	publish_root(repository);
	repository_put(repository, "metadata/1.targets.json", sign_document(repository->targets, "\4"));
	repository_put(repository, "metadata/1.snapshot.json", sign_document(repository->snapshot, "\3"));
	json_object_set_new(repository->timestamp, "meta", json_pack("{s:{s:i}}", "snapshot.json", "version", 1));
	publish_timestamp(repository);

	assert_false(is_refused(&run));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		mutate_file(&run, files[i]);
	assert_false(is_refused(&run));
	print_message("%u of %u single-field mutations were refused\n", run.refused, run.mutations);
	assert_int_equal(run.refused, run.mutations);
	assert_true(run.mutations > 300);
	json_decref(document);
	buffer_free(&run.installed);
	repository_free(repository);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mutation_is_refused),
	};
	return cmocka_run_group_tests_name("mutation", tests, NULL, NULL);
}
