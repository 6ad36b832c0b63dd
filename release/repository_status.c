#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "release/library.h"
#include "release/repository_state.h"

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
}

static json_t *key_value(const json_t *root_signed, const struct key *key)
{
	const char *name = json_string_value(json_object_get(json_object_get(root_signed, "names"), key_id(key)));
	return json_pack("{s:s, s:s*}", "id", key_id(key), "name", name);
}

/* Whose signatures a staged file has and lacks. A refused key set (no root yet) gives an empty list. */
static json_t *signatures(const struct envelope *envelope, const struct key_set *set, const json_t *root_signed)
{
	json_t *have = json_array(), *missing = json_array();
	int failed = 0;
	for (size_t i = 0; i < set->count; i++)
		failed |= json_array_append_new(envelope_signed_by(envelope, set->keys[i]) ? have : missing,
						key_value(root_signed, set->keys[i]));
	json_t *value = json_pack("{s:I, s:I, s:o, s:o}", "threshold", (json_int_t)set->threshold, "count",
				  (json_int_t)envelope_count(envelope, set), "signed", have, "missing", missing);
	if (failed != 0)
		jsonio_free(&value);
	return value;
}

/* `warn` when less than a third of the role's life is left. */
static json_t *expiry(const struct role_head *head, enum role_kind kind)
{
	char expires[CLOCK_UTC_SIZE];
	int64_t left = head->expires - clock_now();
	clock_format_utc(head->expires, expires);
	return json_pack("{s:I, s:s, s:I, s:b}", "version", (json_int_t)head->version, "expires", expires, "days_left",
			 (json_int_t)(left < 0 ? -1 : left / REPOSITORY_DAY), "warn",
			 left < repository_lives[kind] / 3);
}

static int add_role(struct repository *repository, enum role_kind kind, json_t *roles, struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	const struct key_set *set = repository->keys != NULL ? &repository->keys->roles[kind] : NULL;
	const json_t *root = repository->root != NULL ? envelope_signed(repository->root) : NULL;
	char name[REPOSITORY_NAME_MOST];
	struct role_head head;

	repository_name(kind, repository->versions[kind], name);
	int result = repository_read(repository->metadata, name, ROLE_TARGETS_MOST, &envelope, error);
	if (result < 0 || envelope == NULL)
		return result;
	result = role_head(envelope_signed(envelope), kind, name, &head, error);
	if (result < 0)
		return result;
	json_t *value = expiry(&head, kind);
	if (set != NULL && value != NULL) {
		json_t *keys = json_array();
		for (size_t i = 0; i < set->count; i++)
			if (json_array_append_new(keys, key_value(root, set->keys[i])) != 0)
				return no_memory(error);
		if (json_object_set_new(value, "keys", keys) != 0 ||
		    json_object_set_new(value, "threshold", json_integer(set->threshold)) != 0 ||
		    json_object_set_new(value, "signed",
					json_boolean(envelope_count(envelope, set) >= set->threshold)) != 0)
			return no_memory(error);
	}
	return value == NULL || json_object_set_new(roles, role_names[kind], value) != 0 ? no_memory(error) : 0;
}

static int add_staged(const struct repository *repository, json_t *staged, struct error *error)
{
	const struct role_root *keys = repository->keys != NULL ? repository->keys : repository->staged_keys;
	const struct envelope *names = repository->root != NULL ? repository->root : repository->staged_root;
	const json_t *root = names != NULL ? envelope_signed(names) : NULL;
	struct role_head head;

	if (repository->staged_root != NULL) {
		json_t *value =
			json_pack("{s:I, s:o}", "version", (json_int_t)repository->versions[ROLE_ROOT] + 1, "own",
				  signatures(repository->staged_root, &repository->staged_keys->roles[ROLE_ROOT],
					     envelope_signed(repository->staged_root)));
		if (repository->keys != NULL && value != NULL &&
		    json_object_set_new(value, "before",
					signatures(repository->staged_root, &repository->keys->roles[ROLE_ROOT],
						   envelope_signed(repository->root))) != 0)
			jsonio_free(&value);
		if (value == NULL || json_object_set_new(staged, "root", value) != 0)
			return no_memory(error);
	}
	if (repository->staged_targets == NULL || keys == NULL)
		return 0;
	int result = role_head(envelope_signed(repository->staged_targets), ROLE_TARGETS, "staged.targets.json", &head,
			       error);
	if (result < 0)
		return result;
	json_t *value = expiry(&head, ROLE_TARGETS);
	json_t *who = signatures(repository->staged_targets, &keys->roles[ROLE_TARGETS], root);
	if (value == NULL || who == NULL || json_object_update_new(value, who) != 0 ||
	    json_object_set_new(staged, "targets", value) != 0)
		return no_memory(error);
	return 0;
}

static bool is_published(const struct repository *repository, const char *target)
{
	return repository->targets != NULL &&
	       json_object_get(json_object_get(envelope_signed(repository->targets), "targets"), target) != NULL;
}

static int add_releases(const struct repository *repository, json_t *releases, struct error *error)
{
	CLEANUP(free_pointer) struct library_release *list = NULL;
	const json_t *targets = repository_current_targets(repository);
	size_t count = 0;

	int result = library_list(targets, repository->product, &list, &count, error);
	for (size_t i = 0; result == 0 && i < count; i++) {
		const struct library_release *release = &list[i];
		char date[CLOCK_UTC_SIZE], sha256[HASH_HEX_SIZE];
		clock_format_utc(release->published, date);
		date[10] = '\0';
		hash_to_hex(release->sha256, HASH_SIZE, sha256);
		json_t *value =
			json_pack("{s:s, s:I, s:s, s:O, s:s, s:b, s:b, s:s, s:s*, s:s*}", "version", release->version,
				  "sequence", (json_int_t)release->sequence, "published", date, "channels",
				  release->channels, "class", release->security ? "security" : "feature", "stop",
				  release->stop, "staged", !is_published(repository, release->target), "sha256", sha256,
				  "min_from", release->min_from[0] != '\0' ? release->min_from : NULL, "yanked",
				  release->yanked ? release->yank_reason : NULL);
		if (value == NULL || json_array_append_new(releases, value) != 0)
			return no_memory(error);
	}
	return result;
}

int repository_status(struct repository *repository, json_t **ret_status, struct error *error)
{
	CLEANUP(jsonio_free)
	json_t *status =
		json_pack("{s:s, s:{}, s:{}, s:[]}", "product", repository->product, "roles", "staged", "releases");
	int result = 0;

	if (status == NULL)
		return no_memory(error);
	for (int kind = 0; result == 0 && kind < ROLE_KINDS; kind++)
		result = add_role(repository, (enum role_kind)kind, json_object_get(status, "roles"), error);
	if (result == 0)
		result = add_staged(repository, json_object_get(status, "staged"), error);
	if (result == 0)
		result = add_releases(repository, json_object_get(status, "releases"), error);
	if (result < 0)
		return result;
	*ret_status = TAKE(status);
	return 0;
}
