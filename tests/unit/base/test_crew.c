#include "tests/unit/fixture.h"

#include <stdatomic.h>

#include "base/crew.h"

#define PIECES 1000

struct counted {
	atomic_int done[PIECES];
	atomic_size_t workers;
	size_t fails[2];
};

static int count(void *context, size_t worker, size_t index, struct error *error)
{
	struct counted *counted = context;

	atomic_fetch_add(&counted->done[index], 1);
	if (worker >= crew_size(CREW_MOST))
		return error_set(error, ERROR_BUG, "worker", "worker %zu is beyond the crew", worker);
	if (index == counted->fails[0] || index == counted->fails[1])
		return error_set(error, ERROR_DATA, "piece", "piece %zu", index);
	return 0;
}

static void every_piece_once(void **state)
{
	(void)state;
	static const size_t steps[] = {0, 1, 7, PIECES, 10 * PIECES};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct counted counted = {.fails = {PIECES, PIECES}};
		struct error error;
		assert_int_equal(crew_run(CREW_MOST, PIECES, steps[i], count, &counted, &error), 0);
		for (size_t k = 0; k < PIECES; k++)
			assert_int_equal(atomic_load(&counted.done[k]), 1);
	}
	assert_int_equal(crew_run(CREW_MOST, 0, 1, count, NULL, NULL), 0);
}

static void lowest_error(void **state)
{
	(void)state;
	for (size_t step = 1; step < 50; step += 12) {
		struct counted counted = {.fails = {20, 20 + step}};
		struct error error;
		assert_int_equal(crew_run(CREW_MOST, PIECES, step, count, &counted, &error), -ERROR_DATA);
		assert_string_equal(error.text, "piece 20");
	}
}

static void sizes(void **state)
{
	(void)state;
	assert_int_equal(crew_size(1), 1);
	assert_int_equal(crew_size(0), 1);
	assert_in_range(crew_size(CREW_MOST), 1, CREW_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_once),
		cmocka_unit_test(lowest_error),
		cmocka_unit_test(sizes),
	};
	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
