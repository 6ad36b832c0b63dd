#include "orchestrator/import/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/envelope.h"

#define COPY_CHUNK  (128 * 1024)
#define COPY_NAME   (2 * HASH_SIZE + 32)
#define TARGET_NAME 1024

int copy_prepare(int releases, struct error *error)
{
	static const char *const directories[] = {"metadata", "targets", "blobs", "trust"};
	int status = 0;

	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(directories); i++)
		status = file_make_directory_at(releases, directories[i], 0755, error);
	return status;
}

/* What a file must be before it is visible under its name. */
struct expected {
	enum hash_kind kind;
	const uint8_t *hash;
	uint64_t size;
};

static int file_stands(int releases, const char *name, struct expected expected, bool *ret_stands, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	struct error missing;

	*ret_stands = false;
	if (file_open_beneath(releases, name, O_RDONLY, 0, &fd, &missing) < 0)
		return 0;
	int status = hash_file(expected.kind, fd, name, hash, &size, error);
	if (status == 0)
		*ret_stands = size == expected.size && hash_equal(hash, expected.hash);
	return status;
}

/* Copies exactly the expected length; the hash decides whether it becomes visible under its name. */
static int copy_hashed(int from, int to, const char *name, struct expected expected, struct error *error)
{
	uint8_t chunk[COPY_CHUNK], hash[HASH_SIZE];
	struct hash_state state;
	uint64_t left = expected.size;

	hash_begin(&state, expected.kind);
	while (left) {
		size_t want = left < sizeof chunk ? (size_t)left : sizeof chunk, got = 0;
		int status = file_read_piece(from, name, expected.size - left, chunk, want, &got, error);
		if (status == 0 && got == 0)
			status = error_set(error, ERROR_DATA, "length", "%s is shorter than it was signed", name);
		if (status < 0)
			return status;
		hash_update(&state, chunk, got);
		status = file_write_fd(to, name, chunk, got, error);
		if (status < 0)
			return status;
		left -= got;
	}
	hash_end(&state, hash);
	if (!hash_equal(hash, expected.hash))
		return error_set(error, ERROR_DATA, "hash", "%s does not have the hash in its name", name);
	return 0;
}

static int copy_checked(int source, int releases, const char *name, const char *partial, struct expected expected,
			struct error *error)
{
	CLEANUP(file_close) int from = -1;
	CLEANUP(file_close) int to = -1;
	bool stands = false;

	int status = file_stands(releases, name, expected, &stands, error);
	if (status < 0 || stands)
		return status;
	status = file_open_beneath(source, name, O_RDONLY, 0, &from, error);
	if (status == 0)
		status = file_open_beneath(releases, partial, O_WRONLY | O_CREAT | O_TRUNC, 0644, &to, error);
	if (status == 0)
		status = copy_hashed(from, to, name, expected, error);
	if (status == 0 && fsync(to) < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "write", "%s cannot be made durable", name);
	if (status == 0)
		status = file_rename_at(releases, partial, releases, name, error);
	if (status < 0)
		unlinkat(releases, partial, 0);
	return status;
}

int copy_blob(int source, int releases, const struct manifest_blob *blob, struct error *error)
{
	char hex[HASH_HEX_SIZE], name[COPY_NAME], partial[COPY_NAME];

	hash_to_hex(blob->hash, HASH_SIZE, hex);
	snprintf(name, sizeof name, "blobs/%s", hex);
	snprintf(partial, sizeof partial, "blobs/.%s.partial", hex);
	return copy_checked(source, releases, name, partial, (struct expected){HASH_BLAKE2B, blob->hash, blob->stored},
			    error);
}

/* Writes beneath `releases`, making the directories of the name. */
static int place(int releases, const char *name, const struct buffer *bytes, struct error *error)
{
	CLEANUP(file_close) int parent = -1;
	const char *last = NULL;
	int status = file_open_parent_beneath(releases, name, true, &parent, &last, error);

	return status < 0 ? status : file_replace_at(parent, last, bytes->data, bytes->size, 0644, error);
}

/* "targets/DIRECTORY/SHA256.NAME". */
static int target_name(const char *path, const uint8_t sha256[static HASH_SIZE], char ret_name[static TARGET_NAME],
		       struct error *error)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char hex[HASH_HEX_SIZE];

	if (!file_path_is_safe(path) || strlen(path) > TARGET_NAME - sizeof hex - 16)
		return error_set(error, ERROR_DATA, "path", "target \"%.200s\" has no name that stays inside", path);
	hash_to_hex(sha256, HASH_SIZE, hex);
	snprintf(ret_name, TARGET_NAME, "targets/%.*s%s.%s", (int)(base - path), path, hex, base);
	return 0;
}

int copy_target(int releases, const char *path, const uint8_t sha256[static HASH_SIZE], const struct buffer *bytes,
		struct error *error)
{
	char name[TARGET_NAME];
	int status = target_name(path, sha256, name, error);

	return status < 0 ? status : place(releases, name, bytes, error);
}

int copy_delta(int source, int releases, const char *path, const struct role_target *target, struct error *error)
{
	char name[TARGET_NAME], partial[COPY_NAME], hex[HASH_HEX_SIZE];
	CLEANUP(file_close) int parent = -1;
	const char *last = NULL;

	if (target->lacks_sha256 || target->length < 0)
		return error_set(error, ERROR_DATA, "hash", "target %.200s states no SHA-256", path);
	int status = target_name(path, target->sha256, name, error);
	if (status == 0)
		status = file_open_parent_beneath(releases, name, true, &parent, &last, error);
	if (status < 0)
		return status;
	hash_to_hex(target->sha256, HASH_SIZE, hex);
	snprintf(partial, sizeof partial, "targets/.%s.partial", hex);
	return copy_checked(source, releases, name, partial,
			    (struct expected){HASH_SHA256, target->sha256, (uint64_t)target->length}, error);
}

/* Signed by those who hold the role now. What a thief signed with keys that were rotated out, or what is damaged, is
 * not. */
static bool is_held(const struct buffer *bytes, const struct key_set *holders)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct error ignored;

	return envelope_parse(bytes->data, bytes->size, "metadata", &envelope, &ignored) == 0 &&
	       envelope_verify(envelope, holders, "metadata", &ignored) == 0;
}

int copy_metadata(int source, const char *file, int releases, const char *name, size_t most,
		  const struct key_set *holders, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(most);
	CLEANUP(buffer_free) struct buffer standing = BUFFER_INIT(most);
	CLEANUP(file_close) int from = -1;
	CLEANUP(file_close) int there = -1;
	struct error missing;
	int status = file_open_beneath(source, file, O_RDONLY, 0, &from, error);

	if (status == 0)
		status = file_read_fd(from, file, &bytes, error);
	if (status < 0)
		return status;
	if (file_open_beneath(releases, name, O_RDONLY, 0, &there, &missing) == 0 &&
	    file_read_fd(there, name, &standing, &missing) == 0 && standing.size == bytes.size &&
	    memcmp(standing.data, bytes.data, bytes.size) == 0)
		return 0;
	if (standing.size && strcmp(name, "metadata/timestamp.json") != 0 && !(holders && !is_held(&standing, holders)))
		return error_set(error, ERROR_DATA, "mix", "%s differs from the one that was imported before", name);
	return place(releases, name, &bytes, error);
}

#define COPY_TRUST      "trust"
#define COPY_TRUST_NEXT "trust.next"

static int copy_file(int from, int to, const char *name, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(MANIFEST_BYTES_MOST);
	int status = file_read_at(from, name, &bytes, error);

	return status < 0 ? status : file_replace_at(to, name, bytes.data, bytes.size, 0644, error);
}

/* Files, and the one level of folders that a trusted set has: the roots that it came by. Takes the first descriptor. */
static int copy_directory(int from, int to, int levels, struct error *error)
{
	DIR *entries = fdopendir(from);
	int status = 0;

	if (!entries) {
		status = error_set_errno(error, ERROR_DATA, "read", "the trusted set cannot be listed");
		close(from);
		return status;
	}
	for (struct dirent *entry; status == 0 && (entry = readdir(entries));) {
		CLEANUP(file_close) int below = -1;
		struct stat is;
		int folder = -1;
		if (entry->d_name[0] == '.')
			continue;
		if (levels == 0 || fstatat(from, entry->d_name, &is, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(is.st_mode)) {
			status = copy_file(from, to, entry->d_name, error);
			continue;
		}
		status = file_make_directory_at(to, entry->d_name, 0755, error);
		if (status == 0)
			status = file_open_beneath(to, entry->d_name, O_RDONLY | O_DIRECTORY, 0, &below, error);
		if (status == 0)
			status = file_open_beneath(from, entry->d_name, O_RDONLY | O_DIRECTORY, 0, &folder, error);
		if (status == 0)
			status = copy_directory(folder, below, levels - 1, error);
	}
	closedir(entries);
	return status;
}

int copy_trust_begin(int releases, int *ret_directory, struct error *error)
{
	CLEANUP(file_close) int next = -1;
	int standing = -1;
	int status = file_remove_tree_at(releases, COPY_TRUST_NEXT, error);

	if (status == 0)
		status = file_make_directory_at(releases, COPY_TRUST_NEXT, 0755, error);
	if (status == 0)
		status = file_open_beneath(releases, COPY_TRUST_NEXT, O_RDONLY | O_DIRECTORY, 0, &next, error);
	if (status == 0)
		status = file_open_beneath(releases, COPY_TRUST, O_RDONLY | O_DIRECTORY, 0, &standing, error);
	if (status == 0)
		status = copy_directory(standing, next, 1, error);
	if (status == 0) {
		*ret_directory = next;
		next = -1;
	}
	return status;
}

int copy_trust_commit(int releases, struct error *error)
{
	if (renameat2(releases, COPY_TRUST_NEXT, releases, COPY_TRUST, RENAME_EXCHANGE) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "rename", "the trusted set cannot be put in place");
	int status = file_sync_directory(releases, error);
	return status < 0 ? status : file_remove_tree_at(releases, COPY_TRUST_NEXT, error);
}
