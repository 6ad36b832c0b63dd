#include "appliance-hook/act/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/copy.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/run.h"
#include "appliance-hook/act/slot.h"
#include "base/log.h"
#include "release/tree.h"

#define STAGING_SIZE (sizeof LAYOUT_STAGING + LAYOUT_VERSION_SIZE)

struct seal {
	const struct layout *layout;
	const char *version, *sha256;
	int staging;
	int kept; /* the manifest, in a file of ours: those bytes that were hashed are those that are parsed and kept */
	struct manifest *manifest;
};

void stage_ground_close(struct stage_ground *ground)
{
	file_close(&ground->staging);
	file_close(&ground->tree);
}

static int check_version(const struct layout *layout, const struct journal_state *state, const char *version,
			 struct error *error)
{
	char current[LAYOUT_VERSION_SIZE];

	if (!manifest_name_is_safe(version))
		return error_set(error, ERROR_DATA, "version", "\"%.80s\" is not a version", version);
	int status = run_may_begin(state, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, current, error);
	if (status == 0 && strcmp(current, version) == 0)
		status = error_set(error, ERROR_NOT_NOW, "version", "%s runs already", version);
	return status;
}

static int note(struct journal *journal, enum journal_stage stage, const char *version, const char *sha256,
		struct error *error)
{
	json_t *fields = json_pack("{s:s,s:s}", "staged", version, "staged_sha256", sha256);

	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	return journal_enter_take(journal, stage, fields, error);
}

/* A seal that was interrupted has given files to root, so that their filler cannot go on with them. Files that are
 * shared with the running tree must not be given back. It begins again. */
static int remove_half_sealed(const struct layout *layout, const char *name, uid_t uid, struct error *error)
{
	struct stat status;

	if (fstatat(layout->releases, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (S_ISDIR(status.st_mode) && status.st_uid == uid))
		return 0;
	return file_remove_tree_at(layout->releases, name, error);
}

static int make_staging(const struct layout *layout, const char *name, uid_t uid, gid_t gid, int *ret_fd,
			struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	int status = remove_half_sealed(layout, name, uid, error);

	if (status == 0)
		status = point_pass("act.stage.mkdir", error);
	if (status == 0)
		status = file_make_directory_at(layout->releases, name, 0700, error);
	if (status < 0)
		return status;
	fd = openat(layout->releases, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fault_point("act.stage.give") < 0 || (geteuid() == 0 && fchown(fd, uid, gid) < 0) ||
	    fchmod(fd, 0700) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "stage", "%s cannot be given to its filler", name);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int stage_open(const struct layout *layout, const char *version, uid_t uid, gid_t gid, struct stage_ground *ret_ground,
	       struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(stage_ground_close) struct stage_ground ground = {.staging = -1, .tree = -1};
	char name[STAGING_SIZE];
	int status = layout_lock(layout, 2000, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = check_version(layout, journal_state(journal), version, error);
	snprintf(name, sizeof name, LAYOUT_STAGING "%.63s", version);
	if (status == 0)
		status = make_staging(layout, name, uid, gid, &ground.staging, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, ground.current, error);
	if (status == 0 && ground.current[0])
		status = layout_release(layout, ground.current, &ground.tree, error);
	/* Beginning again after a lost connection is no news. */
	if (status == 0 && (journal_state(journal)->stage != JOURNAL_RECEIVING ||
			    strcmp(journal_state(journal)->staged, version) != 0))
		status = note(journal, JOURNAL_RECEIVING, version, "", error);
	if (status < 0)
		return status;
	*ret_ground = ground;
	ground = (struct stage_ground){.staging = -1, .tree = -1};
	return 0;
}

static void seal_end(struct seal *seal)
{
	file_close(&seal->staging);
	file_close(&seal->kept);
	manifest_free(&seal->manifest);
}

/* The text may be long, and is in the way while the tree is looked at: it waits on the disk, where nobody else can
 * write on it. */
static int keep_manifest(struct seal *seal, struct error *error)
{
	CLEANUP(file_close) int staged = -1;
	uint8_t wanted[HASH_SIZE], found[HASH_SIZE];
	int status = hash_from_hex(seal->sha256, wanted, sizeof wanted, error);

	if (status == 0)
		status = file_open_at(seal->staging, "manifest.json", &staged, error);
	if (status == 0)
		status = file_temporary(seal->layout->state, &seal->kept, error);
	if (status == 0)
		status = file_copy_fd(staged, seal->kept, "manifest.json", MANIFEST_BYTES_MOST, error);
	if (status == 0)
		status = hash_file(HASH_SHA256, seal->kept, "the manifest", found, NULL, error);
	if (status == 0 && !hash_equal(found, wanted))
		status = error_set(error, ERROR_DATA, "hash",
				   "release %s: the manifest is not the one that was verified", seal->version);
	return status;
}

static int read_manifest(struct seal *seal, struct error *error)
{
	int status = keep_manifest(seal, error);

	if (status == 0)
		status = manifest_read(seal->kept, "the manifest", &seal->manifest, NULL, error);
	if (status == 0 && (strcmp(seal->manifest->version, seal->version) != 0 ||
			    strcmp(seal->manifest->product, seal->layout->settings->product) != 0))
		status = error_set(error, ERROR_DATA, "manifest", "the manifest is of %s %s, not of %s %s",
				   seal->manifest->product, seal->manifest->version, seal->layout->settings->product,
				   seal->version);
	return status;
}

static int open_part(const struct seal *seal, const char *name, int *ret_fd, struct error *error)
{
	int fd = openat(seal->staging, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "release %s: staged %s cannot be opened",
				       seal->version, name);
	*ret_fd = fd;
	return 0;
}

static bool has_hooks(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (manifest->entries[i].root == MANIFEST_HOOKS)
			return true;
	return false;
}

static int own_part(const struct seal *seal, int directory, enum manifest_root root, struct error *error)
{
	int status = point_pass("act.seal.verify", error);

	return status == 0 ? tree_seal(directory, seal->manifest, root, error) : status;
}

/* From the top: once the directory is root's and closed, nobody comes in any more by its name; tree_seal then takes
 * what is below, and what some open descriptor could still change is found by the seal. */
static int own(struct seal *seal, struct error *error)
{
	CLEANUP(file_close) int tree = -1;
	int status = point_pass("act.seal.own", error);

	if (status == 0 && ((geteuid() == 0 && fchown(seal->staging, 0, 0) < 0) || fchmod(seal->staging, 0700) < 0))
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "stage", "release %s cannot be owned",
					 seal->version);
	if (status == 0)
		status = open_part(seal, "tree", &tree, error);
	if (status == 0)
		status = own_part(seal, tree, MANIFEST_TREE, error);
	if (status == 0)
		status = point_pass("act.seal.sync", error);
	return status == 0 ? file_sync_filesystem(tree, error) : status;
}

/* Hooks may live on another file system than releases: they are copied, and what was copied is what is hashed. */
static int place_hooks(struct seal *seal, struct error *error)
{
	CLEANUP(file_close) int from = -1;
	CLEANUP(file_close) int hooks = -1;
	CLEANUP(file_close) int placed = -1;
	char part[LAYOUT_VERSION_SIZE + 16];

	hooks = openat(seal->layout->state, "hooks", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (hooks < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "hooks", "hooks/ cannot be opened");
	snprintf(part, sizeof part, ".%.63s.part", seal->version);
	int status = file_remove_tree_at(hooks, part, error);
	if (status == 0)
		status = file_remove_tree_at(hooks, seal->version, error);
	if (status < 0 || !has_hooks(seal->manifest))
		return status;
	/* Looked at before it is copied, too: whoever filled it may have left more than the release's. */
	status = open_part(seal, "hooks", &from, error);
	if (status == 0)
		status = own_part(seal, from, MANIFEST_HOOKS, error);
	if (status == 0)
		status = point_pass("act.seal.hooks", error);
	if (status == 0)
		status = copy_tree(from, hooks, part, error);
	if (status == 0 && (placed = openat(hooks, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "hooks", "%s cannot be opened", part);
	if (status == 0)
		status = own_part(seal, placed, MANIFEST_HOOKS, error);
	if (status == 0)
		status = file_sync_filesystem(placed, error);
	if (status == 0)
		status = point_pass("act.seal.hooks-rename", error);
	if (status == 0)
		status = file_rename_at(hooks, part, hooks, seal->version, error);
	/* A full disk gets its room back. */
	struct error why;
	if (status < 0 && file_remove_tree_at(hooks, part, &why) < 0)
		log_failure("removing hooks", &why);
	return status;
}

static int place(struct seal *seal, struct error *error)
{
	char path[LAYOUT_VERSION_SIZE + 32];
	int status = place_hooks(seal, error);

	snprintf(path, sizeof path, "manifests/%s.json", seal->version);
	if (status == 0)
		status = point_pass("act.seal.manifest", error);
	if (status == 0 && lseek(seal->kept, 0, SEEK_SET) < 0)
		status = error_set_errno(error, ERROR_BUG, "read", "the manifest cannot be read again");
	if (status == 0)
		status = file_replace_from_at(seal->layout->state, path, seal->kept, 0644, error);
	if (status == 0)
		status = point_pass("act.seal.rename", error);
	return status == 0 ? file_rename_at(seal->staging, "tree", seal->layout->releases, seal->version, error)
			   : status;
}

/* A sealed tree of this name: the same release, or one that gives way unless it is needed. */
static int meet_standing(const struct seal *seal, const struct journal_state *state, bool *ret_same,
			 struct error *error)
{
	CLEANUP(manifest_free) struct manifest *standing = NULL;
	uint8_t found[HASH_SIZE];
	char hex[HASH_HEX_SIZE];
	struct error ignored;

	*ret_same = false;
	if (faccessat(seal->layout->releases, seal->version, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (layout_manifest(seal->layout, seal->version, &standing, found, &ignored) == 0) {
		hash_to_hex(found, sizeof found, hex);
		if (strcmp(hex, seal->sha256) == 0 && layout_verify(seal->layout, seal->version, &ignored) == 0) {
			*ret_same = true;
			/* Whoever put it there may have been killed before it was durable. */
			return file_sync_filesystem(seal->layout->releases, error);
		}
	}
	if (strcmp(state->fallback, seal->version) == 0)
		return error_set(error, ERROR_NOT_NOW, "fallback",
				 "%s stands as the fallback with other bytes; upgrade to another version first",
				 seal->version);
	return layout_remove(seal->layout, seal->version, error);
}

static int check_quarantine(const struct seal *seal, struct error *error)
{
	bool quarantined = true;
	int status = quarantine_has(seal->layout, seal->sha256, &quarantined, error);

	if (status == 0 && quarantined)
		status = error_set(error, ERROR_DATA, "quarantine",
				   "release %s was rolled back on this appliance; \"appliance-hook quarantine remove "
				   "%s\" lets it in again",
				   seal->version, seal->version);
	return status;
}

static int seal_bytes(struct seal *seal, struct journal *journal, struct error *error)
{
	bool same = false;
	int status = check_quarantine(seal, error);

	if (status == 0)
		status = meet_standing(seal, journal_state(journal), &same, error);
	if (status < 0 || same)
		return status;
	status = note(journal, JOURNAL_RECEIVING, seal->version, seal->sha256, error);
	if (status == 0)
		status = own(seal, error);
	return status == 0 ? place(seal, error) : status;
}

int stage_seal_locked(const struct layout *layout, struct journal *journal, const char *version, const char *sha256,
		      struct error *error)
{
	CLEANUP(seal_end)
	struct seal seal = {.layout = layout, .version = version, .sha256 = sha256, .staging = -1, .kept = -1};
	char name[STAGING_SIZE];
	int status = check_version(layout, journal_state(journal), version, error);

	if (status < 0)
		return status;
	snprintf(name, sizeof name, LAYOUT_STAGING "%.63s", version);
	seal.staging = openat(layout->releases, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (seal.staging < 0)
		return error_set_errno(error, ERROR_NOT_NOW, "stage", "release %s is not being staged", version);
	status = read_manifest(&seal, error);
	if (status == 0)
		status = seal_bytes(&seal, journal, error);
	/* Refused bytes do not stay. */
	struct error why;
	if (status == -ERROR_DATA && file_remove_tree_at(layout->releases, name, &why) < 0)
		log_failure("removing what was refused", &why);
	if (status == 0)
		status = note(journal, JOURNAL_STAGED, version, sha256, error);
	if (status == 0 && file_remove_tree_at(layout->releases, name, &why) < 0)
		log_failure("removing the staging directory", &why);
	return status;
}

int stage_seal(const struct layout *layout, const char *version, const char *sha256, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	int status = layout_lock(layout, 2000, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	return status == 0 ? stage_seal_locked(layout, journal, version, sha256, error) : status;
}

int stage_forget(struct journal *journal, const char *version, struct error *error)
{
	const struct journal_state *state = journal_state(journal);

	return strcmp(state->staged, version) == 0 ? note(journal, JOURNAL_IDLE, "", "", error) : 0;
}

int stage_discard(const struct layout *layout, const char *version, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	char name[STAGING_SIZE];
	int status = layout_lock(layout, 2000, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = check_version(layout, journal_state(journal), version, error);
	/* First the word, then the bytes: what is half removed is not called staged. */
	if (status == 0)
		status = stage_forget(journal, version, error);
	if (status == 0)
		status = point_pass("act.discard.remove", error);
	snprintf(name, sizeof name, LAYOUT_STAGING "%.63s", version);
	if (status == 0)
		status = file_remove_tree_at(layout->releases, name, error);
	if (status < 0 || strcmp(journal_state(journal)->fallback, version) == 0)
		return status;
	return layout_remove(layout, version, error);
}
