/* A staging under way: aborted, broken off and taken up again, and carried by bulk streams that may break. */
#include "tests/unit/check/exchange.h"

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
		one(abort), one(abort_of_another), one(resume),
		one(bulk),  one(bulk_breaks),      one(bulk_of_another_ticket),
	};
	return cmocka_run_group_tests_name("check/transfer", tests, pack_all, drop_packed);
}
