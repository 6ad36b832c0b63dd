#include "appliance-hook/check/shortcut.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "release/delta.h"

enum { PROGRESS_MS = 500 };
/* Room that is left free beside the delta and the tree. */
#define SPACE_MARGIN ((uint64_t)32 * 1024 * 1024)

/* Whether the signed targets name such a delta. */
static bool find_target(const struct verify *verify, const struct library_release *release, enum delta_target kind,
			char ret_name[static DELTA_NAME_MOST], struct role_target *ret_target)
{
	struct error why = {0};
	bool named = false;
	if (verify->running[0] == '\0')
		return false;
	delta_target_name(kind, release->product, verify->running, release->version, ret_name);
	if (role_target_read(trust_targets(verify->trust), ret_name, ret_target, &named, &why) < 0)
		log_failure("the delta's target", &why);
	return named && !ret_target->lacks_sha256 && ret_target->length > 0;
}

static int read_running(const struct verify *verify, struct buffer *ret_bytes, struct error *error)
{
	char path[MANIFEST_NAME_MOST + 32];
	snprintf(path, sizeof(path), "manifests/%s.json", verify->running);
	if (!file_path_is_safe(path))
		return error_set(error, ERROR_DATA, "path", "the running release has no safe name");
	return file_read_at(verify->session->places->product, path, ret_bytes, error);
}

static int make_manifest(const struct verify *verify, const struct library_release *release, const struct buffer *head,
			 struct buffer *ret_manifest, struct error *error)
{
	CLEANUP(buffer_free) struct buffer running = BUFFER_INIT(MANIFEST_BYTES_MOST);
	CLEANUP(buffer_free) struct buffer made = BUFFER_INIT(MANIFEST_BYTES_MOST);
	uint8_t hash[HASH_SIZE];
	if (read_running(verify, &running, error) < 0 ||
	    delta_manifest(head->data, head->size, &running, &made, error) < 0)
		return -(int)error->code;
	hash_bytes(HASH_SHA256, made.data, made.size, hash);
	if ((int64_t)made.size != release->length || !hash_equal(hash, release->sha256))
		return error_set(error, ERROR_DATA, "hash", "the delta makes another manifest than the signed one");
	return buffer_append_take(ret_manifest, &made, error);
}

/* What is wrong with a delta is told and borne; a stream that is gone is not. */
static bool is_borne(const struct error *why)
{
	return why->code == ERROR_DATA && strcmp(why->name, "dialogue") != 0;
}

int shortcut_manifest(const struct verify *verify, const struct library_release *release, struct buffer *ret_manifest,
		      struct buffer *ret_head, bool *ret_made, struct error *error)
{
	CLEANUP(buffer_free) struct buffer head = BUFFER_INIT(DELTA_HEAD_MOST);
	struct source source = verify->source;
	char name[DELTA_NAME_MOST];
	struct role_target target = {0};
	struct error why = {0};

	*ret_made = false;
	if (!find_target(verify, release, DELTA_HEAD, name, &target) || target.length >= release->length)
		return 0;
	if (trust_fetch_target(verify->trust, source_trust(&source), name, &target, &head, &why) < 0) {
		if (!is_borne(&why)) {
			*error = why;
			return -(int)why.code;
		}
	} else if (make_manifest(verify, release, &head, ret_manifest, &why) == 0) {
		*ret_made = true;
		buffer_clear(ret_head);
		return buffer_append_take(ret_head, &head, error);
	}
	log_failure("the manifest's delta", &why);
	return 0;
}

struct fetch {
	const struct verify *verify;
	const struct staging_wish *wish;
	const struct unpack *unpack;
	int fd;
	char name[DELTA_NAME_MOST + 2 * HASH_HEX_SIZE]; /* at the other end */
	int64_t length, at;
	int64_t told; /* clock_ticks_ms when progress was */
};

/* That the staging lives: what has come of the delta is no blob. */
static int tell(struct fetch *fetch, struct error *error)
{
	int64_t ticks = clock_ticks_ms();
	if (!fetch->wish->progress || ticks - fetch->told < PROGRESS_MS)
		return 0;
	struct unpack_progress progress = unpack_progress(fetch->unpack);
	fetch->told = ticks;
	return fetch->wish->progress(fetch->wish->context, &progress, error);
}

static int write_at_end(struct fetch *fetch, const void *bytes, size_t size, struct error *error)
{
	int result = file_write_at(fetch->fd, "the delta", (uint64_t)fetch->at, bytes, size, error);
	fetch->at += result == 0 ? (int64_t)size : 0;
	return result;
}

/* One message of the fetch. *ret_done: at its reply. *ret_why: it is not to be had here. */
static int take_part(struct fetch *fetch, const struct stream_message *message, bool *ret_done, struct error *ret_why,
		     struct error *error)
{
	if (message->flags & FRAME_ERROR) {
		*ret_done = true;
		const char *text = json_string_value(json_object_get(message->body, "text"));
		error_set(ret_why, ERROR_DATA, "fetch", "%.300s", text ? text : "it is not to be had");
		return 0;
	}
	if (message->flags & FRAME_REPLY) {
		*ret_done = true;
		return 0;
	}
	if (!(message->flags & FRAME_DATA))
		return error_set(error, ERROR_DATA, "dialogue", "the delta: neither bytes nor an answer came");
	if ((int64_t)message->size > fetch->length - fetch->at)
		return error_set(error, ERROR_DATA, "length", "the delta is longer than it was signed");
	if (write_at_end(fetch, message->data, message->size, error) < 0)
		return -(int)error->code;
	return tell(fetch, error);
}

static int fetch_rest(struct fetch *fetch, struct error *ret_why, struct error *error)
{
	struct stream *stream = fetch->verify->session->stream;
	CLEANUP(jsonio_free)
	json_t *request = json_pack("{s:s, s:I}", "name", fetch->name, "offset", (json_int_t)fetch->at);
	uint64_t id = stream_next_id(stream);

	if (!request)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to ask for a delta");
	if (stream_send(stream, MESSAGE_FETCH, 0, id, request, error) < 0)
		return -(int)error->code;
	for (bool done = false; !done;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_wait(stream, clock_ticks_ms() + SOURCE_PATIENCE_MS, &message, error) < 0)
			return error_prefix(error, "the delta");
		int result = message.type == MESSAGE_FETCH && message.id == id
				     ? take_part(fetch, &message, &done, ret_why, error)
				     : fetch->wish->other(fetch->wish->context, &message, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* What an earlier try left is gone on with; the head came with the manifest. */
static int begin_file(struct fetch *fetch, int staging, const char *file, struct error *error)
{
	const struct buffer *head = &fetch->verify->delta_head;
	struct stat status;
	if (file_open_beneath(staging, file, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &fetch->fd, error) < 0)
		return -(int)error->code;
	if (fstat(fetch->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_CANNOT_CREATE, "write", "the delta cannot be written");
	fetch->at = status.st_size <= fetch->length ? status.st_size : 0;
	if (fetch->at >= (int64_t)head->size || (int64_t)head->size > fetch->length)
		return 0;
	fetch->at = 0;
	return write_at_end(fetch, head->data, head->size, error);
}

static int check_file(const struct fetch *fetch, const struct role_target *target, struct error *error)
{
	uint8_t hash[HASH_SIZE];
	uint64_t size = 0;
	if (hash_file(HASH_SHA256, fetch->fd, "the delta", hash, &size, error) < 0)
		return -(int)error->code;
	if ((int64_t)size != target->length || !hash_equal(hash, target->sha256))
		return error_set(error, ERROR_DATA, "hash", "the delta is not the signed one");
	return 0;
}

static int apply(const struct verify *verify, const struct fetch *fetch, struct unpack *unpack, int base,
		 const struct manifest *base_manifest, struct error *error)
{
	CLEANUP(delta_free) struct delta *delta = NULL;
	struct unpack_made made = {0};
	struct error why = {0};

	if (delta_open(fetch->fd, base_manifest, verify->manifest, &delta, &why) < 0) {
		log_failure("the delta", &why);
		return 0;
	}
	if (unpack_delta(unpack, delta, base, &made, error) < 0)
		return -(int)error->code;
	log_write(LOG_LEVEL_INFO, "delta: %zu contents made, %zu left to the blobs", made.contents, made.missed);
	if (made.damaged[0] != '\0')
		log_write(LOG_LEVEL_WARNING, "%s of the running release is damaged", made.damaged);
	if (made.refused.code != ERROR_NONE)
		log_failure("the delta", &made.refused);
	return 0;
}

static bool is_worth_it(const struct unpack *unpack, const struct verify *verify, int staging, int64_t length)
{
	uint64_t room = 0;
	struct error why = {0};
	if (length > DELTA_BYTES_MOST || (uint64_t)length >= unpack_bytes_left(unpack))
		return false;
	if (file_space_free(staging, &room, &why) == 0 &&
	    room >= (uint64_t)length + verify->manifest->tree_bytes + SPACE_MARGIN)
		return true;
	log_write(LOG_LEVEL_INFO, "no room for a delta: blobs are fetched instead");
	return false;
}

static int fetch_and_apply(struct fetch *fetch, const char *file, const struct role_target *target,
			   struct unpack *unpack, int staging, int base, const struct manifest *base_manifest,
			   struct error *error)
{
	struct error why = {0};
	if (begin_file(fetch, staging, file, error) < 0)
		return -(int)error->code;
	if (fetch->at < fetch->length && fetch_rest(fetch, &why, error) < 0)
		return -(int)error->code;
	int result = 0;
	if (why.code != ERROR_NONE || check_file(fetch, target, &why) < 0)
		log_failure("the delta", &why);
	else
		result = apply(fetch->verify, fetch, unpack, base, base_manifest, error);
	/* Applied or of no use. */
	if (result == 0 && (fault_point("check.delta.remove") < 0 || unlinkat(staging, file, 0) < 0))
		return error_set_errno(error, ERROR_CANNOT_CREATE, "write", "the delta cannot be removed");
	return result;
}

int shortcut_stage(const struct verify *verify, const struct staging_wish *wish, struct unpack *unpack, int staging,
		   int base, const struct manifest *base_manifest, struct error *error)
{
	struct fetch fetch = {.verify = verify, .wish = wish, .unpack = unpack, .fd = -1};
	struct role_target target = {0};
	char name[DELTA_NAME_MOST], hex[HASH_HEX_SIZE], file[HASH_HEX_SIZE + 8];

	if (base < 0 || !base_manifest || !find_target(verify, &verify->release, DELTA_WHOLE, name, &target) ||
	    !is_worth_it(unpack, verify, staging, target.length))
		return 0;
	const char *last = strrchr(name, '/') + 1;
	hash_to_hex(target.sha256, HASH_SIZE, hex);
	snprintf(fetch.name, sizeof(fetch.name), "targets/%.*s%s.%s", (int)(last - name), name, hex, last);
	snprintf(file, sizeof(file), "%s.delta", hex);
	fetch.length = target.length;
	int result = fetch_and_apply(&fetch, file, &target, unpack, staging, base, base_manifest, error);
	file_close(&fetch.fd);
	return result;
}
