/* The pull dialogue by the real session: a fresh signed answer, the same checks, and every end told to the broker. */
#include "appliance-hook/check/pull.h"
#include "tests/unit/check/exchange.h"

/* What the orchestrator's end answers to UPDATES. */
struct offer {
	const char *version;
	const char *signer;
	int days; /* of support left */
	bool stale_nonce, other_manifest, unasked;
	int64_t skew;
	struct error refusal; /* code set: instead of an answer */
	/* what happened */
	size_t blobs, progress, receipts;
	json_t *end; /* {"result"} or {"error"} */
	char to[64];
};

static json_t *make_answer(const struct world *world, const struct offer *offer, const char *nonce)
{
	char issued[CLOCK_UTC_SIZE], expires[CLOCK_UTC_SIZE], path[128], sha256[HASH_HEX_SIZE] = "", stale[65];
	snprintf(path, sizeof(path), "probe/%s/manifest.json", offer->version);
	const json_t *target = json_object_get(json_object_get(world->repository.targets, "targets"), path);
	snprintf(sha256, sizeof(sha256), "%s",
		 json_string_value(json_object_get(json_object_get(target, "hashes"), "sha256")));
	if (offer->other_manifest)
		sha256[0] = sha256[0] == 'a' ? 'b' : 'a';
	snprintf(stale, sizeof(stale), "%s", nonce);
	if (offer->stale_nonce)
		stale[0] = stale[0] == 'a' ? 'b' : 'a';
	clock_format_utc(clock_now() + offer->skew, issued);
	clock_format_utc(clock_now() + offer->skew + 3600, expires);
	return envelope_of(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "_type", "answer", "appliance",
				     world->appliance, "product", "probe", "nonce", stale, "version", offer->version,
				     "manifest", sha256, "issued", issued, "expires", expires),
			   offer->signer ? offer->signer : ORDER_KEY);
}

static void take_updates(struct world *world, struct offer *offer, const struct stream_message *message)
{
	struct error error = {0};
	const char *to = jsonio_string(message->body, "to");
	assert_string_equal(jsonio_string(message->body, "product"), "probe");
	assert_string_equal(jsonio_string(message->body, "version"), "1.0");
	snprintf(offer->to, sizeof(offer->to), "%s", to ? to : "");
	if (offer->refusal.code) {
		assert_ok(stream_send_error(world->stream, MESSAGE_UPDATES, message->id, &offer->refusal, &error));
		return;
	}
	if (offer->unasked) {
		json_t *body = json_object();
		assert_ok(stream_send(world->stream, MESSAGE_STATUS, 0, stream_next_id(world->stream), body, &error));
		json_decref(body);
	}
	json_t *body =
		json_pack("{s:o, s:o}", "answer", make_answer(world, offer, jsonio_string(message->body, "nonce")),
			  "entitlement", entitlement(world, offer->days, "standard"));
	assert_ok(stream_send(world->stream, MESSAGE_UPDATES, FRAME_REPLY, message->id, body, &error));
	json_decref(body);
}

static void take_message(struct world *world, struct offer *offer, const struct stream_message *message)
{
	struct exchange exchange = {0};
	struct error error = {0};
	if (message->type == MESSAGE_UPDATES) {
		take_updates(world, offer, message);
	} else if (message->type == MESSAGE_FETCH) {
		take_fetch(world, &exchange, world->stream, message);
		offer->blobs += exchange.blobs;
	} else if (message->type == MESSAGE_RECEIPT) {
		json_t *body = json_object();
		offer->receipts++;
		assert_ok(stream_send(world->stream, MESSAGE_RECEIPT, FRAME_REPLY, message->id, body, &error));
		json_decref(body);
	} else {
		fail_msg("a pull session said \"%s\"", message_name(message->type));
	}
	flush_all(world->stream);
}

static bool broker_said_end(struct world *world, struct offer *offer)
{
	struct pollfd ready = {world->broker, POLLIN, 0};
	json_t *packet = NULL;
	int fd = -1;
	struct error error = {0};
	if (poll(&ready, 1, 0) <= 0)
		return false;
	if (packet_receive(world->broker, &packet, &fd, &error) < 0)
		fail_msg("the session ended without a word");
	if (json_object_get(packet, "event")) {
		offer->progress++;
		json_decref(packet);
		return false;
	}
	offer->end = packet;
	return true;
}

static void pull(struct world *world, struct offer *offer)
{
	int64_t deadline = clock_ticks_ms() + WAIT_MS;
	start_session(world, SESSION_PULL, "");
	while (!broker_said_end(world, offer)) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		struct error error = {0};
		if (clock_ticks_ms() > deadline)
			fail_msg("the pull does not end");
		if (stream_wait(world->stream, clock_ticks_ms() + 20, &message, &error) == 0)
			take_message(world, offer, &message);
	}
	end_session(world);
}

static void pull_refused(struct world *world, struct offer offer, int code, const char *name)
{
	offer.version = offer.version ? offer.version : "1.1";
	pull(world, &offer);
	const json_t *why = json_object_get(offer.end, "error");
	if (!why || strcmp(json_string_value(json_object_get(why, "name")), name) != 0) {
		char *text = json_dumps(offer.end, 0);
		fail_msg("wanted %s: %s", name, text);
	}
	assert_int_equal(json_integer_value(json_object_get(why, "code")), code);
	assert_false(act_was_asked("switch"));
	jsonio_free(&offer.end);
}

static void test_good(void **state)
{
	struct world *world = *state;
	struct offer offer = {.version = "1.1", .days = 30};
	pull(world, &offer);
	const json_t *result = json_object_get(offer.end, "result");
	assert_non_null(result);
	assert_string_equal(json_string_value(json_object_get(result, "outcome")), "committed");
	assert_string_equal(json_string_value(json_object_get(result, "version")), "1.1");
	assert_true(offer.blobs >= 2 && offer.progress >= 2);
	assert_int_equal(offer.receipts, 1);
	CLEANUP(jsonio_free) json_t *request = asked_act("switch");
	assert_memory_equal(json_string_value(json_object_get(request, "upgrade")), "local-", 6);
	assert_null(json_object_get(request, "fence"));
	jsonio_free(&offer.end);
}

static void test_current(void **state)
{
	struct offer offer = {.version = "1.0", .days = 30};
	pull(*state, &offer);
	const json_t *result = json_object_get(offer.end, "result");
	assert_string_equal(json_string_value(json_object_get(result, "outcome")), "current");
	assert_int_equal(offer.blobs, 0);
	jsonio_free(&offer.end);
}

static void test_refused(void **state)
{
	struct world *world = *state;
	struct error no = {0};
	error_set(&no, ERROR_NOT_PERMITTED, "entitlement", "support ended on 2026-01-01");
	pull_refused(world, (struct offer){.days = -2}, ERROR_NOT_PERMITTED, "entitlement");
	pull_refused(world, (struct offer){.days = 30, .refusal = no}, ERROR_NOT_PERMITTED, "entitlement");
	pull_refused(world, (struct offer){.days = 30, .stale_nonce = true}, ERROR_DATA, "nonce");
	pull_refused(world, (struct offer){.days = 30, .other_manifest = true}, ERROR_DATA, "hash");
	pull_refused(world, (struct offer){.days = 30, .signer = ENTITLEMENT_KEY}, ERROR_DATA, "signature");
	pull_refused(world, (struct offer){.days = 30, .skew = 1200}, ERROR_DATA, "clock");
	pull_refused(world, (struct offer){.days = 30, .skew = -1200}, ERROR_DATA, "clock");
	pull_refused(world, (struct offer){.days = 30, .unasked = true}, ERROR_DATA, "dialogue");
	json_object_set_new(world->standing, "version", json_string("1.0"));
	unlink("product/appliance.pub");
	pull_refused(world, (struct offer){.days = 30}, ERROR_CONFIG, "joined");
}

/* Staged, but not switched, outside the customer's own window. */
static void test_own_window(void **state)
{
	struct world *world = *state;
	char utc[CLOCK_UTC_SIZE], text[256];
	clock_format_utc(clock_now() + 86400, utc);
	snprintf(text, sizeof(text), "[window own]\nzone = UTC\nrule = once %.16s\nduration = 2h\n", utc);
	put_file("product/window.ini", text, strlen(text), 0644);
	pull_refused(world, (struct offer){.days = 30}, ERROR_NOT_NOW, "window");
	assert_true(act_was_asked("seal"));
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {one(good), one(current), one(refused), one(own_window)};
	return cmocka_run_group_tests_name("check/pull", tests, pack_all, drop_packed);
}
