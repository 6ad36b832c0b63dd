#include "release/chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "release/layout.h"
#include "release/library.h"

#define MANIFEST_MEMBER "manifest.json"
#define VERSIONS_MOST   100000

static int copy_file(int directory, const char *name, size_t most, struct bundle_writer *writer, bool *ret_there,
		     struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(most);
	CLEANUP(file_close) int fd = -1;

	*ret_there = false;
	struct error why;
	if (file_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, &why) < 0) {
		if (strcmp(why.name, "missing") == 0)
			return 0;
		*error = why;
		return -(int)why.code;
	}
	int result = file_read_fd(fd, name, &bytes, error);
	if (result == 0)
		result = bundle_add(writer, name, bytes.data, bytes.size, error);
	*ret_there = result == 0;
	return result;
}

/* N.ROLE.json from 1 on, until one is missing; of `last_only` the newest alone. */
static int copy_versions(int directory, enum role_kind kind, bool last_only, size_t most, struct bundle_writer *writer,
			 struct error *error)
{
	char name[96];
	bool there = true;
	int64_t version = 1;

	if (last_only) {
		for (; version < VERSIONS_MOST; version++) {
			snprintf(name, sizeof(name), "metadata/%lld.%s.json", (long long)version + 1, role_names[kind]);
			if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
				break;
		}
	}
	for (; version < VERSIONS_MOST && there; version++) {
		snprintf(name, sizeof(name), "metadata/%lld.%s.json", (long long)version, role_names[kind]);
		int result = copy_file(directory, name, most, writer, &there, error);
		if (result < 0)
			return result;
		if (version == 1 && !there)
			return error_set(error, ERROR_DATA, "missing", "there is no %s: nothing was published", name);
	}
	return 0;
}

/* targets/HASH.NAME of the targets that are no part of a release: authority.json, technicians.json. */
static int copy_small_targets(int directory, const json_t *targets, struct bundle_writer *writer, struct error *error)
{
	const char *path;
	json_t *line;

	json_object_foreach(json_object_get(targets, "targets"), path, line)
	{
		struct role_target target;
		bool named = false, there = false;
		char name[512], hex[HASH_HEX_SIZE];

		if (strchr(path, '/') != NULL)
			continue;
		int result = role_target_read(targets, path, &target, &named, error);
		if (result < 0)
			return result;
		hash_to_hex(target.sha256, HASH_SIZE, hex);
		snprintf(name, sizeof(name), "targets/%s.%.300s", hex, path);
		result = copy_file(directory, name, ROLE_TARGETS_MOST, writer, &there, error);
		if (result == 0 && !there)
			result = error_set(error, ERROR_DATA, "missing", "the repository has no %s", name);
		if (result < 0)
			return result;
	}
	return 0;
}

/* The newest targets, as the newest file says. Only read to see which small targets belong to the chain. */
static int newest_targets(int directory, json_t **ret_signed, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_TARGETS_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(file_close) int fd = -1;
	char name[96];
	int64_t version = 0;

	do
		snprintf(name, sizeof(name), "metadata/%lld.targets.json", (long long)++version);
	while (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && version < VERSIONS_MOST);
	snprintf(name, sizeof(name), "metadata/%lld.targets.json", (long long)version - 1);
	int result = file_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
	if (result == 0)
		result = file_read_fd(fd, name, &bytes, error);
	if (result == 0)
		result = envelope_parse(bytes.data, bytes.size, name, &envelope, error);
	if (result < 0)
		return result;
	*ret_signed = json_deep_copy(envelope_signed(envelope));
	return *ret_signed != NULL ? 0 : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the chain");
}

int chain_write(int directory, struct bundle_writer *writer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *targets = NULL;
	bool there = false;

	/* All snapshots, not only the newest: where no timestamp says which, they are counted. */
	int result = copy_versions(directory, ROLE_ROOT, false, ROLE_ROOT_MOST, writer, error);
	if (result == 0)
		result = copy_versions(directory, ROLE_SNAPSHOT, false, ROLE_SNAPSHOT_MOST, writer, error);
	if (result == 0)
		result = copy_versions(directory, ROLE_TARGETS, true, ROLE_TARGETS_MOST, writer, error);
	if (result == 0)
		result = copy_file(directory, "metadata/timestamp.json", ROLE_TIMESTAMP_MOST, writer, &there, error);
	if (result == 0)
		result = newest_targets(directory, &targets, error);
	return result < 0 ? result : copy_small_targets(directory, targets, writer, error);
}

static int write_blobs(int directory, const struct manifest *manifest, struct bundle_writer *writer,
		       struct error *error)
{
	CLEANUP(free_pointer) bool *repeated = calloc(manifest->blob_count + 1, sizeof(*repeated));
	if (repeated == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the chain");
	int listed = layout_mark_repeated(manifest, repeated, error);
	if (listed < 0)
		return listed;
	for (size_t i = 0; i < manifest->blob_count; i++) {
		CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
		CLEANUP(file_close) int fd = -1;
		char name[sizeof("blobs/") + HASH_HEX_SIZE] = "blobs/";
		uint8_t hash[HASH_SIZE];

		if (repeated[i])
			continue;
		hash_to_hex(manifest->blobs[i].hash, HASH_SIZE, name + strlen(name));
		int result = file_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
		if (result == 0)
			result = file_read_fd(fd, name, &bytes, error);
		if (result < 0)
			return result;
		hash_bytes(HASH_BLAKE2B, bytes.data, bytes.size, hash);
		if (!hash_equal(hash, manifest->blobs[i].hash))
			return error_set(error, ERROR_DATA, "hash", "%s is damaged", name);
		result = bundle_add(writer, name, bytes.data, bytes.size, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* N.ROLE.json of one version. */
static int copy_version(int directory, enum role_kind kind, int64_t version, size_t most, struct bundle_writer *writer,
			struct error *error)
{
	char name[96];
	bool there = false;
	snprintf(name, sizeof(name), "metadata/%lld.%s.json", (long long)version, role_names[kind]);
	int result = copy_file(directory, name, most, writer, &there, error);
	return result == 0 && !there ? error_set(error, ERROR_DATA, "missing", "the repository has no %s", name)
				     : result;
}

static int write_set(int directory, const struct chain_set *set, struct bundle_writer *writer, struct error *error)
{
	int result = copy_versions(directory, ROLE_ROOT, false, ROLE_ROOT_MOST, writer, error);
	if (result == 0)
		result = copy_version(directory, ROLE_SNAPSHOT, set->snapshot_version, ROLE_SNAPSHOT_MOST, writer,
				      error);
	if (result == 0)
		result = copy_version(directory, ROLE_TARGETS, set->targets_version, ROLE_TARGETS_MOST, writer, error);
	return result < 0 ? result : copy_small_targets(directory, set->targets, writer, error);
}

/* `set` NULL: the newest that is there, with what led to it. */
static int write_release(int directory, const json_t *targets, const char *product, const char *version,
			 const struct chain_set *set, struct bundle_writer *writer, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int fd = -1;
	struct library_release release;
	char name[512], hex[HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];

	int result = library_find(targets, product, version, &release, error);
	if (result < 0)
		return result;
	hash_to_hex(release.sha256, HASH_SIZE, hex);
	snprintf(name, sizeof(name), "targets/%s/%s/%s." MANIFEST_MEMBER, product, version, hex);
	result = file_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
	if (result == 0)
		result = file_read_fd(fd, name, &bytes, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	if (!hash_equal(hash, release.sha256))
		return error_set(error, ERROR_DATA, "hash", "%s is damaged", name);
	result = manifest_parse(bytes.data, bytes.size, &manifest, error);
	if (result == 0)
		result = bundle_add(writer, MANIFEST_MEMBER, bytes.data, bytes.size, error);
	if (result == 0)
		result = set != NULL ? write_set(directory, set, writer, error) : chain_write(directory, writer, error);
	return result < 0 ? result : write_blobs(directory, manifest, writer, error);
}

int chain_write_release(int directory, const json_t *targets, const char *product, const char *version,
			struct bundle_writer *writer, struct error *error)
{
	return write_release(directory, targets, product, version, NULL, writer, error);
}

int chain_write_set(int directory, const struct chain_set *set, const char *product, const char *version,
		    struct bundle_writer *writer, struct error *error)
{
	return write_release(directory, set->targets, product, version, set, writer, error);
}

const char *chain_member(const char *name)
{
	const char *end = strrchr(name, '/');
	size_t size = strlen(name), suffix = strlen("." MANIFEST_MEMBER);

	if (strncmp(name, "targets/", 8) == 0 && end > name + 8 && size > suffix &&
	    strcmp(name + size - suffix, "." MANIFEST_MEMBER) == 0)
		return MANIFEST_MEMBER;
	return name;
}

static int fetch(void *context, const char *name, size_t most, struct buffer *ret_bytes, struct error *error)
{
	return bundle_read(context, chain_member(name), most, ret_bytes, error);
}

struct trust_source chain_source(struct bundle *bundle)
{
	return (struct trust_source){.fetch = fetch, .context = bundle};
}
