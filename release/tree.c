#include "release/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "release/listing.h"
#include "release/rules.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "tree", __VA_ARGS__)

/* What gives somebody more than mode and owner say. An access list outlives a change of owner: who filled the staging
 * directory could name himself in one. */
static const char *const grants[] = {"system.posix_acl_access", "system.posix_acl_default", "security.capability"};

static bool has_grant(int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
		if (fgetxattr(fd, grants[i], NULL, 0) >= 0)
			return true;
	return false;
}

static int take_grants(int fd, const char *path, struct error *error)
{
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

static int verify_link(int directory, const struct manifest_entry *entry, unsigned flags, struct error *error)
{
	char target[4096 + 1];
	struct stat status;
	CLEANUP(file_close) int fd = -1;

	int result = file_open_beneath(directory, entry->path, O_PATH | O_NOFOLLOW, 0, &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode))
		return REFUSE(error, "%s is no symbolic link", entry->path);
	ssize_t size = readlinkat(fd, "", target, sizeof(target) - 1);
	if (size < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "link %s cannot be read", entry->path);
	target[size] = '\0';
	if (strcmp(target, entry->target) != 0)
		return REFUSE(error, "link %s leads elsewhere than in the release", entry->path);
	return (flags & TREE_OWNERS) != 0 ? check_owner(&status, entry->owner, entry->path, error) : 0;
}

/* A file or directory, opened without following a link anywhere on the way. */
static int open_entry(int directory, const struct manifest_entry *entry, int *ret_fd, struct stat *ret_status,
		      struct error *error)
{
	bool file = entry->type == MANIFEST_FILE;
	CLEANUP(file_close) int fd = -1;
	int result = file_open_beneath(directory, entry->path,
				       O_RDONLY | O_NONBLOCK | O_NOCTTY | (file ? 0 : O_DIRECTORY), 0, &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, ret_status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "%s cannot be looked at", entry->path);
	if (file ? !S_ISREG(ret_status->st_mode) : !S_ISDIR(ret_status->st_mode))
		return REFUSE(error, "%s has another type than in the release", entry->path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int verify_entry(int directory, const struct manifest_entry *entry, unsigned flags, struct error *error)
{
	struct stat status;
	CLEANUP(file_close) int fd = -1;

	if (entry->type == MANIFEST_LINK)
		return verify_link(directory, entry, flags, error);
	int result = open_entry(directory, entry, &fd, &status, error);
	if (result < 0)
		return result;
	if ((status.st_mode & 07777) != entry->mode)
		return REFUSE(error, "%s has mode %04o, not %04o", entry->path, status.st_mode & 07777u, entry->mode);
	if ((flags & TREE_SEALED) != 0 && has_grant(fd))
		return REFUSE(error, "%s may be used by others than its mode says", entry->path);
	if ((flags & TREE_OWNERS) != 0)
		result = check_owner(&status, entry->owner, entry->path, error);
	if (result == 0 && entry->type == MANIFEST_FILE)
		result = verify_file(fd, entry, flags, &status, error);
	return result;
}

int tree_verify(int directory, const struct manifest *manifest, enum manifest_root root, unsigned flags,
		struct error *error)
{
	struct stat status;

	if (fstat(directory, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "tree", "release %s cannot be looked at", manifest->version);
	if ((flags & TREE_OWNERS) != 0) {
		int result = check_owner(&status, "root", "the release's directory", error);
		if (result < 0)
			return result;
		if ((status.st_mode & 0022) != 0)
			return REFUSE(error, "the directory of release %s may be written by others", manifest->version);
	}
	if ((flags & TREE_SEALED) != 0 && has_grant(directory))
		return REFUSE(error, "the directory of release %s may be used by others than its mode says",
			      manifest->version);
	int result = listing_strangers(directory, manifest, root, refuse_stranger, (void *)(uintptr_t)manifest, error);
	for (size_t i = 0; result == 0 && i < manifest->entry_count; i++)
		if (manifest->entries[i].root == root)
			result = verify_entry(directory, &manifest->entries[i], flags, error);
	if (result < 0 && strcmp(error->name, "missing") == 0) {
		struct error why = *error;
		return REFUSE(error, "release %s is not whole: %.300s", manifest->version, why.text);
	}
	if (result < 0 && strcmp(error->name, "path") == 0) {
		struct error why = *error;
		return REFUSE(error, "release %s differs: %.300s", manifest->version, why.text);
	}
	return result;
}

static int own_open(int fd, const struct stat *status, const struct manifest_entry *entry, bool owners,
		    struct error *error)
{
	const struct rules_owner *owner = rules_owner(entry->owner);
	bool owned = !owners || (owner != NULL && status->st_uid == owner->id && status->st_gid == owner->id);

	if (owner == NULL)
		return error_set(error, ERROR_BUG, "owner", "%s has an unknown owner", entry->path);
	if (owned && (status->st_mode & 07777) == entry->mode && !has_grant(fd))
		return 0;
	/* A second name of this file may lie anywhere: what it is and who has it must not change through us. */
	if (entry->type == MANIFEST_FILE && status->st_nlink > 1)
		return REFUSE(error, "%s has a second name outside the release", entry->path);
	if (fault_point("tree.own") < 0 || (!owned && fchown(fd, owner->id, owner->id) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "%s cannot be given to %s", entry->path,
				       entry->owner);
	int result = take_grants(fd, entry->path, error);
	/* After fchown, which clears set-id bits. */
	if (result == 0 && fchmod(fd, entry->mode) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "mode", "%s cannot get its mode", entry->path);
	return result;
}

static int own_link(int directory, const struct manifest_entry *entry, struct error *error)
{
	const struct rules_owner *owner = rules_owner(entry->owner);
	struct stat status;
	CLEANUP(file_close) int fd = -1;

	int result = file_open_beneath(directory, entry->path, O_PATH | O_NOFOLLOW, 0, &fd, error);
	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode))
		return REFUSE(error, "%s is no symbolic link", entry->path);
	if (owner == NULL || fchownat(fd, "", owner->id, owner->id, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner", "link %s cannot be given to %s",
				       entry->path, entry->owner);
	return 0;
}

int tree_own(int directory, const struct manifest *manifest, enum manifest_root root, struct error *error)
{
	bool owners = geteuid() == 0;

	/* From the top: once a directory is root's, nobody else can put another file under a name that was looked at.
	 */
	if (owners && (fchown(directory, 0, 0) < 0 || fchmod(directory, 0755) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "owner",
				       "the directory of release %s cannot be owned", manifest->version);
	int taken = take_grants(directory, "the directory of the release", error);
	if (taken < 0)
		return taken;
	for (size_t i = 0; i < manifest->entry_count; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		struct stat status;
		CLEANUP(file_close) int fd = -1;
		int result = 0;

		if (entry->root != root)
			continue;
		if (entry->type == MANIFEST_LINK) {
			result = owners ? own_link(directory, entry, error) : 0;
		} else {
			result = open_entry(directory, entry, &fd, &status, error);
			if (result == 0)
				result = own_open(fd, &status, entry, owners, error);
		}
		if (result < 0)
			return result;
	}
	return 0;
}
