/* The engine as a process of its own, with this test as its supervisor, hub and appliance, and a signer in a thread. */
#ifndef TESTS_ENGINE_WORLD_H
#define TESTS_ENGINE_WORLD_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/secret.h"
#include "dialogue/stream.h"
#include "keys/receipt.h"
#include "keys/role.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_release.h"
#include "orchestrator/store/store_upgrade.h"

#define PATIENCE_MS 20000

#define MUST(expression)                                                                                               \
	do {                                                                                                           \
		if (expression)                                                                                        \
			fail_msg("%s: %s (%s)", #expression, error.text, error.name);                                  \
	} while (0)

struct world {
	char directory[64], store_path[96], releases[96];
	struct store *store;
	pid_t engine;
	int supervisor, hub, signer;
	pthread_t signer_thread;
	struct key_secret *key; /* the appliance's */
	uint8_t public_key[32], seed[32];
};

/* How many entitlements the signer was asked for. */
static atomic_int signer_entitlements;

/* Timestamps are signed with the key of this seed; every other document gets an envelope without a signature: what the
 * engine does with those is none of the signer's matter. */
static inline json_t *signer_timestamp(const json_t *request)
{
	struct error error;
	struct key_secret *key = NULL;
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(65536);
	json_t *answer = NULL;
	uint8_t seed[32];
	char expires[CLOCK_UTC_SIZE];
	memset(seed, 100 + (int)ROLE_TIMESTAMP, sizeof seed);
	clock_format_utc(clock_now() + 7 * 86400, expires);
	const json_t *snapshot = jsonio_member(request, "snapshot");
	CLEANUP(jsonio_free)
	json_t *document = json_pack(
		"{s:s, s:s, s:I, s:s, s:{s:{s:I, s:I, s:{s:s}}}}", "_type", "timestamp", "spec_version", "1.0.31",
		"version", (json_int_t)jsonio_integer(request, "after") + 1, "expires", expires, "meta",
		"snapshot.json", "version", (json_int_t)jsonio_integer(snapshot, "version"), "length",
		(json_int_t)jsonio_integer(snapshot, "length"), "hashes", "sha256", jsonio_string(snapshot, "sha256"));
	if (key_secret_from_seed(seed, &key, &error) || envelope_new(document, &envelope, &error) ||
	    envelope_sign(envelope, key, &error) || envelope_write(envelope, &bytes, &error) ||
	    jsonio_parse(bytes.data, bytes.size, "timestamp", &answer, &error))
		abort();
	key_secret_free(&key);
	return json_pack("{s:o}", "envelope", answer);
}

static inline void *signer_run(void *context)
{
	int fd = (int)(intptr_t)context;
	for (;;) {
		struct error error;
		json_t *request = NULL;
		int extra = -1;
		if (packet_wait(fd, clock_ticks_ms() + 60000, &request, &extra, &error))
			break;
		json_t *document = json_object_get(request, "document");
		if (jsonio_string(request, "sign") && !strcmp(jsonio_string(request, "sign"), "entitlement"))
			atomic_fetch_add(&signer_entitlements, 1);
		int status = packet_send_take(
			fd,
			document ? json_pack("{s:{s:O, s:[]}}", "envelope", "signed", document, "signatures")
				 : signer_timestamp(request),
			-1, &error);
		jsonio_free(&request);
		if (status)
			break;
	}
	close(fd);
	return NULL;
}

static inline void world_start_engine(struct world *world)
{
	struct error error;
	int supervisor[2], hub[2], signer[2];
	MUST(process_socketpair(false, supervisor, &error));
	MUST(process_socketpair(false, hub, &error));
	MUST(process_socketpair(false, signer, &error));
	fflush(NULL); /* or the child's exit would print it again */
	world->engine = fork();
	if (world->engine == 0) {
		close(supervisor[0]);
		close(hub[0]);
		close(hub[1]);
		close(signer[0]);
		close(signer[1]);
		/* cmocka's handlers are not the engine's */
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		exit(engine_main(supervisor[1]));
	}
	close(supervisor[1]);
	world->supervisor = supervisor[0];
	MUST(packet_send_take(world->supervisor,
			      json_pack("{s:{s:s, s:s, s:s, s:s}}", "set", "store", world->store_path, "exports",
					"exports", "releases", world->releases, "lapsed", "blocked"),
			      -1, &error));
	MUST(packet_send_take(world->supervisor, json_pack("{s:s}", "peer", "hub"), hub[1], &error));
	MUST(packet_send_take(world->supervisor, json_pack("{s:s}", "peer", "signer"), signer[1], &error));
	close(hub[1]);
	close(signer[1]);
	world->hub = hub[0];
	assert_int_equal(pthread_create(&world->signer_thread, NULL, signer_run, (void *)(intptr_t)signer[0]), 0);
}

/* `how` SIGKILL: as a crash. 0: the supervisor closes. */
static inline int world_stop_engine(struct world *world, int how)
{
	int status = 0;
	if (how)
		kill(world->engine, how);
	close(world->supervisor);
	assert_int_equal(waitpid(world->engine, &status, 0), world->engine);
	close(world->hub);
	pthread_join(world->signer_thread, NULL);
	return status;
}

static inline void world_window(struct store *store, int64_t start)
{
	struct error error;
	char utc[CLOCK_UTC_SIZE], ini[400];
	clock_format_utc(start / 60 * 60, utc);
	snprintf(
		ini, sizeof ini,
		"[window now]\nzone = UTC\nrule = once %.16s\nduration = 2h\ncutoff = 10m\nmissed = next\nnotice = 0\n",
		utc);
	MUST(store_change(store, NULL, &error,
			  "INSERT OR REPLACE INTO target_window VALUES ('appliance','box1',?,'test',1,'ann','')", "s",
			  ini));
}

static inline void world_release(struct store *store, const char *version, int64_t sequence)
{
	struct error error;
	struct store_release release = {.length = 10, .sequence = sequence, .published = 1000, .need = 60, .bytes = 10};
	strcpy(release.product, "vpn");
	snprintf(release.version, sizeof release.version, "%s", version);
	snprintf(release.target, sizeof release.target, "vpn/%s/manifest.json", version);
	memset(release.sha256, (int)sequence, sizeof release.sha256);
	strcpy(release.channels, "stable");
	MUST(store_release_put(store, &release, &error));
}

static inline int world_setup(void **state)
{
	struct error error;
	struct world *world = calloc(1, sizeof *world);
	struct store_appliance box = {0};
	uint8_t code[32] = {9};
	char name[STORE_NAME_SIZE];
	int64_t now = clock_now();
	MUST(secret_start(&error));
	strcpy(world->directory, "/tmp/nightshift-engine-XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(world->store_path, sizeof world->store_path, "%s/store.db", world->directory);
	snprintf(world->releases, sizeof world->releases, "%s/releases", world->directory);
	MUST(file_make_directories(world->releases, 0755, &error));
	MUST(store_open(world->store_path, &world->store, &error));
	MUST(store_change(world->store, NULL, &error, "INSERT INTO customer VALUES ('acme', 1)", ""));
	MUST(store_change(world->store, NULL, &error,
			  "INSERT INTO contract VALUES ('C1','acme','on-premise','premium','2999-12-31','UTC',?,10,1)",
			  "i", INT64_C(32503680000)));
	strcpy(box.name, "box1");
	strcpy(box.contract, "C1");
	strcpy(box.product, "vpn");
	MUST(store_appliance_add(world->store, &box, "technician:ann", now, &error));
	secret_random(world->seed, sizeof world->seed);
	MUST(key_secret_from_seed(world->seed, &world->key, &error));
	const struct key *key = key_secret_public(world->key);
	memcpy(world->public_key, key_ed25519(key), 32);
	MUST(store_appliance_code(world->store, "box1", code, now + 1000, "technician:ann", now, &error));
	MUST(store_appliance_join(world->store, code, world->public_key, key_id(key), now, name, &error));
	world_release(world->store, "1.0", 1);
	world_release(world->store, "1.1", 2);
	world_window(world->store, now - 600);
	world_start_engine(world);
	*state = world;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *world = *state;
	struct error error;
	int status = world_stop_engine(world, 0);
	store_free(&world->store);
	key_secret_free(&world->key);
	MUST(file_remove_tree_at(AT_FDCWD, world->directory, &error));
	free(world);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static inline void world_book(struct world *world, char id[static STORE_UPGRADE_ID_SIZE])
{
	struct error error;
	int64_t now = clock_now();
	struct store_upgrade booking = {.starts = now - 600, .ends = now + 6000, .last_start = now + 5000};
	strcpy(booking.appliance, "box1");
	strcpy(booking.product, "vpn");
	strcpy(booking.from_version, "1.0");
	strcpy(booking.to_version, "1.1");
	strcpy(booking.requested_by, "ann");
	strcpy(booking.window_name, "now");
	strcpy(booking.zone, "UTC");
	strcpy(booking.local_start, "now");
	MUST(store_upgrade_book(world->store, &booking, "technician:ann", now, id, &error));
}

/* The next message of the engine to the hub whose `member` is `value`; others on the way are dropped. */
static inline json_t *world_expect(struct world *world, const char *member, const char *value)
{
	struct error error;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	for (;;) {
		json_t *message = NULL;
		int fd = -1;
		if (packet_wait(world->hub, deadline, &message, &fd, &error))
			fail_msg("no {%s: %s} came: %s", member, value, error.text);
		const char *found = jsonio_string(message, member);
		if (found && !strcmp(found, value))
			return message;
		jsonio_free(&message);
	}
}

static inline void world_hello(struct world *world, int64_t connection, const char *version, int64_t fence,
			       int64_t generation)
{
	struct error error;
	MUST(packet_send_take(world->hub,
			      json_pack("{s:s, s:s, s:I, s:s, s:s, s:{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I, "
					"s:s, s:i, s:b, s:i}}",
					"is", "hello", "appliance", "box1", "connection", (json_int_t)connection,
					"address", "192.0.2.1", "transport", "call-home", "body", "protocol", 1, "hook",
					"0.1", "product", "vpn", "version", version, "state", "idle", "fence",
					(json_int_t)fence, "generation", (json_int_t)generation, "boot", "b", "time",
					(json_int_t)clock_now(), "scope", "status,upgrade", "until", 0, "permanent", 1,
					"root", 1),
			      -1, &error));
}

/* Waits until the engine wants the control stream and gives it one end; the other is the hook's. */
static inline struct stream *world_attach(struct world *world, int64_t connection)
{
	struct error error;
	int pair[2];
	struct stream *stream = NULL;
	json_t *message = world_expect(world, "do", "attach");
	assert_int_equal(jsonio_integer(message, "connection"), connection);
	jsonio_free(&message);
	MUST(process_socketpair(true, pair, &error));
	MUST(packet_send_take(world->hub,
			      json_pack("{s:s, s:s, s:I}", "is", "attached", "appliance", "box1", "connection",
					(json_int_t)connection),
			      pair[1], &error));
	close(pair[1]);
	MUST(stream_new_take(pair[0], MESSAGE_FROM_HOOK, &stream, &error));
	return stream;
}

static inline struct stream_message hook_wait(struct stream *stream, enum message_type type)
{
	struct error error;
	struct stream_message message = {0};
	MUST(stream_wait(stream, clock_ticks_ms() + PATIENCE_MS, &message, &error));
	if (message.type != type)
		fail_msg("%s came instead of %s", message_name(message.type), message_name(type));
	return message;
}

static inline void hook_send_take(struct stream *stream, enum message_type type, uint16_t flags, uint64_t id,
				  json_t *body)
{
	struct error error;
	bool pending = false;
	assert_non_null(body);
	MUST(stream_send(stream, type, flags, id, body, &error));
	MUST(stream_flush(stream, &pending, &error));
	json_decref(body);
}

/* The engine lets go of the stream. */
static inline void hook_expect_end(struct stream **stream)
{
	struct error error = {0};
	struct stream_message message = {0};
	assert_int_equal(stream_wait(*stream, clock_ticks_ms() + PATIENCE_MS, &message, &error), -ERROR_UNREACHABLE);
	assert_string_equal(error.name, "closed");
	stream_free(stream);
}

static inline json_t *world_receipt(struct world *world, const char *upgrade, const char *outcome)
{
	struct error error;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(RECEIPT_MOST);
	json_t *envelope = NULL;
	CLEANUP(jsonio_free)
	json_t *document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:[]}", "upgrade", upgrade, "appliance",
				     key_id(key_secret_public(world->key)), "product", "vpn", "from", "1.0", "to",
				     "1.1", "outcome", outcome, "started", (json_int_t)clock_now(), "ended",
				     (json_int_t)clock_now(), "steps");
	MUST(receipt_sign(document, world->key, &bytes, &error));
	MUST(jsonio_parse(bytes.data, bytes.size, "receipt", &envelope, &error));
	return envelope;
}

static inline struct store_upgrade world_wait_state(struct world *world, const char *id, enum upgrade_state state)
{
	struct error error;
	struct store_upgrade upgrade;
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	for (;;) {
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
		if (upgrade.state == state)
			return upgrade;
		if (clock_ticks_ms() > deadline)
			fail_msg("the upgrade is %s and not %s: %s", upgrade_state_name(upgrade.state),
				 upgrade_state_name(state), upgrade.why);
		nanosleep(&pause, NULL);
	}
}

/* HELLO, attach, and the whole of a staging that goes well. */
static inline void world_stage(struct world *world, const char *id, int64_t fence)
{
	char hex[HASH_HEX_SIZE];
	uint8_t sha256[HASH_SIZE];
	memset(sha256, 2, sizeof sha256);
	hash_to_hex(sha256, sizeof sha256, hex);
	world_hello(world, 7, "1.0", fence, 1);
	struct stream *stream = world_attach(world, 7);
	struct stream_message message = hook_wait(stream, MESSAGE_STAGE);
	assert_string_equal(jsonio_string(message.body, "upgrade"), id);
	hook_send_take(stream, MESSAGE_STAGE, FRAME_REPLY, message.id,
		       json_pack("{s:s, s:s}", "version", "1.1", "sha256", hex));
	stream_message_free(&message);
	hook_expect_end(&stream);
}

/* HELLO, attach, nonce: the order that comes then. */
static inline struct stream_message world_until_order(struct world *world, struct stream **ret_stream, int64_t fence)
{
	char hex[HASH_HEX_SIZE];
	uint8_t nonce[32] = {5};
	hash_to_hex(nonce, sizeof nonce, hex);
	world_hello(world, 7, "1.0", fence, 1);
	*ret_stream = world_attach(world, 7);
	struct stream_message message = hook_wait(*ret_stream, MESSAGE_NONCE);
	hook_send_take(*ret_stream, MESSAGE_NONCE, FRAME_REPLY, message.id,
		       json_pack("{s:s, s:I}", "nonce", hex, "time", (json_int_t)clock_now()));
	stream_message_free(&message);
	message = hook_wait(*ret_stream, MESSAGE_RUN);
	return message;
}

/* All the way from its booking; `id` is set. */
static inline struct stream_message world_run(struct world *world, char id[static STORE_UPGRADE_ID_SIZE], int64_t fence,
					      struct stream **ret_stream)
{
	world_book(world, id);
	world_stage(world, id, fence);
	return world_until_order(world, ret_stream, fence);
}

static inline const json_t *order_of(const struct stream_message *message)
{
	return jsonio_member(jsonio_member(message->body, "order"), "signed");
}

#endif
