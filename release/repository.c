#include "release/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "release/repository_state.h"

static const char *const staged_names[ROLE_KINDS] = {
	[ROLE_ROOT] = "staged.root.json",
	[ROLE_TARGETS] = "staged.targets.json",
};
static const size_t most[ROLE_KINDS] = {
	[ROLE_ROOT] = ROLE_ROOT_MOST,
	[ROLE_TIMESTAMP] = ROLE_TIMESTAMP_MOST,
	[ROLE_SNAPSHOT] = ROLE_SNAPSHOT_MOST,
	[ROLE_TARGETS] = ROLE_TARGETS_MOST,
};
const int64_t repository_lives[ROLE_KINDS] = {
	[ROLE_ROOT] = 365 * REPOSITORY_DAY,
	[ROLE_TIMESTAMP] = 7 * REPOSITORY_DAY,
	[ROLE_SNAPSHOT] = 90 * REPOSITORY_DAY,
	[ROLE_TARGETS] = 180 * REPOSITORY_DAY,
};

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the repository");
}

void repository_name(enum role_kind kind, int64_t version, char ret_name[static REPOSITORY_NAME_MOST])
{
	if (kind == ROLE_TIMESTAMP)
		snprintf(ret_name, REPOSITORY_NAME_MOST, "timestamp.json");
	else
		snprintf(ret_name, REPOSITORY_NAME_MOST, "%lld.%s.json", (long long)version, role_names[kind]);
}

int repository_read(int metadata, const char *name, size_t size_most, struct envelope **ret_envelope,
		    struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(size_most);
	struct error why;
	if (file_read_at(metadata, name, &bytes, &why) < 0) {
		if (strcmp(why.name, "missing") == 0)
			return 0;
		*error = why;
		return -(int)why.code;
	}
	return envelope_parse(bytes.data, bytes.size, name, ret_envelope, error);
}

json_t *repository_head(enum role_kind kind, int64_t version)
{
	char expires[CLOCK_UTC_SIZE];
	clock_format_utc(clock_now() + repository_lives[kind], expires);
	return json_pack("{s:s, s:s, s:I, s:s}", "_type", role_names[kind], "spec_version", REPOSITORY_SPEC, "version",
			 (json_int_t)version, "expires", expires);
}

int repository_copy(const struct envelope *from, enum role_kind kind, int64_t version, json_t **ret_signed,
		    struct error *error)
{
	CLEANUP(jsonio_free) json_t *copy = json_deep_copy(envelope_signed(from));
	CLEANUP(jsonio_free) json_t *head = repository_head(kind, version);
	if (copy == NULL || head == NULL || json_object_update(copy, head) != 0)
		return no_memory(error);
	*ret_signed = TAKE(copy);
	return 0;
}

static struct envelope **staged_slot(struct repository *repository, enum role_kind kind)
{
	return kind == ROLE_ROOT ? &repository->staged_root : &repository->staged_targets;
}

int repository_write_staged(struct repository *repository, enum role_kind kind, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(most[kind]);
	int result = envelope_write(*staged_slot(repository, kind), &bytes, error);
	return result < 0
		       ? result
		       : file_replace_at(repository->metadata, staged_names[kind], bytes.data, bytes.size, 0644, error);
}

int repository_stage_take(struct repository *repository, enum role_kind kind, json_t *signed_part, struct error *error)
{
	struct envelope **slot = staged_slot(repository, kind);
	struct envelope *envelope = NULL;

	int result = envelope_new(signed_part, &envelope, error);
	json_decref(signed_part);
	if (result < 0)
		return result;
	envelope_free(slot);
	*slot = envelope;
	return repository_write_staged(repository, kind, error);
}

const json_t *repository_current_targets(const struct repository *repository)
{
	const struct envelope *envelope =
		repository->staged_targets != NULL ? repository->staged_targets : repository->targets;
	return envelope != NULL ? envelope_signed(envelope) : NULL;
}

int repository_next_targets(struct repository *repository, json_t **ret_signed, struct error *error)
{
	const struct envelope *from =
		repository->staged_targets != NULL ? repository->staged_targets : repository->targets;
	if (from == NULL)
		return error_set(error, ERROR_DATA, "missing",
				 "the repository has no targets; was \"repo init\" run to its end?");
	return repository_copy(from, ROLE_TARGETS, repository->versions[ROLE_TARGETS] + 1, ret_signed, error);
}

int repository_put(int directory, const char *path, const void *bytes, size_t size, struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	CLEANUP(buffer_free) struct buffer standing = BUFFER_INIT(size + 1);
	const char *name = NULL;

	int result = file_open_parent_beneath(directory, path, true, &parent, &name, error);
	if (result < 0)
		return result;
	struct error why;
	result = file_create_at(parent, name, bytes, size, 0644, &why);
	if (result == 0)
		return 0;
	if (strcmp(why.name, "exists") != 0) {
		*error = why;
		return result;
	}
	if (file_read_at(parent, name, &standing, &why) == 0 && standing.size == size &&
	    memcmp(standing.data, bytes, size) == 0)
		return 0;
	return error_set(error, ERROR_CANNOT_CREATE, "exists",
			 "%s is there already with other content; it is not overwritten", path);
}

void repository_key_name(const json_t *root_signed, const struct key *key, char ret_text[static 128])
{
	const char *name = json_string_value(json_object_get(json_object_get(root_signed, "names"), key_id(key)));
	if (name != NULL)
		snprintf(ret_text, 128, "%.64s (%.8s)", name, key_id(key));
	else
		snprintf(ret_text, 128, "%.16s", key_id(key));
}

int repository_check_threshold(const struct envelope *envelope, const struct key_set *set, const json_t *root_signed,
			       const char *what, struct error *error)
{
	CLEANUP(buffer_free) struct buffer missing = BUFFER_INIT(4096);
	struct error ignored;
	unsigned count = envelope_count(envelope, set);

	if (count >= set->threshold)
		return envelope_verify(envelope, set, what, error);
	for (size_t i = 0; i < set->count; i++) {
		char name[128];
		if (envelope_signed_by(envelope, set->keys[i]))
			continue;
		repository_key_name(root_signed, set->keys[i], name);
		if (buffer_printf(&missing, &ignored, "%s%s", missing.size > 0 ? ", " : "", name) < 0)
			break;
	}
	return error_set(error, ERROR_DATA, "signature",
			 "%s has %u of %u signatures, missing %u of %.220s; each of them runs "
			 "\"sign REPO --key K\"",
			 what, count, set->threshold, set->threshold - count,
			 missing.size > 0 ? (const char *)missing.data : "nobody");
}

void repository_free(struct repository **repository)
{
	struct repository *old = TAKE(*repository);
	if (old == NULL)
		return;
	envelope_free(&old->root);
	envelope_free(&old->targets);
	envelope_free(&old->staged_root);
	envelope_free(&old->staged_targets);
	role_root_free(&old->keys);
	role_root_free(&old->staged_keys);
	file_close(&old->directory);
	file_close(&old->metadata);
	file_close(&old->lock);
	free(old);
}

const char *repository_product(const struct repository *repository)
{
	return repository->product;
}

/* Versions are sequential from 1: the newest is the last that is there. */
static int64_t newest_version(int metadata, enum role_kind kind)
{
	char name[REPOSITORY_NAME_MOST];
	int64_t version = 0;
	for (;;) {
		repository_name(kind, version + 1, name);
		if (faccessat(metadata, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return version;
		version++;
	}
}

static int load_newest(struct repository *repository, enum role_kind kind, struct envelope **ret_envelope,
		       struct error *error)
{
	char name[REPOSITORY_NAME_MOST];
	repository->versions[kind] = newest_version(repository->metadata, kind);
	if (ret_envelope == NULL || repository->versions[kind] == 0)
		return 0;
	repository_name(kind, repository->versions[kind], name);
	return repository_read(repository->metadata, name, most[kind], ret_envelope, error);
}

/* What is staged must be the next version; what a publish that broke off left behind is older and not looked at. */
static int load_staged(struct repository *repository, enum role_kind kind, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct role_head head;

	int result = repository_read(repository->metadata, staged_names[kind], most[kind], &envelope, error);
	if (result < 0 || envelope == NULL)
		return result;
	result = role_head(envelope_signed(envelope), kind, staged_names[kind], &head, error);
	if (result < 0 || head.version <= repository->versions[kind])
		return result;
	if (head.version != repository->versions[kind] + 1)
		return error_set(error, ERROR_DATA, "version",
				 "%s is version %lld where %lld must follow; is this the newest copy of "
				 "the repository?",
				 staged_names[kind], (long long)head.version,
				 (long long)repository->versions[kind] + 1);
	*staged_slot(repository, kind) = TAKE(envelope);
	return 0;
}

static int load_roles(struct repository *repository, struct error *error)
{
	int result = load_newest(repository, ROLE_ROOT, &repository->root, error);
	if (result == 0)
		result = load_newest(repository, ROLE_TARGETS, &repository->targets, error);
	if (result == 0)
		result = load_newest(repository, ROLE_SNAPSHOT, NULL, error);
	if (result == 0)
		result = load_staged(repository, ROLE_ROOT, error);
	if (result == 0)
		result = load_staged(repository, ROLE_TARGETS, error);
	if (result == 0 && repository->root != NULL)
		result = role_root_read(envelope_signed(repository->root), &repository->keys, error);
	if (result == 0 && repository->root != NULL)
		result = envelope_verify(repository->root, &repository->keys->roles[ROLE_ROOT], "root", error);
	if (result == 0 && repository->staged_root != NULL)
		result = role_root_read(envelope_signed(repository->staged_root), &repository->staged_keys, error);
	return result;
}

int repository_open(const char *path, enum repository_mode mode, struct repository **ret_repository,
		    struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = calloc(1, sizeof(*repository));

	if (repository == NULL)
		return no_memory(error);
	repository->directory = repository->metadata = repository->lock = -1;
	struct error why;
	if (file_open_directory(path, &repository->directory, &why) < 0 ||
	    file_open_beneath(repository->directory, "metadata", O_RDONLY | O_DIRECTORY, 0, &repository->metadata,
			      &why) < 0)
		return error_set(error, ERROR_DATA, "missing", "%s is no repository; make one with \"repo init\"",
				 path);
	int result = mode == REPOSITORY_WRITE
			     ? file_lock_at(repository->directory, ".lock", 1000, &repository->lock, error)
			     : 0;
	if (result == 0)
		result = load_roles(repository, error);
	if (result < 0)
		return error_prefix(error, "%s", path);
	const char *product = json_string_value(json_object_get(repository_current_targets(repository), "product"));
	if (product == NULL || !manifest_name_is_safe(product))
		return error_set(error, ERROR_DATA, "format", "%s is no repository of one product", path);
	snprintf(repository->product, sizeof(repository->product), "%s", product);
	*ret_repository = TAKE(repository);
	return 0;
}

static int init_folder(const char *path, struct repository *repository, struct error *error)
{
	static const char *const folders[] = {"metadata", "targets", "blobs"};
	int result = file_make_directories(path, 0755, error);
	if (result == 0)
		result = file_open_directory(path, &repository->directory, error);
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(folders); i++) {
		if (i == 0 && faccessat(repository->directory, "metadata", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return error_set(error, ERROR_CANNOT_CREATE, "exists",
					 "%s is a repository already; it is not overwritten", path);
		result = file_make_directory_at(repository->directory, folders[i], 0755, error);
	}
	if (result == 0)
		result = file_lock_at(repository->directory, ".lock", 0, &repository->lock, error);
	return result < 0 ? result
			  : file_open_beneath(repository->directory, "metadata", O_RDONLY | O_DIRECTORY, 0,
					      &repository->metadata, error);
}

static int add_role(json_t *root, enum role_kind kind, const struct key_set *set, struct error *error)
{
	json_t *keys = json_object_get(root, "keys"), *roles = json_object_get(root, "roles"), *ids = json_array();
	int failed =
		json_object_set_new(roles, role_names[kind],
				    json_pack("{s:o, s:I}", "keyids", ids, "threshold", (json_int_t)set->threshold));

	if (set->threshold < 1 || set->threshold > set->count)
		return error_set(error, ERROR_USAGE, "threshold", "the threshold of %s is %u, with %zu keys",
				 role_names[kind], set->threshold, set->count);
	for (size_t i = 0; failed == 0 && i < set->count; i++) {
		for (size_t j = 0; j < i; j++)
			if (strcmp(key_id(set->keys[i]), key_id(set->keys[j])) == 0)
				return error_set(error, ERROR_USAGE, "keys", "key %.16s was given twice for %s",
						 key_id(set->keys[i]), role_names[kind]);
		failed |= json_object_set(keys, key_id(set->keys[i]), (json_t *)(uintptr_t)key_object(set->keys[i]));
		failed |= json_array_append_new(ids, json_string(key_id(set->keys[i])));
	}
	return failed != 0 ? no_memory(error) : 0;
}

static int build_root(const struct repository_setup *setup, json_t **ret_root, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = repository_head(ROLE_ROOT, 1);

	if (root == NULL || json_object_set_new(root, "consistent_snapshot", json_true()) != 0 ||
	    json_object_set_new(root, "keys", json_object()) != 0 ||
	    json_object_set_new(root, "roles", json_object()) != 0 ||
	    json_object_set(root, "names", (json_t *)(uintptr_t)setup->names) != 0)
		return no_memory(error);
	for (int kind = 0; kind < ROLE_KINDS; kind++) {
		int result = add_role(root, (enum role_kind)kind, &setup->roles[kind], error);
		if (result < 0)
			return result;
	}
	*ret_root = TAKE(root);
	return 0;
}

static int init_root(struct repository *repository, const struct repository_setup *setup, json_t *root,
		     struct error *error)
{
	bool stands = false;
	int result = role_root_read(root, &repository->staged_keys, error);
	if (result == 0)
		result = repository_stage_take(repository, ROLE_ROOT, json_incref(root), error);
	for (size_t i = 0; result == 0 && i < setup->signer_count; i++)
		result = envelope_sign(repository->staged_root, setup->signers[i], error);
	if (result == 0)
		result = repository_write_staged(repository, ROLE_ROOT, error);
	return result < 0 ? result : repository_settle_root(repository, &stands, error);
}

int repository_put_small(struct repository *repository, const char *name, const struct buffer *bytes, json_t *map,
			 struct error *error)
{
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], path[HASH_HEX_SIZE + 64];

	hash_bytes(HASH_SHA256, bytes->data, bytes->size, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	snprintf(path, sizeof(path), "targets/%s.%.40s", hex, name);
	int result = repository_put(repository->directory, path, bytes->data, bytes->size, error);
	if (result < 0)
		return result;
	json_t *line = json_pack("{s:I, s:{s:s}}", "length", (json_int_t)bytes->size, "hashes", "sha256", hex);
	return json_object_set_new(map, name, line) != 0 ? no_memory(error) : 0;
}

static int put_authority(struct repository *repository, const struct authority *keys, json_t *map, struct error *error)
{
	CLEANUP(buffer_free) struct buffer authority = BUFFER_INIT(AUTHORITY_MOST);

	int result = authority_write(keys, &authority, error);
	return result < 0 ? result : repository_put_small(repository, AUTHORITY_TARGET, &authority, map, error);
}

static int init_targets(struct repository *repository, const struct repository_setup *setup, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = repository_head(ROLE_TARGETS, 1);

	if (targets == NULL || json_object_set_new(targets, "targets", json_object()) != 0 ||
	    json_object_set_new(targets, "product", json_string(setup->product)) != 0)
		return no_memory(error);
	int result = put_authority(repository, &setup->authority, json_object_get(targets, "targets"), error);
	return result < 0 ? result : repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
}

int repository_get_small(struct repository *repository, const char *name, const json_t *map, struct buffer *ret_bytes,
			 struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	const json_t *line = json_object_get(map, name);
	const char *hex = json_string_value(json_object_get(json_object_get(line, "hashes"), "sha256"));
	char path[HASH_HEX_SIZE + 64];
	uint8_t hash[HASH_SIZE], wanted[HASH_SIZE];

	int result = hash_from_hex(hex != NULL ? hex : "", wanted, sizeof(wanted), error);
	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "targets/%s.%.40s", hex, name);
	result = file_open_beneath(repository->directory, path, O_RDONLY, 0, &fd, error);
	if (result == 0)
		result = file_read_fd(fd, path, ret_bytes, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_SHA256, ret_bytes->data, ret_bytes->size, hash);
	if (!hash_equal(hash, wanted))
		return error_set(error, ERROR_DATA, "hash", "%s is not what the targets metadata says", path);
	return 0;
}

/* What stands, for the halves that are not to change. */
static int read_authority(struct repository *repository, const json_t *map, struct authority *ret_authority,
			  struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(AUTHORITY_MOST);

	int result = repository_get_small(repository, AUTHORITY_TARGET, map, &bytes, error);
	return result < 0 ? result : authority_parse(bytes.data, bytes.size, ret_authority, error);
}

int repository_authority(struct repository *repository, const struct authority *change, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	CLEANUP(authority_free) struct authority standing = {0};
	struct authority next = {0};

	int result = repository_next_targets(repository, &targets, error);
	if (result < 0)
		return result;
	json_t *map = json_object_get(targets, "targets");
	result = read_authority(repository, map, &standing, error);
	next.order = change->order.count > 0 ? change->order : standing.order;
	next.entitlement = change->entitlement.count > 0 ? change->entitlement : standing.entitlement;
	if (result == 0)
		result = put_authority(repository, &next, map, error);
	return result < 0 ? result : repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
}

int repository_init(const char *path, const struct repository_setup *setup, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = calloc(1, sizeof(*repository));
	CLEANUP(jsonio_free) json_t *root = NULL;

	if (repository == NULL)
		return no_memory(error);
	repository->directory = repository->metadata = repository->lock = -1;
	if (!manifest_name_is_safe(setup->product))
		return error_set(error, ERROR_USAGE, "name",
				 "product \"%.80s\" must be letters, digits and . _ + ~ -, 63 at most", setup->product);
	/* Everything that may be refused comes before the folder. */
	int result = build_root(setup, &root, error);
	if (result == 0)
		result = init_folder(path, repository, error);
	/* Targets first: a folder whose root stands has everything. */
	if (result == 0)
		result = init_targets(repository, setup, error);
	return result < 0 ? result : init_root(repository, setup, root, error);
}
