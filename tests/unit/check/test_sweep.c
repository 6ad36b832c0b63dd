/* A session of check follows a newer set and stages a release, and is struck at each of its points: killed there, the
 * disk full there or its answer EIO. Nothing that was accepted before goes back, and the session after it stages. */
#include "tests/unit/check/exchange.h"

#include "appliance-hook/check/floor.h"

#define POINTS_MOST 2000
#define POINT_SIZE  64
#define LOG         "releases/points" /* where the sandbox lets a session write */

struct points {
	char names[POINTS_MOST][POINT_SIZE]; /* "file.write:3" */
	size_t count;
};

/* Every point of one session, in order; and how many were struck. */
static struct points points;
static unsigned runs;

/* A session that is dead is no reason to fail. */
static bool try_to_stage(struct world *world, struct exchange *exchange)
{
	struct error error = {0};
	uint64_t id = stream_next_id(world->stream);
	json_t *body = stage_body("1.1", entitlement(world, 30, "premium"), 0);
	int status = stream_send(world->stream, MESSAGE_STAGE, 0, id, body, &error);
	json_decref(body);
	exchange->type = MESSAGE_STAGE;
	return status == 0 && serve_until(world, exchange, id);
}

/* "" strikes nowhere. */
static void strike(struct world *world, const char *fault)
{
	struct exchange exchange = {0};
	char log[128];
	snprintf(log, sizeof(log), "%s/" LOG, world->path);
	setenv("NIGHTSHIFT_FAULT_LOG", log, 1);
	setenv("NIGHTSHIFT_FAULT", fault, 1);
	start_session(world, SESSION_CONTROL, "status,upgrade");
	unsetenv("NIGHTSHIFT_FAULT");
	unsetenv("NIGHTSHIFT_FAULT_LOG");
	bool answered = try_to_stage(world, &exchange);
	if (fault[0] == '\0')
		assert_granted(exchange);
	if (answered && !exchange.reply)
		assert_true(exchange.refusal.name[0] && strlen(exchange.refusal.text) > 10);
	exchange_free(&exchange);
	end_session(world);
}

static void stage_undisturbed(struct world *world, const char *after)
{
	struct exchange exchange = {0};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	stage(world, &exchange);
	if (!exchange.reply)
		fail_msg("after %s staging is refused: %s", after, exchange.refusal.text);
	exchange_free(&exchange);
	end_session(world);
}

/* What a later run would find, -1 when it finds no set; and the floor of time. */
static int64_t stored_version(struct world *world, int64_t *ret_floor)
{
	struct trust *trust = NULL;
	struct error error = {0};
	assert_ok(floor_read(world->places.trust, ret_floor, &error));
	assert_ok(trust_open(world->places.metadata, world->root.data, world->root.size, &trust, &error));
	int status = trust_load(trust, clock_now(), &error);
	int64_t version = status == 0 ? trust_version(trust, ROLE_TARGETS) : -1;
	trust_free(&trust);
	return version;
}

static void assert_whole(const char *after)
{
	CLEANUP(buffer_free) struct buffer program = {0};
	struct error error = {0};
	if (file_read_at(AT_FDCWD, "releases/.staging-1.1/tree/program", &program, &error) < 0 || program.size != 3 ||
	    memcmp(program.data, "two", 3) != 0)
		fail_msg("after %s what was staged is not the release", after);
}

/* The first set was followed, a second is published. */
static struct world *begin(void)
{
	struct exchange exchange = {0};
	void *state = NULL;
	world_begin(&state);
	struct world *world = state;
	start_session(world, SESSION_CONTROL, "status,upgrade");
	ask(world, &exchange, MESSAGE_PLAN,
	    json_pack("{s:s, s:o}", "version", "1.1", "entitlement", entitlement(world, 30, "premium")));
	assert_granted(exchange);
	exchange_free(&exchange);
	end_session(world);
	publish_next(&world->repository);
	return world;
}

static void strike_point(const char *point, const char *action)
{
	struct world *world = begin();
	void *state = world;
	int64_t before = 0, floor = 0, version = stored_version(world, &before);
	char fault[POINT_SIZE + 16];
	snprintf(fault, sizeof(fault), "%s=%s", point, action);
	strike(world, fault);
	int64_t found = stored_version(world, &floor);
	if (found < version || floor < before)
		fail_msg("after %s the set went back from %lld to %lld", fault, (long long)version, (long long)found);
	stage_undisturbed(world, fault);
	assert_int_equal(stored_version(world, &floor), version + 1);
	assert_whole(fault);
	world_end(&state);
	runs++;
}

static void find_points(void)
{
	struct world *world = begin();
	void *state = world;
	char line[POINT_SIZE];
	strike(world, "");
	FILE *log = fopen(LOG, "r");
	assert_non_null(log);
	while (fgets(line, sizeof(line), log)) {
		size_t passage = 1, length = strcspn(line, "\n");
		line[length] = '\0';
		assert_true(points.count < POINTS_MOST && length < POINT_SIZE - 8);
		for (size_t i = 0; i < points.count; i++)
			passage += strncmp(points.names[i], line, length) == 0 && points.names[i][length] == ':';
		snprintf(points.names[points.count++], POINT_SIZE, "%.50s:%zu", line, passage);
	}
	fclose(log);
	world_end(&state);
}

static int begin_all(void **state)
{
	pack_all(state);
	find_points();
	return 0;
}

static int end_all(void **state)
{
	print_message("sweep: a session of check: %zu points, %u runs; staged after each\n", points.count, runs);
	return drop_packed(state);
}

/* A sample, always the same; all of them with NIGHTSHIFT_SWEEP=1 in the environment. */
static void strike_all(const char *action, size_t first)
{
	size_t stride = getenv("NIGHTSHIFT_SWEEP") ? 1 : 7;
	assert_true(points.count >= 40);
	for (size_t i = first % stride; i < points.count; i += stride)
		/* What only reads has nothing to tear, and needs no room. */
		if (strcmp(action, "eio") == 0 || !strstr(points.names[i], ".read:"))
			strike_point(points.names[i], action);
}

static void test_killed_anywhere(void **state UNUSED)
{
	strike_all("kill", 1);
}

static void test_full_disk_anywhere(void **state UNUSED)
{
	strike_all("enospc", 3);
}

static void test_broken_disk_anywhere(void **state UNUSED)
{
	strike_all("eio", 5);
}

/* The one that is named, or all. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_full_disk_anywhere),
		cmocka_unit_test(test_broken_disk_anywhere),
	};
#ifndef NIGHTSHIFT_FAULT_POINTS
	print_message("skipped: check/sweep (built without fault_points)\n");
	return 77;
#endif
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
