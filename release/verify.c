#include "release/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "keys/authority.h"
#include "keys/technicians.h"
#include "release/bundle.h"
#include "release/chain.h"
#include "release/library.h"
#include "release/verify_blobs.h"

struct verify {
	const char *path;
	int directory;         /* a folder; -1 for a bundle */
	struct bundle *bundle; /* NULL for a folder */
	struct trust_source source;
	struct trust *trust;
	char scratch[4096]; /* where the trusted set lies while we verify */
	int scratch_fd;
	json_t *report;
};

static void verify_close(struct verify *verify)
{
	struct error ignored;
	trust_free(&verify->trust);
	bundle_free(&verify->bundle);
	file_close(&verify->directory);
	file_close(&verify->scratch_fd);
	if (verify->scratch[0] != '\0')
		(void)!file_remove_tree_at(AT_FDCWD, verify->scratch, &ignored);
	jsonio_free(&verify->report);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to verify");
}

static int open_subject(struct verify *verify, struct error *error)
{
	struct stat status;
	if (stat(verify->path, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "missing", "%s cannot be verified", verify->path);
	if (S_ISDIR(status.st_mode)) {
		int result = file_open_directory(verify->path, &verify->directory, error);
		verify->source = trust_source_folder(&verify->directory);
		return result;
	}
	int result = bundle_open(verify->path, &verify->bundle, error);
	if (result < 0)
		return result;
	if (!bundle_has(verify->bundle, "metadata/1.root.json"))
		return error_set(error, ERROR_DATA, "missing",
				 "%s carries no metadata; verify the repository, or a bundle made by "
				 "\"export\"",
				 verify->path);
	verify->source = chain_source(verify->bundle);
	return 0;
}

static bool has_timestamp(const struct verify *verify)
{
	return verify->bundle != NULL
		       ? bundle_has(verify->bundle, "metadata/timestamp.json")
		       : faccessat(verify->directory, "metadata/timestamp.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int verify_chain(struct verify *verify, const void *root, size_t root_size, struct error *error)
{
	const char *base = getenv("TMPDIR");
	int64_t now = clock_now();

	snprintf(verify->scratch, sizeof(verify->scratch), "%.4000s/nightshift-verify.XXXXXX",
		 base != NULL && base[0] == '/' ? base : "/tmp");
	if (mkdtemp(verify->scratch) == NULL) {
		verify->scratch[0] = '\0';
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "no temporary directory can be made");
	}
	int result = file_open_directory(verify->scratch, &verify->scratch_fd, error);
	if (result == 0)
		result = trust_open(verify->scratch_fd, root, root_size, &verify->trust, error);
	if (result == 0)
		result = trust_refresh(verify->trust, verify->source,
				       has_timestamp(verify) ? TRUST_ALL : TRUST_NO_TIMESTAMP, now, error);
	return result;
}

static int fetch_target(struct verify *verify, const char *path, struct buffer *ret_bytes, struct error *error)
{
	struct role_target target;
	bool named = false;
	int result = trust_target(verify->trust, verify->source, path, clock_now(), &target, &named, error);
	if (result == 0 && !named)
		return error_set(error, ERROR_DATA, "missing", "the targets do not name %s", path);
	return result < 0 ? result : trust_fetch_target(verify->trust, verify->source, path, &target, ret_bytes, error);
}

static int verify_release(struct verify *verify, const struct library_release *release, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	uint64_t total = 0;

	int result = fetch_target(verify, release->target, &bytes, error);
	if (result == 0)
		result = manifest_parse(bytes.data, bytes.size, &manifest, error);
	if (result == 0 &&
	    (strcmp(manifest->product, release->product) != 0 || strcmp(manifest->version, release->version) != 0))
		result = error_set(error, ERROR_DATA, "mix", "its manifest is that of %s %s", manifest->product,
				   manifest->version);
	if (result == 0 && verify->bundle != NULL)
		result = bundle_check_closed(verify->bundle, manifest, error);
	if (result == 0)
		result = verify_blobs(verify->directory, verify->bundle, manifest, error);
	for (size_t i = 0; result == 0 && i < manifest->blob_count; i++)
		total += manifest->blobs[i].stored;
	if (result < 0)
		return error_prefix(error, "%s %s", release->product, release->version);
	json_t *value = json_pack("{s:s, s:s, s:I, s:I}", "product", release->product, "version", release->version,
				  "blobs", (json_int_t)manifest->blob_count, "bytes", (json_int_t)total);
	return value == NULL || json_array_append_new(json_object_get(verify->report, "releases"), value) != 0
		       ? no_memory(error)
		       : 0;
}

/* Of a bundle only the release that it carries: the one with its manifest's hash. */
static int verify_releases(struct verify *verify, struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	size_t count = 0, verified = 0;
	uint8_t hash[HASH_SIZE];

	int result = library_list(trust_targets(verify->trust), NULL, &releases, &count, error);
	if (verify->bundle != NULL)
		hash_bytes(HASH_SHA256, bundle_manifest(verify->bundle)->data, bundle_manifest(verify->bundle)->size,
			   hash);
	for (size_t i = 0; result == 0 && i < count; i++) {
		if (verify->bundle != NULL && !hash_equal(hash, releases[i].sha256))
			continue;
		result = verify_release(verify, &releases[i], error);
		verified++;
	}
	if (result == 0 && verify->bundle != NULL && verified == 0)
		return error_set(error, ERROR_DATA, "hash", "%s: its manifest is not that of any signed release",
				 verify->path);
	return result;
}

static int verify_authority(struct verify *verify, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(AUTHORITY_MOST);
	struct authority authority = {0};

	int result = fetch_target(verify, AUTHORITY_TARGET, &bytes, error);
	if (result == 0)
		result = authority_parse(bytes.data, bytes.size, &authority, error);
	if (result == 0)
		authority_free(&authority);
	return result;
}

/* Where the targets name it. */
static int verify_technicians(struct verify *verify, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	CLEANUP(technicians_free) struct technicians technicians = {0};

	if (json_object_get(json_object_get(trust_targets(verify->trust), "targets"), TECHNICIANS_TARGET) == NULL)
		return 0;
	int result = fetch_target(verify, TECHNICIANS_TARGET, &bytes, error);
	return result < 0 ? result : technicians_parse(bytes.data, bytes.size, &technicians, error);
}

/* A target's length and SHA-256, read in pieces: deltas may be large. */
static int verify_file(const struct verify *verify, const char *path, const struct role_target *target,
		       struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	const char *slash = strrchr(path, '/'), *last = slash != NULL ? slash + 1 : path;
	char name[1024], hex[HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;

	hash_to_hex(target->sha256, HASH_SIZE, hex);
	snprintf(name, sizeof(name), "targets/%.*s%s.%.300s", (int)(last - path), path, hex, last);
	int result = file_open_beneath(verify->directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, error);
	if (result == 0)
		result = hash_file(HASH_SHA256, fd, name, hash, &size, error);
	if (result == 0 && ((int64_t)size != target->length || !hash_equal(hash, target->sha256)))
		result = error_set(error, ERROR_DATA, "hash", "%s is not what the targets say", name);
	return result;
}

/* Whatever else a repository's targets name, deltas above all. An export has the manifest, the blobs and the small
 * targets, and is closed. */
static int verify_others(struct verify *verify, struct error *error)
{
	json_t *targets = json_object_get(trust_targets(verify->trust), "targets");
	const char *path;
	json_t *line;
	json_int_t count = 0;

	json_object_foreach(targets, path, line)
	{
		struct role_target target;
		bool named = false;
		int result = role_target_read(trust_targets(verify->trust), path, &target, &named, error);
		if (result == 0 && !target.lacks_sha256 && verify->directory >= 0)
			result = verify_file(verify, path, &target, error);
		if (result < 0)
			return result;
		count += strstr(path, "/deltas/") != NULL && verify->directory >= 0;
	}
	return json_object_set_new(verify->report, "deltas", json_integer(count)) != 0 ? no_memory(error) : 0;
}

int verify_run(const char *path, const void *root, size_t root_size, json_t **ret_report, struct error *error)
{
	CLEANUP(verify_close) struct verify verify = {.path = path, .directory = -1, .scratch_fd = -1};

	int result = open_subject(&verify, error);
	if (result == 0)
		result = verify_chain(&verify, root, root_size, error);
	if (result < 0)
		return result;
	verify.report = json_pack("{s:{s:I, s:I, s:I}, s:b, s:[]}", "versions", "root",
				  (json_int_t)trust_version(verify.trust, ROLE_ROOT), "snapshot",
				  (json_int_t)trust_version(verify.trust, ROLE_SNAPSHOT), "targets",
				  (json_int_t)trust_version(verify.trust, ROLE_TARGETS), "timestamp",
				  has_timestamp(&verify), "releases");
	if (verify.report == NULL)
		return no_memory(error);
	result = verify_authority(&verify, error);
	if (result == 0)
		result = verify_technicians(&verify, error);
	if (result == 0)
		result = verify_releases(&verify, error);
	if (result == 0)
		result = verify_others(&verify, error);
	if (result == 0)
		*ret_report = TAKE(verify.report);
	return result;
}
