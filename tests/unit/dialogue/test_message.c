#include "tests/unit/fixture.h"

#include "base/clock.h"
#include "base/process.h"
#include "dialogue/stream.h"

static json_t *parse(const char *text)
{
	json_t *value = NULL;
	struct error error;

	assert_ok(jsonio_parse(text, strlen(text), "it", &value, &error), error);
	return value;
}

static int round_trip(enum message_side from, enum message_type type, uint16_t flags, const char *text,
		      json_t **ret_body, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
	struct frame frame;
	size_t used = 0;
	int status = frame_write(&bytes, (uint16_t)type, flags, 7, text, strlen(text), error);

	if (status == 0)
		status = frame_read(&bytes, &frame, &used, error);
	if (status < 0)
		return status;
	assert_int_equal(used, bytes.size);
	return message_parse(&frame, from, ret_body, error);
}

static void lets_each_side_say_only_its_own(void **state)
{
	CLEANUP(jsonio_free) json_t *body = NULL;
	struct error error;

	(void)state;
	assert_ok(round_trip(MESSAGE_FROM_ORCHESTRATOR, MESSAGE_STATUS, 0, "{}", &body, &error), error);
	jsonio_free(&body);
	assert_refused(round_trip(MESSAGE_FROM_HOOK, MESSAGE_STATUS, 0, "{}", &body, &error), error, ERROR_DATA,
		       "dialogue");
	assert_refused(round_trip(MESSAGE_FROM_ORCHESTRATOR, MESSAGE_STATUS, FRAME_REPLY, "{}", &body, &error), error,
		       ERROR_DATA, "dialogue");
	assert_refused(round_trip(MESSAGE_FROM_ORCHESTRATOR, MESSAGE_STATUS, 0, "{\"shell\":\"id\"}", &body, &error),
		       error, ERROR_DATA, "format");
	assert_refused(round_trip(MESSAGE_FROM_ORCHESTRATOR, MESSAGE_STREAM, FRAME_EVENT, "{}", &body, &error), error,
		       ERROR_DATA, "format");
	assert_ok(round_trip(MESSAGE_FROM_HOOK, MESSAGE_STREAM, FRAME_EVENT, "{\"ticket\":\"ab\"}", &body, &error),
		  error);
	jsonio_free(&body);
	assert_refused(round_trip(MESSAGE_FROM_HOOK, MESSAGE_FETCH, FRAME_EVENT | FRAME_DATA, "x", &body, &error),
		       error, ERROR_DATA, "dialogue");
	assert_ok(round_trip(MESSAGE_FROM_ORCHESTRATOR, MESSAGE_FETCH, FRAME_EVENT | FRAME_DATA, "x", &body, &error),
		  error);
	assert_null(body);
	assert_refused(round_trip(MESSAGE_FROM_HOOK, MESSAGE_HEARTBEAT, FRAME_EVENT | FRAME_ERROR, "{}", &body, &error),
		       error, ERROR_DATA, "dialogue");
}

static void frames_are_judged_by_their_head(void **state)
{
	static const struct {
		uint8_t head[FRAME_HEAD_SIZE];
	} bad[] = {
		{{0, 0, 0, 0, 0, 0}},                            /* type 0 */
		{{0, 0, 0, 0, 0, 200}},                          /* unknown type */
		{{0, 0, 0, 0, 0, 1, 1, 0}},                      /* unknown flag */
		{{0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0}},          /* too long */
		{{0, 4, 0, 1, 0, MESSAGE_FETCH, 0, FRAME_DATA}}, /* a byte too long */
	};
	struct error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(0);
		struct frame frame;
		size_t used = 0;
		assert_ok(buffer_append(&bytes, bad[i].head, FRAME_HEAD_SIZE, &error), error);
		assert_refused(frame_read(&bytes, &frame, &used, &error), error, ERROR_DATA, "frame");
	}
}

static void waits_for_whole_frames(void **state)
{
	CLEANUP(buffer_free) struct buffer whole = BUFFER_INIT(0);
	struct error error;

	(void)state;
	assert_ok(frame_write(&whole, MESSAGE_STATUS, 0, 9, "{}", 2, &error), error);
	for (size_t size = 0; size < whole.size; size++) {
		CLEANUP(buffer_free) struct buffer part = BUFFER_INIT(0);
		struct frame frame;
		size_t used = 1;
		assert_ok(buffer_append(&part, whole.data, size, &error), error);
		assert_ok(frame_read(&part, &frame, &used, &error), error);
		assert_int_equal(used, 0);
	}
}

static void refuses_to_send_what_would_be_refused(void **state)
{
	CLEANUP(buffer_free) struct buffer output = BUFFER_INIT(0);
	CLEANUP(jsonio_free) json_t *body = parse("{\"tickets\":1}");
	struct error error;

	(void)state;
	assert_refused(message_write(&output, MESSAGE_FROM_HOOK, MESSAGE_STREAM, FRAME_EVENT, 1, body, &error), error,
		       ERROR_BUG, "dialogue");
	assert_int_equal(output.size, 0);
}

struct pair {
	struct stream *hook, *centre;
};

static void open_pair(struct pair *pair)
{
	int fds[2];
	struct error error;

	assert_ok(process_socketpair(true, fds, &error), error);
	assert_ok(stream_new_take(fds[0], MESSAGE_FROM_HOOK, &pair->hook, &error), error);
	assert_ok(stream_new_take(fds[1], MESSAGE_FROM_ORCHESTRATOR, &pair->centre, &error), error);
}

static int count_data(void *context, struct stream_message *message, struct error *error UNUSED)
{
	size_t *bytes = context;

	assert_int_equal(message->type, MESSAGE_FETCH);
	assert_non_null(message->data);
	*bytes += message->size;
	return 0;
}

static void asks_and_is_answered(void **state)
{
	struct pair pair = {0};
	struct stream_message message = {0};
	CLEANUP(jsonio_free) json_t *fetch = parse("{\"name\":\"blobs/x\",\"offset\":0}");
	CLEANUP(jsonio_free) json_t *reply = NULL;
	struct error error;
	bool pending = false;
	static uint8_t data[FRAME_DATA_MOST];
	size_t bytes = 0;

	(void)state;
	open_pair(&pair);
	/* The answer is queued before the question: it waits in the socket. The hook's first id is 1. */
	assert_ok(stream_send_data(pair.centre, MESSAGE_FETCH, 1, data, 1000, &error), error);
	CLEANUP(jsonio_free) json_t *size = parse("{\"size\":1000}");
	assert_ok(stream_send(pair.centre, MESSAGE_FETCH, FRAME_REPLY, 1, size, &error), error);
	assert_ok(stream_flush(pair.centre, &pending, &error), error);
	assert_false(pending);
	assert_ok(stream_ask(pair.hook, MESSAGE_FETCH, fetch, clock_ticks_ms() + 1000, count_data, &bytes, &reply,
			     &error),
		  error);
	assert_int_equal(bytes, 1000);
	assert_int_equal(jsonio_integer(reply, "size"), 1000);
	assert_ok(stream_wait(pair.centre, clock_ticks_ms() + 1000, &message, &error), error);
	assert_int_equal(message.id, 1);
	assert_string_equal(jsonio_string(message.body, "name"), "blobs/x");
	stream_message_free(&message);
	/* A refusal arrives as the error that it was. */
	struct error why;
	error_set(&why, ERROR_NOT_PERMITTED, "entitlement", "support ended");
	assert_ok(stream_send_error(pair.centre, MESSAGE_FETCH, 3, &why, &error), error);
	assert_ok(stream_flush(pair.centre, &pending, &error), error);
	jsonio_free(&reply);
	assert_refused(stream_ask(pair.hook, MESSAGE_FETCH, fetch, clock_ticks_ms() + 1000, NULL, NULL, &reply, &error),
		       error, ERROR_NOT_PERMITTED, "entitlement");
	assert_refused(stream_ask(pair.hook, MESSAGE_FETCH, fetch, clock_ticks_ms() + 10, NULL, NULL, &reply, &error),
		       error, ERROR_UNREACHABLE, "timeout");
	stream_free(&pair.centre);
	assert_refused(stream_wait(pair.hook, clock_ticks_ms() + 1000, &message, &error), error, ERROR_UNREACHABLE,
		       "closed");
	stream_free(&pair.hook);
}

static void bounds_its_queue(void **state)
{
	struct pair pair = {0};
	static uint8_t data[FRAME_DATA_MOST];
	struct error error;
	int status = 0, frames = 0;

	(void)state;
	open_pair(&pair);
	while (status == 0 && frames++ < 1000)
		status = stream_send_data(pair.centre, MESSAGE_FETCH, 1, data, sizeof data, &error);
	assert_int_equal(error.code, ERROR_NOT_NOW);
	assert_string_equal(error.name, "again");
	assert_true(stream_queued(pair.centre) <= 4 * 1024 * 1024);
	stream_free(&pair.hook);
	stream_free(&pair.centre);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_each_side_say_only_its_own),
		cmocka_unit_test(frames_are_judged_by_their_head),
		cmocka_unit_test(waits_for_whole_frames),
		cmocka_unit_test(refuses_to_send_what_would_be_refused),
		cmocka_unit_test(asks_and_is_answered),
		cmocka_unit_test(bounds_its_queue),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
