#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "release/delta.h"
#include "release/library.h"
#include "release/repository_state.h"

#define COPY_STEP (128 * 1024)
#define HEAD_LOOK 4096

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the delta");
}

bool repository_is_delta(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot != NULL && strcmp(dot, ".delta") == 0;
}

/* The manifest of a release as the repository has it. */
static int read_release(const struct repository *repository, const json_t *targets, const char *version,
			struct buffer *ret_bytes, struct manifest **ret_manifest, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	struct library_release release;
	char path[512], hex[HASH_HEX_SIZE];
	uint8_t hash[HASH_SIZE];

	int result = library_find(targets, repository->product, version, &release, error);
	if (result < 0)
		return result;
	hash_to_hex(release.sha256, HASH_SIZE, hex);
	snprintf(path, sizeof(path), "targets/%s/%s/%s.manifest.json", release.product, release.version, hex);
	result = file_open_beneath(repository->directory, path, O_RDONLY | O_NONBLOCK, 0, &fd, error);
	if (result == 0)
		result = file_read_fd(fd, path, ret_bytes, error);
	if (result < 0)
		return result;
	hash_bytes(HASH_SHA256, ret_bytes->data, ret_bytes->size, hash);
	if (!hash_equal(hash, release.sha256))
		return error_set(error, ERROR_DATA, "hash", "%s in the repository is damaged", path);
	return manifest_parse(ret_bytes->data, ret_bytes->size, ret_manifest, error);
}

struct addition {
	int fd;
	const char *path;
	struct delta_head head;
	struct buffer head_bytes, old_bytes, new_bytes, made;
	struct manifest *old, *new;
};

static void addition_end(struct addition *addition)
{
	file_close(&addition->fd);
	buffer_free(&addition->head_bytes);
	buffer_free(&addition->old_bytes);
	buffer_free(&addition->new_bytes);
	buffer_free(&addition->made);
	manifest_free(&addition->old);
	manifest_free(&addition->new);
}

static int read_first(const struct addition *addition, size_t size, struct buffer *ret_bytes, struct error *error)
{
	uint8_t *room = NULL;
	int result = buffer_reserve(ret_bytes, size, &room, error);
	for (size_t done = 0; result == 0 && done < size;) {
		ssize_t got = pread(addition->fd, room + done, size - done, (off_t)done);
		if (got <= 0)
			return error_set(error, ERROR_DATA, "length", "%s ends in the middle", addition->path);
		done += (size_t)got;
	}
	if (result == 0)
		buffer_commit(ret_bytes, size);
	return result;
}

static int read_head(struct addition *addition, struct error *error)
{
	CLEANUP(buffer_free) struct buffer look = BUFFER_INIT(HEAD_LOOK);
	struct stat status;

	addition->fd = open(addition->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (addition->fd < 0 || fstat(addition->fd, &status) < 0)
		return error_set_errno(error, ERROR_DATA, "missing", "%s cannot be opened", addition->path);
	if (!S_ISREG(status.st_mode) || status.st_size > DELTA_BYTES_MOST)
		return error_set(error, ERROR_DATA, "delta", "%s is no delta", addition->path);
	size_t size = status.st_size < HEAD_LOOK ? (size_t)status.st_size : HEAD_LOOK;
	int result = read_first(addition, size, &look, error);
	if (result == 0)
		result = delta_read_head(look.data, look.size, &addition->head, error);
	if (result == 0 && addition->head.size > (uint64_t)status.st_size)
		result = error_set(error, ERROR_DATA, "length", "%s ends in the middle", addition->path);
	return result == 0 ? read_first(addition, addition->head.size, &addition->head_bytes, error) : result;
}

/* Between two releases of this repository, to the very manifest that is signed here, and whole. */
static int check(struct repository *repository, const json_t *targets, struct addition *addition, struct error *error)
{
	CLEANUP(delta_free) struct delta *delta = NULL;

	if (strcmp(addition->head.product, repository->product) != 0)
		return error_set(error, ERROR_DATA, "product", "it is of product %s, the repository of %s",
				 addition->head.product, repository->product);
	int result =
		read_release(repository, targets, addition->head.from, &addition->old_bytes, &addition->old, error);
	if (result == 0)
		result = read_release(repository, targets, addition->head.to, &addition->new_bytes, &addition->new,
				      error);
	if (result == 0)
		result = delta_manifest(addition->head_bytes.data, addition->head_bytes.size, &addition->old_bytes,
					&addition->made, error);
	if (result < 0)
		return result;
	if (addition->made.size != addition->new_bytes.size ||
	    memcmp(addition->made.data, addition->new_bytes.data, addition->made.size) != 0)
		return error_set(error, ERROR_DATA, "mix", "it makes another manifest than that of %s here",
				 addition->head.to);
	result = delta_open(addition->fd, addition->old, addition->new, &delta, error);
	return result == 0 ? delta_check(delta, error) : result;
}

static int copy_hashed(const struct addition *addition, int to, uint8_t ret_sha256[static HASH_SIZE], int64_t *ret_size,
		       struct error *error)
{
	uint8_t bytes[COPY_STEP];
	struct hash_state state;
	off_t at = 0;

	hash_begin(&state, HASH_SHA256);
	for (;;) {
		ssize_t got = pread(addition->fd, bytes, sizeof(bytes), at);
		if (got < 0)
			return error_set_errno(error, ERROR_DATA, "read", "%s cannot be read", addition->path);
		if (got == 0)
			break;
		hash_update(&state, bytes, (size_t)got);
		int result = file_write_fd(to, addition->path, bytes, (size_t)got, error);
		if (result < 0)
			return result;
		at += got;
	}
	hash_end(&state, ret_sha256);
	*ret_size = at;
	if (fsync(to) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "the delta cannot be made durable");
	return 0;
}

/* Under its hash; the same bytes again are no error, for they bear the same name. */
static int put_whole(const struct repository *repository, const struct addition *addition,
		     uint8_t ret_sha256[static HASH_SIZE], int64_t *ret_size, struct error *error)
{
	char path[512], name[256], hex[HASH_HEX_SIZE];
	const char *last = NULL;
	CLEANUP(file_close) int parent = -1;
	CLEANUP(file_close) int fd = -1;

	snprintf(path, sizeof(path), "targets/%s/deltas/.partial", repository->product);
	int result = file_open_parent_beneath(repository->directory, path, true, &parent, &last, error);
	if (result == 0)
		result = file_open_beneath(parent, last, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, error);
	if (result == 0)
		result = copy_hashed(addition, fd, ret_sha256, ret_size, error);
	if (result == 0) {
		hash_to_hex(ret_sha256, HASH_SIZE, hex);
		snprintf(name, sizeof(name), "%s.%s..%s.delta", hex, addition->head.from, addition->head.to);
		result = file_rename_at(parent, last, parent, name, error);
	}
	if (result < 0 && parent >= 0)
		unlinkat(parent, ".partial", 0);
	return result;
}

static int add_line(json_t *targets, enum delta_target kind, const struct delta_head *head, int64_t size,
		    const uint8_t sha256[static HASH_SIZE], struct error *error)
{
	char name[DELTA_NAME_MOST], hex[HASH_HEX_SIZE];

	delta_target_name(kind, head->product, head->from, head->to, name);
	hash_to_hex(sha256, HASH_SIZE, hex);
	json_t *line = json_pack("{s:I, s:{s:s}, s:{s:s, s:s, s:s}}", "length", (json_int_t)size, "hashes", "sha256",
				 hex, "custom", "product", head->product, "from", head->from, "to", head->to);
	if (line == NULL || json_object_set_new(json_object_get(targets, "targets"), name, line) != 0)
		return no_memory(error);
	return 0;
}

/* The head is a target of its own: the hook wants the manifest long before the rest. */
static int put_head(const struct repository *repository, const struct addition *addition, json_t *targets,
		    struct error *error)
{
	char path[512], hex[HASH_HEX_SIZE];
	uint8_t sha256[HASH_SIZE];
	const struct buffer *bytes = &addition->head_bytes;

	hash_bytes(HASH_SHA256, bytes->data, bytes->size, sha256);
	hash_to_hex(sha256, HASH_SIZE, hex);
	snprintf(path, sizeof(path), "targets/%s/deltas/%s.%s..%s.manifest", repository->product, hex,
		 addition->head.from, addition->head.to);
	int result = repository_put(repository->directory, path, bytes->data, bytes->size, error);
	return result == 0 ? add_line(targets, DELTA_HEAD, &addition->head, (int64_t)bytes->size, sha256, error)
			   : result;
}

int repository_add_delta(struct repository *repository, const char *path, char ret_name[static DELTA_NAME_MOST],
			 struct error *error)
{
	CLEANUP(addition_end)
	struct addition addition = {.fd = -1,
				    .path = path,
				    .head_bytes = BUFFER_INIT(0),
				    .old_bytes = BUFFER_INIT(MANIFEST_BYTES_MOST),
				    .new_bytes = BUFFER_INIT(MANIFEST_BYTES_MOST),
				    .made = BUFFER_INIT(MANIFEST_BYTES_MOST)};
	CLEANUP(jsonio_free) json_t *targets = NULL;
	uint8_t sha256[HASH_SIZE];
	int64_t size = 0;

	int result = repository_next_targets(repository, &targets, error);
	if (result == 0)
		result = read_head(&addition, error);
	if (result == 0)
		result = check(repository, targets, &addition, error);
	if (result < 0)
		return error_prefix(error, "%s", path);
	result = put_whole(repository, &addition, sha256, &size, error);
	if (result == 0)
		result = put_head(repository, &addition, targets, error);
	if (result == 0)
		result = add_line(targets, DELTA_WHOLE, &addition.head, size, sha256, error);
	if (result == 0)
		result = repository_stage_take(repository, ROLE_TARGETS, TAKE(targets), error);
	if (result == 0)
		delta_target_name(DELTA_WHOLE, addition.head.product, addition.head.from, addition.head.to, ret_name);
	return result;
}
