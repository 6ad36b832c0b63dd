/* Staging by the real session: what is altered is refused by name, in the design's order, and nothing is sealed. */
#include "tests/unit/check/exchange.h"

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
	};
	return cmocka_run_group_tests_name("check/stage", tests, pack_all, drop_packed);
}
