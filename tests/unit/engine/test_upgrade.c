#include "tests/unit/engine/engine_world.h"

static void an_upgrade_is_staged_ordered_and_committed(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	json_t *shown = NULL;
	struct stream_message run = world_run(world, id, 40, &stream);
	const json_t *order = order_of(&run);
	assert_int_equal(jsonio_integer(order, "fence"), 41); /* one more than the appliance's own */
	assert_string_equal(jsonio_string(order, "version"), "1.1");
	assert_string_equal(jsonio_string(order, "appliance"), key_id(key_secret_public(world->key)));
	assert_string_equal(jsonio_string(order, "upgrade"), id);
	hook_send_take(stream, MESSAGE_RUN, FRAME_EVENT, run.id,
		       json_pack("{s:s, s:s}", "state", "switched", "step", "switch"));
	hook_send_take(
		stream, MESSAGE_RUN, FRAME_REPLY, run.id,
		json_pack("{s:s, s:o}", "outcome", "committed", "receipt", world_receipt(world, id, "committed")));
	stream_message_free(&run);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_COMMITTED);
	assert_int_equal(upgrade.fence, 41);
	hook_expect_end(&stream);
	MUST(store_upgrade_show(world->store, id, &shown, &error));
	assert_true(json_is_object(json_object_get(shown, "receipt")));
	jsonio_free(&shown);
}

static void a_receipt_of_another_key_needs_a_human(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	struct error error;
	uint8_t seed[32] = {77};
	struct stream_message run = world_run(world, id, 0, &stream);
	struct key_secret *own = world->key;
	MUST(key_secret_from_seed(seed, &world->key, &error));
	json_t *receipt = world_receipt(world, id, "committed");
	key_secret_free(&world->key);
	world->key = own;
	hook_send_take(stream, MESSAGE_RUN, FRAME_REPLY, run.id,
		       json_pack("{s:s, s:o}", "outcome", "committed", "receipt", receipt));
	stream_message_free(&run);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_NEEDS_HUMAN);
	assert_int_equal(upgrade.code, ERROR_DATA);
	stream_free(&stream);
}

static void a_lost_tunnel_is_reconciled_from_the_journal(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	struct stream_message run = world_run(world, id, 0, &stream);
	int64_t fence = jsonio_integer(order_of(&run), "fence");
	stream_message_free(&run);
	stream_free(&stream);
	world_wait_state(world, id, UPGRADE_UNKNOWN);
	world_hello(world, 8, "1.1", fence, 1);
	stream = world_attach(world, 8);
	struct stream_message status = hook_wait(stream, MESSAGE_STATUS);
	hook_send_take(stream, MESSAGE_STATUS, FRAME_REPLY, status.id,
		       json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:I, s:s, s:i, s:b, s:i, s:{s:s, s:s, s:s, "
				 "s:s, s:o}, s:[]}",
				 "protocol", 1, "hook", "0.1", "product", "vpn", "version", "1.1", "state", "idle",
				 "fence", (json_int_t)fence, "generation", 1, "boot", "b", "time",
				 (json_int_t)clock_now(), "scope", "status,upgrade", "until", 0, "permanent", 1, "root",
				 1, "journal", "upgrade", id, "from", "1.0", "to", "1.1", "state", "committed",
				 "receipt", world_receipt(world, id, "committed"), "quarantine"));
	stream_message_free(&status);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_COMMITTED);
	assert_true(upgrade.fence > fence);
	hook_expect_end(&stream);
}

static void a_killed_engine_asks_what_stands(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	struct stream_message run = world_run(world, id, 0, &stream);
	stream_message_free(&run);
	world_wait_state(world, id, UPGRADE_RUNNING);
	world_stop_engine(world, SIGKILL);
	stream_free(&stream);
	world_start_engine(world);
	world_wait_state(world, id, UPGRADE_UNKNOWN);
	world_hello(world, 9, "1.0", 1, 1);
	stream = world_attach(world, 9);
	struct stream_message status = hook_wait(stream, MESSAGE_STATUS);
	hook_send_take(stream, MESSAGE_STATUS, FRAME_REPLY, status.id,
		       json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:s, s:i, s:b, s:i, s:{}, s:[]}",
				 "protocol", 1, "hook", "0.1", "product", "vpn", "version", "1.0", "state", "staged",
				 "fence", 1, "generation", 1, "boot", "b", "time", (json_int_t)clock_now(), "scope",
				 "status,upgrade", "until", 0, "permanent", 1, "root", 1, "journal", "quarantine"));
	stream_message_free(&status);
	/* It had not begun: booked again, and staged again at once. */
	hook_expect_end(&stream);
	world_hello(world, 9, "1.0", 1, 1);
	stream = world_attach(world, 9);
	struct stream_message stage = hook_wait(stream, MESSAGE_STAGE);
	stream_message_free(&stage);
	stream_free(&stream);
}

static void a_refused_release_needs_a_human(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	world_book(world, id);
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	struct stream_message message = hook_wait(stream, MESSAGE_STAGE);
	hook_send_take(stream, MESSAGE_STAGE, FRAME_REPLY | FRAME_ERROR, message.id,
		       json_pack("{s:i, s:s, s:s}", "code", 65, "name", "hash", "text", "blob 3 is altered"));
	stream_message_free(&message);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_NEEDS_HUMAN);
	assert_int_equal(upgrade.code, 65);
	assert_non_null(strstr(upgrade.why, "blob 3 is altered"));
	stream_free(&stream);
}

static void a_tunnel_lost_while_staging_goes_on(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	world_book(world, id);
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	struct stream_message message = hook_wait(stream, MESSAGE_STAGE);
	hook_send_take(stream, MESSAGE_STAGE, FRAME_EVENT, message.id,
		       json_pack("{s:i, s:i, s:i, s:i}", "blobs", 9, "blobs_done", 4, "bytes", 900, "bytes_done", 400));
	stream_message_free(&message);
	struct store_upgrade upgrade;
	struct error error;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
	while (upgrade.blobs_done != 4 && clock_ticks_ms() < deadline);
	assert_int_equal(upgrade.bytes_done, 400);
	stream_free(&stream);
	world_wait_state(world, id, UPGRADE_BOOKED);
	world_stage(world, id, 0);
	stream = NULL;
	struct stream_message run = world_until_order(world, &stream, 0);
	stream_message_free(&run);
	stream_free(&stream);
}

static void lapsed_support_holds_and_a_renewal_frees(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	MUST(store_change(world->store, NULL, &error,
			  "UPDATE contract SET support_until = '2020-01-31', ends = 1580515200", ""));
	world_book(world, id);
	world_hello(world, 7, "1.0", 0, 1);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "entitlement");
	assert_int_equal(upgrade.code, 77);
	assert_non_null(strstr(upgrade.why, "2020-01-31"));
	MUST(store_change(world->store, NULL, &error,
			  "UPDATE contract SET support_until = '2999-12-31', ends = 32503680000", ""));
	struct stream *stream = world_attach(world, 7);
	struct stream_message message = hook_wait(stream, MESSAGE_STAGE);
	stream_message_free(&message);
	stream_free(&stream);
}

static void a_halted_release_is_not_staged(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	MUST(store_release_halt(world->store, "1.1", STORE_HALT, "it burns", "technician:ann", clock_now(), &error));
	world_book(world, id);
	world_hello(world, 7, "1.0", 0, 1);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "halt");
	assert_non_null(strstr(upgrade.why, "it burns"));
}

static void what_waits_says_why(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade upgrade;
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	world_book(world, id);
	do
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
	while (upgrade.code != ERROR_UNREACHABLE && clock_ticks_ms() < deadline);
	assert_int_equal(upgrade.code, ERROR_UNREACHABLE);
	assert_non_null(strstr(upgrade.why, "tunnel of box1 is closed"));
}

static void outside_its_calendar_nothing_starts(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct error error;
	struct store_upgrade upgrade;
	/* The customer moved the window after the booking. */
	world_window(world->store, clock_now() + 86400);
	world_book(world, id);
	world_stage(world, id, 0);
	world_hello(world, 7, "1.0", 0, 1);
	world_wait_state(world, id, UPGRADE_DUE);
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
	while (upgrade.code != ERROR_NOT_NOW && clock_ticks_ms() < deadline);
	assert_int_equal(upgrade.code, ERROR_NOT_NOW);
	assert_int_equal(upgrade.state, UPGRADE_DUE);
}

static void a_missed_window_is_booked_anew(void **state)
{
	struct world *world = *state;
	char id[STORE_UPGRADE_ID_SIZE];
	struct error error;
	struct store_upgrade upgrade;
	int64_t now = clock_now();
	world_window(world->store, now + 86400);
	world_book(world, id);
	MUST(store_change(world->store, NULL, &error,
			  "UPDATE upgrade SET starts = ?1 - 9000, last_start = ?1 - 5000, ends = ?1 - 1000", "i", now));
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
	while (upgrade.starts < now && clock_ticks_ms() < deadline);
	assert_int_equal(upgrade.state, UPGRADE_BOOKED);
	assert_int_equal(upgrade.starts, (now + 86400) / 60 * 60);
}

static void an_aborted_staging_is_dropped_at_the_appliance(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	world_book(world, id);
	world_hello(world, 7, "1.0", 0, 1);
	struct stream *stream = world_attach(world, 7);
	struct stream_message stage = hook_wait(stream, MESSAGE_STAGE);
	MUST(store_upgrade_abort(world->store, id, "technician:ann", "not wanted", clock_now(), &error));
	struct stream_message abort = hook_wait(stream, MESSAGE_ABORT);
	assert_string_equal(jsonio_string(abort.body, "upgrade"), id);
	hook_send_take(stream, MESSAGE_ABORT, FRAME_REPLY, abort.id, json_pack("{s:b}", "aborted", 1));
	hook_send_take(stream, MESSAGE_STAGE, FRAME_REPLY | FRAME_ERROR, stage.id,
		       json_pack("{s:i, s:s, s:s}", "code", 75, "name", "aborted", "text", "aborted"));
	stream_message_free(&stage);
	stream_message_free(&abort);
	hook_expect_end(&stream);
	world_wait_state(world, id, UPGRADE_CANCELLED);
}

static void a_freeze_holds_and_its_end_frees(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE], from[CLOCK_UTC_SIZE], to[CLOCK_UTC_SIZE], ini[400];
	clock_format_utc(clock_now() - 86400, from);
	clock_format_utc(clock_now() + 86400, to);
	snprintf(ini, sizeof ini,
		 "[freeze rush]\nscope = vendor\nzone = UTC\nfrom = %.16s\nto = %.16s\nblocks = all\nreason = rush "
		 "hour\n",
		 from, to);
	MUST(store_change(world->store, NULL, &error, "INSERT INTO freeze VALUES ('rush','vendor',?,1,'ann')", "s",
			  ini));
	world_book(world, id);
	world_stage(world, id, 0);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "freeze");
	assert_int_equal(upgrade.code, ERROR_NOT_NOW);
	MUST(store_change(world->store, NULL, &error, "DELETE FROM freeze", ""));
	struct stream *stream = NULL;
	struct stream_message run = world_until_order(world, &stream, 0);
	stream_message_free(&run);
	stream_free(&stream);
}

static void a_busy_pair_waits_for_its_turn(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	MUST(store_change(
		world->store, NULL, &error,
		"INSERT INTO appliance (name, contract, product, ha_group, added) VALUES ('box2','C1','vpn','pair',1)",
		""));
	MUST(store_change(world->store, NULL, &error, "UPDATE appliance SET ha_group = 'pair'", ""));
	MUST(store_change(
		world->store, NULL, &error,
		"INSERT INTO upgrade (id, appliance, action, product, from_version, to_version, state, requested_by,"
		" window_name, zone, local_start, tzdata, starts, ends, last_start, ha_group, fence, created, changed)"
		" VALUES "
		"('other','box2','upgrade','vpn','1.0','1.1','needs-human','ann','w','UTC','l','t',1,2,2,'pair',3,1,1)",
		""));
	world_book(world, id);
	world_stage(world, id, 0);
	struct store_upgrade upgrade = world_wait_state(world, id, UPGRADE_HELD);
	assert_string_equal(upgrade.held_for, "ha-group");
	MUST(store_change(world->store, NULL, &error, "UPDATE upgrade SET state = 'rolled-back' WHERE id = 'other'",
			  ""));
	struct stream *stream = NULL;
	struct stream_message run = world_until_order(world, &stream, 0);
	stream_message_free(&run);
	stream_free(&stream);
}

static void a_running_upgrade_is_aborted_by_the_appliance_alone(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct stream *stream = NULL;
	struct stream_message run = world_run(world, id, 0, &stream);
	world_wait_state(world, id, UPGRADE_RUNNING);
	MUST(store_upgrade_abort(world->store, id, "technician:ann", "stop it", clock_now(), &error));
	struct stream_message abort = hook_wait(stream, MESSAGE_ABORT);
	hook_send_take(stream, MESSAGE_ABORT, FRAME_REPLY, abort.id, json_pack("{s:b}", "aborted", 1));
	hook_send_take(
		stream, MESSAGE_RUN, FRAME_REPLY | FRAME_ERROR, run.id,
		json_pack("{s:i, s:s, s:s}", "code", 75, "name", "aborted", "text", "aborted before the switch"));
	stream_message_free(&run);
	stream_message_free(&abort);
	world_wait_state(world, id, UPGRADE_CANCELLED);
	stream_free(&stream);
}

static void a_duplicate_gets_no_upgrade(void **state)
{
	struct world *world = *state;
	struct error error;
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade upgrade;
	world_hello(world, 7, "1.0", 0, 5);
	world_hello(world, 7, "1.0", 0, 4);
	world_book(world, id);
	int64_t deadline = clock_ticks_ms() + PATIENCE_MS;
	do
		MUST(store_upgrade_get(world->store, id, &upgrade, &error));
	while (upgrade.code != ERROR_NOT_PERMITTED && clock_ticks_ms() < deadline);
	assert_int_equal(upgrade.code, ERROR_NOT_PERMITTED);
	assert_int_equal(upgrade.state, UPGRADE_BOOKED);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(an_upgrade_is_staged_ordered_and_committed),
		WORLD(a_receipt_of_another_key_needs_a_human),
		WORLD(a_lost_tunnel_is_reconciled_from_the_journal),
		WORLD(a_killed_engine_asks_what_stands),
		WORLD(a_refused_release_needs_a_human),
		WORLD(a_tunnel_lost_while_staging_goes_on),
		WORLD(lapsed_support_holds_and_a_renewal_frees),
		WORLD(a_halted_release_is_not_staged),
		WORLD(what_waits_says_why),
		WORLD(outside_its_calendar_nothing_starts),
		WORLD(a_missed_window_is_booked_anew),
		WORLD(an_aborted_staging_is_dropped_at_the_appliance),
		WORLD(a_freeze_holds_and_its_end_frees),
		WORLD(a_busy_pair_waits_for_its_turn),
		WORLD(a_running_upgrade_is_aborted_by_the_appliance_alone),
		WORLD(a_duplicate_gets_no_upgrade),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
