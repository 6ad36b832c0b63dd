#include "appliance-hook/check/staging.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/check/lane.h"
#include "appliance-hook/check/shortcut.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "release/unpack_pool.h"

enum { TICK_MS = 500, PROGRESS_MS = 500 };
/* Stored bytes that are asked for at once, over all streams: what the lanes hold. One blob is always asked for. */
#define ASKED_MOST ((uint64_t)24 * 1024 * 1024)

/* A staging under way. */
struct transfer {
	struct verify *verify;
	const struct staging_wish *wish;
	struct unpack *unpack;
	struct unpack_pool *pool;
	struct lane lanes[STAGING_STREAMS_MOST + 1];
	size_t lane_count;
	bool on_own_stream; /* the session's stream is one of the lanes */
	int64_t asked;      /* clock_ticks_ms when bulk streams were last asked for */
	int64_t told;       /* and when progress was */
};

static void end_transfer(struct transfer *transfer)
{
	for (size_t i = 0; i < transfer->lane_count; i++)
		lane_close(&transfer->lanes[i]);
	unpack_pool_free(&transfer->pool);
	unpack_free(&transfer->unpack);
}

static int tell(struct transfer *transfer, bool now, struct error *error)
{
	int64_t ticks = clock_ticks_ms();
	if (!transfer->wish->progress || (!now && ticks - transfer->told < PROGRESS_MS))
		return 0;
	struct unpack_progress progress = unpack_progress(transfer->unpack);
	transfer->told = ticks;
	return transfer->wish->progress(transfer->wish->context, &progress, error);
}

static int ask_for_streams(struct transfer *transfer, struct error *error)
{
	transfer->asked = clock_ticks_ms();
	if (transfer->wish->streams <= 0)
		return 0;
	int64_t count = transfer->wish->streams > STAGING_STREAMS_MOST ? STAGING_STREAMS_MOST : transfer->wish->streams;
	return packet_send_take(transfer->verify->session->broker,
				json_pack("{s:s, s:I}", "bulk", transfer->wish->ticket, "count", (json_int_t)count), -1,
				error);
}

static uint64_t asked_bytes(const struct transfer *transfer)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < transfer->lane_count; i++)
		bytes += transfer->lanes[i].busy ? transfer->lanes[i].stored : 0;
	return bytes;
}

/* Gives the lane its next blob, if there is one and room for it. A lane that cannot even ask is broken: closed by the
 * caller. */
static int feed(struct transfer *transfer, struct lane *lane, struct error *error)
{
	size_t index = 0;
	if (lane->busy || !unpack_next_blob(transfer->unpack, &index))
		return 0;
	uint64_t asked = asked_bytes(transfer);
	if (asked > 0 && asked + transfer->verify->manifest->blobs[index].stored > ASKED_MOST) {
		unpack_give_back(transfer->unpack, index);
		return 0;
	}
	int result = lane_ask(lane, &transfer->verify->manifest->blobs[index], index, error);
	if (result < 0 && !lane->busy)
		unpack_give_back(transfer->unpack, index);
	return result;
}

/* A bulk stream broke: its blob goes back, the others go on. */
static void drop_lane(struct transfer *transfer, size_t index)
{
	struct lane *lane = &transfer->lanes[index];
	if (lane->busy)
		unpack_give_back(transfer->unpack, lane->blob);
	lane_close(lane);
	*lane = transfer->lanes[--transfer->lane_count];
	transfer->lanes[transfer->lane_count] = (struct lane){0};
}

static int add_bulk(struct transfer *transfer, int fd, struct error *error)
{
	struct stream *stream = NULL;
	if (transfer->lane_count >= STAGING_STREAMS_MOST) {
		close(fd);
		return 0;
	}
	if (stream_new_take(fd, MESSAGE_FROM_HOOK, &stream, error) < 0)
		return -(int)error->code;
	lane_open(&transfer->lanes[transfer->lane_count++], stream, true);
	return 0;
}

/* One packet of the broker: {"bulk": TICKET} and a descriptor, or none. Streams of another ticket are late and closed.
 */
static int take_bulk(struct transfer *transfer, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	if (packet_receive(transfer->verify->session->broker, &packet, &fd, error) < 0)
		return -(int)error->code;
	const char *ticket = json_string_value(json_object_get(packet, "bulk"));
	if (!ticket || transfer->wish->streams <= 0 || strcmp(ticket, transfer->wish->ticket) != 0)
		return 0;
	/* link could not have the streams: no need to wait for them. */
	if (fd < 0) {
		transfer->asked = clock_ticks_ms() - STAGING_BULK_WAIT_MS;
		return 0;
	}
	int taken = fd;
	fd = -1;
	return add_bulk(transfer, taken, error);
}

/* A whole blob: others unpack it while its lane fetches the next one. */
static int unpack_whole(struct transfer *transfer, struct lane *lane, struct error *error)
{
	size_t index = lane->blob;
	struct error asking = {0};
	if (unpack_pool_give(transfer->pool, index, &lane->bytes, error) < 0)
		return -(int)error->code;
	/* If it cannot, the next read of that stream says so. */
	if (feed(transfer, lane, &asking) < 0)
		log_failure("asking for a blob", &asking);
	return tell(transfer, false, error);
}

/* Everything that came on one lane. *ret_broken: the stream is of no more use; `error` is for what ends the staging. */
static int drain(struct transfer *transfer, struct lane *lane, bool *ret_broken, struct error *error)
{
	for (bool got = true; got;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		struct error reading = {0};
		bool whole = false, pending = false;
		if (stream_flush(lane->stream, &pending, &reading) < 0 ||
		    stream_receive(lane->stream, &message, &got, &reading) < 0) {
			if (!lane->owned) {
				*error = reading;
				return -(int)error->code;
			}
			*ret_broken = true;
			return 0;
		}
		if (!got)
			return 0;
		if (lane_owns(lane, &message)) {
			if (lane_take(lane, &message, &whole, error) < 0 ||
			    (whole && unpack_whole(transfer, lane, error) < 0))
				return -(int)error->code;
		} else if (!lane->owned) {
			if (transfer->wish->other(transfer->wish->context, &message, error) < 0)
				return -(int)error->code;
		} else {
			return error_set(error, ERROR_DATA, "dialogue", "a bulk stream carries something else");
		}
	}
	return 0;
}

/* The session's own stream when it carries no blobs: requests of the orchestrator, an abort among them. */
static int drain_own(struct transfer *transfer, struct error *error)
{
	struct stream *stream = transfer->verify->session->stream;
	for (bool got = true, pending = false; got;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_flush(stream, &pending, error) < 0 || stream_receive(stream, &message, &got, error) < 0)
			return -(int)error->code;
		if (got && transfer->wish->other(transfer->wish->context, &message, error) < 0)
			return -(int)error->code;
	}
	return 0;
}

static int serve_lanes(struct transfer *transfer, struct error *error)
{
	int64_t ticks = clock_ticks_ms();
	for (size_t i = transfer->lane_count; i-- > 0;) {
		struct lane *lane = &transfer->lanes[i];
		struct error asking = {0};
		bool broken = false;
		if (drain(transfer, lane, &broken, error) < 0)
			return -(int)error->code;
		if (!broken && feed(transfer, lane, &asking) < 0)
			broken = true;
		if (lane->busy && ticks - lane->heard > SOURCE_PATIENCE_MS)
			broken = true;
		if (broken && !lane->owned)
			return error_set(error, ERROR_UNREACHABLE, "timeout", "the blobs stopped coming");
		if (broken)
			drop_lane(transfer, i);
	}
	return 0;
}

/* No lane for too long, or none wanted: the session's own stream becomes one. */
static int fall_back(struct transfer *transfer, struct error *error)
{
	if (transfer->lane_count > 0)
		return 0;
	if (transfer->wish->streams > 0 && clock_ticks_ms() - transfer->asked < STAGING_BULK_WAIT_MS)
		return 0;
	transfer->on_own_stream = true;
	struct lane *lane = &transfer->lanes[transfer->lane_count++];
	lane_open(lane, transfer->verify->session->stream, false);
	return feed(transfer, lane, error);
}

static int wait_for_bytes(struct transfer *transfer, struct error *error)
{
	struct pollfd fds[STAGING_STREAMS_MOST + 3] = {
		{stream_fd(transfer->verify->session->stream), POLLIN, 0},
		{transfer->verify->session->broker, POLLIN, 0},
	};
	nfds_t count = 2;
	for (size_t i = 0; i < transfer->lane_count; i++) {
		short events = stream_queued(transfer->lanes[i].stream) > 0 ? POLLIN | POLLOUT : POLLIN;
		fds[count++] = (struct pollfd){stream_fd(transfer->lanes[i].stream), events, 0};
	}
	if (poll(fds, count, TICK_MS) < 0 && errno != EINTR)
		return error_set_errno(error, ERROR_BUG, "poll", "waiting for blobs");
	if (fds[1].revents && take_bulk(transfer, error) < 0)
		return -(int)error->code;
	return 0;
}

static bool all_there(const struct transfer *transfer)
{
	struct unpack_progress progress = unpack_progress(transfer->unpack);
	return progress.blobs_done >= progress.blobs;
}

/* All have come, and some are still being unpacked: no stream will say when they are. */
static bool all_fetched(const struct transfer *transfer)
{
	size_t index = 0;
	if (asked_bytes(transfer) > 0)
		return false;
	bool left = unpack_next_blob(transfer->unpack, &index);
	if (left)
		unpack_give_back(transfer->unpack, index);
	return !left;
}

static int fetch_blobs(struct transfer *transfer, struct error *error)
{
	if (tell(transfer, true, error) < 0)
		return -(int)error->code;
	if (all_there(transfer))
		return 0;
	if (unpack_pool_new(transfer->unpack, &transfer->pool, error) < 0 || ask_for_streams(transfer, error) < 0)
		return -(int)error->code;
	while (!all_there(transfer)) {
		size_t lanes = transfer->lane_count;
		if (fall_back(transfer, error) < 0 || serve_lanes(transfer, error) < 0 ||
		    (!transfer->on_own_stream && drain_own(transfer, error) < 0))
			return -(int)error->code;
		if (all_fetched(transfer) ? unpack_pool_drain(transfer->pool, error) < 0
					  : wait_for_bytes(transfer, error) < 0)
			return -(int)error->code;
		/* The last one broke: ask again, once per loss. */
		if (lanes > 0 && transfer->lane_count == 0 && ask_for_streams(transfer, error) < 0)
			return -(int)error->code;
	}
	return tell(transfer, true, error);
}

/* What act gives for the staging: its directory, how to share, and the tree that runs now with its manifest. */
struct ground {
	int staging, base;
	enum unpack_share share;
	struct manifest *base_manifest;
};

static void end_ground(struct ground *ground)
{
	file_close(&ground->staging);
	file_close(&ground->base);
	manifest_free(&ground->base_manifest);
}

static enum unpack_share share_by_name(const char *name)
{
	static const struct {
		const char *name;
		enum unpack_share share;
	} shares[] = {{"reflink", UNPACK_REFLINK}, {"hardlink", UNPACK_HARDLINK}, {"copy", UNPACK_COPY}};
	for (size_t i = 0; name && i < ARRAY_SIZE(shares); i++)
		if (strcmp(name, shares[i].name) == 0)
			return shares[i].share;
	return UNPACK_AUTO;
}

/* The manifest of the running tree, as act keeps it. Without one there is no base: everything is fetched. */
static void read_base(const struct verify *verify, struct ground *ground)
{
	char path[MANIFEST_NAME_MOST + 32];
	CLEANUP(file_close) int fd = -1;
	struct error why = {0};
	snprintf(path, sizeof(path), "manifests/%s.json", verify->running);
	if (ground->base >= 0 && file_path_is_safe(path) &&
	    file_open_at(verify->session->places->product, path, &fd, &why) == 0 &&
	    manifest_read(fd, path, &ground->base_manifest, NULL, &why) == 0)
		return;
	if (why.code)
		log_failure("the running release's manifest", &why);
	file_close(&ground->base);
}

static int prepare(struct verify *verify, struct ground *ground, struct error *error)
{
	struct actor *actor = &verify->session->actor;
	CLEANUP(jsonio_free) json_t *first = NULL;
	CLEANUP(jsonio_free) json_t *second = NULL;
	json_t *arguments =
		json_pack("{s:s, s:s}", "product", verify->release.product, "version", verify->release.version);
	if (actor_ask(actor, "stage-dir", arguments, NULL, &ground->staging, &first, error) < 0 ||
	    actor_next(actor, NULL, &ground->base, &second, error) < 0)
		return -(int)error->code;
	if (ground->staging < 0)
		return error_set(error, ERROR_BUG, "act", "act gave no staging directory");
	ground->share = share_by_name(json_string_value(json_object_get(first, "share")));
	/* For the seal; here it is of no more use, and may be long. */
	if (file_replace_at(ground->staging, "manifest.json", verify->manifest_bytes.data, verify->manifest_bytes.size,
			    0644, error) < 0)
		return -(int)error->code;
	buffer_free(&verify->manifest_bytes);
	read_base(verify, ground);
	return 0;
}

/* The same release lies sealed already: asked for twice, or after a lost answer. act hashes the tree before it
 * switches. */
static bool is_staged(const struct verify *verify)
{
	char path[MANIFEST_NAME_MOST + 32];
	CLEANUP(file_close) int fd = -1;
	uint8_t hash[HASH_SIZE];
	struct error ignored = {0};
	const char *staged = json_string_value(json_object_get(verify->standing, "staged"));
	if (!staged || strcmp(staged, verify->release.version) != 0)
		return false;
	snprintf(path, sizeof(path), "manifests/%s.json", staged);
	if (!file_path_is_safe(path) || file_open_at(verify->session->places->product, path, &fd, &ignored) < 0 ||
	    hash_file(HASH_SHA256, fd, path, hash, NULL, &ignored) < 0)
		return false;
	return hash_equal(hash, verify->release.sha256);
}

static int seal(struct verify *verify, struct error *error)
{
	char hex[HASH_HEX_SIZE];
	CLEANUP(jsonio_free) json_t *answer = NULL;
	hash_to_hex(verify->release.sha256, HASH_SIZE, hex);
	json_t *arguments = json_pack("{s:s, s:s}", "version", verify->release.version, "sha256", hex);
	return actor_ask(&verify->session->actor, "seal", arguments, NULL, NULL, &answer, error);
}

int staging_run(struct verify *verify, const struct staging_wish *wish, struct error *error)
{
	CLEANUP(end_ground) struct ground ground = {.staging = -1, .base = -1};
	CLEANUP(end_transfer)
	struct transfer transfer = {.verify = verify, .wish = wish};
	if (verify->passed != VERIFY_ALL)
		return error_set(error, ERROR_BUG, "order", "staging before the checks");
	if (verify_preflight(verify, NULL, error) < 0)
		return -(int)error->code;
	if (is_staged(verify))
		return 0;
	if (prepare(verify, &ground, error) < 0 ||
	    unpack_begin(ground.staging, verify->manifest, ground.base, ground.base_manifest, ground.share,
			 &transfer.unpack, error) < 0 ||
	    shortcut_stage(verify, wish, transfer.unpack, ground.staging, ground.base, ground.base_manifest, error) < 0)
		return -(int)error->code;
	/* What the running release gives was taken. */
	manifest_free(&ground.base_manifest);
	if (fetch_blobs(&transfer, error) < 0 || unpack_finish(transfer.unpack, error) < 0)
		return -(int)error->code;
	return seal(verify, error);
}
