/* What flows between hub and link once a tunnel is open, and beside it: flow control, bulk streams by their ticket,
 * pulls, and the last bytes before an end. */
#include "rig.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

static json_t *bulk_message(const char *ticket, int count)
{
	return json_pack("{s:s, s:i}", "bulk", ticket, "count", count);
}

static void test_a_slow_reader_holds_the_sender(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int fd = rig_attached(rig, &hook, &hello);
	static uint8_t chunk[65536];
	size_t sent = 0;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};

	/* Nobody reads: after windows and buffers are full the writer has to stop. */
	while (poll(&wait, 1, 1500) > 0) {
		ssize_t count = send(fd, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count > 0)
			sent += (size_t)count;
		assert_true(sent < 24U * 1024 * 1024);
	}
	/* Then everything arrives. */
	size_t received = 0;
	wait = (struct pollfd){.fd = stream_fd(hook), .events = POLLIN};
	while (received < sent) {
		assert_true(poll(&wait, 1, RIG_WAIT_MS) > 0);
		ssize_t count = recv(stream_fd(hook), chunk, sizeof chunk, MSG_DONTWAIT);
		assert_true(count > 0);
		received += (size_t)count;
	}
	rig_pass(fd, stream_fd(hook), 3 * 1024 * 1024);
	json_decref(hello);
	stream_free(&hook);
	file_close(&fd);
}

static void test_bulk_streams_show_their_ticket(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int control = rig_attached(rig, &hook, &hello);
	int engine[4], check[4], mate[4]; /* engine[i] is the other end of check[mate[i]] */
	uint8_t byte;

	rig_ask_streams(rig, hello, "aa11", 4);
	rig_say(rig->check, bulk_message("aa11", 4));
	for (int i = 0; i < 4; i++) {
		json_t *message = rig_expect(rig->engine, "is", "stream", &engine[i]);
		assert_string_equal(jsonio_string(message, "ticket"), "aa11");
		assert_string_equal(jsonio_string(message, "appliance"), "box");
		json_decref(message);
		message = rig_expect(rig->check, "stream", "bulk", &check[i]);
		assert_string_equal(jsonio_string(message, "ticket"), "aa11");
		json_decref(message);
	}
	/* Which is whose is not told: the bytes of each must come out somewhere, whole. */
	for (int i = 0; i < 4; i++) {
		byte = (uint8_t)i;
		assert_int_equal(send(check[i], &byte, 1, 0), 1);
	}
	for (int i = 0; i < 4; i++) {
		struct pollfd wait = {.fd = engine[i], .events = POLLIN};
		assert_true(poll(&wait, 1, RIG_WAIT_MS) > 0);
		assert_int_equal(recv(engine[i], &byte, 1, 0), 1);
		assert_true(byte < 4);
		mate[i] = byte;
		rig_pass(engine[i], check[byte], 4 * 1024 * 1024);
		rig_pass(check[byte], engine[i], 1024 * 1024);
	}
	/* The control stream is another connection and goes on. */
	rig_pass(control, stream_fd(hook), 1000);
	for (int i = 0; i < 4; i++) {
		close(engine[i]);
		assert_true(rig_is_closed(check[mate[i]]));
		close(check[mate[i]]);
	}
	/* Its connection ended with its streams; the ticket is good for another. */
	json_decref(rig_expect(rig->check, "stream", "bulk", NULL));
	rig_say(rig->check, bulk_message("aa11", 1));
	json_decref(rig_expect(rig->engine, "is", "stream", &engine[0]));
	json_decref(rig_expect(rig->check, "stream", "bulk", &check[0]));
	close(engine[0]);
	close(check[0]);
	close(control);
	stream_free(&hook);
	json_decref(hello);
}

static void test_an_unknown_ticket_is_closed(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int control = rig_attached(rig, &hook, &hello);
	int fd = -1;

	rig_ask_streams(rig, hello, "aa11", 1);
	rig_say(rig->check, bulk_message("aa12", 1));
	/* The stream is granted, the ticket is not. */
	json_decref(rig_expect(rig->check, "stream", "bulk", &fd));
	assert_true(fd >= 0);
	assert_true(rig_is_closed(fd));
	close(fd);
	/* One more than the ticket is for. */
	rig_say(rig->check, bulk_message("aa11", 2));
	json_decref(rig_expect(rig->engine, "is", "stream", &fd));
	int first = -1, second = -1;
	do { /* the first connection's end may be told in between */
		json_decref(rig_expect(rig->check, "stream", "bulk", &first));
	} while (first < 0);
	json_decref(rig_expect(rig->check, "stream", "bulk", &second));
	struct pollfd wait[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
	assert_int_equal(poll(wait, 2, RIG_WAIT_MS), 1);
	assert_true(rig_is_closed(wait[0].revents ? first : second));
	rig_pass(fd, wait[0].revents ? second : first, 10000);
	close(first);
	close(second);
	close(fd);
	close(control);
	stream_free(&hook);
	json_decref(hello);
}

static void begin_pull(struct rig *rig, int *ret_engine, int *ret_check)
{
	rig_say(rig->parent, json_pack("{s:s}", "connect", "pull"));
	json_decref(rig_expect(rig->engine, "is", "pull", ret_engine));
	json_decref(rig_expect(rig->check, "stream", "pull", ret_check));
}

static void send_zeros(int fd, size_t size)
{
	static const uint8_t zeros[65536];

	while (size > 0) {
		ssize_t count = send(fd, zeros, size < sizeof zeros ? size : sizeof zeros, MSG_NOSIGNAL);
		assert_true(count > 0);
		size -= (size_t)count;
	}
}

/* Bytes up to its end. */
static size_t drain(int fd)
{
	static uint8_t chunk[65536];
	size_t received = 0;

	for (ssize_t count; (count = recv(fd, chunk, sizeof chunk, 0)) > 0;)
		received += (size_t)count;
	return received;
}

static void test_pull_needs_no_tunnel(void **state)
{
	struct rig *rig = *state;
	int engine = -1, check = -1;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	begin_pull(rig, &engine, &check);
	rig_pass(check, engine, 1000);
	rig_pass(engine, check, 1024 * 1024);
	close(check);
	assert_true(rig_is_closed(engine));
	close(engine);
	json_t *message = rig_expect(rig->parent, "state", "closed", NULL);
	assert_string_equal(jsonio_string(message, "connection"), "pull");
	assert_int_equal(jsonio_integer(message, "code"), 0);
	json_decref(message);
}

static void test_the_last_bytes_arrive_before_the_end(void **state)
{
	struct rig *rig = *state;
	const size_t size = 300000;
	int engine = -1, check = -1;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	for (int round = 0; round < 5; round++) {
		begin_pull(rig, &engine, &check);
		send_zeros(engine, size);
		close(engine);
		assert_int_equal(drain(check), size);
		close(check);
	}
}

/* The hook closes while the engine has not read: its connection must not end before everything was handed on. */
static void test_a_slow_engine_gets_the_last_bytes(void **state)
{
	struct rig *rig = *state;
	const size_t size = 1000000;
	int engine = -1, check = -1;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	begin_pull(rig, &engine, &check);
	send_zeros(check, size);
	close(check);
	/* Time for a hasty link to hang up. */
	struct pollfd wait = {.fd = rig->parent, .events = POLLIN};
	json_decref(rig_expect(rig->parent, "state", "connected", NULL));
	assert_int_equal(poll(&wait, 1, 300), 0);
	assert_int_equal(drain(engine), size);
	close(engine);
	json_decref(rig_expect(rig->parent, "state", "closed", NULL));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_slow_reader_holds_the_sender),       TEST(test_bulk_streams_show_their_ticket),
		TEST(test_an_unknown_ticket_is_closed),          TEST(test_pull_needs_no_tunnel),
		TEST(test_the_last_bytes_arrive_before_the_end), TEST(test_a_slow_engine_gets_the_last_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
