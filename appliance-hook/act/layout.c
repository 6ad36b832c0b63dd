#include "appliance-hook/act/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/point.h"
#include "base/file.h"
#include "release/tree.h"

/* Below STATE/PRODUCT. check reads what is not private, by descriptor. */
static const struct {
	const char *name;
	mode_t mode;
} directories[] = {
	{"manifests", 0755}, {"hooks", 0755},     {"receipts", 0755},
	{"output", 0750},    {"discarded", 0700}, {"snapshots", 0700},
};

static int open_or_make(int parent, const char *name, mode_t mode, int *ret_fd, struct error *error)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT) {
		int status = file_make_directory_at(parent, name, mode, error);
		if (status < 0)
			return status;
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		/* The mode is the contract with check, not the umask's. */
		if (fd >= 0 && fchmod(fd, mode) < 0)
			file_close(&fd);
	}
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "directory", "directory %s cannot be opened", name);
	*ret_fd = fd;
	return 0;
}

int layout_open(const struct hook_settings *settings, struct layout *ret_layout, struct error *error)
{
	CLEANUP(layout_close) struct layout layout = LAYOUT_CLOSED;
	CLEANUP(file_close) int top = -1;

	layout.settings = settings;
	int status = file_make_directories(settings->product_root, 0755, error);
	if (status == 0)
		status = file_make_directories(settings->state, 0755, error);
	if (status == 0)
		status = file_open_directory(settings->product_root, &layout.root, error);
	if (status == 0)
		status = file_open_directory(settings->state, &top, error);
	if (status == 0)
		status = open_or_make(layout.root, "releases", 0755, &layout.releases, error);
	if (status == 0)
		status = open_or_make(top, settings->product, 0755, &layout.state, error);
	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(directories); i++) {
		CLEANUP(file_close) int fd = -1;
		status = open_or_make(layout.state, directories[i].name, directories[i].mode, &fd, error);
	}
	if (status < 0)
		return status;
	*ret_layout = layout;
	layout = LAYOUT_CLOSED;
	return 0;
}

void layout_close(struct layout *layout)
{
	file_close(&layout->root);
	file_close(&layout->releases);
	file_close(&layout->state);
}

int layout_lock(const struct layout *layout, int wait_ms, int *ret_lock, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	char holder[32];
	int status = file_lock_at(layout->state, "lock", wait_ms, &lock, error);

	if (status < 0)
		return status == -ERROR_NOT_NOW ? error_set(error, ERROR_NOT_NOW, "busy",
							    "%s: another operation is under way on this appliance; try "
							    "again when it has ended",
							    layout->settings->product)
						: status;
	/* For people who look; nothing decides by it. */
	int size = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
	if (fault_point("act.lock.holder") == 0 && ftruncate(lock, 0) == 0 && pwrite(lock, holder, (size_t)size, 0) < 0)
		errno = 0;
	*ret_lock = lock;
	lock = -1;
	return 0;
}

int layout_current(const struct layout *layout, char ret_version[static LAYOUT_VERSION_SIZE], struct error *error)
{
	static const char prefix[] = "releases/";
	char target[sizeof prefix + LAYOUT_VERSION_SIZE + 1];
	ssize_t size = readlinkat(layout->root, "current", target, sizeof target - 1);

	if (size < 0 && errno == ENOENT) {
		ret_version[0] = '\0';
		return 0;
	}
	if (size < 0)
		return error_set_errno(error, ERROR_DATA, "current", "%s/current cannot be read",
				       layout->settings->product_root);
	target[size] = '\0';
	const char *version = target + strlen(prefix);
	if (strncmp(target, prefix, strlen(prefix)) != 0 || !manifest_name_is_safe(version))
		return error_set(error, ERROR_DATA, "current", "%s/current points to \"%s\", not to a release",
				 layout->settings->product_root, target);
	memcpy(ret_version, version, strlen(version) + 1);
	return 0;
}

int layout_manifest(const struct layout *layout, const char *version, struct manifest **ret_manifest,
		    uint8_t ret_sha256[HASH_SIZE], struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int fd = -1;
	uint8_t sha256[HASH_SIZE];
	char path[LAYOUT_VERSION_SIZE + 32];

	if (!manifest_name_is_safe(version))
		return error_set(error, ERROR_DATA, "version", "\"%.80s\" is not a version", version);
	snprintf(path, sizeof path, "manifests/%s.json", version);
	int status = file_open_at(layout->state, path, &fd, error);
	if (status == 0)
		status = manifest_read(fd, path, &manifest, sha256, error);
	if (status == 0 &&
	    (strcmp(manifest->version, version) != 0 || strcmp(manifest->product, layout->settings->product) != 0))
		status = error_set(error, ERROR_DATA, "manifest", "%s is the manifest of %s %s", path,
				   manifest->product, manifest->version);
	if (status < 0)
		return error_prefix(error, "release %s", version);
	if (ret_sha256)
		memcpy(ret_sha256, sha256, HASH_SIZE);
	*ret_manifest = TAKE(manifest);
	return 0;
}

int layout_release(const struct layout *layout, const char *version, int *ret_fd, struct error *error)
{
	if (!manifest_name_is_safe(version))
		return error_set(error, ERROR_DATA, "version", "\"%.80s\" is not a version", version);
	int fd = openat(layout->releases, version, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, errno == ENOENT ? "missing" : "read",
				       "release %s is not on this appliance", version);
	*ret_fd = fd;
	return 0;
}

int layout_hooks(const struct layout *layout, const char *version, int *ret_fd, struct error *error)
{
	char path[LAYOUT_VERSION_SIZE + 8];

	snprintf(path, sizeof path, "hooks/%s", version);
	int fd = openat(layout->state, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		return error_set_errno(error, ERROR_DATA, "read", "the hooks of release %s cannot be opened", version);
	*ret_fd = fd;
	return 0;
}

unsigned layout_strictness(void)
{
	return geteuid() == 0 ? TREE_SEALED | TREE_OWNERS : TREE_SEALED;
}

int layout_verify(const struct layout *layout, const char *version, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int tree = -1;
	CLEANUP(file_close) int hooks = -1;
	int status = layout_manifest(layout, version, &manifest, NULL, error);

	if (status == 0)
		status = layout_release(layout, version, &tree, error);
	if (status == 0)
		status = point_pass("act.verify.tree", error);
	if (status == 0)
		status = tree_verify(tree, manifest, MANIFEST_TREE, layout_strictness(), error);
	if (status == 0)
		status = layout_hooks(layout, version, &hooks, error);
	if (status == 0 && hooks >= 0)
		status = tree_verify(hooks, manifest, MANIFEST_HOOKS, layout_strictness(), error);
	for (size_t i = 0; status == 0 && hooks < 0 && i < manifest->entry_count; i++)
		if (manifest->entries[i].root == MANIFEST_HOOKS)
			status =
				error_set(error, ERROR_DATA, "tree", "hook %s is not there", manifest->entries[i].path);
	return status < 0 ? error_prefix(error, "release %s", version) : 0;
}

int layout_remove(const struct layout *layout, const char *version, struct error *error)
{
	char trash[LAYOUT_VERSION_SIZE + 16], path[LAYOUT_VERSION_SIZE + 32];

	snprintf(trash, sizeof trash, LAYOUT_TRASH "%s", version);
	int status = file_remove_tree_at(layout->releases, trash, error);
	if (status == 0 && faccessat(layout->releases, version, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		status = point_pass("act.trim.rename", error);
		if (status == 0)
			status = file_rename_at(layout->releases, version, layout->releases, trash, error);
	}
	if (status == 0)
		status = point_pass("act.trim.remove", error);
	if (status == 0)
		status = file_remove_tree_at(layout->releases, trash, error);
	snprintf(path, sizeof path, "hooks/%s", version);
	if (status == 0)
		status = file_remove_tree_at(layout->state, path, error);
	snprintf(path, sizeof path, "manifests/%.63s.json", version);
	return status == 0 ? file_remove_tree_at(layout->state, path, error) : status;
}

void layout_id(const char *upgrade, char ret_id[static LAYOUT_ID_SIZE])
{
	size_t length = 0;

	for (; upgrade[length] && length < LAYOUT_ID_SIZE - 1; length++) {
		char c = upgrade[length];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
		ret_id[length] = plain ? c : '-';
	}
	ret_id[length] = '\0';
}

int64_t layout_generation(const struct layout *layout)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(64);
	struct error ignored;

	if (file_read_at(layout->state, "../generation", &text, &ignored) < 0 || text.size == 0)
		return 0;
	long long number = strtoll((const char *)text.data, NULL, 10);
	return number > 0 ? (int64_t)number : 0;
}
