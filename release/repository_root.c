#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "release/repository_state.h"

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the root");
}

int repository_settle_root(struct repository *repository, bool *ret_stands, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST);
	const struct key_set *own = &repository->staged_keys->roles[ROLE_ROOT];
	char name[REPOSITORY_NAME_MOST];

	*ret_stands = false;
	/* Both thresholds: the keys that were trusted hand over to those that will be (TUF §5.3.4). */
	if (envelope_count(repository->staged_root, own) < own->threshold ||
	    (repository->keys != NULL && envelope_count(repository->staged_root, &repository->keys->roles[ROLE_ROOT]) <
						 repository->keys->roles[ROLE_ROOT].threshold))
		return 0;
	int64_t version = repository->versions[ROLE_ROOT] + 1;
	repository_name(ROLE_ROOT, version, name);
	int result = envelope_verify(repository->staged_root, own, name, error);
	if (result == 0)
		result = envelope_write(repository->staged_root, &bytes, error);
	if (result == 0)
		result = file_create_at(repository->metadata, name, bytes.data, bytes.size, 0644, error);
	if (result < 0)
		return result;
	repository->versions[ROLE_ROOT] = version;
	envelope_free(&repository->root);
	role_root_free(&repository->keys);
	repository->root = TAKE(repository->staged_root);
	repository->keys = TAKE(repository->staged_keys);
	*ret_stands = true;
	/* What is staged for an older version is never looked at, so a failure here loses nothing. */
	if (unlinkat(repository->metadata, "staged.root.json", 0) == 0)
		return file_sync_directory(repository->metadata, error);
	return 0;
}

/* By id, by eight digits or more of it, or by name. The id is borrowed from the root. */
static const char *find_id(const json_t *root, const json_t *ids, const char *wanted)
{
	const char *found = NULL;
	size_t size = strlen(wanted);

	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		const char *name = json_string_value(json_object_get(json_object_get(root, "names"), id));
		if ((size < 8 || strncmp(id, wanted, size) != 0) && (name == NULL || strcmp(name, wanted) != 0))
			continue;
		if (found != NULL)
			return NULL; /* which of two is not ours to guess */
		found = id;
	}
	return found;
}

static int remove_key(json_t *root, enum role_kind kind, const char *wanted, struct error *error)
{
	json_t *ids = json_object_get(json_object_get(json_object_get(root, "roles"), role_names[kind]), "keyids");
	const char *id = find_id(root, ids, wanted);

	if (id == NULL)
		return error_set(error, ERROR_USAGE, "keys", "%.80s is not one key of %s; \"status\" lists them",
				 wanted, role_names[kind]);
	for (size_t i = 0; i < json_array_size(ids); i++)
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			return json_array_remove(ids, i) != 0 ? no_memory(error) : 0;
	return 0;
}

static int add_key(json_t *root, enum role_kind kind, const struct key *key, const json_t *names, struct error *error)
{
	json_t *ids = json_object_get(json_object_get(json_object_get(root, "roles"), role_names[kind]), "keyids");
	const char *id = key_id(key);

	for (size_t i = 0; i < json_array_size(ids); i++)
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			return error_set(error, ERROR_USAGE, "keys", "%.16s is a key of %s already", id,
					 role_names[kind]);
	json_t *name = json_object_get(names, id);
	json_t *known = json_object_get(root, "names");
	if (known == NULL) {
		known = json_object();
		if (json_object_set_new(root, "names", known) != 0)
			return no_memory(error);
	}
	if (json_object_set(json_object_get(root, "keys"), id, (json_t *)(uintptr_t)key_object(key)) != 0 ||
	    json_array_append_new(ids, json_string(id)) != 0 || (name != NULL && json_object_set(known, id, name) != 0))
		return no_memory(error);
	return 0;
}

static bool is_used(const json_t *root, const char *id)
{
	const char *role;
	json_t *value;
	json_object_foreach(json_object_get(root, "roles"), role, value)
	{
		const json_t *ids = json_object_get(value, "keyids");
		for (size_t i = 0; i < json_array_size(ids); i++)
			if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
				return true;
	}
	return false;
}

/* Keys that no role has any more leave the file. */
static void drop_unused(json_t *root)
{
	json_t *keys = json_object_get(root, "keys"), *names = json_object_get(root, "names"), *value;
	const char *id;
	void *next;
	json_object_foreach_safe(keys, next, id, value)
	{
		if (is_used(root, id))
			continue;
		(void)json_object_del(names, id);
		(void)json_object_del(keys, id);
	}
}

static int check_thresholds(const struct role_root *root, struct error *error)
{
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		if (root->roles[kind].threshold > root->roles[kind].count)
			return error_set(error, ERROR_USAGE, "threshold",
					 "%s would need %u signatures of %zu keys; give --threshold or "
					 "--add a key",
					 role_names[kind], root->roles[kind].threshold, root->roles[kind].count);
	return 0;
}

int repository_rotate(struct repository *repository, const struct repository_rotation *rotation, struct error *error)
{
	CLEANUP(jsonio_free) json_t *root = NULL;
	CLEANUP(role_root_free) struct role_root *keys = NULL;

	if (repository->root == NULL)
		return error_set(error, ERROR_DATA, "missing", "root 1 does not stand yet; sign it first");
	int result = repository_copy(repository->staged_root != NULL ? repository->staged_root : repository->root,
				     ROLE_ROOT, repository->versions[ROLE_ROOT] + 1, &root, error);
	for (size_t i = 0; result == 0 && i < rotation->add_count; i++)
		result = add_key(root, rotation->role, rotation->add[i], rotation->names, error);
	for (size_t i = 0; result == 0 && i < rotation->remove_count; i++)
		result = remove_key(root, rotation->role, rotation->remove[i], error);
	if (result == 0 && rotation->threshold > 0 &&
	    json_object_set_new(json_object_get(json_object_get(root, "roles"), role_names[rotation->role]),
				"threshold", json_integer(rotation->threshold)) != 0)
		result = no_memory(error);
	if (result < 0)
		return result;
	drop_unused(root);
	result = role_root_read(root, &keys, error);
	if (result == 0)
		result = check_thresholds(keys, error);
	if (result < 0)
		return result;
	role_root_free(&repository->staged_keys);
	repository->staged_keys = TAKE(keys);
	return repository_stage_take(repository, ROLE_ROOT, TAKE(root), error);
}
