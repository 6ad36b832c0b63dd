/* The small parts: the floor of time, scopes, the broker's table, and check's main that only routes. */
#include "appliance-hook/check/broker.h"
#include "appliance-hook/check/floor.h"
#include "tests/unit/check/exchange.h"

static void test_floor(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	int64_t floor = 0;
	assert_ok(floor_read(world->places.trust, &floor, &error));
	assert_int_equal(floor, FLOOR_BUILD_DATE);
	assert_refused(floor_check(world->places.trust, FLOOR_BUILD_DATE - 1, &error), ERROR_DATA, "clock");
	error = (struct error){0};
	assert_ok(floor_check(world->places.trust, FLOOR_BUILD_DATE, &error));
	assert_ok(floor_raise(world->places.trust, FLOOR_BUILD_DATE + 100, &error));
	assert_ok(floor_raise(world->places.trust, FLOOR_BUILD_DATE + 50, &error));
	assert_ok(floor_read(world->places.trust, &floor, &error));
	assert_int_equal(floor, FLOOR_BUILD_DATE + 100);
	/* A file that was tampered with is not the absence of one. */
	put_file("trust/floor.json", "{}", 2, 0644);
	assert_true(floor_check(world->places.trust, INT64_C(4000000000), &error) < 0);
	put_file("trust/floor.json", "{\"floor\":5}", 11, 0644);
	assert_ok(floor_read(world->places.trust, &floor, &error));
	assert_int_equal(floor, FLOOR_BUILD_DATE);
}

static void test_scopes(void **state UNUSED)
{
	assert_int_equal(session_permits(""), 0);
	assert_int_equal(session_permits("status"), SESSION_MAY_STATUS);
	assert_int_equal(session_permits("status,upgrade,shell"), SESSION_MAY_STATUS | SESSION_MAY_UPGRADE);
	assert_int_equal(session_permits("upgradestatus"), 0);
	assert_int_equal(session_permits("upgrad,,status "), 0);
}

static void test_broker(void **state UNUSED)
{
	struct broker broker;
	struct error error = {0};
	char long_ticket[BROKER_TICKET_MOST + 1];
	int pair[2];
	broker_init(&broker);
	assert_null(broker_by_ticket(&broker, ""));
	assert_ok(process_socketpair(false, pair, &error));
	assert_ok(broker_add_take(&broker, pair[0], 1, SESSION_CONTROL, &error));
	assert_ok(broker_add_take(&broker, pair[1], 2, SESSION_PULL, &error));
	struct broker_session *first = broker_find(&broker, pair[0]), *second = broker_find(&broker, pair[1]);
	assert_ok(broker_set_ticket(&broker, first, "aa", &error));
	assert_refused(broker_set_ticket(&broker, second, "aa", &error), ERROR_DATA, "ticket");
	assert_refused(broker_set_ticket(&broker, second, "", &error), ERROR_DATA, "ticket");
	memset(long_ticket, 'a', sizeof(long_ticket) - 1);
	long_ticket[sizeof(long_ticket) - 1] = '\0';
	assert_refused(broker_set_ticket(&broker, second, long_ticket, &error), ERROR_DATA, "ticket");
	assert_ptr_equal(broker_by_ticket(&broker, "aa"), first);
	assert_ptr_equal(broker_pull(&broker), second);
	second->ended = true;
	assert_null(broker_pull(&broker));
	broker_remove(first);
	assert_null(broker_by_ticket(&broker, "aa"));
	broker_remove(second);
	for (int i = 0; i < BROKER_SESSIONS_MOST; i++) {
		error = (struct error){0};
		assert_ok(broker_add_take(&broker, 1000 + i, 1, SESSION_CONTROL, &error));
	}
	assert_refused(broker_add_take(&broker, 2000, 1, SESSION_CONTROL, &error), ERROR_NOT_NOW, "busy");
}

/* check's main in its own process, with the three neighbours played here. */
struct main_process {
	pid_t pid;
	int parent, link, act;
};

static struct main_process start_main(struct world *world)
{
	int parent[2], link[2], act[2];
	struct error error = {0};
	assert_ok(process_socketpair(false, parent, &error));
	assert_ok(process_socketpair(false, link, &error));
	assert_ok(process_socketpair(false, act, &error));
	pid_t pid = fork();
	if (pid == 0) {
		close(parent[0]);
		close(link[0]);
		close(act[0]);
		_exit(check_main(parent[1], link[1], act[1], &world->places, &error) < 0 ? 1 : 0);
	}
	close(parent[1]);
	close(link[1]);
	close(act[1]);
	return (struct main_process){pid, parent[0], link[0], act[0]};
}

static json_t *next_packet(int socket, int *ret_fd)
{
	json_t *packet = NULL;
	struct error error = {0};
	assert_ok(packet_wait(socket, clock_ticks_ms() + WAIT_MS, &packet, ret_fd, &error));
	return packet;
}

/* A stream of that kind from link; returns the orchestrator's end. */
static int bring_stream(const struct main_process *process, json_t *packet)
{
	int pair[2];
	struct error error = {0};
	assert_ok(process_socketpair(true, pair, &error));
	assert_ok(packet_send_take(process->link, packet, pair[1], &error));
	close(pair[1]);
	return pair[0];
}

/* The session's door to act as act gets it; served by a process of its own. */
static pid_t serve_act(struct world *world, const struct main_process *process)
{
	int fd = -1;
	CLEANUP(jsonio_free) json_t *packet = next_packet(process->act, &fd);
	assert_true(json_integer_value(json_object_get(packet, "session")) > 0);
	assert_int_equal(json_integer_value(json_object_get(packet, "uid")), getuid());
	assert_true(fd >= 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(process->parent);
		close(process->link);
		close(process->act);
		be_act(world, fd);
	}
	close(fd);
	return pid;
}

static void end_main(struct main_process *process)
{
	int status = 0;
	close(process->parent);
	waitpid(process->pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(process->link);
	close(process->act);
}

static void test_main_routes(void **state)
{
	struct world *world = *state;
	struct main_process process = start_main(world);
	struct exchange exchange = {0};
	struct error error = {0};
	int fd = -1;
	int control = bring_stream(&process, json_pack("{s:s, s:s, s:I, s:b}", "stream", "control", "scope",
						       "status,upgrade", "until", (json_int_t)0, "permanent", 1));
	pid_t act = serve_act(world, &process);
	assert_ok(stream_new_take(control, MESSAGE_FROM_ORCHESTRATOR, &world->stream, &error));
	json_t *body = stage_body("1.1", entitlement(world, 30, "premium"), 1);
	uint64_t id = stream_next_id(world->stream);
	assert_ok(stream_send(world->stream, MESSAGE_STAGE, 0, id, body, &error));
	json_decref(body);
	/* Serve the chain until the session asks for its bulk stream. */
	struct pollfd asked = {process.link, POLLIN, 0};
	while (poll(&asked, 1, 0) == 0) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_wait(world->stream, clock_ticks_ms() + 20, &message, &error) == 0 &&
		    message.type == MESSAGE_FETCH)
			take_fetch(world, &exchange, world->stream, &message);
	}
	CLEANUP(jsonio_free) json_t *wanted = next_packet(process.link, &fd);
	assert_string_equal(json_string_value(json_object_get(wanted, "bulk")), "abcdef");
	/* A stream with a ticket that nobody awaits is closed; the right one serves every blob. */
	int stray = bring_stream(&process, json_pack("{s:s, s:s}", "stream", "bulk", "ticket", "nobody"));
	char byte;
	assert_int_equal(read(stray, &byte, 1), 0);
	close(stray);
	int bulk = bring_stream(&process, json_pack("{s:s, s:s}", "stream", "bulk", "ticket", "abcdef"));
	pid_t server = fork();
	if (server == 0) {
		struct stream *stream = NULL;
		close(stream_fd(world->stream));
		if (stream_new_take(bulk, MESSAGE_FROM_ORCHESTRATOR, &stream, &error) < 0)
			_exit(1);
		for (;;) {
			CLEANUP(stream_message_free) struct stream_message message = {0};
			if (stream_wait(stream, clock_ticks_ms() + WAIT_MS, &message, &error) < 0)
				_exit(0);
			serve_fetch(world, stream, message.id, jsonio_string(message.body, "name"));
		}
	}
	close(bulk);
	assert_true(serve_until(world, &exchange, id));
	assert_granted(exchange);
	assert_int_equal(exchange.blobs, 0);
	exchange_free(&exchange);
	stream_free(&world->stream);
	waitpid(server, NULL, 0);
	end_main(&process);
	waitpid(act, NULL, 0);
}

/* Unknown kinds and pulls that nobody asked for are closed; the job's end is told even when its session cannot start.
 */
static void test_main_refuses(void **state)
{
	struct world *world = *state;
	struct main_process process = start_main(world);
	struct error error = {0};
	char byte;
	int fd = -1;
	int odd = bring_stream(&process, json_pack("{s:s}", "stream", "shell"));
	assert_int_equal(read(odd, &byte, 1), 0);
	close(odd);
	int pull = bring_stream(&process, json_pack("{s:s}", "stream", "pull"));
	assert_int_equal(read(pull, &byte, 1), 0);
	close(pull);
	int extra = bring_stream(&process, json_pack("{s:s, s:s}", "stream", "control", "root", "yes"));
	assert_int_equal(read(extra, &byte, 1), 0);
	close(extra);
	assert_ok(packet_send_take(process.parent, json_pack("{s:s}", "job", "pull"), -1, &error));
	/* The job stands before the stream comes, as serve and link have it. */
	assert_ok(packet_send_take(process.parent, json_pack("{s:s}", "job", "pull"), -1, &error));
	CLEANUP(jsonio_free) json_t *busy = next_packet(process.parent, &fd);
	assert_string_equal(json_string_value(json_object_get(json_object_get(busy, "error"), "name")), "busy");
	pull = bring_stream(&process, json_pack("{s:s}", "stream", "pull"));
	close(pull);
	pid_t act = serve_act(world, &process);
	CLEANUP(jsonio_free) json_t *end = next_packet(process.parent, &fd);
	assert_string_equal(json_string_value(json_object_get(json_object_get(end, "error"), "name")), "closed");
	end_main(&process);
	waitpid(act, NULL, 0);
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(floor),
		one(main_routes),
		one(main_refuses),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_broker),
	};
	return cmocka_run_group_tests_name("check/parts", tests, pack_all, drop_packed);
}
