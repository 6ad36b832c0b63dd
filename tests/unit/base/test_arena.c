#include "tests/unit/fixture.h"

#include <stdio.h>

#include "base/arena.h"

#define TEXTS 20000

/* Texts of all lengths, larger than a block among them, stand until the end and have their NUL. */
static void keeps_texts(void **state)
{
	(void)state;
	CLEANUP(arena_free) struct arena arena = {0};
	CLEANUP(free_pointer) const char **texts = calloc(TEXTS, sizeof(*texts));
	CLEANUP(free_pointer) char *long_text = malloc(200000);
	const char *empty = NULL, *copy = NULL;
	struct error error;
	char text[128];

	memset(long_text, 'l', 200000);
	assert_ok(arena_text(&arena, "", 0, &empty, &error), error);
	for (size_t i = 0; i < TEXTS; i++) {
		int size = snprintf(text, sizeof text, "%0*zu", (int)(i % 100), i);
		assert_ok(arena_text(&arena, text, (size_t)size, &texts[i], &error), error);
		if (i == TEXTS / 2)
			assert_ok(arena_text(&arena, long_text, 200000, &copy, &error), error);
	}
	for (size_t i = 0; i < TEXTS; i++) {
		snprintf(text, sizeof text, "%0*zu", (int)(i % 100), i);
		assert_string_equal(texts[i], text);
	}
	assert_string_equal(empty, "");
	assert_int_equal(strlen(copy), 200000);
	/* Only what was asked for is read. */
	assert_ok(arena_text(&arena, "abcdef", 3, &copy, &error), error);
	assert_string_equal(copy, "abc");
	assert_refused(arena_text(&arena, "", SIZE_MAX, &copy, &error), error, ERROR_DATA, "length");
	assert_string_equal(copy, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_texts)};
	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
