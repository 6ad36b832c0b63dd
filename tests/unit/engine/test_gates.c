/* What changes between booking and claim: halts, windows, clocks; and appliances that lie or flood. */
#include "tests/unit/engine/engine_world.h"

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

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(a_halt_stops_a_staging_at_once),
		WORLD(a_halt_before_the_claim_gives_no_order),
		WORLD(an_order_ends_no_later_than_the_window_of_now),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
