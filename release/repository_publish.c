#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "release/bundle.h"
#include "release/chain.h"
#include "release/repository_state.h"

/* The last timestamp, set aside when a set was published without one: versions go on from it. */
#define KEPT_TIMESTAMP "kept.timestamp.json"

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to publish");
}

static bool set_has(const struct key_set *set, const struct key *key)
{
	for (size_t i = 0; set != NULL && i < set->count; i++)
		if (strcmp(key_id(set->keys[i]), key_id(key)) == 0)
			return true;
	return false;
}

static const struct key_set *role_set(const struct role_root *root, enum role_kind kind)
{
	return root != NULL ? &root->roles[kind] : NULL;
}

static int sign_staged(struct repository *repository, enum role_kind kind, const struct key_secret *secret,
		       struct error *error)
{
	struct envelope *envelope = kind == ROLE_ROOT ? repository->staged_root : repository->staged_targets;
	int result = envelope_sign(envelope, secret, error);
	return result < 0 ? result : repository_write_staged(repository, kind, error);
}

/* A key was rotated out, or a third of the life is left. */
static bool targets_need_renewal(const struct repository *repository)
{
	const struct key_set *set = role_set(repository->keys, ROLE_TARGETS);
	struct role_head head;
	struct error ignored;
	if (repository->targets == NULL || set == NULL)
		return false;
	if (envelope_count(repository->targets, set) < set->threshold)
		return true;
	return role_head(envelope_signed(repository->targets), ROLE_TARGETS, "targets", &head, &ignored) == 0 &&
	       head.expires - clock_now() < repository_lives[ROLE_TARGETS] / 3;
}

int repository_sign(struct repository *repository, const struct key_secret *secret, bool renew,
		    struct repository_signed *ret_signed, struct error *error)
{
	const struct key *key = key_secret_public(secret);
	struct repository_signed done = {0};
	int result = 0;

	bool of_root = set_has(role_set(repository->keys, ROLE_ROOT), key) ||
		       set_has(role_set(repository->staged_keys, ROLE_ROOT), key);
	/* The keys that are staged count too, so that engineers may sign before or after the directors. */
	bool of_targets = set_has(role_set(repository->keys, ROLE_TARGETS), key) ||
			  set_has(role_set(repository->staged_keys, ROLE_TARGETS), key);
	if (!of_root && !of_targets)
		return error_set(error, ERROR_DATA, "key",
				 "key %.16s is neither a root nor a targets key of this repository", key_id(key));
	if (of_targets && repository->staged_targets == NULL && (renew || targets_need_renewal(repository))) {
		json_t *targets = NULL;
		result = repository_next_targets(repository, &targets, error);
		if (result == 0)
			result = repository_stage_take(repository, ROLE_TARGETS, targets, error);
		done.renewed = true;
	}
	if (result == 0 && of_root && repository->staged_root != NULL) {
		result = sign_staged(repository, ROLE_ROOT, secret, error);
		done.root = result == 0;
		if (result == 0)
			result = repository_settle_root(repository, &done.root_stands, error);
	}
	if (result == 0 && of_targets && repository->staged_targets != NULL) {
		const struct key_set *set = role_set(repository->keys, ROLE_TARGETS);
		result = sign_staged(repository, ROLE_TARGETS, secret, error);
		done.targets = result == 0;
		done.targets_ready = set != NULL && envelope_count(repository->staged_targets, set) >= set->threshold;
	}
	if (result < 0)
		return result;
	if (!done.root && !done.targets)
		return error_set(error, ERROR_USAGE, "nothing",
				 "nothing is staged for key %.16s to sign; \"add\" a bundle first, or "
				 "sign with --renew",
				 key_id(key));
	*ret_signed = done;
	return 0;
}

/* Each target's file is there with its length and hash: what is going to be signed for can be fetched. */
static int check_files(const struct repository *repository, const json_t *targets, struct error *error)
{
	const char *path;
	json_t *line;

	json_object_foreach(json_object_get(targets, "targets"), path, line)
	{
		CLEANUP(free_pointer) char *name = NULL;
		CLEANUP(file_close) int fd = -1;
		struct role_target target;
		bool named = false;
		uint8_t hash[HASH_SIZE];
		uint64_t size = 0;
		char hex[HASH_HEX_SIZE];

		int result = role_target_read(targets, path, &target, &named, error);
		if (result < 0)
			return result;
		const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
		hash_to_hex(target.sha256, HASH_SIZE, hex);
		if (asprintf(&name, "targets/%.*s%s.%s", (int)(base - path), path, hex, base) < 0)
			return no_memory(error);
		result = file_open_beneath(repository->directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
		if (result == 0)
			result = hash_file(HASH_SHA256, fd, name, hash, &size, error);
		if (result < 0)
			return result;
		if (size != (uint64_t)target.length || !hash_equal(hash, target.sha256))
			return error_set(error, ERROR_DATA, "hash", "%s is not what was signed", name);
	}
	return 0;
}

/* The staged targets become N.targets.json; ERROR_DATA under threshold. */
static int settle_targets(struct repository *repository, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TARGETS_MOST);
	const struct key_set *set = &repository->keys->roles[ROLE_TARGETS];
	const json_t *signed_part = envelope_signed(repository->staged_targets);
	char name[REPOSITORY_NAME_MOST], what[64];
	struct role_head head;

	snprintf(what, sizeof(what), "targets %lld", (long long)repository->versions[ROLE_TARGETS] + 1);
	int result = repository_check_threshold(repository->staged_targets, set, envelope_signed(repository->root),
						what, error);
	if (result == 0)
		result = role_head(signed_part, ROLE_TARGETS, what, &head, error);
	if (result == 0 && head.expires <= clock_now())
		return error_set(error, ERROR_DATA, "freeze",
				 "the staged %s expired before they were published; sign with --renew", what);
	if (result == 0)
		result = check_files(repository, signed_part, error);
	if (result == 0)
		result = envelope_write(repository->staged_targets, &bytes, error);
	repository_name(ROLE_TARGETS, repository->versions[ROLE_TARGETS] + 1, name);
	if (result == 0)
		result = file_create_at(repository->metadata, name, bytes.data, bytes.size, 0644, error);
	if (result < 0)
		return result;
	repository->versions[ROLE_TARGETS]++;
	envelope_free(&repository->targets);
	repository->targets = TAKE(repository->staged_targets);
	return 0;
}

/* {"version","length","hashes"} of a metadata file that stands. */
static int describe_file(const struct repository *repository, enum role_kind kind, json_t **ret_line,
			 struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TARGETS_MOST);
	char name[REPOSITORY_NAME_MOST], hex[HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];

	repository_name(kind, repository->versions[kind], name);
	int result = file_read_at(repository->metadata, name, &bytes, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	json_t *line = json_pack("{s:I, s:I, s:{s:s}}", "version", (json_int_t)repository->versions[kind], "length",
				 (json_int_t)bytes.size, "hashes", "sha256", hex);
	if (line == NULL)
		return no_memory(error);
	*ret_line = line;
	return 0;
}

/* A snapshot of the targets, or a timestamp of the snapshot, signed and verified before it is written. */
static int issue(const struct repository *repository, enum role_kind kind, enum role_kind of, int64_t version,
		 struct key_secret *const *secrets, size_t count, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(jsonio_free) json_t *document = repository_head(kind, version);
	json_t *line = NULL;
	char file[32];

	snprintf(file, sizeof(file), "%s.json", role_names[of]);
	int result = describe_file(repository, of, &line, error);
	if (result < 0)
		return result;
	json_t *meta = json_pack("{s:o}", file, line);
	if (document == NULL || meta == NULL || json_object_set_new(document, "meta", meta) != 0)
		return no_memory(error);
	result = envelope_new(document, &envelope, error);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = envelope_sign(envelope, secrets[i], error);
	if (result == 0)
		result = envelope_verify(envelope, &repository->keys->roles[kind], role_names[kind], error);
	return result < 0 ? error_prefix(error, "the keys given for %s", role_names[kind])
			  : envelope_write(envelope, ret_bytes, error);
}

/* Refused before anything is written: keys that do not hold the role. */
static int check_signers(const struct repository *repository, enum role_kind kind, struct key_secret *const *secrets,
			 size_t count, struct error *error)
{
	const struct key_set *set = &repository->keys->roles[kind];
	for (size_t i = 0; i < count; i++)
		if (!set_has(set, key_secret_public(secrets[i])))
			return error_set(error, ERROR_DATA, "key", "key %.16s is no %s key of root %lld",
					 key_id(key_secret_public(secrets[i])), role_names[kind],
					 (long long)repository->versions[ROLE_ROOT]);
	if (count < set->threshold)
		return error_set(error, ERROR_DATA, "signature", "the %s needs %u keys, %zu were given",
				 role_names[kind], set->threshold, count);
	return 0;
}

static int timestamp_version(const struct repository *repository, int64_t *ret_version, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *standing = NULL;
	struct role_head head = {0};

	int result = repository_read(repository->metadata, "timestamp.json", ROLE_TIMESTAMP_MOST, &standing, error);
	if (result == 0 && standing == NULL)
		result = repository_read(repository->metadata, KEPT_TIMESTAMP, ROLE_TIMESTAMP_MOST, &standing, error);
	if (result == 0 && standing != NULL)
		result = role_head(envelope_signed(standing), ROLE_TIMESTAMP, "timestamp.json", &head, error);
	if (result == 0)
		*ret_version = head.version + 1;
	return result;
}

static int write_snapshot(struct repository *repository, struct key_secret *const *secrets, size_t count,
			  struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_SNAPSHOT_MOST);
	char name[REPOSITORY_NAME_MOST];
	int64_t version = repository->versions[ROLE_SNAPSHOT] + 1;

	int result = issue(repository, ROLE_SNAPSHOT, ROLE_TARGETS, version, secrets, count, &bytes, error);
	repository_name(ROLE_SNAPSHOT, version, name);
	if (result == 0)
		result = file_create_at(repository->metadata, name, bytes.data, bytes.size, 0644, error);
	if (result == 0)
		repository->versions[ROLE_SNAPSHOT] = version;
	return result;
}

static int write_timestamp(struct repository *repository, const struct key_secret *secret, int64_t version,
			   struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TIMESTAMP_MOST);
	struct key_secret *secrets[] = {(struct key_secret *)(uintptr_t)secret};

	int result = issue(repository, ROLE_TIMESTAMP, ROLE_SNAPSHOT, version, secrets, 1, &bytes, error);
	if (result < 0)
		return result;
	return file_replace_at(repository->metadata, "timestamp.json", bytes.data, bytes.size, 0644, error);
}

int repository_publish(struct repository *repository, struct key_secret *const *snapshot, size_t snapshot_count,
		       const struct key_secret *timestamp, struct error *error)
{
	struct key_secret *timestamps[] = {(struct key_secret *)(uintptr_t)timestamp};
	int64_t version = 0;
	int result = 0;

	if (repository->keys == NULL)
		return repository->staged_root == NULL
			       ? error_set(error, ERROR_DATA, "missing", "the repository has no root")
			       : repository_check_threshold(repository->staged_root,
							    &repository->staged_keys->roles[ROLE_ROOT],
							    envelope_signed(repository->staged_root), "root 1", error);
	result = check_signers(repository, ROLE_SNAPSHOT, snapshot, snapshot_count, error);
	if (result == 0 && timestamp != NULL)
		result = check_signers(repository, ROLE_TIMESTAMP, timestamps, 1, error);
	if (result == 0 && timestamp != NULL)
		result = timestamp_version(repository, &version, error);
	if (result == 0 && repository->staged_targets != NULL)
		result = settle_targets(repository, error);
	else if (result == 0 && repository->targets != NULL)
		result = repository_check_threshold(repository->targets, &repository->keys->roles[ROLE_TARGETS],
						    envelope_signed(repository->root), "the published targets", error);
	if (result == 0)
		result = write_snapshot(repository, snapshot, snapshot_count, error);
	if (result == 0 && timestamp != NULL)
		result = write_timestamp(repository, timestamp, version, error);
	/* One that speaks of the set before would hide the new one from whoever reads this folder. */
	else if (result == 0 && faccessat(repository->metadata, "timestamp.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		result = file_rename_at(repository->metadata, "timestamp.json", repository->metadata, KEPT_TIMESTAMP,
					error);
	if (result < 0)
		return result;
	/* Older than what is published now, so nobody looks at it; gone all the same. */
	if (unlinkat(repository->metadata, "staged.targets.json", 0) == 0)
		return file_sync_directory(repository->metadata, error);
	return 0;
}

int repository_export(struct repository *repository, const char *version, const char *output, struct error *error)
{
	CLEANUP(bundle_writer_free) struct bundle_writer *writer = NULL;

	if (repository->targets == NULL)
		return error_set(error, ERROR_DATA, "missing", "nothing was published yet");
	int result = bundle_create(output, &writer, error);
	if (result == 0)
		result = chain_write_release(repository->directory, envelope_signed(repository->targets),
					     repository->product, version, writer, error);
	return result < 0 ? result : bundle_close(writer, error);
}
