#include "release/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/folder.h"
#include "release/listing.h"
#include "release/rules.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "tree", __VA_ARGS__)
#define STEP               32

/* One look at a tree, by several threads. */
struct pass {
	int directory;
	const struct manifest *manifest;
	enum manifest_root root;
	unsigned flags;
	bool owns;   /* the files are taken before they are looked at */
	bool owners; /* and may be given to others */
	struct folder folders[CREW_OF_FILES];
};

static void pass_end(struct pass *pass)
{
	for (size_t i = 0; i < CREW_OF_FILES; i++)
		folder_close(&pass->folders[i]);
}

/* What gives somebody more than mode and owner say. An access list outlives a change of owner: who filled the staging
 * directory could name himself in one. */
static const char *const grants[] = {"system.posix_acl_access", "system.posix_acl_default", "security.capability"};

static bool has_grant(int fd)
{
	/* Most have no attribute at all. */
	if (flistxattr(fd, NULL, 0) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
		if (fgetxattr(fd, grants[i], NULL, 0) >= 0)
			return true;
	return false;
}

static int take_grants(int fd, const char *path, struct error *error)
{
	if (!has_grant(fd))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
		if (fgetxattr(fd, grants[i], NULL, 0) >= 0 && fremovexattr(fd, grants[i]) < 0)
			return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "%s keeps its %s", path, grants[i]);
	return 0;
}

static int refuse_stranger(void *context, int parent, const char *name, const char *path, struct error *error)
{
	(void)parent;
	(void)name;
	const struct manifest *manifest = context;
	return REFUSE(error, "%s does not belong to release %s", path, manifest->version);
}

/* No one has the file open for writing, now. The lease also breaks nothing: it is given back at once, and after
 * tree_own only root could open the file anew. */
static int check_sealed(int fd, const char *path, struct error *error)
{
	/* A break of the lease is told by SIGIO, which would end us; SIGURG is ignored unless asked for. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		if (errno == EAGAIN)
			return REFUSE(error, "%s is still open for writing somewhere", path);
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be sealed", path);
	}
	if (fcntl(fd, F_SETLEASE, F_UNLCK) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be unsealed", path);
	return 0;
}

static int check_owner(const struct stat *status, const char *owner, const char *path, struct error *error)
{
	const struct rules_owner *known = rules_owner(owner);
	if (known == NULL || status->st_uid != known->id || status->st_gid != known->id)
		return REFUSE(error, "%s belongs to %u:%u, not to %s", path, status->st_uid, status->st_gid, owner);
	return 0;
}

static int verify_file(int fd, const struct manifest_entry *entry, unsigned flags, const struct stat *status,
		       struct error *error)
{
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;

	if ((uint64_t)status->st_size != entry->size)
		return REFUSE(error, "%s has %lld bytes, not %llu", entry->path, (long long)status->st_size,
			      (unsigned long long)entry->size);
	int result = (flags & TREE_SEALED) != 0 ? check_sealed(fd, entry->path, error) : 0;
	if (result == 0)
		result = hash_file(HASH_BLAKE2B, fd, entry->path, hash, &size, error);
	if (result < 0)
		return result;
	if (size != entry->size || !hash_equal(hash, entry->hash))
		return REFUSE(error, "%s has another content than the release", entry->path);
	return 0;
}

static int enter_link(const struct pass *pass, struct folder *folder, const struct manifest_entry *entry,
		      int *ret_parent, const char **ret_name, struct stat *ret_status, struct error *error)
{
	int result = folder_enter(folder, pass->directory, entry->path, ret_parent, ret_name, error);
	if (result < 0)
		return result;
	if (fstatat(*ret_parent, *ret_name, ret_status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, ERROR_DATA, errno == ENOENT ? "missing" : "path",
				       "%s cannot be looked at", entry->path);
	if (!S_ISLNK(ret_status->st_mode))
		return REFUSE(error, "%s is no symbolic link", entry->path);
	return 0;
}

static int own_link(const struct pass *pass, struct folder *folder, const struct manifest_entry *entry,
		    struct error *error)
{
	const struct rules_owner *owner = rules_owner(entry->owner);
	struct stat status;
	const char *name = NULL;
	int parent = -1;

	int result = enter_link(pass, folder, entry, &parent, &name, &status, error);
	if (result < 0 || !pass->owners)
		return result;
	if (owner != NULL && status.st_uid == owner->id && status.st_gid == owner->id)
		return 0;
	if (owner == NULL || fchownat(parent, name, owner->id, owner->id, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "link %s cannot be given to %s",
				       entry->path, entry->owner);
	return 0;
}

static int verify_link(const struct pass *pass, struct folder *folder, const struct manifest_entry *entry,
		       struct error *error)
{
	char target[4096 + 1];
	struct stat status;
	const char *name = NULL;
	int parent = -1;

	int result = enter_link(pass, folder, entry, &parent, &name, &status, error);
	if (result < 0)
		return result;
	ssize_t size = readlinkat(parent, name, target, sizeof(target) - 1);
	if (size < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "link %s cannot be read", entry->path);
	target[size] = '\0';
	if (strcmp(target, entry->target) != 0)
		return REFUSE(error, "link %s leads elsewhere than in the release", entry->path);
	return (pass->flags & TREE_OWNERS) != 0 ? check_owner(&status, entry->owner, entry->path, error) : 0;
}

/* A file or directory, opened without following a link anywhere on the way. */
static int open_entry(const struct pass *pass, struct folder *folder, const struct manifest_entry *entry, int *ret_fd,
		      struct error *error)
{
	bool file = entry->type == MANIFEST_FILE;
	CLEANUP(file_close) int fd = -1;
	struct stat status;
	int result =
		folder_open(folder, pass->directory, entry->path, O_RDONLY | (file ? 0 : O_DIRECTORY), 0, &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", entry->path);
	if (file ? !S_ISREG(status.st_mode) : !S_ISDIR(status.st_mode))
		return REFUSE(error, "%s has another type than in the release", entry->path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int own_open(const struct pass *pass, int fd, const struct manifest_entry *entry, struct error *error)
{
	const struct rules_owner *owner = rules_owner(entry->owner);
	struct stat status;

	if (owner == NULL)
		return error_set(error, ERROR_BUG, "owner", "%s has an unknown owner", entry->path);
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", entry->path);
	bool owned = !pass->owners || (status.st_uid == owner->id && status.st_gid == owner->id);
	if (owned && (status.st_mode & 07777) == entry->mode && !has_grant(fd))
		return 0;
	/* A second name of this file may lie anywhere: what it is and who has it must not change through us. */
	if (entry->type == MANIFEST_FILE && status.st_nlink > 1)
		return REFUSE(error, "%s has a second name outside the release", entry->path);
	if (fault_point("tree.own") < 0 || (!owned && fchown(fd, owner->id, owner->id) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "%s cannot be given to %s", entry->path,
				       entry->owner);
	int result = take_grants(fd, entry->path, error);
	if (result < 0)
		return result;
	/* After fchown, which clears set-id bits. */
	bool moded = owned || entry->mode > 0777 || (status.st_mode & 07777) != entry->mode;
	if (moded && fchmod(fd, entry->mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode", entry->path);
	return 0;
}

static int verify_open(const struct pass *pass, int fd, const struct manifest_entry *entry, struct error *error)
{
	struct stat status;
	int result = 0;

	if (fstat(fd, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", entry->path);
	if ((status.st_mode & 07777) != entry->mode)
		return REFUSE(error, "%s has mode %04o, not %04o", entry->path, status.st_mode & 07777u, entry->mode);
	if ((pass->flags & TREE_SEALED) != 0 && has_grant(fd))
		return REFUSE(error, "%s may be used by others than its mode says", entry->path);
	if ((pass->flags & TREE_OWNERS) != 0)
		result = check_owner(&status, entry->owner, entry->path, error);
	return result == 0 && entry->type == MANIFEST_FILE ? verify_file(fd, entry, pass->flags, &status, error)
							   : result;
}

static int look_at(const struct pass *pass, struct folder *folder, const struct manifest_entry *entry,
		   struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	/* Directories were taken before. */
	bool owns = pass->owns && entry->type != MANIFEST_DIRECTORY;

	if (entry->type == MANIFEST_LINK) {
		int result = owns ? own_link(pass, folder, entry, error) : 0;
		return result < 0 ? result : verify_link(pass, folder, entry, error);
	}
	int result = open_entry(pass, folder, entry, &fd, error);
	if (result == 0 && owns)
		result = own_open(pass, fd, entry, error);
	return result < 0 ? result : verify_open(pass, fd, entry, error);
}

static int look_at_piece(void *context, size_t worker, size_t index, struct error *error)
{
	struct pass *pass = context;
	const struct manifest_entry *entry = &pass->manifest->entries[index];
	return entry->root == pass->root ? look_at(pass, &pass->folders[worker], entry, error) : 0;
}

static int verify_root(const struct pass *pass, struct error *error)
{
	struct stat status;

	if (fstat(pass->directory, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "release %s cannot be looked at",
				       pass->manifest->version);
	if ((pass->flags & TREE_OWNERS) != 0) {
		int result = check_owner(&status, "root", "the release's directory", error);
		if (result < 0)
			return result;
		if ((status.st_mode & 0022) != 0)
			return REFUSE(error, "the directory of release %s may be written by others",
				      pass->manifest->version);
	}
	if ((pass->flags & TREE_SEALED) != 0 && has_grant(pass->directory))
		return REFUSE(error, "the directory of release %s may be used by others than its mode says",
			      pass->manifest->version);
	return 0;
}

/* From the top: once a directory is root's, nobody else can put another file under a name that was looked at. */
static int own_directories(struct pass *pass, struct error *error)
{
	const struct manifest *manifest = pass->manifest;

	if (pass->owners && (fchown(pass->directory, 0, 0) < 0 || fchmod(pass->directory, 0755) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner",
				       "the directory of release %s cannot be owned", manifest->version);
	int result = take_grants(pass->directory, "the directory of the release", error);
	for (size_t i = 0; result == 0 && i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		CLEANUP(file_close) int fd = -1;
		if (entry->root != pass->root || entry->type != MANIFEST_DIRECTORY)
			continue;
		result = open_entry(pass, &pass->folders[0], entry, &fd, error);
		if (result == 0)
			result = own_open(pass, fd, entry, error);
	}
	return result;
}

static int run_pass(struct pass *pass, struct error *error)
{
	const struct manifest *manifest = pass->manifest;
	struct error why = {0};
	int result = 0;

	for (size_t i = 0; i < CREW_OF_FILES; i++)
		pass->folders[i] = FOLDER_CLOSED;
	if (pass->owns)
		result = own_directories(pass, &why);
	if (result == 0)
		result = verify_root(pass, &why);
	if (result == 0)
		result = listing_strangers(pass->directory, manifest, pass->root, refuse_stranger,
					   (void *)(uintptr_t)manifest, &why);
	if (result == 0)
		result = crew_run(CREW_OF_FILES, manifest->entry_count, STEP, look_at_piece, pass, &why);
	if (result == 0)
		return 0;
	if (strcmp(why.name, "missing") == 0)
		return REFUSE(error, "release %s is not whole: %.300s", manifest->version, why.text);
	if (strcmp(why.name, "path") == 0)
		return REFUSE(error, "release %s differs: %.300s", manifest->version, why.text);
	*error = why;
	return result;
}

int tree_verify(int directory, const struct manifest *manifest, enum manifest_root root, unsigned flags,
		struct error *error)
{
	CLEANUP(pass_end)
	struct pass pass = {.directory = directory, .manifest = manifest, .root = root, .flags = flags};
	return run_pass(&pass, error);
}

int tree_seal(int directory, const struct manifest *manifest, enum manifest_root root, struct error *error)
{
	const bool owners = geteuid() == 0;
	CLEANUP(pass_end)
	struct pass pass = {.directory = directory,
			    .manifest = manifest,
			    .root = root,
			    .flags = owners ? TREE_SEALED | TREE_OWNERS : TREE_SEALED,
			    .owns = true,
			    .owners = owners};
	return run_pass(&pass, error);
}
