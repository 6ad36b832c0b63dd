/* The tunnel's life between hub and link over loopback: how it opens, greets, is attached, and ends. */
#include "rig.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

static void test_hello_idles_and_is_attached(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int fd = rig_attached(rig, &hook, &hello);

	assert_string_equal(jsonio_string(hello, "appliance"), "box");
	assert_string_equal(jsonio_string(hello, "transport"), "call-home");
	assert_string_equal(jsonio_string(hello, "address"), "127.0.0.1");
	assert_string_equal(jsonio_string(jsonio_member(hello, "body"), "product"), "p");
	rig_pass(stream_fd(hook), fd, 100);
	rig_pass(fd, stream_fd(hook), 8 * 1024 * 1024);
	rig_pass(stream_fd(hook), fd, 8 * 1024 * 1024);
	json_decref(hello);
	stream_free(&hook);
	file_close(&fd);
}

static void test_bytes_before_the_attach_come_first(void **state)
{
	struct rig *rig = *state;
	struct error error;
	json_t *hello;
	int fd = -1;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	struct stream *hook = rig_hello(rig, &hello);
	/* A heartbeat is the hub's; the receipt behind it is not and has to wait for the engine. */
	CLEANUP(jsonio_free) json_t *time = json_pack("{s:i}", "time", 5);
	CLEANUP(jsonio_free) json_t *receipt = json_pack("{s:{}}", "receipt");
	bool pending;
	assert_int_equal(stream_send(hook, MESSAGE_HEARTBEAT, FRAME_EVENT, 3, time, &error), 0);
	assert_int_equal(stream_send(hook, MESSAGE_RECEIPT, 0, 5, receipt, &error), 0);
	assert_int_equal(stream_flush(hook, &pending, &error), 0);
	fd = rig_attach(rig, hello);
	struct stream *engine;
	struct stream_message message;
	assert_int_equal(stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &engine, &error), 0);
	do {
		assert_int_equal(stream_wait(engine, clock_ticks_ms() + RIG_WAIT_MS, &message, &error), 0);
		stream_message_free(&message);
	} while (message.type == MESSAGE_HEARTBEAT); /* where the attach overtook it */
	assert_int_equal(message.type, MESSAGE_RECEIPT);
	stream_free(&engine);
	stream_free(&hook);
	json_decref(hello);
}

static void test_letting_go_brings_a_new_hello(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello, *again;
	int fd = rig_attached(rig, &hook, &hello);

	file_close(&fd);
	assert_true(rig_is_closed(stream_fd(hook)));
	stream_free(&hook);
	hook = rig_hello(rig, &again);
	assert_int_equal(jsonio_integer(again, "connection"), jsonio_integer(hello, "connection"));
	/* And from the hook's side. */
	fd = rig_attach(rig, again);
	stream_free(&hook);
	assert_true(rig_is_closed(fd));
	file_close(&fd);
	json_decref(again);
	hook = rig_hello(rig, &again);
	stream_free(&hook);
	json_decref(again);
	json_decref(hello);
}

/* Or one appliance could keep the engine busy for all of them. */
static void test_hello_is_said_once(void **state)
{
	struct rig *rig = *state;
	CLEANUP(jsonio_free) json_t *body = NULL;
	struct error error;
	bool pending = false;
	json_t *hello;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	struct stream *hook = rig_hello(rig, &hello);
	body = json_deep_copy(jsonio_member(hello, "body"));
	assert_int_equal(stream_send(hook, MESSAGE_HELLO, 0, 9, body, &error), 0);
	assert_int_equal(stream_flush(hook, &pending, &error), 0);
	assert_true(rig_is_closed(stream_fd(hook)));
	stream_free(&hook);
	json_decref(hello);
}

static void test_an_engine_that_dies_takes_its_streams(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello, *again;
	int fd = rig_attached(rig, &hook, &hello);

	file_close(&rig->engine);
	assert_true(rig_is_closed(stream_fd(hook)));
	assert_true(rig_is_closed(fd));
	file_close(&fd);
	stream_free(&hook);
	rig_engine(rig);
	hook = rig_hello(rig, &again);
	/* The SSH connection is the same: ten thousand appliances need not log in anew because the engine restarts. */
	assert_int_equal(jsonio_integer(again, "connection"), jsonio_integer(hello, "connection"));
	stream_free(&hook);
	json_decref(hello);
	json_decref(again);
}

static void test_nobody_logs_in_before_ready(void **state)
{
	struct rig *rig = *state;
	json_t *hello;

	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	json_t *message = NULL;
	do { /* "connecting" comes first without a reason */
		json_decref(message);
		message = rig_expect(rig->parent, "state", "connecting", NULL);
	} while (jsonio_integer(message, "code") == 0);
	assert_int_equal(jsonio_integer(message, "code"), ERROR_NOT_PERMITTED);
	json_decref(message);
	rig_engine(rig);
	struct stream *hook = rig_hello(rig, &hello);
	stream_free(&hook);
	json_decref(hello);
}

static void test_a_dismissed_key_loses_its_connection(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int fd = rig_attached(rig, &hook, &hello);

	rig_say(rig->engine, json_pack("{s:s, s:s}", "do", "dismiss", "key", rig->key_hex));
	json_t *gone = rig_expect(rig->engine, "is", "gone", NULL);
	assert_int_equal(jsonio_integer(gone, "connection"), jsonio_integer(hello, "connection"));
	assert_true(rig_is_closed(fd));
	/* Asking for what is gone is answered. */
	rig_ask_attach(rig, hello);
	json_decref(rig_expect(rig->engine, "is", "gone", NULL));
	json_decref(gone);
	json_decref(hello);
	stream_free(&hook);
	file_close(&fd);
}

static void test_a_newer_connection_evicts_the_older(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello, *newer;
	int fd = rig_attached(rig, &hook, &hello);
	int old_parent = rig->parent, old_check = rig->check;
	pid_t old_link = rig->link;

	/* The first link is kept; a second one comes with the same key, as a restored machine would. */
	rig->parent = rig->check = -1;
	rig->link = 0;
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	struct stream *hook2 = rig_hello(rig, &newer);
	assert_true(jsonio_integer(newer, "connection") > jsonio_integer(hello, "connection"));
	assert_true(rig_is_closed(fd));
	close(old_parent);
	rig_wait(old_link);
	close(old_check);
	stream_free(&hook);
	stream_free(&hook2);
	json_decref(hello);
	json_decref(newer);
	file_close(&fd);
}

static void test_closing_the_tunnel_is_at_once(void **state)
{
	struct rig *rig = *state;
	struct stream *hook;
	json_t *hello;
	int fd = rig_attached(rig, &hook, &hello);

	rig_say(rig->parent, json_pack("{s:s}", "tunnel", "close"));
	json_t *message = rig_expect(rig->parent, "state", "closed", NULL);
	assert_int_equal(jsonio_integer(message, "code"), 0);
	json_decref(rig_expect(rig->engine, "is", "gone", NULL));
	assert_true(rig_is_closed(fd));
	assert_true(rig_is_closed(stream_fd(hook)));
	/* And opens again. */
	stream_free(&hook);
	json_decref(hello);
	rig_open_tunnel(rig);
	hook = rig_hello(rig, &hello);
	stream_free(&hook);
	json_decref(hello);
	json_decref(message);
	file_close(&fd);
}

static void test_the_tunnel_ends_on_time(void **state)
{
	struct rig *rig = *state;
	json_t *hello;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_say(rig->parent, json_pack("{s:s, s:s, s:I, s:b}", "tunnel", "open", "scope", "status", "until",
				       (json_int_t)clock_now() + 2, "permanent", 0));
	struct stream *hook = rig_hello(rig, &hello);
	json_decref(rig_expect(rig->parent, "state", "closed", NULL));
	assert_true(rig_is_closed(stream_fd(hook)));
	stream_free(&hook);
	json_decref(hello);
}

static void test_another_host_key_is_refused(void **state)
{
	struct rig *rig = *state;
	char hub[256], wrong[65];
	CLEANUP(file_close) int directory = -1;
	struct error error;

	memset(wrong, 'a', 64);
	wrong[64] = 0;
	snprintf(hub, sizeof hub, "{\"host\":\"127.0.0.1\",\"port\":%u,\"host_key\":\"%s\"}", rig->port, wrong);
	assert_int_equal(file_open_directory(rig->directory, &directory, &error), 0);
	assert_int_equal(file_replace_at(directory, "hub.json", hub, strlen(hub), 0600, &error), 0);
	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	json_t *message = rig_expect(rig->parent, "state", "closed", NULL);
	assert_int_equal(jsonio_integer(message, "code"), ERROR_DATA);
	assert_non_null(strstr(jsonio_string(message, "text"), "SHA256:"));
	json_decref(message);
}

static void test_a_link_without_a_join_says_so(void **state)
{
	struct rig *rig = *state;
	CLEANUP(file_close) int directory = -1;
	struct error error;

	assert_int_equal(file_open_directory(rig->directory, &directory, &error), 0);
	assert_int_equal(unlinkat(directory, "appliance_key", 0), 0);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	json_t *message = rig_expect(rig->parent, "state", "closed", NULL);
	assert_int_equal(jsonio_integer(message, "code"), ERROR_CONFIG);
	assert_non_null(strstr(jsonio_string(message, "text"), "join"));
	json_decref(message);
}

/* A name is resolved inside link's sandbox, and the second port is tried when the first is closed. */
static void test_a_name_and_a_second_port(void **state)
{
	struct rig *rig = *state;
	struct link_settings settings = {.address = "localhost", .ports = {1, rig->port}, .port_count = 2};
	json_t *hello;

	rig_engine(rig);
	rig_link(rig, &settings);
	rig_open_tunnel(rig);
	struct stream *hook = rig_hello(rig, &hello);
	stream_free(&hook);
	json_decref(hello);
}

static void test_hook_sock_goes_to_check(void **state)
{
	struct rig *rig = *state;
	int accepted = -1;

	rig_link(rig, &rig_plain);
	int fd = rig_connect_unix(rig, "hook.sock");
	json_t *message = rig_expect(rig->check, "stream", "accepted", &accepted);
	/* Nobody opened a tunnel here: what it may is check's to say. */
	assert_null(jsonio_string(message, "scope"));
	rig_pass(fd, accepted, 1000);
	rig_pass(accepted, fd, 1000);
	json_decref(message);
	close(fd);
	close(accepted);
}

static void test_a_connection_that_the_hub_ends_comes_again(void **state)
{
	struct rig *rig = *state;
	json_t *hello;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	struct stream *hook = rig_hello(rig, &hello);
	json_decref(hello);
	rig_say(rig->engine, json_pack("{s:s, s:s}", "do", "close", "appliance", "box"));
	assert_true(rig_is_closed(stream_fd(hook)));
	stream_free(&hook);
	hook = rig_hello(rig, &hello);
	assert_int_equal(jsonio_integer(hello, "connection"), 2);
	stream_free(&hook);
	json_decref(hello);
}

static void test_the_grant_goes_to_check(void **state)
{
	struct rig *rig = *state;
	int fd = -1;

	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_say(rig->parent, json_pack("{s:s, s:s, s:I, s:b}", "tunnel", "open", "scope", "status", "until",
				       (json_int_t)clock_now() + 5000, "permanent", 1));
	json_t *message = rig_expect(rig->check, "stream", "control", &fd);
	assert_string_equal(jsonio_string(message, "scope"), "status");
	assert_true(jsonio_integer(message, "until") > clock_now());
	assert_true(jsonio_boolean(message, "permanent"));
	json_decref(message);
	close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hello_idles_and_is_attached),
		TEST(test_bytes_before_the_attach_come_first),
		TEST(test_letting_go_brings_a_new_hello),
		TEST(test_an_engine_that_dies_takes_its_streams),
		TEST(test_nobody_logs_in_before_ready),
		TEST(test_a_dismissed_key_loses_its_connection),
		TEST(test_a_newer_connection_evicts_the_older),
		TEST(test_closing_the_tunnel_is_at_once),
		TEST(test_the_tunnel_ends_on_time),
		TEST(test_another_host_key_is_refused),
		TEST(test_a_link_without_a_join_says_so),
		TEST(test_hello_is_said_once),
		TEST(test_a_name_and_a_second_port),
		TEST(test_hook_sock_goes_to_check),
		TEST(test_a_connection_that_the_hub_ends_comes_again),
		TEST(test_the_grant_goes_to_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
