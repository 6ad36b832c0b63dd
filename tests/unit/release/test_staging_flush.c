#include "fixture.h"

#include "base/crew.h"
#include "release/staging_flush.h"

#define LOG     "faults"
#define TRIES   1000
#define A_FLUSH ((size_t)64 * 1024 * 1024)

/* The times that a flush was begun. */
static size_t flushes(void)
{
	CLEANUP(buffer_free) struct buffer log = BUFFER_INIT(0);
	struct error error;
	size_t count = 0;

	if (file_read_at(AT_FDCWD, LOG, &log, &error) < 0 || buffer_append(&log, "", 1, &error) < 0)
		return 0;
	for (const char *at = (const char *)log.data; (at = strstr(at, "staging.flush\n")) != NULL; at++)
		count++;
	return count;
}

static bool flushed_to(size_t wanted)
{
	for (size_t i = 0; i < TRIES; i++) {
		if (flushes() >= wanted)
			return true;
		usleep(10000);
	}
	return false;
}

static int count_one(void *context, size_t worker UNUSED, size_t index UNUSED, struct error *error UNUSED)
{
	staging_flush_count(context, A_FLUSH / 1000);
	return 0;
}

static void each_time_so_much_was_written(void **state)
{
	(void)state;
#ifdef NIGHTSHIFT_FAULT_POINTS
	struct error error;
	CLEANUP(file_close) int directory = open_dir(".");
	CLEANUP(staging_flush_free) struct staging_flush *flush = staging_flush_new(directory);

	assert_int_equal(setenv("NIGHTSHIFT_FAULT_LOG", LOG, 1), 0);
	assert_non_null(flush);
	assert_done(crew_run(CREW_MOST, 900, 1, count_one, flush, &error));
	assert_false(flushes() > 0);
	assert_done(crew_run(CREW_MOST, 200, 1, count_one, flush, &error));
	assert_true(flushed_to(1));
	staging_flush_count(flush, A_FLUSH);
	assert_true(flushed_to(2));
	/* Wanted, and not waited for. */
	staging_flush_count(flush, A_FLUSH);
	staging_flush_free(&flush);
	assert_in_range(flushes(), 2, 3);
	unsetenv("NIGHTSHIFT_FAULT_LOG");
#else
	skip();
#endif
}

static void none_is_taken(void **state)
{
	(void)state;
	struct staging_flush *none = NULL;
	staging_flush_count(none, A_FLUSH);
	staging_flush_free(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_time_so_much_was_written),
		cmocka_unit_test(none_is_taken),
	};
	return cmocka_run_group_tests_name("staging_flush", tests, fixture_start, fixture_end);
}
