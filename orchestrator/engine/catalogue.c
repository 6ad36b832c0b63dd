#include "orchestrator/engine/catalogue.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define DAY            (24 * 60 * 60)
#define TIMESTAMP_LIFE (7 * DAY)
#define VERSION_MOST   (INT64_C(1) << 53)
#define STRANGERS_MOST 1000

struct catalogue {
	struct role_root *root;
	struct envelope *targets;
	int64_t snapshot_version, snapshot_expires, targets_expires;
	int64_t snapshot_length;
	uint8_t snapshot_hash[HASH_SIZE];
	uint8_t root_hash[HASH_SIZE];
};

void catalogue_free(struct catalogue **catalogue)
{
	if (!*catalogue)
		return;
	role_root_free(&(*catalogue)->root);
	envelope_free(&(*catalogue)->targets);
	free(*catalogue);
	*catalogue = NULL;
}

const json_t *catalogue_targets(const struct catalogue *catalogue)
{
	return envelope_signed(catalogue->targets);
}

const uint8_t *catalogue_root_hash(const struct catalogue *catalogue)
{
	return catalogue->root_hash;
}

/* The highest N of N.ROLE.json that is at most `most`; 0 when there is none. */
static int newest(int metadata, const char *role, int64_t most, int64_t *ret_version, struct error *error)
{
	int copy = openat(metadata, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	if (!directory) {
		if (copy >= 0)
			close(copy);
		return error_set_errno(error, ERROR_DATA, "read", "the metadata cannot be listed");
	}
	char suffix[32];
	snprintf(suffix, sizeof suffix, ".%s.json", role);
	int64_t highest = 0;
	for (struct dirent *entry; (entry = readdir(directory));) {
		char *end = NULL;
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		long long version = strtoll(entry->d_name, &end, 10);
		if (!strcmp(end, suffix) && version <= most && version > highest)
			highest = version;
	}
	closedir(directory);
	*ret_version = highest;
	return 0;
}

static int read_role(int metadata, int64_t version, const char *role, struct buffer *ret_bytes,
		     struct envelope **ret_envelope, struct error *error)
{
	char name[64];
	snprintf(name, sizeof name, "%lld.%s.json", (long long)version, role);
	if (file_read_at(metadata, name, ret_bytes, error))
		return -(int)error->code;
	return envelope_parse(ret_bytes->data, ret_bytes->size, name, ret_envelope, error);
}

static int load_root(struct catalogue *catalogue, int metadata, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST), first = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	int64_t version = 0;
	if (newest(metadata, "root", VERSION_MOST, &version, error))
		return -(int)error->code;
	if (!version)
		return error_set(error, ERROR_DATA, "missing", "nothing was imported yet");
	if (read_role(metadata, version, "root", &bytes, &envelope, error) ||
	    role_root_read(envelope_signed(envelope), &catalogue->root, error) ||
	    envelope_verify(envelope, &catalogue->root->roles[ROLE_ROOT], "root", error) ||
	    file_read_at(metadata, "1.root.json", &first, error))
		return -(int)error->code;
	trust_root_hash(first.data, first.size, catalogue->root_hash);
	return 0;
}

/* The newest that those who hold the role now have signed. What a thief numbered above it, with a key that was rotated
 * out since, is passed over: only as many as one may find in a folder that the importer alone writes. */
static int find_snapshot(struct catalogue *catalogue, int metadata, struct buffer *ret_bytes,
			 struct envelope **ret_envelope, struct error *error)
{
	int64_t most = VERSION_MOST, version = 0;
	for (int i = 0; i < STRANGERS_MOST; i++, most = version - 1) {
		buffer_clear(ret_bytes);
		envelope_free(ret_envelope);
		if (newest(metadata, "snapshot", most, &version, error) ||
		    read_role(metadata, version, "snapshot", ret_bytes, ret_envelope, error))
			return -(int)error->code;
		if (envelope_verify(*ret_envelope, &catalogue->root->roles[ROLE_SNAPSHOT], "snapshot", error) == 0) {
			catalogue->snapshot_version = version;
			return 0;
		}
	}
	return -(int)error->code;
}

/* Returns the version of targets that the newest snapshot names. */
static int load_snapshot(struct catalogue *catalogue, int metadata, int64_t *ret_targets, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_SNAPSHOT_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct role_meta meta;
	bool named = false;
	if (find_snapshot(catalogue, metadata, &bytes, &envelope, error) ||
	    role_meta_read(envelope_signed(envelope), "targets.json", &meta, &named, error))
		return -(int)error->code;
	if (!named)
		return error_set(error, ERROR_DATA, "mix", "the snapshot names no targets");
	struct role_head head;
	if (role_head(envelope_signed(envelope), ROLE_SNAPSHOT, "snapshot", &head, error))
		return -(int)error->code;
	catalogue->snapshot_expires = head.expires;
	catalogue->snapshot_length = (int64_t)bytes.size;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, catalogue->snapshot_hash);
	*ret_targets = meta.version;
	return 0;
}

int catalogue_load(int releases, struct catalogue **ret_catalogue, struct error *error)
{
	CLEANUP(file_close) int metadata = -1;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TARGETS_MOST);
	CLEANUP(catalogue_free) struct catalogue *catalogue = calloc(1, sizeof *catalogue);
	int64_t version = 0;
	struct role_head head;
	struct error missing = {0};
	if (!catalogue)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the catalogue");
	if (file_open_beneath(releases, "metadata", O_RDONLY | O_DIRECTORY, 0, &metadata, &missing))
		return error_set(error, ERROR_DATA, "missing", "nothing was imported yet");
	if (load_root(catalogue, metadata, error) || load_snapshot(catalogue, metadata, &version, error) ||
	    read_role(metadata, version, "targets", &bytes, &catalogue->targets, error) ||
	    envelope_verify(catalogue->targets, &catalogue->root->roles[ROLE_TARGETS], "targets", error) ||
	    role_head(envelope_signed(catalogue->targets), ROLE_TARGETS, "targets", &head, error))
		return -(int)error->code;
	catalogue->targets_expires = head.expires;
	*ret_catalogue = TAKE(catalogue);
	return 0;
}

/* What the timestamp that stands says; zeroes when there is none that can be believed. */
static void read_timestamp(const struct catalogue *catalogue, int releases, struct role_head *ret_head,
			   struct role_meta *ret_snapshot)
{
	CLEANUP(file_close) int fd = -1;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TIMESTAMP_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct role_head head;
	struct role_meta meta;
	struct error error;
	bool named = false;
	if (file_open_beneath(releases, "metadata/timestamp.json", O_RDONLY, 0, &fd, &error) == 0 &&
	    file_read_fd(fd, "timestamp.json", &bytes, &error) == 0 &&
	    envelope_parse(bytes.data, bytes.size, "timestamp", &envelope, &error) == 0 &&
	    envelope_verify(envelope, &catalogue->root->roles[ROLE_TIMESTAMP], "timestamp", &error) == 0 &&
	    role_head(envelope_signed(envelope), ROLE_TIMESTAMP, "timestamp", &head, &error) == 0 &&
	    role_meta_read(envelope_signed(envelope), "snapshot.json", &meta, &named, &error) == 0 && named) {
		*ret_head = head;
		*ret_snapshot = meta;
	}
}

bool catalogue_head(const struct catalogue *catalogue, int releases, enum role_kind kind, struct role_head *ret_head)
{
	struct role_head head = {0};
	struct role_meta snapshot = {0};
	struct error error;
	if (kind == ROLE_ROOT)
		head = catalogue->root->head;
	else if (kind == ROLE_SNAPSHOT)
		head = (struct role_head){catalogue->snapshot_version, catalogue->snapshot_expires};
	else if (kind == ROLE_TIMESTAMP)
		read_timestamp(catalogue, releases, &head, &snapshot);
	else if (role_head(envelope_signed(catalogue->targets), kind, "targets", &head, &error))
		return false;
	if (!head.version)
		return false;
	*ret_head = head;
	return true;
}

int catalogue_timestamp_due(const struct catalogue *catalogue, int releases, int64_t now, bool *ret_due,
			    json_t **ret_snapshot, int64_t *ret_after, struct error *error)
{
	struct role_head head = {0};
	struct role_meta snapshot = {0};
	char hex[HASH_HEX_SIZE];
	read_timestamp(catalogue, releases, &head, &snapshot);
	/* By its hash too: after a rotation another snapshot may bear the same number. */
	*ret_due = snapshot.version != catalogue->snapshot_version ||
		   (snapshot.has_sha256 && !hash_equal(snapshot.sha256, catalogue->snapshot_hash)) ||
		   head.expires - now < TIMESTAMP_LIFE - DAY;
	*ret_after = head.version;
	if (!*ret_due)
		return 0;
	hash_to_hex(catalogue->snapshot_hash, HASH_SIZE, hex);
	json_t *object = json_pack("{s:I, s:I, s:s}", "version", (json_int_t)catalogue->snapshot_version, "length",
				   (json_int_t)catalogue->snapshot_length, "sha256", hex);
	if (!object)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a timestamp");
	*ret_snapshot = object;
	return 0;
}

int catalogue_put_timestamp(const struct catalogue *catalogue, int releases, const json_t *document, int64_t after,
			    struct error *error)
{
	CLEANUP(file_close) int metadata = -1;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TIMESTAMP_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct role_head head;
	if (jsonio_write(document, false, &bytes, error) ||
	    envelope_parse(bytes.data, bytes.size, "timestamp", &envelope, error) ||
	    envelope_verify(envelope, &catalogue->root->roles[ROLE_TIMESTAMP], "the signer's timestamp", error) ||
	    role_head(envelope_signed(envelope), ROLE_TIMESTAMP, "the signer's timestamp", &head, error))
		return -(int)error->code;
	if (head.version <= after)
		return error_set(error, ERROR_DATA, "version", "the signer's timestamp %lld does not follow %lld",
				 (long long)head.version, (long long)after);
	if (file_open_beneath(releases, "metadata", O_RDONLY | O_DIRECTORY, 0, &metadata, error))
		return -(int)error->code;
	return file_replace_at(metadata, "timestamp.json", bytes.data, bytes.size, 0644, error);
}

void catalogue_describe(const struct catalogue *catalogue, struct offline *offline, int64_t *ret_expires)
{
	int64_t expires = catalogue->root->head.expires;
	if (catalogue->snapshot_expires < expires)
		expires = catalogue->snapshot_expires;
	if (catalogue->targets_expires < expires)
		expires = catalogue->targets_expires;
	offline->snapshot_version = catalogue->snapshot_version;
	offline->snapshot_length = catalogue->snapshot_length;
	memcpy(offline->snapshot, catalogue->snapshot_hash, HASH_SIZE);
	*ret_expires = expires;
}

int catalogue_manifest(int releases, const struct library_release *release, struct manifest **ret_manifest,
		       struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT((size_t)release->length + 1);
	char hex[HASH_HEX_SIZE], path[4 * MANIFEST_NAME_MOST + HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];
	hash_to_hex(release->sha256, HASH_SIZE, hex);
	snprintf(path, sizeof path, "targets/%s/%s/%s.manifest.json", release->product, release->version, hex);
	if (file_open_beneath(releases, path, O_RDONLY, 0, &fd, error) || file_read_fd(fd, path, &bytes, error))
		return -(int)error->code;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	if (!hash_equal(hash, release->sha256))
		return error_set(error, ERROR_DATA, "hash", "%s is not what the targets metadata says", path);
	return manifest_parse(bytes.data, bytes.size, ret_manifest, error);
}
