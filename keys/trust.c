#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "keys/delegation.h"
#include "keys/trust_set.h"

/* Since the installed root. */
#define HISTORY_MOST 4096

static const struct {
	const char *file;
	size_t most;
} kinds[ROLE_KINDS] = {
	[ROLE_ROOT] = {"root.json", ROLE_ROOT_MOST},
	[ROLE_TIMESTAMP] = {"timestamp.json", ROLE_TIMESTAMP_MOST},
	[ROLE_SNAPSHOT] = {"snapshot.json", ROLE_SNAPSHOT_MOST},
	[ROLE_TARGETS] = {"targets.json", ROLE_TARGETS_MOST},
};

void trust_file_free(struct trust_file *file)
{
	envelope_free(&file->envelope);
	*file = (struct trust_file){0};
}

int trust_file_verify(const struct buffer *bytes, const char *what, enum role_kind kind, const struct key_set *keys,
		      const struct role_meta *meta, struct trust_file *ret_file, struct error *error)
{
	CLEANUP(trust_file_free) struct trust_file file = {0};
	int r = meta ? role_meta_check(meta, what, bytes->data, bytes->size, error) : 0;

	if (!r)
		r = envelope_parse(bytes->data, bytes->size, what, &file.envelope, error);
	if (!r)
		r = envelope_verify(file.envelope, keys, what, error);
	if (!r)
		r = role_check(envelope_signed(file.envelope), kind, what, &file.head, error);
	if (!r && kind == ROLE_TARGETS)
		r = delegation_check(envelope_signed(file.envelope), what, error);
	if (r)
		return r;
	if (meta && file.head.version != meta->version)
		return error_set(error, ERROR_DATA, "mix", "%s is version %lld where %lld is stated", what,
				 (long long)file.head.version, (long long)meta->version);
	*ret_file = file;
	file = (struct trust_file){0};
	return 0;
}

int trust_check_fresh(const struct role_head *head, const char *what, int64_t now, struct error *error)
{
	char text[CLOCK_UTC_SIZE];

	if (head->expires > now)
		return 0;
	clock_format_utc(head->expires, text);
	return error_set(error, ERROR_DATA, "freeze", "%s version %lld expired at %s; a newer one is needed", what,
			 (long long)head->version, text);
}

bool trust_file_is(const struct trust_file *file, const struct role_meta *meta)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error ignored;

	return file->envelope && file->head.version == meta->version &&
	       !envelope_write(file->envelope, &bytes, &ignored) &&
	       !role_meta_check(meta, "", bytes.data, bytes.size, &ignored);
}

int trust_root_verify(const struct buffer *bytes, const struct role_root *previous, struct role_root **ret_root,
		      struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(role_root_free) struct role_root *root = NULL;
	int r = envelope_parse(bytes->data, bytes->size, "root.json", &envelope, error);

	if (!r && previous)
		r = envelope_verify(envelope, &previous->roles[ROLE_ROOT],
				    "root.json, by the keys of the root before it", error);
	if (!r)
		r = role_root_read(envelope_signed(envelope), &root, error);
	if (!r)
		r = envelope_verify(envelope, &root->roles[ROLE_ROOT], "root.json", error);
	if (r)
		return r;
	if (previous && root->head.version != previous->head.version + 1)
		return error_set(error, ERROR_DATA, "version", "root.json is version %lld where %lld must follow",
				 (long long)root->head.version, (long long)previous->head.version + 1);
	*ret_root = TAKE(root);
	return 0;
}

void trust_metadata_name(const struct trust *trust, const char *file, int64_t version,
			 char ret_name[static TRUST_NAME_MOST])
{
	if (trust->root->consistent_snapshot)
		snprintf(ret_name, TRUST_NAME_MOST, "metadata/%lld.%s", (long long)version, file);
	else
		snprintf(ret_name, TRUST_NAME_MOST, "metadata/%s", file);
}

int trust_fetch(struct trust_source source, const char *name, int64_t most, struct buffer *ret_bytes,
		struct error *error)
{
	int r;

	if (!source.fetch)
		return error_set(error, ERROR_DATA, "missing", "%s is not here and there is nowhere to fetch it", name);
	r = source.fetch(source.context, name, (size_t)most, ret_bytes, error);
	if (r)
		return r;
	if (ret_bytes->size > (size_t)most)
		return error_set(error, ERROR_DATA, "length", "%s is longer than %lld bytes", name, (long long)most);
	return 0;
}

int trust_store(struct trust *trust, const char *file, const struct buffer *bytes, struct error *error)
{
	return file_replace_at(trust->directory, file, bytes->data, bytes->size, 0644, error);
}

static bool holds(const struct key_set *set, const struct key *key)
{
	for (size_t i = 0; i < set->count; i++)
		if (key_same(set->keys[i], key) || !strcmp(key_id(set->keys[i]), key_id(key)))
			return true;
	return false;
}

static bool is_rotated(const struct role_root *before, const struct role_root *after, enum role_kind kind)
{
	for (size_t i = 0; i < before->roles[kind].count; i++)
		if (!holds(&after->roles[kind], before->roles[kind].keys[i]))
			return true;
	return false;
}

bool trust_root_rotates(const struct role_root *before, const struct role_root *after)
{
	return is_rotated(before, after, ROLE_TIMESTAMP) || is_rotated(before, after, ROLE_SNAPSHOT);
}

/* Signed before a turn that has not ended. */
static bool is_forgotten(const struct trust *trust, enum role_kind kind)
{
	return trust->left && (kind == ROLE_TIMESTAMP || kind == ROLE_SNAPSHOT) &&
	       trust_root_rotates(trust->left, trust->root);
}

int trust_stored_load(struct trust *trust, enum role_kind kind, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(kinds[kind].most);
	struct trust_file file = {0};
	struct error why;
	int r = file_read_at(trust->directory, kinds[kind].file, &bytes, &why);

	/* What is there and cannot be read may be newer than what is offered. */
	if (r && strcmp(why.name, "read") == 0) {
		*error = why;
		return r;
	}
	if (!r)
		r = trust_file_verify(&bytes, kinds[kind].file, kind, &trust->root->roles[kind], NULL, &file, &why);
	trust_file_free(&trust->files[kind]);
	if (!r && is_forgotten(trust, kind))
		trust_file_free(&file);
	else if (!r)
		trust->files[kind] = file;
	return 0;
}

/* *ret_next is NULL where none that follows lies in `file`. */
static int read_next(const struct trust *trust, const char *file, struct role_root **ret_next, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST);
	struct error why;
	int r = file_read_at(trust->directory, file, &bytes, &why);

	*ret_next = NULL;
	if (r && strcmp(why.name, "read") == 0) {
		*error = why;
		return r;
	}
	if (!r && trust_root_verify(&bytes, trust->root, ret_next, &why))
		*ret_next = NULL;
	return 0;
}

/* The roots that were accepted after the installed one. A damaged or missing link ends the walk: the refresh fetches
 * from there on. The stored root.json itself is never an anchor, only what the installed root vouches for. */
static int walk_history(struct trust *trust, struct error *error)
{
	struct role_root *next = NULL;

	for (int i = 0; i < HISTORY_MOST; i++) {
		char name[64];

		snprintf(name, sizeof name, TRUST_HISTORY "/%lld.root.json", (long long)trust->root->head.version + 1);
		int r = read_next(trust, name, &next, error);
		if (r)
			return r;
		if (!next)
			break;
		role_root_free(&trust->root);
		trust->root = next;
	}
	int r = read_next(trust, "root.json", &next, error);
	if (r || !next)
		return r;
	trust->left = trust->root;
	trust->root = next;
	return 0;
}

int trust_open(int directory, const void *root, size_t root_size, struct trust **ret_trust, struct error *error)
{
	CLEANUP(trust_free) struct trust *trust = calloc(1, sizeof *trust);
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST);
	int r;

	if (!trust)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the trusted set");
	trust->directory = directory;
	r = buffer_append(&bytes, root, root_size, error);
	if (!r)
		r = trust_root_verify(&bytes, NULL, &trust->root, error);
	if (r)
		return error_prefix(error, "the installed root");
	r = walk_history(trust, error);
	if (r)
		return r;
	*ret_trust = TAKE(trust);
	return 0;
}

void trust_free(struct trust **trust)
{
	if (!*trust)
		return;
	role_root_free(&(*trust)->root);
	role_root_free(&(*trust)->left);
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		trust_file_free(&(*trust)->files[kind]);
	for (size_t i = 0; i < (*trust)->delegate_count; i++) {
		trust_file_free(&(*trust)->delegates[i].file);
		free((*trust)->delegates[i].name);
	}
	free((*trust)->delegates);
	free(*trust);
	*trust = NULL;
}

/* A refresh that ended in the middle leaves a lower file behind its upper one: still the last valid set. A file that is
 * ahead of what its upper one states, or another of the same version, belongs to no set. */
static int check_belongs(const struct trust *trust, enum role_kind upper, enum role_kind lower, struct error *error)
{
	const struct trust_file *file = &trust->files[lower];
	struct role_meta meta;
	bool named;
	int r = role_meta_read(envelope_signed(trust->files[upper].envelope), kinds[lower].file, &meta, &named, error);

	if (r)
		return r;
	if (named && (file->head.version < meta.version || trust_file_is(file, &meta)))
		return 0;
	return error_set(error, ERROR_DATA, "mix", "the stored %s does not belong to the stored %s", kinds[lower].file,
			 kinds[upper].file);
}

/* A snapshot above the timestamp's came without one (trust_keep): its role signed it, and nothing went back for it. */
static int check_stamped(const struct trust *trust, struct error *error)
{
	struct role_meta meta;
	bool named;
	int r = role_meta_read(envelope_signed(trust->files[ROLE_TIMESTAMP].envelope), kinds[ROLE_SNAPSHOT].file, &meta,
			       &named, error);

	if (r || (named && trust->files[ROLE_SNAPSHOT].head.version > meta.version))
		return r;
	return check_belongs(trust, ROLE_TIMESTAMP, ROLE_SNAPSHOT, error);
}

int trust_load(struct trust *trust, int64_t now, struct error *error)
{
	int r = 0;

	for (int kind = ROLE_TIMESTAMP; !r && kind < ROLE_KINDS; kind++)
		r = trust_stored_load(trust, (enum role_kind)kind, error);
	for (int kind = ROLE_SNAPSHOT; !r && kind < ROLE_KINDS; kind++)
		if (!trust->files[kind].envelope)
			r = error_set(error, ERROR_DATA, "missing", "no valid %s is stored here yet", kinds[kind].file);
	if (!r)
		r = check_belongs(trust, ROLE_SNAPSHOT, ROLE_TARGETS, error);
	if (!r && trust->files[ROLE_TIMESTAMP].envelope)
		r = check_stamped(trust, error);
	if (r) {
		trust_file_free(&trust->files[ROLE_TARGETS]);
		return r;
	}
	r = trust_check_fresh(&trust->root->head, kinds[ROLE_ROOT].file, now, error);
	for (int kind = ROLE_TIMESTAMP; !r && kind < ROLE_KINDS; kind++)
		if (trust->files[kind].envelope)
			r = trust_check_fresh(&trust->files[kind].head, kinds[kind].file, now, error);
	return r;
}

static const struct role_head *head_of(const struct trust *trust, enum role_kind kind)
{
	return kind == ROLE_ROOT ? &trust->root->head : &trust->files[kind].head;
}

int64_t trust_version(const struct trust *trust, enum role_kind kind)
{
	return head_of(trust, kind)->version;
}

int64_t trust_expires(const struct trust *trust, enum role_kind kind)
{
	return head_of(trust, kind)->expires;
}

const json_t *trust_targets(const struct trust *trust)
{
	const struct envelope *envelope = trust->files[ROLE_TARGETS].envelope;

	return envelope ? envelope_signed(envelope) : NULL;
}

void trust_root_hash(const void *root, size_t root_size, uint8_t ret_hash[static HASH_SIZE])
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(buffer_free) struct buffer canonical = {0};
	struct error ignored;

	if (envelope_parse(root, root_size, "root.json", &envelope, &ignored) ||
	    jsonio_write_canonical(envelope_signed(envelope), &canonical, &ignored))
		hash_bytes(HASH_SHA256, root, root_size, ret_hash);
	else
		hash_bytes(HASH_SHA256, canonical.data, canonical.size, ret_hash);
}
