#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/list.h"
#include "keys/delegation.h"
#include "keys/trust_set.h"

/* Roles looked into besides the top-level targets (§5.6.7.1). */
#define VISITED_MOST 32

/* A delegation that is still to be followed. All borrowed from envelopes that the trusted set keeps. */
struct visit {
	const json_t *delegator; /* signed part */
	const json_t *delegation;
};

struct search {
	struct trust *trust;
	struct trust_source source;
	const char *path;
	int64_t now;
	struct visit *stack;
	size_t depth, capacity;
	const char *visited[VISITED_MOST];
	size_t visited_count;
};

static void search_end(struct search *search)
{
	free(search->stack);
}

static bool was_visited(const struct search *search, const char *name)
{
	for (size_t i = 0; i < search->visited_count; i++)
		if (!strcmp(search->visited[i], name))
			return true;
	return false;
}

static int push(struct search *search, struct visit visit, struct error *error)
{
	struct visit *stack = list_grow(search->stack, search->depth, &search->capacity, sizeof *stack);

	if (!stack)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to follow delegations");
	search->stack = stack;
	search->stack[search->depth++] = visit;
	return 0;
}

/* The delegations for the path, so that the first comes off the stack first. A terminating one ends the list, and with
 * it everything that was still to be followed elsewhere. */
static int push_delegations(struct search *search, const json_t *delegator, struct error *error)
{
	size_t first = search->depth;
	const json_t *delegation;

	for (size_t i = 0; (delegation = delegation_at(delegator, i)); i++) {
		int r;

		if (!delegation_covers(delegation, search->path))
			continue;
		r = push(search, (struct visit){delegator, delegation}, error);
		if (r)
			return r;
		if (delegation_is_terminating(delegation)) {
			search->depth -= first;
			if (first)
				memmove(search->stack, search->stack + first, search->depth * sizeof *search->stack);
			first = 0;
			break;
		}
	}
	for (size_t low = first, high = search->depth; low + 1 < high; low++) {
		struct visit other = search->stack[--high];

		search->stack[high] = search->stack[low];
		search->stack[low] = other;
	}
	return 0;
}

static struct trust_delegate *find_delegate(struct trust *trust, const char *name)
{
	for (size_t i = 0; i < trust->delegate_count; i++)
		if (!strcmp(trust->delegates[i].name, name))
			return &trust->delegates[i];
	return NULL;
}

/* Keeps the file under its name, in place of an older one. Takes `file`. */
static int keep_delegate(struct trust *trust, const char *name, struct trust_file *file,
			 const struct trust_file **ret_kept, struct error *error)
{
	struct trust_delegate *delegate = find_delegate(trust, name), *more;

	if (!delegate) {
		char *copy = strdup(name);

		more = copy ? reallocarray(trust->delegates, trust->delegate_count + 1, sizeof *more) : NULL;
		if (!more) {
			free(copy);
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", name);
		}
		trust->delegates = more;
		delegate = &more[trust->delegate_count++];
		*delegate = (struct trust_delegate){.name = copy};
	}
	trust_file_free(&delegate->file);
	delegate->file = *file;
	*file = (struct trust_file){0};
	*ret_kept = &delegate->file;
	return 0;
}

/* From where it lies already: in memory or in the directory. Whoever delegated to it when it was kept does not matter:
 * it is held against the keys of the delegator in force. */
static bool load_kept(struct search *search, const char *name, const char *file_name, const struct key_set *keys,
		      const struct role_meta *meta, const struct trust_file **ret_file)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TARGETS_MOST);
	CLEANUP(trust_file_free) struct trust_file file = {0};
	const struct trust_delegate *delegate = find_delegate(search->trust, name);
	struct error ignored;

	if (delegate && trust_file_is(&delegate->file, meta) && delegate->file.head.expires > search->now &&
	    !envelope_verify(delegate->file.envelope, keys, name, &ignored)) {
		*ret_file = &delegate->file;
		return true;
	}
	return !file_read_at(search->trust->directory, file_name, &bytes, &ignored) &&
	       !trust_file_verify(&bytes, name, ROLE_TARGETS, keys, meta, &file, &ignored) &&
	       file.head.expires > search->now && !keep_delegate(search->trust, name, &file, ret_file, &ignored);
}

static int fetch_delegate(struct search *search, const char *name, const char *file_name, const struct key_set *keys,
			  const struct role_meta *meta, const struct trust_file **ret_file, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(trust_file_free) struct trust_file file = {0};
	char remote[TRUST_NAME_MOST];
	int64_t most = meta->has_length && meta->length < ROLE_TARGETS_MOST ? meta->length : ROLE_TARGETS_MOST;
	int r;

	trust_metadata_name(search->trust, file_name, meta->version, remote);
	r = trust_fetch(search->source, remote, most, &bytes, error);
	if (!r)
		r = trust_file_verify(&bytes, name, ROLE_TARGETS, keys, meta, &file, error);
	if (!r)
		r = trust_check_fresh(&file.head, name, search->now, error);
	if (!r)
		r = search->trust->held ? 0 : trust_store(search->trust, file_name, &bytes, error);
	return r ? r : keep_delegate(search->trust, name, &file, ret_file, error);
}

static int load_delegate(struct search *search, struct visit visit, const struct trust_file **ret_file,
			 struct error *error)
{
	CLEANUP(key_set_free) struct key_set keys = {0};
	CLEANUP(free_pointer) char *line = NULL;
	const struct trust_file *snapshot = &search->trust->files[ROLE_SNAPSHOT];
	const char *name = delegation_name(visit.delegation);
	char file_name[DELEGATION_FILE_MOST];
	struct role_meta meta;
	bool named;
	int r = delegation_keys(visit.delegator, visit.delegation, &keys, error);

	if (!r)
		r = delegation_file(name, file_name, error);
	if (!r && asprintf(&line, "%s.json", name) < 0) {
		line = NULL;
		r = error_set(error, ERROR_CANNOT_CREATE, "memory", "%s: no memory", name);
	}
	if (!r)
		r = role_meta_read(envelope_signed(snapshot->envelope), line, &meta, &named, error);
	if (r)
		return r;
	if (!named)
		return error_set(error, ERROR_DATA, "mix", "the delegated role %s is not in the snapshot", name);
	if (load_kept(search, name, file_name, &keys, &meta, ret_file))
		return 0;
	return fetch_delegate(search, name, file_name, &keys, &meta, ret_file, error);
}

static int follow(struct search *search, struct role_target *ret_target, bool *ret_named, struct error *error)
{
	int r = push_delegations(search, trust_targets(search->trust), error);

	while (!r && search->depth > 0) {
		struct visit visit = search->stack[--search->depth];
		const char *name = delegation_name(visit.delegation);
		const struct trust_file *file;

		if (was_visited(search, name))
			continue;
		if (search->visited_count == VISITED_MOST)
			break;
		search->visited[search->visited_count++] = name;
		r = load_delegate(search, visit, &file, error);
		if (!r)
			r = role_target_read(envelope_signed(file->envelope), search->path, ret_target, ret_named,
					     error);
		if (r || *ret_named)
			return r;
		r = push_delegations(search, envelope_signed(file->envelope), error);
	}
	return r;
}

int trust_target(struct trust *trust, struct trust_source source, const char *path, int64_t now,
		 struct role_target *ret_target, bool *ret_named, struct error *error)
{
	CLEANUP(search_end) struct search search = {.trust = trust, .source = source, .path = path, .now = now};
	struct role_target target;
	bool named = false;
	int r;

	if (!trust_targets(trust) || !trust->files[ROLE_SNAPSHOT].envelope)
		return error_set(error, ERROR_BUG, "trust", "targets are looked up before a refresh");
	r = role_target_read(trust_targets(trust), path, &target, &named, error);
	if (!r && !named)
		r = follow(&search, &target, &named, error);
	if (r)
		return r;
	if (named)
		*ret_target = target;
	*ret_named = named;
	return 0;
}

/* "targets/DIR/HASH.NAME" with consistent snapshots (§5.7.3). */
static int target_name(const struct trust *trust, const char *path, const struct role_target *target, char **ret_name,
		       struct error *error)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char hex[2 * HASH_SHA512_SIZE + 1];
	int size;

	if (!file_path_is_safe(path))
		return error_set(error, ERROR_DATA, "path", "the target path %.200s leads outside", path);
	if (target->lacks_sha256 && !target->has_sha512)
		return error_set(error, ERROR_DATA, "hash", "target %.200s has no hash of a kind that is known", path);
	if (target->lacks_sha256)
		hash_to_hex(target->sha512, HASH_SHA512_SIZE, hex);
	else
		hash_to_hex(target->sha256, HASH_SIZE, hex);
	if (trust->root->consistent_snapshot)
		size = asprintf(ret_name, "targets/%.*s%s.%s", (int)(base - path), path, hex, base);
	else
		size = asprintf(ret_name, "targets/%s", path);
	if (size < 0) {
		*ret_name = NULL;
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "%.200s: no memory", path);
	}
	return 0;
}

int trust_fetch_target(struct trust *trust, struct trust_source source, const char *path,
		       const struct role_target *target, struct buffer *ret_bytes, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(free_pointer) char *name = NULL;
	int r = target_name(trust, path, target, &name, error);

	/* A limit of 0 would be none. */
	if (!r)
		r = trust_fetch(source, name, target->length ? target->length : 1, &bytes, error);
	if (!r)
		r = role_target_check(target, path, bytes.data, bytes.size, error);
	if (r)
		return r;
	return buffer_append_take(ret_bytes, &bytes, error);
}
