/* What the units of check/ share: a published product in memory, an orchestrator's end that serves it (and can lie), an
 * act that says yes and writes down what it was asked, and the real session in its own sandboxed process between them.
 */
#ifndef TESTS_CHECK_FIXTURE_H
#define TESTS_CHECK_FIXTURE_H

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/check/session.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/process.h"
#include "keys/entitlement.h"
#include "release/bundle.h"
#include "release/pack.h"
#include "tests/unit/keys/fixture.h"

/* Keys by number beside the repository's 1 to 4. */
#define ORDER_KEY       "\5"
#define ENTITLEMENT_KEY "\6"
#define APPLIANCE_KEY   7

#define WAIT_MS 30000

struct world {
	char path[64];
	int directory;
	struct repository repository;
	struct buffer root;
	struct check_places places;
	char appliance[KEY_ID_MOST];
	json_t *standing;    /* act's answer to `status` */
	const char *no_room; /* act's preflight fails so */
	int64_t fence;       /* act's highest */

	pid_t session, act;
	struct stream *stream; /* the orchestrator's end */
	int broker;
};

static UNUSED void put_file(const char *path, const void *bytes, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	struct error error = {0};
	assert_true(fd >= 0);
	assert_ok(file_write_fd(fd, path, bytes, size, &error));
	close(fd);
}

static UNUSED void put_noise(const char *path, size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(seed >> 56);
	}
	put_file(path, bytes, size, 0644);
	free(bytes);
}

/* A signed target with these bytes. */
static UNUSED void add_bytes(struct repository *repository, const char *path, struct buffer bytes, json_t *custom)
{
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE], name[256];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	hash_bytes(HASH_SHA256, bytes.data, bytes.size, hash);
	hash_to_hex(hash, sizeof(hash), hex);
	json_object_set_new(json_object_get(repository->targets, "targets"), path,
			    json_pack("{s:I, s:{s:s}, s:o*}", "length", (json_int_t)bytes.size, "hashes", "sha256", hex,
				      "custom", custom));
	snprintf(name, sizeof(name), "targets/%.*s%s.%s", (int)(base - path), path, hex, base);
	repository_put(repository, name, bytes);
}

static UNUSED json_t *target_custom(struct world *world, const char *version)
{
	char path[128];
	snprintf(path, sizeof(path), "probe/%s/manifest.json", version);
	json_t *target = json_object_get(json_object_get(world->repository.targets, "targets"), path);
	return json_object_get(target, "custom");
}

/* The two releases, packed once a program. */
static char packed_path[64];

static UNUSED void put_trees(void)
{
	assert_int_equal(mkdir("old", 0755), 0);
	assert_int_equal(mkdir("new", 0755), 0);
	put_file("old/program", "one", 3, 0755);
	put_noise("old/same", 100000, 1);
	put_file("new/program", "two", 3, 0755);
	put_noise("new/same", 100000, 1);
	put_noise("new/large", 12 * 1024 * 1024, 2);
}

static UNUSED int pack_all(void **state UNUSED)
{
	struct error error = {0};
	close(make_directory(packed_path));
	umask(022);
	assert_ok(secret_start(&error));
	assert_int_equal(chdir(packed_path), 0);
	put_trees();
	struct pack_options options = {.product = "probe"};
	options.input = "old", options.output = "probe-1.0.bundle", options.version = "1.0";
	assert_ok(pack_run(&options, NULL, &error));
	options.input = "new", options.output = "probe-1.1.bundle", options.version = "1.1";
	assert_ok(pack_run(&options, NULL, &error));
	return 0;
}

static UNUSED int drop_packed(void **state UNUSED)
{
	struct error error = {0};
	return file_remove_tree_at(AT_FDCWD, packed_path, &error);
}

/* Publishes that version: its manifest as a target, its blobs by hash. */
static UNUSED void add_release(struct world *world, const char *version, int sequence)
{
	char path[128];
	struct error error = {0};
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	struct buffer bytes = {0};
	snprintf(path, sizeof(path), "%s/probe-%s.bundle", packed_path, version);
	assert_ok(bundle_open(path, &bundle, &error));
	const struct buffer *packed = bundle_manifest(bundle);
	assert_ok(manifest_parse(packed->data, packed->size, &manifest, &error));
	assert_ok(buffer_append(&bytes, packed->data, packed->size, &error));
	snprintf(path, sizeof(path), "probe/%s/manifest.json", version);
	add_bytes(&world->repository, path, bytes,
		  json_pack("{s:s, s:s, s:i, s:s, s:[s], s:s}", "product", "probe", "version", version, "sequence",
			    sequence, "published", "2026-01-05", "channels", "stable", "class", "feature"));
	for (size_t i = 0; i < manifest->blob_count; i++) {
		char hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 8];
		struct buffer blob = {0};
		hash_to_hex(manifest->blobs[i].hash, HASH_SIZE, hex);
		snprintf(name, sizeof(name), "blobs/%s", hex);
		assert_ok(bundle_read(bundle, name, (size_t)manifest->blobs[i].stored, &blob, &error));
		repository_put(&world->repository, name, blob);
	}
	/* act keeps the manifests of the trees that stand. */
	snprintf(path, sizeof(path), "product/manifests/%s.json", version);
	if (strcmp(version, "1.0") == 0)
		put_file(path, packed->data, packed->size, 0644);
}

static UNUSED json_t *key_list(const char *number)
{
	char id[KEY_ID_MOST];
	return json_pack("{s:[o], s:i}", "keys", key_number(number[0], id), "threshold", 1);
}

/* 1.0 runs; 1.1 (some blobs of fresh bytes) is published. */
static UNUSED int world_begin(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer pub = {0};
	assert_ok(secret_start(&error));
	log_start("test", LOG_LEVEL_ERROR);
	umask(022);
	world->directory = make_directory(world->path);
	assert_int_equal(chdir(world->path), 0);
	const char *const directories[] = {
		"trust",        "trust/metadata",       "product", "product/manifests", "releases",
		"releases/1.0", "releases/.staging-1.1"};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(directories[i], 0755), 0);
	put_file("releases/1.0/program", "one", 3, 0755);
	put_noise("releases/1.0/same", 100000, 1);

	repository_init(&world->repository);
	add_release(world, "1.0", 1);
	add_release(world, "1.1", 2);
	CLEANUP(jsonio_free)
	json_t *authority = json_pack("{s:s, s:o, s:o}", "_type", "authority", "order", key_list(ORDER_KEY),
				      "entitlement", key_list(ENTITLEMENT_KEY));
	struct buffer authority_bytes = {0};
	assert_ok(jsonio_write_canonical(authority, &authority_bytes, &error));
	add_bytes(&world->repository, AUTHORITY_TARGET, authority_bytes, NULL);
	publish_all(&world->repository);
	world->root = sign_document(world->repository.root, "\1");

	json_t *key = key_number(APPLIANCE_KEY, world->appliance);
	assert_ok(jsonio_write(key, false, &pub, &error));
	json_decref(key);
	put_file("product/appliance.pub", pub.data, pub.size, 0644);
	world->places = (struct check_places){.product_name = "probe", .root = &world->root};
	const char *zones = getenv("TZDIR");
	world->places.zones = open(zones ? zones : "/usr/share/zoneinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(file_open_directory("trust", &world->places.trust, &error));
	assert_ok(file_open_directory("trust/metadata", &world->places.metadata, &error));
	assert_ok(file_open_directory("product", &world->places.product, &error));
	assert_ok(file_open_directory("releases", &world->places.releases, &error));
	world->standing = json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:s, s:s, s:s, s:s}, s:[]}", "product", "probe",
				    "version", "1.0", "state", "idle", "fence", 0, "generation", 1, "journal",
				    "upgrade", "", "from", "", "to", "1.0", "state", "idle", "quarantine");
	world->broker = -1;
	*state = world;
	return 0;
}

static UNUSED void end_session(struct world *world)
{
	stream_free(&world->stream);
	file_close(&world->broker);
	if (world->session > 0) {
		waitpid(world->session, NULL, 0);
		kill(world->act, SIGTERM);
		waitpid(world->act, NULL, 0);
	}
	world->session = 0;
}

static UNUSED int world_end(void **state)
{
	struct world *world = *state;
	end_session(world);
	repository_free(&world->repository);
	buffer_free(&world->root);
	jsonio_free(&world->standing);
	close(world->places.zones);
	close(world->places.trust);
	close(world->places.metadata);
	close(world->places.product);
	close(world->places.releases);
	assert_int_equal(chdir("/"), 0);
	drop_directory(world->path, world->directory);
	free(world);
	return 0;
}

/* --- act --- */

static UNUSED void note_request(const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
	FILE *file = fopen("act.log", "a");
	if (file && text)
		fprintf(file, "%s\n", text);
	if (file)
		fclose(file);
	free(text);
}

static UNUSED void answer(int socket, json_t *ok, int fd)
{
	struct error error = {0};
	if (packet_send_take(socket, json_pack("{s:o}", "ok", ok), fd, &error) < 0)
		_exit(1);
}

static UNUSED void act_on(struct world *world, int socket, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "do"));
	struct error error = {0};
	if (strcmp(name, "status") == 0) {
		answer(socket, json_incref(world->standing), -1);
	} else if (strcmp(name, "preflight") == 0) {
		bool fails = world->no_room != NULL;
		answer(socket,
		       json_pack("{s:b, s:[{s:s, s:b, s:s, s:s, s:s}]}", "ok", (int)!fails, "checks", "name", "space",
				 "ok", (int)!fails, "value", "1", "limit", "2", "text", fails ? world->no_room : ""),
		       -1);
	} else if (strcmp(name, "stage-dir") == 0) {
		CLEANUP(file_close) int staging = open("releases/.staging-1.1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CLEANUP(file_close) int base = open("releases/1.0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		answer(socket, json_pack("{s:s}", "share", "auto"), staging);
		answer(socket, json_pack("{s:s}", "version", "1.0"), base);
	} else if (strcmp(name, "fence") == 0) {
		answer(socket, json_pack("{s:I}", "fence", (json_int_t)world->fence), -1);
	} else if (strcmp(name, "switch") == 0 || strcmp(name, "rollback") == 0) {
		if (packet_send_take(socket,
				     json_pack("{s:{s:s, s:s}}", "event", "state", "switched", "step", "rename"), -1,
				     &error) < 0)
			_exit(1);
		answer(socket,
		       json_pack("{s:s, s:{s:{}, s:[]}}", "outcome", "committed", "receipt", "signed", "signatures"),
		       -1);
	} else {
		answer(socket, json_object(), -1);
	}
}

static UNUSED _Noreturn void be_act(struct world *world, int socket)
{
	for (;;) {
		json_t *request = NULL;
		int fd = -1;
		struct error error = {0};
		if (packet_receive(socket, &request, &fd, &error) < 0)
			_exit(0);
		note_request(request);
		act_on(world, socket, request);
		json_decref(request);
	}
}

/* Whether act was asked that; the last such request, or NULL. Caller owns. */
static UNUSED json_t *asked_act(const char *name)
{
	FILE *file = fopen("act.log", "r");
	char line[8192];
	json_t *found = NULL;
	while (file && fgets(line, sizeof(line), file)) {
		json_t *request = json_loads(line, 0, NULL);
		if (strcmp(json_string_value(json_object_get(request, "do")), name) == 0) {
			json_decref(found);
			found = json_incref(request);
		}
		json_decref(request);
	}
	if (file)
		fclose(file);
	return found;
}

static UNUSED bool act_was_asked(const char *name)
{
	CLEANUP(jsonio_free) json_t *request = asked_act(name);
	return request != NULL;
}

/* --- the session --- */

static UNUSED void start_session(struct world *world, enum session_kind kind, const char *scope)
{
	int stream[2], broker[2], act[2];
	struct error error = {0};
	assert_ok(process_socketpair(true, stream, &error));
	assert_ok(process_socketpair(false, broker, &error));
	assert_ok(process_socketpair(false, act, &error));
	unlink("act.log");
	world->act = fork();
	if (world->act == 0) {
		close(act[0]);
		close(stream[0]);
		close(stream[1]);
		close(broker[0]);
		close(broker[1]);
		be_act(world, act[1]);
	}
	world->session = fork();
	if (world->session == 0) {
		struct session_start start = SESSION_START_NONE;
		close(stream[0]);
		close(broker[0]);
		close(act[1]);
		start.kind = kind;
		start.stream = stream[1];
		start.broker = broker[1];
		start.act = act[0];
		strcpy(start.grant.scope, scope);
		_exit(session_run(&start, &world->places, &error) < 0 ? (int)error.code : 0);
	}
	close(stream[1]);
	close(broker[1]);
	close(act[0]);
	close(act[1]);
	world->broker = broker[0];
	assert_ok(stream_new_take(stream[0], MESSAGE_FROM_ORCHESTRATOR, &world->stream, &error));
}

/* --- the orchestrator --- */

struct exchange {
	/* Before a fetch is answered; false: the test has answered it, or wants it unanswered. */
	bool (*on_fetch)(struct world *world, struct stream *stream, uint64_t id, const char *name, void *context);
	/* A packet of the session's to its broker. */
	void (*on_broker)(struct world *world, const json_t *packet, void *context);
	void *context;
	enum message_type type;
	size_t fetches, blobs, events, beats;
	json_int_t offset;    /* of the fetch that was asked for last */
	uint64_t delta_bytes; /* that were sent of deltas, without their heads */
	uint64_t cut;         /* 0: none; after so many of them the stream ends */
	json_t *last_event;
	json_t *reply; /* NULL: refused */
	struct error refusal;
};

static UNUSED void exchange_free(struct exchange *exchange)
{
	jsonio_free(&exchange->last_event);
	jsonio_free(&exchange->reply);
}

static UNUSED void flush_all(struct stream *stream)
{
	bool pending = true;
	struct error error = {0};
	while (pending) {
		struct pollfd ready = {stream_fd(stream), POLLOUT, 0};
		if (stream_flush(stream, &pending, &error) < 0)
			return;
		if (pending)
			poll(&ready, 1, 1000);
	}
}

static UNUSED void serve_from(struct world *world, struct stream *stream, uint64_t id, const char *name, size_t offset)
{
	const struct buffer *bytes = repository_file(&world->repository, name);
	struct error error = {0}, missing = {0};
	if (!bytes) {
		error_set(&missing, ERROR_DATA, "missing", "%s is not there", name);
		assert_ok(stream_send_error(stream, MESSAGE_FETCH, id, &missing, &error));
		flush_all(stream);
		return;
	}
	for (size_t at = offset; at < bytes->size; at += 65536) {
		size_t size = bytes->size - at < 65536 ? bytes->size - at : 65536;
		assert_ok(stream_send_data(stream, MESSAGE_FETCH, id, bytes->data + at, size, &error));
		flush_all(stream);
	}
	json_t *body = json_pack("{s:I}", "size", (json_int_t)bytes->size);
	assert_ok(stream_send(stream, MESSAGE_FETCH, FRAME_REPLY, id, body, &error));
	json_decref(body);
	flush_all(stream);
}

static UNUSED void serve_fetch(struct world *world, struct stream *stream, uint64_t id, const char *name)
{
	serve_from(world, stream, id, name, 0);
}

static UNUSED bool ends_in(const char *name, const char *end)
{
	return strlen(name) > strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

/* In small frames, and perhaps not all of it. */
static UNUSED void serve_delta(struct world *world, struct exchange *exchange, struct stream *stream, uint64_t id,
			       const char *name)
{
	const struct buffer *bytes = repository_file(&world->repository, name);
	size_t offset = (size_t)exchange->offset;
	struct error error = {0};
	if (!bytes || exchange->cut == 0 || bytes->size - offset <= exchange->cut) {
		exchange->delta_bytes += bytes ? bytes->size - offset : 0;
		serve_from(world, stream, id, name, offset);
		return;
	}
	for (size_t sent = 0; sent < exchange->cut; sent += 4096) {
		size_t size = exchange->cut - sent < 4096 ? (size_t)exchange->cut - sent : 4096;
		assert_ok(stream_send_data(stream, MESSAGE_FETCH, id, bytes->data + offset + sent, size, &error));
		flush_all(stream);
	}
	exchange->delta_bytes += exchange->cut;
	shutdown(stream_fd(stream), SHUT_WR);
}

static UNUSED void take_fetch(struct world *world, struct exchange *exchange, struct stream *stream,
			      const struct stream_message *message)
{
	const char *name = jsonio_string(message->body, "name");
	exchange->fetches++;
	exchange->blobs += strncmp(name, "blobs/", 6) == 0;
	exchange->offset = jsonio_integer(message->body, "offset");
	if (exchange->on_fetch && !exchange->on_fetch(world, stream, message->id, name, exchange->context))
		return;
	if (ends_in(name, ".delta"))
		serve_delta(world, exchange, stream, message->id, name);
	else
		serve_from(world, stream, message->id, name, (size_t)exchange->offset);
}

static UNUSED void take_broker(struct world *world, struct exchange *exchange)
{
	struct pollfd ready = {world->broker, POLLIN, 0};
	json_t *packet = NULL;
	int fd = -1;
	struct error error = {0};
	if (!exchange->on_broker || poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN))
		return;
	if (packet_receive(world->broker, &packet, &fd, &error) == 0)
		exchange->on_broker(world, packet, exchange->context);
	json_decref(packet);
}

/* Serves until the reply to `id` came. False when the stream ended. */
static UNUSED bool serve_until(struct world *world, struct exchange *exchange, uint64_t id)
{
	int64_t deadline = clock_ticks_ms() + WAIT_MS;
	for (;;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		struct error error = {0};
		take_broker(world, exchange);
		if (stream_wait(world->stream, clock_ticks_ms() + 50, &message, &error) < 0) {
			if (strcmp(error.name, "timeout") != 0)
				return false;
			if (clock_ticks_ms() > deadline)
				fail_msg("no answer came within %d s", WAIT_MS / 1000);
			continue;
		}
		if (message.type == MESSAGE_FETCH) {
			take_fetch(world, exchange, world->stream, &message);
		} else if (message.type == MESSAGE_HEARTBEAT) {
			exchange->beats++;
		} else if (message.type == MESSAGE_HELLO) {
			json_t *welcome =
				json_pack("{s:i, s:I}", "protocol", MESSAGE_PROTOCOL, "time", (json_int_t)clock_now());
			assert_ok(stream_send(world->stream, MESSAGE_HELLO, FRAME_REPLY, message.id, welcome, &error));
			json_decref(welcome);
		} else if (message.id == id && (message.flags & FRAME_EVENT)) {
			exchange->events++;
			jsonio_free(&exchange->last_event);
			exchange->last_event = json_incref(message.body);
		} else if (message.id == id && (message.flags & FRAME_ERROR)) {
			assert_true(packet_to_error(message.body, &exchange->refusal) < 0);
			return true;
		} else if (message.id == id) {
			exchange->reply = json_incref(message.body);
			return true;
		}
	}
}

/* Asks and serves until the answer; `body` is consumed. */
static UNUSED void ask(struct world *world, struct exchange *exchange, enum message_type type, json_t *body)
{
	struct error error = {0};
	uint64_t id = stream_next_id(world->stream);
	exchange->type = type;
	jsonio_free(&exchange->reply);
	exchange->refusal = (struct error){0};
	assert_non_null(body);
	assert_ok(stream_send(world->stream, type, 0, id, body, &error));
	json_decref(body);
	if (!serve_until(world, exchange, id))
		fail_msg("the session ended before it answered");
}

static UNUSED json_t *envelope_of(json_t *document, const char *signers)
{
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, signers);
	json_t *object = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
	json_decref(document);
	assert_non_null(object);
	return object;
}

/* Support for `days` more days (negative: lapsed). */
static UNUSED json_t *entitlement(const struct world *world, int days, const char *tier)
{
	struct entitlement grant = {.issued = clock_now() - 10, .expires = clock_now() + 86400};
	char text[CLOCK_UTC_SIZE], midnight[CLOCK_UTC_SIZE];
	struct error error = {0};
	strcpy(grant.appliance, world->appliance);
	strcpy(grant.customer, "acme");
	strcpy(grant.contract, "C-1");
	strcpy(grant.product, "probe");
	snprintf(grant.tier, sizeof(grant.tier), "%s", tier);
	clock_format_utc(clock_now() + days * 86400, text);
	memcpy(grant.support_until, text, 10);
	snprintf(midnight, sizeof(midnight), "%.10sT00:00:00Z", text);
	assert_ok(clock_parse_utc(midnight, &grant.ends, &error));
	grant.ends += 86400;
	return envelope_of(entitlement_document(&grant), ENTITLEMENT_KEY);
}

static UNUSED json_t *stage_body(const char *version, json_t *envelope, int streams)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:i}", "upgrade", "u1", "version", version, "entitlement", envelope,
			 "ticket", "abcdef", "streams", streams);
}

static UNUSED void stage(struct world *world, struct exchange *exchange)
{
	ask(world, exchange, MESSAGE_STAGE, stage_body("1.1", entitlement(world, 30, "premium"), 0));
}

#define assert_refusal(exchange, wanted_code, wanted_name)                                                             \
	do {                                                                                                           \
		if ((exchange).reply || strcmp((exchange).refusal.name, wanted_name) != 0)                             \
			fail_msg("%s: refused as \"%s\" (%s), wanted %s", __func__, (exchange).refusal.name,           \
				 (exchange).refusal.text, wanted_name);                                                \
		assert_int_equal((exchange).refusal.code, wanted_code);                                                \
		assert_true(strlen((exchange).refusal.text) > 10);                                                     \
	} while (0)
#define assert_granted(exchange)                                                                                       \
	do {                                                                                                           \
		if (!(exchange).reply)                                                                                 \
			fail_msg("refused: %s (%s)", (exchange).refusal.text, (exchange).refusal.name);                \
	} while (0)

#endif
