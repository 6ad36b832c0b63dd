/* Staging by the real session: what is altered is refused by name, in the design's order, and nothing is sealed. */
#include "tests/unit/check/fixture.h"

static void refused(struct world *world, json_t *body, int code, const char *name)
{
	struct exchange exchange = {0};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	ask(world, &exchange, MESSAGE_STAGE, body);
	assert_refusal(exchange, code, name);
	assert_false(act_was_asked("seal"));
	/* The dialogue goes on. */
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	assert_granted(exchange);
	exchange_free(&exchange);
	end_session(world);
}

static void stage_refused(struct world *world, int code, const char *name)
{
	refused(world, stage_body("1.1", entitlement(world, 30, "premium"), 0), code, name);
}

static void test_good(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer program = {0};
	CLEANUP(buffer_free) struct buffer manifest = {0};
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX_SIZE];
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &exchange);
	assert_granted(exchange);
	assert_ok(file_read_at(AT_FDCWD, "releases/.staging-1.1/tree/program", &program, &error));
	assert_memory_equal(program.data, "two", 3);
	assert_ok(file_read_at(AT_FDCWD, "releases/.staging-1.1/manifest.json", &manifest, &error));
	hash_bytes(HASH_SHA256, manifest.data, manifest.size, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	assert_string_equal(jsonio_string(exchange.reply, "sha256"), hex);
	CLEANUP(jsonio_free) json_t *seal = asked_act("seal");
	assert_string_equal(json_string_value(json_object_get(seal, "sha256")), hex);
	/* First and last progress at least; the last says all. */
	assert_true(exchange.events >= 2);
	assert_true(exchange.blobs >= 2);
	assert_int_equal(jsonio_integer(exchange.last_event, "blobs_done"),
			 jsonio_integer(exchange.last_event, "blobs"));
	assert_int_equal(jsonio_integer(exchange.last_event, "bytes_done"),
			 jsonio_integer(exchange.last_event, "bytes"));
	exchange_free(&exchange);
}

/* One byte of a published file, in the middle of what begins with `prefix` and holds `part`. */
static void flip(struct world *world, const char *prefix, const char *part)
{
	for (size_t i = 0; i < world->repository.file_count; i++) {
		const char *name = world->repository.files[i].name;
		struct buffer *bytes = &world->repository.files[i].bytes;
		if (strncmp(name, prefix, strlen(prefix)) != 0 || !strstr(name, part))
			continue;
		bytes->data[bytes->size / 2] ^= 1;
		return;
	}
	fail_msg("nothing named %s…%s was published", prefix, part);
}

static void test_altered_timestamp(void **state)
{
	struct world *world = *state;
	struct buffer *bytes = repository_file(&world->repository, "metadata/timestamp.json");
	char *version = strstr((char *)bytes->data, "\"version\":1");
	assert_non_null(version);
	version[strlen("\"version\":")] = '2';
	stage_refused(world, ERROR_DATA, "signature");
}

static void test_altered_snapshot(void **state)
{
	flip(*state, "metadata/", "snapshot");
	stage_refused(*state, ERROR_DATA, "hash");
}

static void test_altered_targets(void **state)
{
	flip(*state, "metadata/", "targets");
	stage_refused(*state, ERROR_DATA, "hash");
}

static void test_altered_authority(void **state)
{
	flip(*state, "targets/", "authority.json");
	stage_refused(*state, ERROR_DATA, "hash");
}

static void test_altered_manifest(void **state)
{
	flip(*state, "targets/probe/1.1/", "manifest.json");
	stage_refused(*state, ERROR_DATA, "hash");
}

static void test_altered_blob(void **state)
{
	struct world *world = *state;
	size_t last = world->repository.file_count;
	while (strncmp(world->repository.files[last - 1].name, "blobs/", 6) != 0)
		last--;
	world->repository.files[last - 1].bytes.data[100] ^= 1;
	stage_refused(world, ERROR_DATA, "hash");
}

static void test_expired_timestamp(void **state)
{
	struct world *world = *state;
	json_object_set_new(world->repository.timestamp, "expires", json_string("2026-02-01T00:00:00Z"));
	publish_timestamp(&world->repository);
	stage_refused(world, ERROR_DATA, "freeze");
}

static void test_missing_targets(void **state)
{
	struct world *world = *state;
	repository_remove(&world->repository, "metadata/1.targets.json");
	stage_refused(world, ERROR_DATA, "missing");
}

static void test_endless_timestamp(void **state)
{
	struct world *world = *state;
	struct buffer *bytes = repository_file(&world->repository, "metadata/timestamp.json");
	struct error error = {0};
	while (bytes->size <= ROLE_TIMESTAMP_MOST)
		assert_ok(buffer_append(bytes, "                                ", 32, &error));
	stage_refused(world, ERROR_DATA, "length");
}

static void test_long_blob(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	size_t last = world->repository.file_count;
	while (strncmp(world->repository.files[last - 1].name, "blobs/", 6) != 0)
		last--;
	assert_ok(buffer_append(&world->repository.files[last - 1].bytes, "x", 1, &error));
	stage_refused(world, ERROR_DATA, "length");
}

static void test_altered_entitlement(void **state)
{
	struct world *world = *state;
	json_t *envelope = entitlement(world, 30, "premium");
	json_object_set_new(json_object_get(envelope, "signed"), "tier", json_string("standard"));
	refused(world, stage_body("1.1", envelope, 0), ERROR_DATA, "signature");
}

static void test_lapsed(void **state)
{
	struct world *world = *state;
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_NOT_PERMITTED, "entitlement");
	/* And a tier that has no managed upgrades. */
	refused(world, stage_body("1.1", entitlement(world, 30, "standard"), 0), ERROR_NOT_PERMITTED, "entitlement");
}

static void test_anothers_entitlement(void **state)
{
	struct world *world = *state;
	char own[KEY_ID_MOST];
	strcpy(own, world->appliance);
	memset(world->appliance, 'a', strlen(world->appliance));
	json_t *envelope = entitlement(world, 30, "premium");
	strcpy(world->appliance, own);
	refused(world, stage_body("1.1", envelope, 0), ERROR_NOT_PERMITTED, "entitlement");
}

static void yank(struct world *world, const char *version)
{
	json_object_set_new(target_custom(world, version), "yanked",
			    json_pack("{s:s, s:s}", "reason", "it burns", "date", "2026-01-06"));
	publish_next(&world->repository);
}

static void test_yanked(void **state)
{
	yank(*state, "1.1");
	stage_refused(*state, ERROR_DATA, "yanked");
}

static void quarantine(struct world *world)
{
	char hex[HASH_HEX_SIZE];
	const json_t *targets = json_object_get(world->repository.targets, "targets");
	const json_t *target = json_object_get(targets, "probe/1.1/manifest.json");
	snprintf(hex, sizeof(hex), "%s",
		 json_string_value(json_object_get(json_object_get(target, "hashes"), "sha256")));
	json_array_append_new(json_object_get(world->standing, "quarantine"), json_string(hex));
}

static void test_quarantined(void **state)
{
	quarantine(*state);
	stage_refused(*state, ERROR_DATA, "quarantined");
}

static void runs(struct world *world, const char *version)
{
	json_object_set_new(world->standing, "version", json_string(version));
}

static void test_older(void **state)
{
	struct world *world = *state;
	runs(world, "1.1");
	refused(world, stage_body("1.0", entitlement(world, 30, "premium"), 0), ERROR_DATA, "older");
	refused(world, stage_body("1.1", entitlement(world, 30, "premium"), 0), ERROR_DATA, "running");
}

static void test_unknown(void **state)
{
	struct world *world = *state;
	refused(world, stage_body("9.9", entitlement(world, 30, "premium"), 0), ERROR_DATA, "unknown-release");
	refused(world, stage_body("../1.1", entitlement(world, 30, "premium"), 0), ERROR_DATA, "unknown-release");
}

static void test_no_room(void **state)
{
	struct world *world = *state;
	world->no_room = "2 GiB are needed and 1 GiB is free";
	stage_refused(world, ERROR_CANNOT_CREATE, "space");
	assert_int_not_equal(access("releases/.staging-1.1/tree", F_OK), 0);
}

static void test_clock_below_floor(void **state)
{
	struct world *world = *state;
	const char *floor = "{\"floor\":4000000000}\n";
	put_file("trust/floor.json", floor, strlen(floor), 0644);
	stage_refused(world, ERROR_DATA, "clock");
}

/* What was accepted raises the floor; what was refused does not. */
static void test_floor_rises(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	struct error error = {0};
	CLEANUP(buffer_free) struct buffer floor = {0};
	quarantine(world);
	stage_refused(world, ERROR_DATA, "quarantined");
	assert_int_not_equal(access("trust/floor.json", F_OK), 0);
	json_array_clear(json_object_get(world->standing, "quarantine"));
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &exchange);
	assert_granted(exchange);
	assert_ok(file_read_at(AT_FDCWD, "trust/floor.json", &floor, &error));
	assert_non_null(strstr((char *)floor.data, "1767571200")); /* 2026-01-05 */
	exchange_free(&exchange);
}

/* Each pair is broken at once; the earlier check speaks. */
static void test_order_of_checks(void **state)
{
	struct world *world = *state;
	world->no_room = "no room";
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_NOT_PERMITTED, "entitlement");
	/* Older before entitlement. */
	runs(world, "1.1");
	refused(world, stage_body("1.0", entitlement(world, -2, "premium"), 0), ERROR_DATA, "older");
	runs(world, "1.0");
	/* Quarantine before the path, the yank before the quarantine, the manifest before the yank, the chain first. */
	quarantine(world);
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_DATA, "quarantined");
	yank(world, "1.1");
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_DATA, "yanked");
	flip(world, "targets/probe/1.1/", "manifest.json");
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_DATA, "hash");
	json_object_set_new(world->repository.timestamp, "expires", json_string("2026-02-01T00:00:00Z"));
	publish_next(&world->repository);
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_DATA, "freeze");
	const char *floor = "{\"floor\":4000000000}\n";
	put_file("trust/floor.json", floor, strlen(floor), 0644);
	refused(world, stage_body("1.1", entitlement(world, -2, "premium"), 0), ERROR_DATA, "clock");
}

static void test_scope(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	start_session(world, SESSION_CONTROL, "status");
	stage(world, &exchange);
	assert_refusal(exchange, ERROR_NOT_PERMITTED, "scope");
	assert_int_equal(exchange.fetches, 0);
	ask(world, &exchange, MESSAGE_NONCE, json_object());
	assert_refusal(exchange, ERROR_NOT_PERMITTED, "scope");
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	assert_granted(exchange);
	assert_string_equal(jsonio_string(exchange.reply, "scope"), "status");
	assert_string_equal(jsonio_string(exchange.reply, "version"), "1.0");
	ask(world, &exchange, MESSAGE_PLAN,
	    json_pack("{s:s, s:o}", "version", "1.1", "entitlement", entitlement(world, 30, "premium")));
	assert_granted(exchange);
	assert_true(jsonio_boolean(exchange.reply, "ok"));
	exchange_free(&exchange);
	end_session(world);
	/* "shell" alone opens nothing here. */
	start_session(world, SESSION_CONTROL, "shell,statusupgrade");
	ask(world, &exchange, MESSAGE_STATUS, json_object());
	assert_refusal(exchange, ERROR_NOT_PERMITTED, "scope");
	exchange_free(&exchange);
}

static void test_plan_lists_all(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	world->no_room = "no room";
	start_session(world, SESSION_CONTROL, "status,upgrade");
	ask(world, &exchange, MESSAGE_PLAN,
	    json_pack("{s:s, s:o}", "version", "1.1", "entitlement", entitlement(world, -2, "premium")));
	assert_granted(exchange);
	assert_false(jsonio_boolean(exchange.reply, "ok"));
	static const struct {
		const char *name;
		bool ok;
	} wanted[] = {{"clock", true},        {"metadata", true},   {"manifest", true}, {"path", true},
		      {"entitlement", false}, {"own-window", true}, {"space", false}};
	const json_t *checks = jsonio_member(exchange.reply, "checks");
	assert_int_equal(json_array_size(checks), ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const json_t *check = json_array_get(checks, i);
		assert_string_equal(json_string_value(json_object_get(check, "name")), wanted[i].name);
		assert_int_equal(json_is_true(json_object_get(check, "ok")), wanted[i].ok);
	}
	assert_false(act_was_asked("stage-dir"));
	exchange_free(&exchange);
}

/* --- on the way --- */

struct plot {
	uint64_t abort_id;
	bool aborted, done;
	size_t after; /* act at this blob */
	size_t seen;
};

/* At the second blob the orchestrator aborts instead of sending. */
static bool abort_at_blob(struct world *world, struct stream *stream, uint64_t id UNUSED, const char *name,
			  void *context)
{
	struct plot *plot = context;
	struct error error = {0};
	if (strncmp(name, "blobs/", 6) != 0 || ++plot->seen < plot->after || plot->done)
		return true;
	plot->done = true;
	plot->abort_id = stream_next_id(world->stream);
	json_t *body = json_pack("{s:s}", "upgrade", "u1");
	assert_ok(stream_send(stream, MESSAGE_ABORT, 0, plot->abort_id, body, &error));
	json_decref(body);
	flush_all(stream);
	return false;
}

static void test_abort(void **state)
{
	struct world *world = *state;
	struct plot plot = {.after = 2};
	struct exchange exchange = {.on_fetch = abort_at_blob, .context = &plot};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &exchange);
	assert_refusal(exchange, ERROR_NOT_NOW, "aborted");
	assert_true(plot.done);
	assert_true(act_was_asked("discard"));
	assert_false(act_was_asked("seal"));
	/* Nothing is under way now. */
	ask(world, &exchange, MESSAGE_ABORT, json_pack("{s:s}", "upgrade", "u1"));
	assert_granted(exchange);
	assert_false(jsonio_boolean(exchange.reply, "aborted"));
	exchange_free(&exchange);
}

static bool abort_anothers(struct world *world, struct stream *stream, uint64_t id UNUSED, const char *name,
			   void *context)
{
	struct plot *plot = context;
	struct error error = {0};
	if (strncmp(name, "blobs/", 6) != 0 || plot->done)
		return true;
	plot->done = true;
	json_t *body = json_pack("{s:s}", "upgrade", "u2");
	assert_ok(stream_send(stream, MESSAGE_ABORT, 0, stream_next_id(world->stream), body, &error));
	json_decref(body);
	return true;
}

static void test_abort_of_another(void **state)
{
	struct world *world = *state;
	struct plot plot = {0};
	struct exchange exchange = {.on_fetch = abort_anothers, .context = &plot};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &exchange);
	assert_granted(exchange);
	assert_true(plot.done);
	exchange_free(&exchange);
}

static bool close_at_blob(struct world *world, struct stream *stream UNUSED, uint64_t id UNUSED, const char *name,
			  void *context)
{
	struct plot *plot = context;
	if (strncmp(name, "blobs/", 6) != 0 || ++plot->seen < plot->after)
		return true;
	/* The tunnel is gone. */
	plot->done = true;
	shutdown(stream_fd(world->stream), SHUT_RDWR);
	return false;
}

static void test_resume(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	struct plot plot = {.after = 2};
	struct exchange broken = {.on_fetch = close_at_blob, .context = &plot}, again = {0};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	json_t *body = stage_body("1.1", entitlement(world, 30, "premium"), 0);
	uint64_t id = stream_next_id(world->stream);
	assert_ok(stream_send(world->stream, MESSAGE_STAGE, 0, id, body, &error));
	json_decref(body);
	assert_false(serve_until(world, &broken, id));
	assert_true(plot.done);
	assert_false(act_was_asked("discard"));
	end_session(world);
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &again);
	assert_granted(again);
	/* One blob came whole the first time and is not fetched again. */
	struct exchange fresh = {0};
	assert_int_equal(broken.blobs, 2);
	end_session(world);
	assert_ok(file_remove_tree_at(AT_FDCWD, "releases/.staging-1.1", &error));
	assert_int_equal(mkdir("releases/.staging-1.1", 0755), 0);
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &fresh);
	assert_int_equal(again.blobs, fresh.blobs - 1);
	exchange_free(&broken);
	exchange_free(&again);
	exchange_free(&fresh);
}

/* --- bulk streams --- */

struct bulk {
	int asked;
	pid_t pids[2];
	bool break_first;
	const char *ticket; /* NULL: the one that was asked for; another: no others come, and link says so */
};

/* A process that serves one bulk stream; `most` fetches, then it breaks in the middle of the next. */
static _Noreturn void be_bulk(struct world *world, int fd, size_t most)
{
	struct stream *stream = NULL;
	struct error error = {0};
	if (stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &stream, &error) < 0)
		_exit(1);
	for (size_t served = 0;; served++) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_wait(stream, clock_ticks_ms() + WAIT_MS, &message, &error) < 0)
			_exit(0);
		if (served == most) {
			if (stream_send_data(stream, MESSAGE_FETCH, message.id, "half", 4, &error) == 0)
				flush_all(stream);
			_exit(0);
		}
		serve_fetch(world, stream, message.id, jsonio_string(message.body, "name"));
	}
}

static void give_bulk(struct world *world, const json_t *packet, void *context)
{
	struct bulk *bulk = context;
	struct error error = {0};
	assert_string_equal(json_string_value(json_object_get(packet, "bulk")), "abcdef");
	assert_int_equal(json_integer_value(json_object_get(packet, "count")), 2);
	if (bulk->asked++ > 0)
		return;
	for (int i = 0; i < 2; i++) {
		int pair[2];
		assert_ok(process_socketpair(true, pair, &error));
		bulk->pids[i] = fork();
		if (bulk->pids[i] == 0) {
			close(pair[0]);
			close(stream_fd(world->stream));
			be_bulk(world, pair[1], i == 0 && bulk->break_first ? 0 : SIZE_MAX);
		}
		close(pair[1]);
		assert_ok(packet_send_take(world->broker,
					   json_pack("{s:s}", "bulk", bulk->ticket ? bulk->ticket : "abcdef"), pair[0],
					   &error));
		close(pair[0]);
	}
	if (bulk->ticket)
		assert_ok(packet_send_take(world->broker, json_pack("{s:s}", "bulk", "abcdef"), -1, &error));
}

static void stage_in_bulk(struct world *world, struct bulk *bulk, struct exchange *exchange)
{
	exchange->on_broker = give_bulk;
	exchange->context = bulk;
	start_session(world, SESSION_CONTROL, "status,upgrade");
	ask(world, exchange, MESSAGE_STAGE, stage_body("1.1", entitlement(world, 30, "premium"), 2));
	end_session(world);
	for (int i = 0; i < 2; i++)
		waitpid(bulk->pids[i], NULL, 0);
}

static void test_bulk(void **state)
{
	struct bulk bulk = {0};
	struct exchange exchange = {0};
	stage_in_bulk(*state, &bulk, &exchange);
	assert_granted(exchange);
	assert_int_equal(bulk.asked, 1);
	assert_int_equal(exchange.blobs, 0);
	exchange_free(&exchange);
}

static void test_bulk_breaks(void **state)
{
	struct bulk bulk = {.break_first = true};
	struct exchange exchange = {0};
	stage_in_bulk(*state, &bulk, &exchange);
	assert_granted(exchange);
	assert_int_equal(exchange.blobs, 0);
	exchange_free(&exchange);
}

/* Streams of another ticket are closed; without any the session's own carries the blobs. */
static void test_bulk_of_another_ticket(void **state)
{
	struct bulk bulk = {.ticket = "fedcba"};
	struct exchange exchange = {0};
	stage_in_bulk(*state, &bulk, &exchange);
	assert_granted(exchange);
	assert_true(exchange.blobs >= 2);
	exchange_free(&exchange);
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(good),
		one(altered_timestamp),
		one(altered_snapshot),
		one(altered_targets),
		one(altered_authority),
		one(altered_manifest),
		one(altered_blob),
		one(expired_timestamp),
		one(missing_targets),
		one(endless_timestamp),
		one(long_blob),
		one(altered_entitlement),
		one(lapsed),
		one(anothers_entitlement),
		one(yanked),
		one(quarantined),
		one(older),
		one(unknown),
		one(no_room),
		one(clock_below_floor),
		one(floor_rises),
		one(order_of_checks),
		one(scope),
		one(plan_lists_all),
		one(abort),
		one(abort_of_another),
		one(resume),
		one(bulk),
		one(bulk_breaks),
		one(bulk_of_another_ticket),
	};
	return cmocka_run_group_tests_name("check/stage", tests, pack_all, drop_packed);
}
