#include "orchestrator/import/import.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "keys/envelope.h"
#include "keys/trust.h"
#include "orchestrator/import/copy.h"
#include "release/library.h"

struct import {
	int source, releases;
	int trust_directory;
	struct trust_source repository;
	struct trust *trust;
	bool has_timestamp;
};

/* The root that this orchestrator trusts: the one of its first import, followed by rotation ever since. */
static int read_root(struct import *import, struct buffer *ret_root, struct error *error)
{
	int status = file_read_at(import->trust_directory, "root.json", ret_root, error);

	if (status == 0 || strcmp(error->name, "missing") != 0)
		return status;
	CLEANUP(file_close) int first = -1;
	status = file_open_beneath(import->source, "metadata/1.root.json", O_RDONLY, 0, &first, error);
	if (status < 0)
		return error_prefix(error, "the folder is not a repository");
	return file_read_fd(first, "metadata/1.root.json", ret_root, error);
}

static int verify(struct import *import, struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	int status = read_root(import, &root, error);

	import->has_timestamp = faccessat(import->source, "metadata/timestamp.json", F_OK, 0) == 0;
	if (status == 0)
		status = trust_open(import->trust_directory, root.data, root.size, &import->trust, error);
	if (status == 0)
		status = trust_refresh(import->trust, import->repository,
				       import->has_timestamp ? TRUST_ALL : TRUST_NO_TIMESTAMP, clock_now(), error);
	return status;
}

static bool ends_with(const char *path, const char *end)
{
	size_t length = strlen(path);
	return length > strlen(end) && strcmp(path + length - strlen(end), end) == 0;
}

/* One target of the set, with the blobs of its manifest where it is a release's. */
static int take_target(struct import *import, const char *path, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct role_target target;
	bool named = false;
	int status = trust_target(import->trust, import->repository, path, clock_now(), &target, &named, error);

	if (status == 0 && !named)
		status = error_set(error, ERROR_DATA, "missing", "target %s is not there", path);
	if (status == 0 && ends_with(path, ".delta"))
		return copy_delta(import->source, import->releases, path, &target, error);
	if (status == 0)
		status = trust_fetch_target(import->trust, import->repository, path, &target, &bytes, error);
	if (status < 0)
		return status;
	if (ends_with(path, "/manifest.json")) {
		status = manifest_parse(bytes.data, bytes.size, &manifest, error);
		for (size_t i = 0; status == 0 && i < manifest->blob_count; i++)
			status = copy_blob(import->source, import->releases, &manifest->blobs[i], error);
		if (status < 0)
			return error_prefix(error, "release %s", path);
	}
	return copy_target(import->releases, path, target.sha256, &bytes, error);
}

static int take_targets(struct import *import, struct error *error)
{
	const json_t *targets = jsonio_member(trust_targets(import->trust), "targets");
	const char *path;
	json_t *value;
	int status = 0;

	json_object_foreach((json_t *)targets, path, value) if (status == 0) status = take_target(import, path, error);
	return status;
}

/* The keys that hold the roles now, by the root that this import ended with. */
static int read_holders(const struct import *import, struct role_root **ret_root, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	char name[64];
	int status;

	snprintf(name, sizeof name, "metadata/%lld.root.json", (long long)trust_version(import->trust, ROLE_ROOT));
	status = file_read_at(import->releases, name, &bytes, error);
	if (status == 0)
		status = envelope_parse(bytes.data, bytes.size, name, &envelope, error);
	return status < 0 ? status : role_root_read(envelope_signed(envelope), ret_root, error);
}

/* Last of all, and the timestamp last of these: until it stands, hooks see the set before. What is copied is what the
 * verification stored, not the folder's file of that name: it may have been swapped since. */
static int take_metadata(struct import *import, struct error *error)
{
	static const struct {
		enum role_kind role;
		size_t most;
	} files[] = {{ROLE_TARGETS, ROLE_TARGETS_MOST}, {ROLE_SNAPSHOT, ROLE_SNAPSHOT_MOST}};
	CLEANUP(role_root_free) struct role_root *holders = NULL;
	char file[64], name[64];
	int status = 0;

	for (int64_t version = 1; status == 0 && version <= trust_version(import->trust, ROLE_ROOT); version++) {
		snprintf(name, sizeof name, "metadata/%lld.root.json", (long long)version);
		status = copy_metadata(import->source, name, import->releases, name, ROLE_ROOT_MOST, NULL, error);
	}
	if (status == 0)
		status = read_holders(import, &holders, error);
	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(files); i++) {
		const char *role = role_names[files[i].role];
		snprintf(file, sizeof file, "%s.json", role);
		snprintf(name, sizeof name, "metadata/%lld.%s.json",
			 (long long)trust_version(import->trust, files[i].role), role);
		status = copy_metadata(import->trust_directory, file, import->releases, name, files[i].most,
				       &holders->roles[files[i].role], error);
	}
	if (status == 0)
		status = file_sync_filesystem(import->releases, error);
	if (status == 0 && import->has_timestamp)
		status = copy_metadata(import->trust_directory, "timestamp.json", import->releases,
				       "metadata/timestamp.json", ROLE_TIMESTAMP_MOST, NULL, error);
	return status;
}

static int list_releases(const struct import *import, json_t **ret_list, struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	CLEANUP(jsonio_free) json_t *list = json_array();
	size_t count = 0;
	int status = library_list(trust_targets(import->trust), NULL, &releases, &count, error);

	for (size_t i = 0; status == 0 && i < count; i++)
		if (json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "product", releases[i].product, "version",
							  releases[i].version, "sequence",
							  (json_int_t)releases[i].sequence)) < 0)
			status = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a list of releases");
	if (status == 0)
		*ret_list = TAKE(list);
	return status;
}

static int run(struct import *import, json_t **ret_releases, struct error *error)
{
	bool confined = false;
	int status = secret_start(error);

	if (status == 0)
		status = copy_prepare(import->releases, error);
	if (status == 0)
		status = copy_trust_begin(import->releases, &import->trust_directory, error);
	const struct sandbox_path paths[] = {{import->source, false}, {import->releases, true}};
	if (status == 0)
		status = sandbox_confine(paths, ARRAY_SIZE(paths), &confined, error);
	if (status == 0)
		status = sandbox_enter(SANDBOX_FILES, "import", error);
	if (status == 0)
		status = verify(import, error);
	if (status == 0)
		status = take_targets(import, error);
	if (status == 0)
		status = take_metadata(import, error);
	if (status == 0)
		status = list_releases(import, ret_releases, error);
	if (status == 0)
		status = copy_trust_commit(import->releases, error);
	return status;
}

int import_main(int result_fd, int source, int releases)
{
	struct import import = {.source = source,
				.releases = releases,
				.trust_directory = -1,
				.repository = trust_source_folder(&import.source)};
	CLEANUP(jsonio_free) json_t *list = NULL;
	struct error error = {0}, lost = {0};

	log_start("import", LOG_LEVEL_INFO);
	int status = run(&import, &list, &error);
	trust_free(&import.trust);
	json_t *answer = status == 0 ? json_pack("{s:O}", "releases", list) : packet_refusal(&error);
	if (status < 0)
		log_failure("nothing was imported", &error);
	if (packet_send_take(result_fd, answer, -1, &lost) < 0)
		log_failure("the outcome of an import cannot be told", &lost);
	return status < 0 ? (int)error.code : 0;
}
