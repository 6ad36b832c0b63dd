/* What the units of keys/ share: keys from numbers, a directory of one's own, and a repository in memory that is a
 * trust_source and can lie in every way that a repository can. */
#ifndef TESTS_KEYS_FIXTURE_H
#define TESTS_KEYS_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "keys/envelope.h"
#include "keys/role.h"
#include "keys/trust.h"

#define NOW    1800000000 /* 2027-01-15T08:00:00Z */
#define FUTURE "2030-01-01T00:00:00Z"
#define PAST   "2027-01-01T00:00:00Z"

#define assert_ok(call)                                                                                                \
	do {                                                                                                           \
		if ((call) != 0)                                                                                       \
			fail_msg("%s: %s (%s)", #call, error.text, error.name);                                        \
	} while (0)

#define assert_refused(call, exit_code, rule)                                                                          \
	do {                                                                                                           \
		error = (struct error){0};                                                                             \
		assert_int_equal((call), -(int)(exit_code));                                                           \
		assert_int_equal(error.code, exit_code);                                                               \
		assert_string_equal(error.name, rule);                                                                 \
		assert_true(strlen(error.text) > 10);                                                                  \
	} while (0)

/* Of the wrong shape, or past a bound. */
#define assert_malformed(call)                                                                                         \
	do {                                                                                                           \
		error = (struct error){0};                                                                             \
		assert_int_equal((call), -ERROR_DATA);                                                                 \
		assert_true(!strcmp(error.name, "format") || !strcmp(error.name, "length"));                           \
		assert_true(strlen(error.text) > 10);                                                                  \
	} while (0)

/* A directory for one test; removed by drop_directory. */
UNUSED static int make_directory(char path[static 64])
{
	struct error error = {0};
	int fd = -1;

	strcpy(path, "/tmp/keys-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_ok(file_open_directory(path, &fd, &error));
	return fd;
}

UNUSED static void drop_directory(const char *path, int fd)
{
	struct error error = {0};

	close(fd);
	assert_ok(file_remove_tree_at(AT_FDCWD, path, &error));
}

/* A shell command in a directory, quiet; its exit code. */
UNUSED static int run_shell(const char *directory, const char *command)
{
	char text[4096];
	int status;

	snprintf(text, sizeof text, "cd %s && { %s\n} >/dev/null 2>&1", directory, command);
	status = system(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

UNUSED static const char *beneath(const char *directory, const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

UNUSED static void write_file(int directory, const char *name, const char *text, mode_t mode)
{
	struct error error = {0};

	assert_ok(file_replace_at(directory, name, text, strlen(text), mode, &error));
}

/* The key with this number: its seed is that byte 32 times. */
UNUSED static struct key_secret *secret_number(int number)
{
	struct key_secret *secret = NULL;
	struct error error = {0};
	uint8_t seed[SECRET_ED25519_SEED];

	memset(seed, number, sizeof seed);
	assert_ok(key_secret_from_seed(seed, &secret, &error));
	return secret;
}

UNUSED static json_t *key_number(int number, char ret_id[static KEY_ID_MOST])
{
	CLEANUP(key_secret_free) struct key_secret *secret = secret_number(number);
	const struct key *key = key_secret_public(secret);

	strcpy(ret_id, key_id(key));
	return json_incref((json_t *)key_object(key));
}

/* Signed by the keys whose numbers are the bytes of `signers` ("\1\2"). */
UNUSED static struct buffer sign_document(json_t *document, const char *signers)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(envelope_new(document, &envelope, &error));
	for (; *signers; signers++) {
		CLEANUP(key_secret_free) struct key_secret *secret = secret_number(*signers);

		assert_ok(envelope_sign(envelope, secret, &error));
	}
	assert_ok(envelope_write(envelope, &bytes, &error));
	return bytes;
}

/* {"keyids": …, "threshold": …}, the keys put into `keys`. */
UNUSED static json_t *role_of(json_t *keys, const char *numbers, int threshold)
{
	json_t *ids = json_array();

	for (; *numbers; numbers++) {
		char id[KEY_ID_MOST];
		json_t *key = key_number(*numbers, id);

		json_object_set_new(keys, id, key);
		json_array_append_new(ids, json_string(id));
	}
	return json_pack("{s:o, s:i}", "keyids", ids, "threshold", threshold);
}

#define FILES_MOST 128

struct repository {
	json_t *root, *timestamp, *snapshot, *targets; /* signed parts, to be edited */
	const char *signers[ROLE_KINDS];
	struct {
		char name[128];
		struct buffer bytes;
	} files[FILES_MOST];
	size_t file_count;
	char asked[4096];    /* names in order, each with a space behind */
	struct error broken; /* code set: every fetch fails so */
};

UNUSED static void repository_put(struct repository *repository, const char *name, struct buffer bytes)
{
	size_t i = 0;

	while (i < repository->file_count && strcmp(repository->files[i].name, name) != 0)
		i++;
	assert_true(i < FILES_MOST);
	if (i == repository->file_count)
		repository->file_count++;
	else
		buffer_free(&repository->files[i].bytes);
	snprintf(repository->files[i].name, sizeof repository->files[i].name, "%s", name);
	repository->files[i].bytes = bytes;
}

UNUSED static void repository_remove(struct repository *repository, const char *name)
{
	for (size_t i = 0; i < repository->file_count; i++)
		if (!strcmp(repository->files[i].name, name))
			strcpy(repository->files[i].name, "-");
}

UNUSED static struct buffer *repository_file(struct repository *repository, const char *name)
{
	for (size_t i = 0; i < repository->file_count; i++)
		if (!strcmp(repository->files[i].name, name))
			return &repository->files[i].bytes;
	return NULL;
}

UNUSED static int repository_fetch(void *context, const char *name, size_t most, struct buffer *ret_bytes,
				   struct error *error)
{
	struct repository *repository = context;
	const struct buffer *bytes = repository_file(repository, name);

	size_t used = strlen(repository->asked);

	snprintf(repository->asked + used, sizeof repository->asked - used, "%s ", name);
	if (repository->broken.code) {
		*error = repository->broken;
		return -(int)error->code;
	}
	if (!bytes)
		return error_set(error, ERROR_DATA, "missing", "%s is not there at all", name);
	if (bytes->size > most)
		return error_set(error, ERROR_DATA, "length", "%s is longer than %zu bytes", name, most);
	return buffer_append(ret_bytes, bytes->data, bytes->size, error);
}

UNUSED static struct trust_source repository_source(struct repository *repository)
{
	return (struct trust_source){.fetch = repository_fetch, .context = repository};
}

UNUSED static json_t *head(const char *type, int version)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "_type", type, "spec_version", "1.0.31", "version", version, "expires",
			 FUTURE);
}

UNUSED static json_int_t version_of(const json_t *signed_part)
{
	return json_integer_value(json_object_get(signed_part, "version"));
}

UNUSED static void set_version(json_t *signed_part, json_int_t version)
{
	json_object_set_new(signed_part, "version", json_integer(version));
}

UNUSED static void expire(json_t *signed_part)
{
	json_object_set_new(signed_part, "expires", json_string(PAST));
}

/* Root 1 (1 of key 1), timestamp by 2, snapshot by 3, targets by 4. */
UNUSED static void repository_init(struct repository *repository)
{
	json_t *keys = json_object();

	memset(repository, 0, sizeof *repository);
	repository->root = head("root", 1);
	json_object_set_new(repository->root, "consistent_snapshot", json_true());
	json_object_set_new(repository->root, "roles",
			    json_pack("{s:o, s:o, s:o, s:o}", "root", role_of(keys, "\1", 1), "timestamp",
				      role_of(keys, "\2", 1), "snapshot", role_of(keys, "\3", 1), "targets",
				      role_of(keys, "\4", 1)));
	json_object_set_new(repository->root, "keys", keys);
	repository->timestamp = head("timestamp", 1);
	repository->snapshot = head("snapshot", 1);
	json_object_set_new(repository->snapshot, "meta", json_pack("{s:{s:i}}", "targets.json", "version", 1));
	repository->targets = head("targets", 1);
	json_object_set_new(repository->targets, "targets", json_object());
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		repository->signers[kind] = (const char *[]){"\1", "\2", "\3", "\4"}[kind];
}

UNUSED static void repository_free(struct repository *repository)
{
	jsonio_free(&repository->root);
	jsonio_free(&repository->timestamp);
	jsonio_free(&repository->snapshot);
	jsonio_free(&repository->targets);
	for (size_t i = 0; i < repository->file_count; i++)
		buffer_free(&repository->files[i].bytes);
}

UNUSED static void set_role(struct repository *repository, const char *role, const char *numbers, int threshold)
{
	json_object_set_new(json_object_get(repository->root, "roles"), role,
			    role_of(json_object_get(repository->root, "keys"), numbers, threshold));
}

/* Length and hash of the bytes beside the version. */
UNUSED static json_t *meta_line(json_int_t version, const struct buffer *bytes)
{
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE];

	hash_bytes(HASH_SHA256, bytes->data, bytes->size, hash);
	hash_to_hex(hash, sizeof hash, hex);
	return json_pack("{s:I, s:I, s:{s:s}}", "version", version, "length", (json_int_t)bytes->size, "hashes",
			 "sha256", hex);
}

UNUSED static void publish_root(struct repository *repository)
{
	char name[64];

	snprintf(name, sizeof name, "metadata/%lld.root.json", (long long)version_of(repository->root));
	repository_put(repository, name, sign_document(repository->root, repository->signers[ROLE_ROOT]));
}

UNUSED static void publish_targets(struct repository *repository)
{
	struct buffer bytes = sign_document(repository->targets, repository->signers[ROLE_TARGETS]);
	char name[64];

	json_object_set_new(json_object_get(repository->snapshot, "meta"), "targets.json",
			    meta_line(version_of(repository->targets), &bytes));
	snprintf(name, sizeof name, "metadata/%lld.targets.json", (long long)version_of(repository->targets));
	repository_put(repository, name, bytes);
}

UNUSED static void publish_timestamp(struct repository *repository)
{
	repository_put(repository, "metadata/timestamp.json",
		       sign_document(repository->timestamp, repository->signers[ROLE_TIMESTAMP]));
}

UNUSED static void publish_snapshot(struct repository *repository)
{
	struct buffer bytes = sign_document(repository->snapshot, repository->signers[ROLE_SNAPSHOT]);
	char name[64];

	json_object_set_new(repository->timestamp, "meta",
			    json_pack("{s:o}", "snapshot.json", meta_line(version_of(repository->snapshot), &bytes)));
	snprintf(name, sizeof name, "metadata/%lld.snapshot.json", (long long)version_of(repository->snapshot));
	repository_put(repository, name, bytes);
}

UNUSED static void publish_all(struct repository *repository)
{
	publish_root(repository);
	publish_targets(repository);
	publish_snapshot(repository);
	publish_timestamp(repository);
}

/* The next version of targets, snapshot and timestamp. */
UNUSED static void publish_next(struct repository *repository)
{
	set_version(repository->targets, version_of(repository->targets) + 1);
	set_version(repository->snapshot, version_of(repository->snapshot) + 1);
	set_version(repository->timestamp, version_of(repository->timestamp) + 1);
	publish_targets(repository);
	publish_snapshot(repository);
	publish_timestamp(repository);
}

UNUSED static void add_target(struct repository *repository, const char *path, const char *content)
{
	struct buffer bytes = {0};
	struct error error = {0};
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], name[256];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	assert_ok(buffer_append_string(&bytes, content, &error));
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	hash_to_hex(hash, sizeof hash, hex);
	json_object_set_new(json_object_get(repository->targets, "targets"), path,
			    json_pack("{s:i, s:{s:s}, s:{s:s}}", "length", (int)bytes.size, "hashes", "sha256", hex,
				      "custom", "says", content));
	snprintf(name, sizeof name, "targets/%.*s%s.%s", (int)(base - path), path, hex, base);
	repository_put(repository, name, bytes);
}

#endif
