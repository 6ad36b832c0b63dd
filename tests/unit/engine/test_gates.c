/* What changes between booking and claim: halts, windows, clocks; and appliances that lie or flood. */
#include "tests/unit/engine/engine_world.h"

#include "orchestrator/store/store_receipt.h"
#include "orchestrator/store/store_task.h"

static struct stream *begin_staging(struct world *world, struct stream_message *ret_message)
{
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	*ret_message = hook_wait(stream, MESSAGE_STAGE);
	return stream;
}

static void halt(struct world *world)
{
	struct error error;
	MUST(store_release_halt(world->store, "1.1", STORE_HALT, "it burns", "technician:ann", clock_now(), &error));
}

static void a_halt_stops_a_staging_at_once(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream_message message;
	world_book(world, id);
	struct stream *stream = begin_staging(world, &message);
	stream_message_free(&message);
	halt(world);
	hook_expect_end(&stream);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "halt");
}

/* HELLO, attach, and the question for a nonce, which waits. */
static struct stream *until_nonce(struct world *world, struct stream_message *ret_message)
{
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	*ret_message = hook_wait(stream, MESSAGE_NONCE);
	return stream;
}

static void give_nonce(struct stream *stream, struct stream_message *question)
{
	char hex[HASH_HEX_SIZE];
	uint8_t nonce[32] = {5};
	hash_to_hex(nonce, sizeof nonce, hex);
	hook_send_take(stream, MESSAGE_NONCE, FRAME_REPLY, question->id,
		       json_pack("{s:s, s:I}", "nonce", hex, "time", (json_int_t)clock_now()));
	stream_message_free(question);
}

static void a_halt_before_the_claim_gives_no_order(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream_message question;
	world_book(world, id);
	world_stage(world, id, 0);
	struct stream *stream = until_nonce(world, &question);
	halt(world);
	give_nonce(stream, &question);
	hook_expect_end(&stream); /* and not an order */
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "halt");
	assert_int_equal(upgrade.fence, 0);
}

static void an_order_ends_no_later_than_the_window_of_now(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE], end[CLOCK_UTC_SIZE], last[CLOCK_UTC_SIZE];
	struct stream_message question;
	int64_t now = clock_now(), opens = (now - 3600) / 60 * 60;
	world_book(world, id);
	world_stage(world, id, 0);
	struct stream *stream = until_nonce(world, &question);
	world_window(world->store, opens); /* the customer's window is an hour earlier by now */
	give_nonce(stream, &question);
	struct stream_message run = hook_wait(stream, MESSAGE_RUN);
	clock_format_utc(opens + 7200, end);
	clock_format_utc(opens + 7200 - 600, last);
	assert_string_equal(jsonio_string(order_of(&run), "end"), end);
	assert_string_equal(jsonio_string(order_of(&run), "last_start"), last);
	stream_message_free(&run);
	stream_free(&stream);
}

static void one_entitlement_serves_a_tunnel_that_flaps(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream_message message;
	atomic_store(&signer_entitlements, 0);
	world_book(world, id);
	for (int i = 0; i < 3; i++) {
		struct stream *stream = begin_staging(world, &message);
		stream_message_free(&message);
		stream_free(&stream);
		/* One that was over at once rests before the next. */
		struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_BOOKED);
		assert_true(upgrade.retry_at > clock_now());
		MUST(store_change(world->store, NULL, &error, "UPDATE upgrade SET retry_at = 0", ""));
	}
	assert_int_equal(atomic_load(&signer_entitlements), 1);
}

static void each_refused_order_makes_the_next_wait_longer(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	int64_t rests[3] = {0};
	world_book(world, id);
	for (size_t i = 0; i < 3; i++) {
		world_stage(world, id, 0);
		struct stream_message run = world_until_order(world, &stream, 0);
		hook_send_take(stream, MESSAGE_RUN, FRAME_REPLY | FRAME_ERROR, run.id,
			       json_pack("{s:i, s:s, s:s}", "code", 75, "name", "nonce", "text", "stale"));
		stream_message_free(&run);
		struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_BOOKED);
		rests[i] = upgrade.retry_at - upgrade.changed;
		hook_expect_end(&stream);
		MUST(store_change(world->store, NULL, &error, "UPDATE upgrade SET retry_at = 0", ""));
	}
	assert_int_equal(rests[0], 20);
	assert_int_equal(rests[1], 40);
	assert_int_equal(rests[2], 80);
}

static int64_t count_events(struct world *world, const char *id)
{
	struct error error;
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	MUST(store_query(world->store, &query, &error, "SELECT count(*) FROM upgrade_event WHERE upgrade = ?", "s",
			 id));
	MUST(store_query_next(query, &row, &error));
	return store_query_integer(query, 0);
}

/* The engine reads it all, however slowly. */
static void hook_flush(struct stream *stream)
{
	struct error error;
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	bool pending = true;
	while (pending) {
		MUST(stream_flush(stream, &pending, &error));
		if (pending)
			nanosleep(&pause, NULL);
	}
}

static void a_flood_of_steps_is_not_all_history(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	struct stream_message run = world_run(world, id, 0, &stream);
	for (int i = 0; i < 1000; i++)
		hook_send_take(stream, MESSAGE_RUN, FRAME_EVENT, run.id,
			       json_pack("{s:s, s:s}", "state", "switched", "step", "switch"));
	hook_send_take(
		stream, MESSAGE_RUN, FRAME_REPLY, run.id,
		json_pack("{s:s, s:o}", "outcome", "committed", "receipt", world_receipt(world, id, "committed")));
	hook_flush(stream);
	stream_message_free(&run);
	world_wait_state(world, id, UPGRADE_COMMITTED);
	assert_in_range(count_events(world, id), 100, 300);
	stream_free(&stream);
}

static void a_fence_that_nobody_gave_closes_the_tunnel(void **state)
{
	struct world *world = *state;
	struct error error;
	struct store_appliance box;
	world_hello(world, 7, "1.0", INT64_MAX - 1, 1);
	json_t *message = world_expect(world, "do", "close");
	jsonio_free(&message);
	world_hello(world, 7, "1.0", 1, INT64_C(1) << 62);
	message = world_expect(world, "do", "close");
	jsonio_free(&message);
	MUST(store_appliance_get(world->store, "box1", &box, &error));
	assert_int_equal(box.fence, 0);
	assert_int_equal(box.generation, 0);
}

static void hello_without_end_closes_the_tunnel(void **state)
{
	struct world *world = *state;
	for (int i = 0; i < 70; i++)
		world_hello(world, i, "1.0", 0, 1);
	json_t *message = world_expect(world, "do", "close");
	jsonio_free(&message);
}

static void a_plan_waits_for_the_next_hello(void **state)
{
	struct world *world = *state;
	struct error error;
	int64_t task = 0;
	const struct timespec moment = {.tv_nsec = 300 * 1000 * 1000};
	MUST(store_task_add(world->store, "plan", "box1", "1.1", "technician:ann", clock_now(), &task, &error));
	nanosleep(&moment, NULL);
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	stream_free(&stream); /* and is lost again at once */
	world_hello(world, 8, "1.0", 0, 1);
	stream = world_attach(world, 8);
	struct stream_message message = hook_wait(stream, MESSAGE_PLAN);
	stream_message_free(&message);
	stream_free(&stream);
}

static json_t *local_receipt(struct world *world)
{
	return json_pack("{s:o}", "receipt", world_receipt(world, "local-1", "committed"));
}

/* What the appliance pulled by itself is in the list, and its version is known before the next HELLO. */
static void a_receipt_of_a_pull_tells_the_version(void **state)
{
	struct world *world = *state;
	struct error error;
	struct store_appliance box;
	int pair[2];
	struct stream *stream = NULL;
	CLEANUP(jsonio_free) json_t *rows = NULL;
	MUST(process_socketpair(true, pair, &error));
	MUST(packet_send_take(world->hub,
			      json_pack("{s:s, s:s, s:s}", "is", "pull", "appliance", "box1", "address", "192.0.2.1"),
			      pair[1], &error));
	close(pair[1]);
	MUST(stream_new_take(pair[0], MESSAGE_FROM_HOOK, &stream, &error));
	hook_send_take(stream, MESSAGE_RECEIPT, 0, stream_next_id(stream), local_receipt(world));
	struct stream_message message = hook_wait(stream, MESSAGE_RECEIPT);
	assert_int_equal(message.flags, FRAME_REPLY);
	stream_message_free(&message);
	stream_free(&stream);
	MUST(store_appliance_get(world->store, "box1", &box, &error));
	assert_string_equal(box.version, "1.1");
	MUST(store_receipt_list(world->store, "box1", &rows, &error));
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(jsonio_string(json_array_get(rows, 0), "to"), "1.1");
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(a_halt_stops_a_staging_at_once),
		WORLD(a_halt_before_the_claim_gives_no_order),
		WORLD(an_order_ends_no_later_than_the_window_of_now),
		WORLD(one_entitlement_serves_a_tunnel_that_flaps),
		WORLD(each_refused_order_makes_the_next_wait_longer),
		WORLD(a_flood_of_steps_is_not_all_history),
		WORLD(a_fence_that_nobody_gave_closes_the_tunnel),
		WORLD(a_plan_waits_for_the_next_hello),
		WORLD(a_receipt_of_a_pull_tells_the_version),
		WORLD(hello_without_end_closes_the_tunnel),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
