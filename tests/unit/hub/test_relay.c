#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"
#include "dialogue/relay.h"

struct world {
	struct loop *loop;
	struct relay *relay;
	int other;
	unsigned calls;
	uint64_t deadline;
};

static void on_ready(void *context)
{
	struct world *world = context;

	world->calls++;
	loop_stop(world->loop);
}

static void on_deadline(void *context)
{
	loop_stop(((struct world *)context)->loop);
}

static int set_up(void **state)
{
	static struct world world;
	struct error error;
	int pair[2];

	world = (struct world){0};
	assert_int_equal(loop_new(&world.loop, &error), 0);
	assert_int_equal(process_socketpair(true, pair, &error), 0);
	assert_int_equal(relay_new_take(world.loop, pair[0], on_ready, &world, &world.relay, &error), 0);
	world.other = pair[1];
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	relay_free(&world->relay);
	loop_free(&world->loop);
	if (world->other >= 0)
		close(world->other);
	return 0;
}

/* One round of the loop: until the relay is ready or a short while passed. */
static bool turn(struct world *world, bool wants_bytes, int64_t most_ms)
{
	struct error error;
	unsigned before = world->calls;

	assert_int_equal(relay_wait(world->relay, wants_bytes, &error), 0);
	world->deadline = loop_after(world->loop, most_ms, on_deadline, world);
	assert_int_equal(loop_run(world->loop, false, &error), 0);
	loop_cancel(world->loop, world->deadline);
	return world->calls > before;
}

static void test_what_is_not_taken_stays_with_the_giver(void **state)
{
	struct world *world = *state;
	static uint8_t bytes[65536], got[65536];
	size_t given = 0;

	for (size_t taken; (taken = relay_give(world->relay, bytes, sizeof bytes)) > 0;)
		given += taken;
	assert_true(given > 0 && given < 64U * 1024 * 1024);
	assert_false(relay_is_clear(world->relay));
	assert_int_equal(relay_give(world->relay, bytes, 1), 0);
	for (size_t received = 0; received < given;) {
		ssize_t count = recv(world->other, got, sizeof got, 0);
		assert_true(count > 0);
		received += (size_t)count;
	}
	assert_true(turn(world, false, 5000));
	assert_true(relay_is_clear(world->relay));
	assert_int_equal(relay_give(world->relay, bytes, 1), 1);
}

static void test_stored_bytes_go_first_and_then_the_end(void **state)
{
	struct world *world = *state;
	static uint8_t bytes[2 * 1024 * 1024], got[65536];
	struct error error;
	size_t received = 0;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i / 1000);
	assert_int_equal(relay_store(world->relay, bytes, sizeof bytes, &error), 0);
	assert_false(relay_is_clear(world->relay));
	assert_int_equal(relay_give(world->relay, "x", 1), 0);
	relay_finish(world->relay);
	while (received < sizeof bytes) {
		ssize_t count = recv(world->other, got, sizeof got, MSG_DONTWAIT);
		if (count < 0) {
			turn(world, false, 5000);
			continue;
		}
		assert_memory_equal(got, bytes + received, (size_t)count);
		received += (size_t)count;
	}
	turn(world, false, 100);
	assert_int_equal(recv(world->other, got, 1, 0), 0);
}

static void test_storing_is_bounded(void **state)
{
	struct world *world = *state;
	static uint8_t bytes[1024 * 1024];
	struct error error;
	int status = 0;
	size_t stored = 0;

	for (int i = 0; i < 64 && status == 0; i++) {
		status = relay_store(world->relay, bytes, sizeof bytes, &error);
		stored += status == 0 ? sizeof bytes : 0;
	}
	assert_int_equal(status, -ERROR_DATA);
	assert_true(stored <= RELAY_STORE_MOST + sizeof bytes);
}

static void test_bytes_are_peeked_until_consumed(void **state)
{
	struct world *world = *state;
	const uint8_t *bytes;

	assert_int_equal(relay_peek(world->relay, &bytes), 0);
	assert_false(relay_is_ended(world->relay));
	assert_int_equal(send(world->other, "hello", 5, 0), 5);
	assert_false(turn(world, false, 50)); /* not wanted, not told */
	assert_true(turn(world, true, 5000));
	assert_int_equal(relay_peek(world->relay, &bytes), 5);
	relay_consume(world->relay, 2);
	assert_int_equal(relay_peek(world->relay, &bytes), 3);
	assert_memory_equal(bytes, "llo", 3);
	close(world->other);
	world->other = -1;
	assert_false(relay_is_ended(world->relay));
	relay_consume(world->relay, 3);
	assert_int_equal(relay_peek(world->relay, &bytes), 0);
	assert_true(relay_is_ended(world->relay));
}

static void test_a_hang_up_does_not_spin(void **state)
{
	struct world *world = *state;
	struct error error;

	close(world->other);
	world->other = -1;
	/* Nothing is wanted and nothing can be done: the loop must sleep. */
	assert_false(turn(world, false, 50));
	/* What is given to nobody counts as gone. */
	assert_int_equal(relay_store(world->relay, "lost", 4, &error), 0);
	assert_int_equal(relay_give(world->relay, "lost", 4), 4);
	assert_false(turn(world, false, 50));
	assert_true(turn(world, true, 5000));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_not_taken_stays_with_the_giver),
		TEST(test_stored_bytes_go_first_and_then_the_end),
		TEST(test_storing_is_bounded),
		TEST(test_bytes_are_peeked_until_consumed),
		TEST(test_a_hang_up_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
