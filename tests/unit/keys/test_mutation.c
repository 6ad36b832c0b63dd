/* Every field of every signed file dropped, changed, doubled and reordered, signature kept: each is refused, and what
 * was trusted before stands. */
#include "fixture.h"

struct run {
	struct repository repository;
	struct buffer installed;
	unsigned mutations, refused;
};

/* A fresh client meets the repository as it is now: it refuses, or has accepted a changed file. */
static bool is_refused(struct run *run)
{
	CLEANUP(trust_free) struct trust *trust = NULL;
	struct role_target target;
	struct error error = {0};
	char path[64];
	int directory = make_directory(path), r;
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

static void try_document(struct run *run, const char *name, const json_t *document)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(jsonio_write(document, false, &bytes, &error));
	try_bytes(run, name, bytes);
}

static json_t *another(const json_t *value)
{
	if (json_is_string(value)) {
		char text[9000];

		snprintf(text, sizeof text, "%s", json_string_value(value));
		if (*text)
			text[strlen(text) - 1] = text[strlen(text) - 1] == '0' ? '1' : '0';
		else
			strcpy(text, "0");
		return json_string(text);
	}
	if (json_is_integer(value))
		return json_integer(json_integer_value(value) + 1);
	if (json_is_boolean(value))
		return json_boolean(!json_is_true(value));
	return json_is_object(value) ? json_array() : json_object();
}

/* The field's text stands twice: duplicate keys must be refused, not the last one taken. */
static void try_doubled(struct run *run, const char *name, const json_t *whole, json_t *object, const char *key)
{
	CLEANUP(buffer_free) struct buffer bytes = {0}, doubled = {0};
	struct error error = {0};
	json_t *value = json_incref(json_object_get(object, key));
	char *at;

	json_object_set_new(object, key, json_string("@MARK@"));
	assert_ok(jsonio_write(whole, false, &bytes, &error));
	json_object_set_new(object, key, value);
	at = strstr((char *)bytes.data, "\"@MARK@\"");
	{
		CLEANUP(buffer_free) struct buffer text = {0}, quoted = {0};
		CLEANUP(jsonio_free) json_t *key_text = json_string(key);

		if (json_is_object(value) || json_is_array(value))
			assert_ok(jsonio_write(value, false, &text, &error));
		else {
			char *dumped = json_dumps(value, JSON_ENCODE_ANY);

			assert_ok(buffer_append_string(&text, dumped, &error));
			free(dumped);
		}
		{
			char *dumped = json_dumps(key_text, JSON_ENCODE_ANY);

			assert_ok(buffer_append_string(&quoted, dumped, &error));
			free(dumped);
		}
		assert_ok(buffer_printf(&doubled, &error, "%.*s%s,%s:%s%s", (int)(at - (char *)bytes.data),
					(char *)bytes.data, (char *)text.data, (char *)quoted.data, (char *)text.data,
					at + strlen("\"@MARK@\"")));
	}
	try_bytes(run, name, doubled);
}

/* `part` lies within `whole`, and is put back after each change. */
static void mutate(struct run *run, const char *name, json_t *whole, json_t *part)
{
	if (json_is_object(part)) {
		CLEANUP(jsonio_free) json_t *kept = json_copy(part);
		const char *key;
		json_t *value;

		json_object_foreach(kept, key, value)
		{
			json_object_del(part, key);
			try_document(run, name, whole);
			json_object_set_new(part, key, another(value));
			try_document(run, name, whole);
			json_object_set(part, key, value);
			try_doubled(run, name, whole, part, key);
			mutate(run, name, whole, value);
		}
		json_object_set_new(part, "added", json_integer(1));
		try_document(run, name, whole);
		json_object_del(part, "added");
	} else if (json_is_array(part)) {
		for (size_t i = 0; i < json_array_size(part); i++) {
			json_t *value = json_incref(json_array_get(part, i));

			json_array_remove(part, i);
			try_document(run, name, whole);
			json_array_insert(part, i, value);
			json_array_append(part, value);
			try_document(run, name, whole);
			json_array_remove(part, json_array_size(part) - 1);
			if (i) {
				json_array_remove(part, i);
				json_array_insert(part, i - 1, value);
				try_document(run, name, whole);
				json_array_remove(part, i - 1);
				json_array_insert(part, i, value);
			}
			mutate(run, name, whole, value);
			json_decref(value);
		}
	}
}

/* The parts of an envelope that must not change: `signed`, and its one needed signature. */
static void mutate_file(struct run *run, const char *name)
{
	CLEANUP(jsonio_free) json_t *whole = NULL;
	struct buffer *file = repository_file(&run->repository, name);
	struct error error = {0};
	json_t *signature;

	assert_ok(jsonio_parse(file->data, file->size, name, &whole, &error));
	mutate(run, name, whole, json_object_get(whole, "signed"));
	signature = json_array_get(json_object_get(whole, "signatures"), 0);
	for (int i = 0; i < 2; i++) {
		const char *key = (const char *[]){"keyid", "sig"}[i];
		json_t *value = json_incref(json_object_get(signature, key));

		json_object_del(signature, key);
		try_document(run, name, whole);
		json_object_set_new(signature, key, another(value));
		try_document(run, name, whole);
		json_object_set_new(signature, key, value);
	}
	json_array_append(json_object_get(whole, "signatures"), signature); /* the same key id twice */
	try_document(run, name, whole);
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
