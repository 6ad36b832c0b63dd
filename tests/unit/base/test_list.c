#include "tests/unit/fixture.h"

#include <stdlib.h>

#include "base/list.h"

static void grows(void **state)
{
	(void)state;
	CLEANUP(free_pointer) uint64_t *list = NULL;
	size_t room = 0, turns = 0;

	for (size_t i = 0; i < 10000; i++) {
		size_t before = room;
		list = list_grow(list, i, &room, sizeof(*list));
		assert_non_null(list);
		assert_true(room > i);
		turns += room != before;
		list[i] = i;
	}
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(list[i], i);
	/* Not copied each time. */
	assert_true(turns < 20);
}

#ifndef __SANITIZE_ADDRESS__ /* it ends whoever asks for so much */
static void memory_ends(void **state)
{
	(void)state;
	size_t room = SIZE_MAX / 8, none = 0;
	CLEANUP(free_pointer) uint64_t *list = list_grow(NULL, 0, &none, sizeof(*list));

	assert_non_null(list);
	assert_null(list_grow(list, room, &room, sizeof(*list)));
	assert_int_equal(room, SIZE_MAX / 8);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(memory_ends),
#endif
	};
	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
