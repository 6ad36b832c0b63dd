#include "tests/unit/engine/engine_repository.h"

#include "orchestrator/engine/serve_fetch.h"
#include "orchestrator/store/store_fact.h"
#include "orchestrator/store/store_import.h"
#include "orchestrator/store/store_task.h"
#include "orchestrator/store/store_tunnel.h"

static json_t *supervisor_expect_import(struct world *world)
{
	struct error error;
	json_t *message = NULL;
	int fd = -1;
	MUST(packet_wait(world->supervisor, clock_ticks_ms() + PATIENCE_MS, &message, &fd, &error));
	assert_true(json_is_integer(json_object_get(message, "import")));
	return message;
}

/* Answers the engine's wish with what the import process would say. */
static void run_import(struct world *world, json_t *outcome)
{
	struct error error;
	int pair[2];
	json_t *wish = supervisor_expect_import(world);
	MUST(process_socketpair(false, pair, &error));
	MUST(packet_send_take(world->supervisor, json_pack("{s:O}", "import", json_object_get(wish, "import")), pair[1],
			      &error));
	close(pair[1]);
	MUST(packet_send_take(pair[0], outcome, -1, &error));
	close(pair[0]);
	jsonio_free(&wish);
}

static struct store_import wait_import(struct world *world, int64_t id, enum store_import_state state)
{
	struct error error;
	struct store_import import;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_import_get(world->store, id, &import, &error));
	while (import.state != state && clock_ticks_ms() < deadline);
	assert_int_equal(import.state, state);
	return import;
}

static void import_repository(struct world *world)
{
	struct error error;
	int64_t id = 0;
	repository_make(world);
	MUST(store_import_request(world->store, "/nowhere", "technician:ann", clock_now(), &id, &error));
	run_import(world, json_pack("{s:[{s:s, s:s}]}", "releases", "product", "vpn", "version", "1.1"));
	struct store_import import = wait_import(world, id, STORE_IMPORT_DONE);
	assert_non_null(strstr(import.detail, "1.1"));
}

static void an_import_brings_rows_root_and_timestamp(void **state)
{
	struct world *world = *state;
	struct error error;
	struct store_release release;
	char root[STORE_FACT_SIZE], path[128];
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(65536);
	world_release(world->store, "99.0.0", 99); /* what the list names no more once a stolen key is rotated out */
	import_repository(world);
	assert_int_equal(store_release_get(world->store, "vpn", "99.0.0", &release, &error), -ERROR_DATA);
	MUST(store_release_get(world->store, "vpn", "1.1", &release, &error));
	assert_int_equal(release.need, 42);
	assert_string_equal(release.channels, "stable");
	MUST(store_fact_get(world->store, STORE_FACT_ROOT, root, &error));
	assert_int_equal(strlen(root), 64);
	CLEANUP(jsonio_free) json_t *lives = NULL;
	MUST(store_rows(world->store, &lives, &error, "SELECT name FROM lifetime ORDER BY name", ""));
	assert_int_equal(json_array_size(lives), 4);
	snprintf(path, sizeof path, "%s/metadata/timestamp.json", world->releases);
	MUST(file_read_at(AT_FDCWD, path, &bytes, &error));
}

static void a_refused_import_keeps_its_reason(void **state)
{
	struct world *world = *state;
	struct error error;
	int64_t id = 0;
	MUST(store_import_request(world->store, "/nowhere", "technician:ann", clock_now(), &id, &error));
	run_import(world,
		   json_pack("{s:{s:i, s:s, s:s}}", "error", "code", 65, "name", "signature", "text", "1 of 2 signed"));
	struct store_import import = wait_import(world, id, STORE_IMPORT_REFUSED);
	assert_int_equal(import.code, 65);
	assert_non_null(strstr(import.detail, "1 of 2 signed"));
}

static struct stream *lend(struct world *world, json_t *message)
{
	struct error error;
	struct stream *stream = NULL;
	int pair[2];
	MUST(process_socketpair(true, pair, &error));
	MUST(packet_send_take(world->hub, message, pair[1], &error));
	close(pair[1]);
	MUST(stream_new_take(pair[0], MESSAGE_FROM_HOOK, &stream, &error));
	return stream;
}

static struct stream *lend_pull(struct world *world)
{
	return lend(world, json_pack("{s:s, s:s, s:s}", "is", "pull", "appliance", "box1", "address", "192.0.2.1"));
}

static int gather(void *context, struct stream_message *message, struct error *error)
{
	return buffer_append(context, message->data, message->size, error);
}

static int fetch(struct stream *stream, const char *name, int64_t offset, struct buffer *bytes, struct error *error)
{
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:s, s:I}", "name", name, "offset", (json_int_t)offset), *reply = NULL;
	return stream_ask(stream, MESSAGE_FETCH, body, clock_ticks_ms() + PATIENCE_MS, gather, bytes, &reply, error);
}

static int ask_updates(struct stream *stream, json_t **ret_reply, struct error *error)
{
	char nonce[65];
	memset(nonce, 'a', 64);
	nonce[64] = '\0';
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:s, s:s, s:s}", "product", "vpn", "version", "1.0", "nonce", nonce);
	return stream_ask(stream, MESSAGE_UPDATES, body, clock_ticks_ms() + PATIENCE_MS, NULL, NULL, ret_reply, error);
}

static void a_pull_names_the_newest_and_serves_its_bytes(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	CLEANUP(jsonio_free) json_t *reply = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(65536);
	import_repository(world);
	struct stream *stream = lend_pull(world);
	/* Before the question nothing is served. */
	assert_int_equal(fetch(stream, "metadata/1.root.json", 0, &bytes, &error), -ERROR_NOT_PERMITTED);
	MUST(ask_updates(stream, &reply, &error));
	assert_string_equal(jsonio_string(reply, "version"), "1.1");
	const json_t *answer = jsonio_member(jsonio_member(reply, "answer"), "signed");
	assert_string_equal(jsonio_string(answer, "version"), "1.1");
	assert_int_equal(strlen(jsonio_string(answer, "nonce")), 64);
	MUST(fetch(stream, REPOSITORY_BLOB, 0, &bytes, &error));
	assert_string_equal((char *)bytes.data, "stored bytes");
	buffer_clear(&bytes);
	MUST(fetch(stream, REPOSITORY_BLOB, 7, &bytes, &error));
	assert_string_equal((char *)bytes.data, "bytes");
	assert_int_equal(fetch(stream, "metadata/9.root.json", 0, &bytes, &error), -ERROR_DATA);
	assert_string_equal(error.name, "missing");
	assert_int_equal(fetch(stream, "metadata/../../store.db", 0, &bytes, &error), -ERROR_NOT_PERMITTED);
	assert_int_equal(fetch(stream, "trust/root.json", 0, &bytes, &error), -ERROR_NOT_PERMITTED);
	stream_free(&stream);
}

static void a_pull_after_the_lapse_gets_nothing(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	CLEANUP(jsonio_free) json_t *reply = NULL;
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(65536);
	import_repository(world);
	MUST(store_change(world->store, NULL, &error,
			  "UPDATE contract SET support_until = '2026-02-01', ends = 1769990400", ""));
	struct stream *stream = lend_pull(world);
	assert_int_equal(ask_updates(stream, &reply, &error), -ERROR_NOT_PERMITTED);
	assert_string_equal(error.name, "entitlement");
	assert_int_equal(fetch(stream, REPOSITORY_BLOB, 0, &bytes, &error), -ERROR_NOT_PERMITTED);
	stream_free(&stream);
}

static void a_pull_does_not_offer_what_is_halted(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	CLEANUP(jsonio_free) json_t *reply = NULL;
	import_repository(world);
	MUST(store_release_halt(world->store, "1.1", STORE_HALT, "it burns", "technician:ann", clock_now(), &error));
	struct stream *stream = lend_pull(world);
	MUST(ask_updates(stream, &reply, &error));
	assert_string_equal(jsonio_string(reply, "version"), "1.0");
	stream_free(&stream);
}

static void a_halt_ends_a_pull_under_way(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	CLEANUP(jsonio_free) json_t *reply = NULL;
	import_repository(world);
	struct stream *stream = lend_pull(world);
	MUST(ask_updates(stream, &reply, &error));
	assert_string_equal(jsonio_string(reply, "version"), "1.1");
	MUST(store_release_halt(world->store, "1.1", STORE_HALT, "it burns", "technician:ann", clock_now(), &error));
	hook_expect_end(&stream);
}

static void a_store_has_one_engine(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	char path[128];
	int fd = -1;
	snprintf(path, sizeof path, "%s.engine", world->store_path);
	import_repository(world); /* it runs by now */
	assert_int_equal(file_lock_at(AT_FDCWD, path, 0, &fd, &error), -ERROR_NOT_NOW);
}

struct joiner {
	uint8_t once_seed[32], own_seed[32], once[32], own[32], once_secret[64], own_secret[64];
};

static void make_joiner(struct joiner *joiner)
{
	memset(joiner->once_seed, 1, 32);
	memset(joiner->own_seed, 2, 32);
	secret_ed25519_from_seed(joiner->once_seed, joiner->once, joiner->once_secret);
	secret_ed25519_from_seed(joiner->own_seed, joiner->own, joiner->own_secret);
}

/* `second` is the key that signs where the new one should. */
static int join(struct world *world, const struct joiner *joiner, const uint8_t *second, json_t **ret_reply,
		struct error *error)
{
	uint8_t message[16 + 64], proof[128];
	char key[65], once[65], text[257];
	memcpy(message, "nightshift-join", 16);
	memcpy(message + 16, joiner->once, 32);
	memcpy(message + 48, joiner->own, 32);
	secret_ed25519_sign(joiner->once_secret, message, sizeof message, proof);
	secret_ed25519_sign(second, message, sizeof message, proof + 64);
	hash_to_hex(joiner->own, 32, key);
	hash_to_hex(joiner->once, 32, once);
	hash_to_hex(proof, sizeof proof, text);
	struct stream *stream = lend(world, json_pack("{s:s, s:s, s:s, s:s}", "is", "join", "key", once, "name", "box1",
						      "address", "192.0.2.1"));
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:s, s:s, s:s}", "public_key", key, "proof", text, "product", "vpn");
	int status =
		stream_ask(stream, MESSAGE_JOIN, body, clock_ticks_ms() + PATIENCE_MS, NULL, NULL, ret_reply, error);
	stream_free(&stream);
	return status;
}

static void a_join_takes_both_signatures_and_works_once(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	struct store_appliance box;
	struct joiner joiner;
	CLEANUP(jsonio_free) json_t *reply = NULL, *message = NULL;
	char own[65], once[65];
	make_joiner(&joiner);
	hash_to_hex(joiner.own, 32, own);
	hash_to_hex(joiner.once, 32, once);
	MUST(store_appliance_code(world->store, "box1", joiner.once, clock_now() + 100, "technician:ann", clock_now(),
				  &error));
	message = world_expect(world, "key", once);
	assert_string_equal(jsonio_string(message, "kind"), "join");
	jsonio_free(&message);
	assert_int_equal(join(world, &joiner, joiner.once_secret, &reply, &error), -ERROR_DATA);
	assert_string_equal(error.name, "signature");
	MUST(join(world, &joiner, joiner.own_secret, &reply, &error));
	assert_string_equal(jsonio_string(reply, "appliance"), "box1");
	MUST(store_appliance_get(world->store, "box1", &box, &error));
	assert_memory_equal(box.public_key, joiner.own, 32);
	/* The new key is admitted before the old one and the code are dismissed. */
	message = world_expect(world, "key", own);
	assert_string_equal(jsonio_string(message, "do"), "admit");
	jsonio_free(&message);
	message = world_expect(world, "key", once);
	assert_string_equal(jsonio_string(message, "do"), "dismiss");
	jsonio_free(&reply);
	assert_int_equal(join(world, &joiner, joiner.own_secret, &reply, &error), -ERROR_NOT_PERMITTED);
}

static void the_table_is_whole_then_follows(void **state)
{
	struct world *world = *state;
	struct error error;
	char key[65];
	hash_to_hex(world->public_key, 32, key);
	CLEANUP(jsonio_free) json_t *message = world_expect(world, "key", key);
	assert_string_equal(jsonio_string(message, "do"), "admit");
	assert_string_equal(jsonio_string(message, "name"), "box1");
	jsonio_free(&message);
	message = world_expect(world, "do", "ready");
	jsonio_free(&message);
	MUST(store_appliance_revoke(world->store, "box1", "technician:ann", clock_now(), &error));
	message = world_expect(world, "key", key);
	assert_string_equal(jsonio_string(message, "do"), "dismiss");
}

static json_t *wait_task(struct world *world, int64_t id)
{
	struct error error;
	json_t *result = NULL;
	bool done = false;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_task_result(world->store, id, &done, &result, &error));
	while (!done && clock_ticks_ms() < deadline);
	assert_true(done);
	return result;
}

static void wait_tunnel(struct world *world)
{
	struct error error;
	struct store_tunnel tunnel;
	bool found = false;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	while (!found && clock_ticks_ms() < deadline)
		MUST(store_tunnel_get(world->store, "box1", &tunnel, &found, &error));
	assert_true(found);
}

static void a_plan_asks_the_appliance(void **state)
{
	struct world *world = *state;
	struct error error;
	int64_t id = 0;
	MUST(store_task_add(world->store, "plan", "box1", "1.1", "technician:ann", clock_now(), &id, &error));
	json_t *result = wait_task(world, id);
	assert_int_equal(jsonio_integer(jsonio_member(result, "error"), "code"), 69);
	jsonio_free(&result);
	world_hello(world, 7, "1.0", 0, 1);
	wait_tunnel(world);
	MUST(store_task_add(world->store, "plan", "box1", "1.1", "technician:ann", clock_now(), &id, &error));
	struct stream *stream = world_attach(world, 7);
	struct stream_message plan = hook_wait(stream, MESSAGE_PLAN);
	assert_string_equal(jsonio_string(plan.body, "version"), "1.1");
	hook_send_take(stream, MESSAGE_PLAN, FRAME_REPLY, plan.id, json_pack("{s:[], s:b}", "checks", "ok", 1));
	stream_message_free(&plan);
	hook_expect_end(&stream);
	result = wait_task(world, id);
	assert_true(jsonio_boolean(result, "ok"));
	jsonio_free(&result);
	/* Asked between two streams of one connection: it waits for the next HELLO. */
	MUST(store_task_add(world->store, "plan", "box1", "1.0", "technician:ann", clock_now(), &id, &error));
	const struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
	nanosleep(&pause, NULL);
	world_hello(world, 7, "1.0", 0, 1);
	stream = world_attach(world, 7);
	plan = hook_wait(stream, MESSAGE_PLAN);
	assert_string_equal(jsonio_string(plan.body, "version"), "1.0");
	stream_message_free(&plan);
	stream_free(&stream);
	/* The tunnel broke under it: told, not left open. */
	result = wait_task(world, id);
	assert_int_equal(jsonio_integer(jsonio_member(result, "error"), "code"), 69);
	jsonio_free(&result);
}

/* The hub lives, its socket is lost: nobody but the engine can know. */
static void a_lost_peer_is_asked_for(void **state)
{
	struct world *world = *state;
	struct error error;
	json_t *message = NULL;
	int fd = -1;
	file_close(&world->hub);
	MUST(packet_wait(world->supervisor, clock_ticks_ms() + PATIENCE_MS, &message, &fd, &error));
	assert_string_equal(jsonio_string(message, "introduce"), "hub");
	jsonio_free(&message);
}

static void only_three_folders_have_names(void **state)
{
	(void)state;
	assert_int_equal(serve_fetch_kind("metadata/1.root.json"), SERVE_FETCH_METADATA);
	assert_int_equal(serve_fetch_kind("targets/a/b"), SERVE_FETCH_METADATA);
	assert_int_equal(serve_fetch_kind("blobs/00"), SERVE_FETCH_BLOBS);
	static const char *const bad[] = {
		"",         "blobs",        "/metadata/x", "metadata/../trust/x", "trust/root.json",
		"store.db", "metadata/./x", "metadatax/y"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(serve_fetch_kind(bad[i]), SERVE_FETCH_NOTHING);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(an_import_brings_rows_root_and_timestamp),
		WORLD(a_refused_import_keeps_its_reason),
		WORLD(a_pull_names_the_newest_and_serves_its_bytes),
		WORLD(a_pull_after_the_lapse_gets_nothing),
		WORLD(a_pull_does_not_offer_what_is_halted),
		WORLD(a_halt_ends_a_pull_under_way),
		WORLD(a_store_has_one_engine),
		WORLD(a_join_takes_both_signatures_and_works_once),
		WORLD(the_table_is_whole_then_follows),
		WORLD(a_plan_asks_the_appliance),
		WORLD(a_lost_peer_is_asked_for),
		cmocka_unit_test(only_three_folders_have_names),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
