#include "tests/unit/fixture.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/crew.h"
#include "base/crew_memory.h"

#define PIECES 1000

struct shared {
	struct crew_memory memory;
	atomic_size_t held, most, alone;
};

#define SHARED_MOST   ((size_t)10)
#define BORROWED_MOST ((size_t)250)
#define LARGE         ((size_t)1000 * 1000)

/* Every eighth piece takes more than there is. */
static int share(void *context, size_t worker, size_t index, struct error *error)
{
	struct shared *shared = context;
	size_t size = index % 8 == 0 ? 2 * SHARED_MOST : index % SHARED_MOST, before;

	(void)worker;
	(void)error;
	crew_memory_take(&shared->memory, size);
	before = atomic_fetch_add(&shared->held, size);
	if (size > SHARED_MOST)
		atomic_fetch_add(&shared->alone, before == 0 ? 1 : 0);
	else if (before + size > atomic_load(&shared->most))
		atomic_store(&shared->most, before + size);
	atomic_fetch_sub(&shared->held, size);
	crew_memory_give(&shared->memory, size);
	return 0;
}

static void memory_is_shared(void **state)
{
	(void)state;
	struct shared shared = {.memory = CREW_MEMORY_INIT(SHARED_MOST)};
	struct error error;

	assert_int_equal(crew_run(CREW_MOST, PIECES, 1, share, &shared, &error), 0);
	assert_int_equal(shared.memory.taken, 0);
	assert_true(atomic_load(&shared.most) <= SHARED_MOST);
	assert_int_equal(atomic_load(&shared.alone), PIECES / 8);
	crew_memory_end(&shared.memory);
}

/* A block for each piece, filled by whoever has it: nobody else writes there meanwhile. */
static int borrow(void *context, size_t worker UNUSED, size_t index, struct error *error)
{
	struct shared *shared = context;
	size_t size = index % 8 == 0 ? 3 * BORROWED_MOST : 1 + index % 100;
	uint8_t *block = crew_memory_borrow(&shared->memory, size);

	if (block == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no block");
	memset(block, (int)(index & 0xff), size);
	sched_yield();
	for (size_t i = 0; i < size; i++)
		if (block[i] != (index & 0xff))
			atomic_fetch_add(&shared->alone, 1);
	crew_memory_return(&shared->memory, block);
	return 0;
}

static void blocks_are_lent(void **state)
{
	(void)state;
	struct shared shared = {.memory = CREW_MEMORY_INIT(BORROWED_MOST)};
	struct error error;

	assert_int_equal(crew_run(CREW_MOST, PIECES, 1, borrow, &shared, &error), 0);
	assert_int_equal(atomic_load(&shared.alone), 0);
	crew_memory_end(&shared.memory);
}

static void idle_blocks(void **state)
{
	(void)state;
	struct shared shared = {.memory = CREW_MEMORY_INIT(BORROWED_MOST)};
	void *first = crew_memory_borrow(&shared.memory, 20), *second = crew_memory_borrow(&shared.memory, 60);
	crew_memory_return(&shared.memory, first);
	crew_memory_return(&shared.memory, second);
	/* The smaller one is enough for the first who asks. */
	assert_ptr_equal(crew_memory_borrow(&shared.memory, 20), first);
	assert_ptr_equal(crew_memory_borrow(&shared.memory, 20), second);
	crew_memory_return(&shared.memory, first);
	crew_memory_return(&shared.memory, second);
	/* What lies idle is in nobody's way. */
	crew_memory_take(&shared.memory, 10 * BORROWED_MOST);
	assert_int_equal(shared.memory.taken, 10 * BORROWED_MOST);
	crew_memory_give(&shared.memory, 10 * BORROWED_MOST);
	crew_memory_end(&shared.memory);
}

/* A little more another time is had from the same block. */
static void sizes_are_rounded(void **state)
{
	(void)state;
	struct shared shared = {.memory = CREW_MEMORY_INIT(2 * LARGE)};
	void *block = crew_memory_borrow(&shared.memory, LARGE);
	const size_t taken = shared.memory.taken;
	assert_in_range(taken, LARGE, LARGE + LARGE / 8);
	crew_memory_return(&shared.memory, block);
	assert_ptr_equal(crew_memory_borrow(&shared.memory, LARGE + LARGE / 100), block);
	assert_int_equal(shared.memory.taken, taken);
	crew_memory_return(&shared.memory, block);
	crew_memory_end(&shared.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_shared),
		cmocka_unit_test(blocks_are_lent),
		cmocka_unit_test(idle_blocks),
		cmocka_unit_test(sizes_are_rounded),
	};
	return cmocka_run_group_tests_name("crew_memory", tests, NULL, NULL);
}
