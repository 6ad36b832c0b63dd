#include "appliance-hook/act/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "base/sandbox.h"
#include "release/tree.h"
#include "release/unpack_pool.h"

#define ADOPT_UPGRADE "adopt"

static int read_manifest(const struct layout *layout, const struct bundle *bundle, struct manifest **ret_manifest,
			 char ret_sha256[static HASH_HEX_SIZE], struct error *error)
{
	const struct buffer *bytes = bundle_manifest(bundle);
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	uint8_t hash[HASH_SIZE];
	int status = manifest_parse(bytes->data, bytes->size, &manifest, error);

	if (status == 0 && strcmp(manifest->product, layout->settings->product) != 0)
		status = error_set(error, ERROR_DATA, "product", "the bundle is of %s, this appliance is a %s",
				   manifest->product, layout->settings->product);
	if (status == 0)
		status = bundle_check_closed(bundle, manifest, error);
	if (status < 0)
		return status;
	hash_bytes(HASH_SHA256, bytes->data, bytes->size, hash);
	hash_to_hex(hash, sizeof hash, ret_sha256);
	*ret_manifest = TAKE(manifest);
	return 0;
}

static int fill(int staging, const struct manifest *manifest, struct bundle *bundle, int tree, struct error *error)
{
	CLEANUP(unpack_free) struct unpack *unpack = NULL;
	int status = unpack_begin(staging, manifest, tree, tree >= 0 ? manifest : NULL, UNPACK_COPY, &unpack, error);

	if (status == 0)
		status = unpack_bundle(unpack, bundle, manifest, error);
	return status == 0 ? unpack_finish(unpack, error) : status;
}

struct outcome {
	int status;
	struct error error;
};

/* Decompressing is left to a process that can do nothing else; what it made is hashed again by the seal. */
static int fill_apart(int staging, const struct manifest *manifest, struct bundle *bundle, int tree,
		      struct error *error)
{
	struct outcome outcome = {.status = -ERROR_BUG};
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "the bundle cannot be unpacked");
	CLEANUP(file_close) int reader = pipes[0];
	pid_t pid = fork();
	if (pid == 0) {
		outcome.status = sandbox_enter(SANDBOX_FILES, "adopt", &outcome.error);
		if (outcome.status == 0)
			outcome.status = fill(staging, manifest, bundle, tree, &outcome.error);
		if (fault_point("act.adopt.tell") < 0)
			_exit(1);
		_exit(write(pipes[1], &outcome, sizeof outcome) == (ssize_t)sizeof outcome ? 0 : 1);
	}
	close(pipes[1]);
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "the bundle cannot be unpacked");
	ssize_t got = read(reader, &outcome, sizeof outcome);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (got != (ssize_t)sizeof outcome)
		return error_set(error, ERROR_BUG, "process", "unpacking %s ended by itself", manifest->version);
	if (outcome.status < 0)
		*error = outcome.error;
	return outcome.status;
}

static int stage(const struct layout *layout, const struct manifest *manifest, struct bundle *bundle, int tree,
		 struct error *error)
{
	CLEANUP(stage_ground_close) struct stage_ground ground = {.staging = -1, .tree = -1};
	const struct buffer *bytes = bundle_manifest(bundle);
	int status = tree >= 0 ? tree_verify(tree, manifest, MANIFEST_TREE, TREE_CONTENT, error) : 0;

	if (status == 0)
		status = stage_open(layout, manifest->version, geteuid(), getegid(), &ground, error);
	if (status == 0)
		status = point_pass("act.adopt.fill", error);
	if (status == 0)
		status = fill_apart(ground.staging, manifest, bundle, tree, error);
	if (status == 0)
		status = file_replace_at(ground.staging, "manifest.json", bytes->data, bytes->size, 0644, error);
	return status;
}

/* Nothing was ever committed here: a try that was interrupted may go on. */
static int check_unused(const struct layout *layout, const struct journal_state *state, const char *version,
			bool *ret_sealed, struct error *error)
{
	char current[LAYOUT_VERSION_SIZE];
	int status = layout_current(layout, current, error);

	if (status < 0)
		return status;
	if (state->run.upgrade[0] || (current[0] && strcmp(current, version) != 0))
		return error_set(
			error, ERROR_CANNOT_CREATE, "exists",
			"%s stands already; adopt is for the first version, \"appliance-hook apply\" for the next",
			current[0] ? current : state->run.to);
	*ret_sealed = current[0] != '\0';
	return 0;
}

static int commit(const struct layout *layout, struct journal *journal, const char *version, const char *sha256,
		  struct error *error)
{
	int status = slot_backend(layout)->prepare(layout, version, error);

	if (status == 0)
		status = point_pass("act.adopt.activate", error);
	if (status == 0)
		status = slot_backend(layout)->activate(layout, version, error);
	if (status < 0)
		return status;
	json_t *fields = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "upgrade", ADOPT_UPGRADE, "from", "", "to", version,
				   "sha256", sha256, "staged", "", "staged_sha256", "");
	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	status = point_pass("act.adopt.commit", error);
	if (status < 0) {
		jsonio_free(&fields);
		return status;
	}
	return journal_enter_take(journal, JOURNAL_COMMITTED, fields, error);
}

int adopt_bundle(const struct layout *layout, struct bundle *bundle, int tree,
		 char ret_version[static LAYOUT_VERSION_SIZE], struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(file_close) int lock = -1;
	char sha256[HASH_HEX_SIZE];
	bool sealed = false;
	int status = read_manifest(layout, bundle, &manifest, sha256, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_READ, &journal, error);
	if (status == 0)
		status = check_unused(layout, journal_state(journal), manifest->version, &sealed, error);
	if (status == 0 && !sealed)
		status = stage(layout, manifest, bundle, tree, error);
	if (status == 0)
		status = layout_lock(layout, 2000, &lock, error);
	journal_free(&journal);
	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = check_unused(layout, journal_state(journal), manifest->version, &sealed, error);
	if (status == 0 && !sealed)
		status = stage_seal_locked(layout, journal, manifest->version, sha256, error);
	if (status == 0)
		status = commit(layout, journal, manifest->version, sha256, error);
	if (status == 0)
		memcpy(ret_version, manifest->version, strlen(manifest->version) + 1);
	return status;
}
