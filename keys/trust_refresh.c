#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "keys/trust_set.h"

/* In one refresh (python-tuf has the same). */
#define ROOTS_MOST 256
/* Without a timestamp. */
#define SNAPSHOTS_MOST 1024

static bool is_missing(const struct error *error)
{
	return error->code == ERROR_DATA && !strcmp(error->name, "missing");
}

/* What the rotated keys had signed goes. */
static int forget_rotated(struct trust *trust, const struct role_root *before, const struct role_root *after,
			  struct error *error)
{
	int r = 0;

	if (!trust_root_rotates(before, after))
		return 0;
	for (int kind = ROLE_TIMESTAMP; !r && kind <= ROLE_SNAPSHOT; kind++) {
		char file[32];

		snprintf(file, sizeof file, "%s.json", role_names[kind]);
		trust_file_free(&trust->files[kind]);
		r = file_remove_tree_at(trust->directory, file, error);
	}
	return r ? r : file_sync_directory(trust->directory, error);
}

static int store_history(struct trust *trust, const struct role_root *root, const struct buffer *bytes,
			 struct error *error)
{
	char name[64];
	int r = file_make_directory_at(trust->directory, TRUST_HISTORY, 0755, error);

	snprintf(name, sizeof name, TRUST_HISTORY "/%lld.root.json", (long long)root->head.version);
	return r ? r : trust_store(trust, name, bytes, error);
}

/* root.json first and the history last: while it is ahead of the history, trust_open takes it from there, the numbers
 * of rotated keys count for nothing, and the next refresh ends the turn. So a power cut leaves neither the new root
 * beside the old numbers nor the old root without any. */
static int store_root(struct trust *trust, const struct role_root *root, const struct buffer *bytes,
		      struct error *error)
{
	int r = trust_store(trust, "root.json", bytes, error);

	if (!r)
		r = forget_rotated(trust, trust->root, root, error);
	return r ? r : store_history(trust, root, bytes, error);
}

/* A turn to another root that was interrupted. */
static int end_turn(struct trust *trust, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(role_root_free) struct role_root *stored = NULL;
	int r;

	if (!trust->left)
		return 0;
	r = file_read_at(trust->directory, "root.json", &bytes, error);
	if (!r)
		r = trust_root_verify(&bytes, trust->left, &stored, error);
	if (!r)
		r = forget_rotated(trust, trust->left, stored, error);
	if (!r)
		r = store_history(trust, stored, &bytes, error);
	if (!r)
		role_root_free(&trust->left);
	return r;
}

/* §5.3: one root after the other, each kept; how long the last one is good is asked at the end only. */
static int update_root(struct trust *trust, struct trust_source source, int64_t now, struct error *error)
{
	for (int i = 0; i < ROOTS_MOST; i++) {
		CLEANUP(buffer_free) struct buffer bytes = {0};
		CLEANUP(role_root_free) struct role_root *next = NULL;
		struct error reason = {0};
		char name[64];
		int r;

		snprintf(name, sizeof name, "metadata/%lld.root.json", (long long)trust->root->head.version + 1);
		r = trust_fetch(source, name, ROLE_ROOT_MOST, &bytes, &reason);
		if (r && is_missing(&reason))
			break;
		if (!r)
			r = trust_root_verify(&bytes, trust->root, &next, &reason);
		if (!r)
			r = store_root(trust, next, &bytes, &reason);
		if (r) {
			*error = reason;
			return r;
		}
		role_root_free(&trust->root);
		trust->root = TAKE(next);
	}
	return trust_check_fresh(&trust->root->head, "root.json", now, error);
}

static int keep(struct trust *trust, enum role_kind kind, struct trust_file *file, const struct buffer *bytes,
		struct error *error)
{
	char name[32];
	int r;

	snprintf(name, sizeof name, "%s.json", role_names[kind]);
	r = trust->held ? 0 : trust_store(trust, name, bytes, error);
	if (r)
		return r;
	trust_file_free(&trust->files[kind]);
	trust->files[kind] = *file;
	*file = (struct trust_file){0};
	return 0;
}

static int snapshot_line(const struct trust_file *timestamp, struct role_meta *ret_meta, struct error *error)
{
	bool named;

	return role_meta_read(envelope_signed(timestamp->envelope), "snapshot.json", ret_meta, &named, error);
}

static int check_timestamp_rollback(const struct trust_file *trusted, const struct trust_file *file,
				    struct error *error)
{
	struct role_meta before, after;
	int r;

	if (file->head.version < trusted->head.version)
		return error_set(error, ERROR_DATA, "version",
				 "timestamp.json is version %lld, %lld was accepted already",
				 (long long)file->head.version, (long long)trusted->head.version);
	r = snapshot_line(trusted, &before, error);
	if (!r)
		r = snapshot_line(file, &after, error);
	if (!r && after.version < before.version)
		r = error_set(error, ERROR_DATA, "version", "timestamp.json goes back from snapshot %lld to %lld",
			      (long long)before.version, (long long)after.version);
	return r;
}

/* §5.4. */
static int update_timestamp(struct trust *trust, struct trust_source source, int64_t now, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(trust_file_free) struct trust_file file = {0};
	const struct trust_file *trusted = &trust->files[ROLE_TIMESTAMP];
	int r = trust_fetch(source, "metadata/timestamp.json", ROLE_TIMESTAMP_MOST, &bytes, error);

	if (!r)
		r = trust_file_verify(&bytes, "timestamp.json", ROLE_TIMESTAMP, &trust->root->roles[ROLE_TIMESTAMP],
				      NULL, &file, error);
	if (!r && trusted->envelope) {
		/* The same version again is no news: the one that was accepted stands, as long as it is good. */
		if (file.head.version == trusted->head.version)
			return trust_check_fresh(&trusted->head, "timestamp.json", now, error);
		r = check_timestamp_rollback(trusted, &file, error);
	}
	if (!r)
		r = trust_check_fresh(&file.head, "timestamp.json", now, error);
	return r ? r : keep(trust, ROLE_TIMESTAMP, &file, &bytes, error);
}

/* §5.5.5: what was listed stays listed, at no lower version. */
static int check_snapshot_rollback(const struct trust_file *trusted, const struct trust_file *file, struct error *error)
{
	json_t *lines = json_object_get(envelope_signed(trusted->envelope), "meta"), *line;
	const char *name;

	json_object_foreach(lines, name, line)
	{
		struct role_meta before, after;
		bool named;
		int r = role_meta_read(envelope_signed(trusted->envelope), name, &before, &named, error);

		if (!r)
			r = role_meta_read(envelope_signed(file->envelope), name, &after, &named, error);
		if (r)
			return r;
		if (!named)
			return error_set(error, ERROR_DATA, "version", "snapshot.json drops %.200s", name);
		if (after.version < before.version)
			return error_set(error, ERROR_DATA, "version",
					 "snapshot.json takes %.200s back from version %lld to %lld", name,
					 (long long)before.version, (long long)after.version);
	}
	return 0;
}

static int take_snapshot(struct trust *trust, const struct buffer *bytes, const struct role_meta *meta, int64_t now,
			 struct error *error)
{
	CLEANUP(trust_file_free) struct trust_file file = {0};
	const struct trust_file *trusted = &trust->files[ROLE_SNAPSHOT];
	int r = trust_file_verify(bytes, "snapshot.json", ROLE_SNAPSHOT, &trust->root->roles[ROLE_SNAPSHOT], meta,
				  &file, error);

	if (!r && trusted->envelope)
		r = check_snapshot_rollback(trusted, &file, error);
	if (!r)
		r = trust_check_fresh(&file.head, "snapshot.json", now, error);
	return r ? r : keep(trust, ROLE_SNAPSHOT, &file, bytes, error);
}

static int64_t cap(const struct role_meta *meta, int64_t most)
{
	return meta->has_length && meta->length < most ? meta->length : most;
}

/* §5.5. */
static int update_snapshot(struct trust *trust, struct trust_source source, const struct role_meta *meta, int64_t now,
			   struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	const struct trust_file *trusted = &trust->files[ROLE_SNAPSHOT];
	char name[TRUST_NAME_MOST];
	int r;

	if (trust_file_is(trusted, meta) && trusted->head.expires > now)
		return 0;
	trust_metadata_name(trust, "snapshot.json", meta->version, name);
	r = trust_fetch(source, name, cap(meta, ROLE_SNAPSHOT_MOST), &bytes, error);
	return r ? r : take_snapshot(trust, &bytes, meta, now, error);
}

/* Without a timestamp the newest snapshot is the last one that is there, counting up from the one that is trusted. */
static int find_snapshot(struct trust *trust, struct trust_source source, int64_t now, struct error *error)
{
	CLEANUP(buffer_free) struct buffer newest = {0};
	const struct trust_file *trusted = &trust->files[ROLE_SNAPSHOT];
	struct role_meta meta = {.version = trusted->head.version}; /* 0 where there is none */

	for (int i = 0; i < SNAPSHOTS_MOST; i++) {
		struct buffer bytes = {0};
		struct error reason = {0};
		char name[TRUST_NAME_MOST];
		int r;

		trust_metadata_name(trust, "snapshot.json", meta.version + 1, name);
		r = trust_fetch(source, name, ROLE_SNAPSHOT_MOST, &bytes, &reason);
		if (r)
			buffer_free(&bytes);
		if (r && is_missing(&reason))
			break;
		if (r) {
			*error = reason;
			return r;
		}
		buffer_free(&newest);
		newest = bytes;
		meta.version++;
	}
	if (newest.size)
		return take_snapshot(trust, &newest, &meta, now, error);
	if (!trusted->envelope)
		return error_set(error, ERROR_DATA, "missing",
				 "there is no metadata/1.snapshot.json: nothing was published");
	return trust_check_fresh(&trusted->head, "snapshot.json", now, error);
}

/* §5.6, the top level. */
static int update_targets(struct trust *trust, struct trust_source source, int64_t now, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(trust_file_free) struct trust_file file = {0};
	const struct trust_file *trusted = &trust->files[ROLE_TARGETS];
	char name[TRUST_NAME_MOST];
	struct role_meta meta;
	bool named;
	int r = role_meta_read(envelope_signed(trust->files[ROLE_SNAPSHOT].envelope), "targets.json", &meta, &named,
			       error);

	if (r)
		return r;
	if (trust_file_is(trusted, &meta) && trusted->head.expires > now)
		return 0;
	trust_metadata_name(trust, "targets.json", meta.version, name);
	r = trust_fetch(source, name, cap(&meta, ROLE_TARGETS_MOST), &bytes, error);
	if (!r)
		r = trust_file_verify(&bytes, "targets.json", ROLE_TARGETS, &trust->root->roles[ROLE_TARGETS], &meta,
				      &file, error);
	if (!r)
		r = trust_check_fresh(&file.head, "targets.json", now, error);
	return r ? r : keep(trust, ROLE_TARGETS, &file, &bytes, error);
}

/* The roots, and what is stored, verified under the root that stands now: nothing may go back behind that. */
static int begin(struct trust *trust, struct trust_source source, int64_t now, struct error *error)
{
	int r = end_turn(trust, error);

	if (!r)
		r = update_root(trust, source, now, error);
	for (int kind = ROLE_TIMESTAMP; !r && kind < ROLE_KINDS; kind++)
		r = trust_stored_load(trust, (enum role_kind)kind, error);
	return r;
}

int trust_refresh(struct trust *trust, struct trust_source source, unsigned flags, int64_t now, struct error *error)
{
	struct role_meta meta;
	int r = begin(trust, source, now, error);

	if (r)
		return r;
	if (flags & TRUST_NO_TIMESTAMP) {
		r = find_snapshot(trust, source, now, error);
	} else {
		r = update_timestamp(trust, source, now, error);
		if (!r)
			r = snapshot_line(&trust->files[ROLE_TIMESTAMP], &meta, error);
		if (!r)
			r = update_snapshot(trust, source, &meta, now, error);
	}
	return r ? r : update_targets(trust, source, now, error);
}

int trust_refresh_at(struct trust *trust, struct trust_source source, const struct role_meta *snapshot, int64_t now,
		     struct error *error)
{
	const struct trust_file *trusted = &trust->files[ROLE_SNAPSHOT];
	int r;

	trust->held = true;
	r = begin(trust, source, now, error);
	if (!r && trusted->envelope && snapshot->version < trusted->head.version)
		return error_set(
			error, ERROR_DATA, "version",
			"snapshot.json is version %lld, %lld was accepted already: this set is older than what "
			"is known here",
			(long long)snapshot->version, (long long)trusted->head.version);
	if (!r)
		r = update_snapshot(trust, source, snapshot, now, error);
	return r ? r : update_targets(trust, source, now, error);
}

/* The snapshot first: a power cut between the two leaves targets that lag behind it, which is still a valid set. */
int trust_keep(struct trust *trust, struct error *error)
{
	int r = 0;

	for (int kind = ROLE_SNAPSHOT; !r && kind <= ROLE_TARGETS; kind++) {
		CLEANUP(buffer_free) struct buffer bytes = {0};
		char name[32];

		if (!trust->files[kind].envelope)
			return error_set(error, ERROR_BUG, "trust", "a set is kept before it was refreshed");
		snprintf(name, sizeof name, "%s.json", role_names[kind]);
		r = envelope_write(trust->files[kind].envelope, &bytes, error);
		if (!r)
			r = trust_store(trust, name, &bytes, error);
	}
	if (!r)
		trust->held = false;
	return r;
}
