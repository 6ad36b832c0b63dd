#include "tests/unit/fixture.h"

#include "base/buffer.h"

static void appends_up_to_its_limit(void **state)
{
	CLEANUP(buffer_free) struct buffer buffer = BUFFER_INIT(8);
	struct error error;

	(void)state;
	assert_ok(buffer_append(&buffer, "12345", 5, &error), error);
	assert_ok(buffer_append_string(&buffer, "678", &error), error);
	assert_refused(buffer_append(&buffer, "9", 1, &error), error, ERROR_DATA, "length");
	assert_string_equal((char *)buffer.data, "12345678");
}

static void consumes_from_the_front(void **state)
{
	CLEANUP(buffer_free) struct buffer buffer = BUFFER_INIT(0);
	struct error error;

	(void)state;
	assert_ok(buffer_printf(&buffer, &error, "%s-%d", "abc", 7), error);
	buffer_consume(&buffer, 2);
	assert_string_equal((char *)buffer.data, "c-7");
	buffer_clear(&buffer);
	assert_int_equal(buffer.size, 0);
	assert_string_equal((char *)buffer.data, "");
}

static void grows_far(void **state)
{
	CLEANUP(buffer_wipe) struct buffer buffer = BUFFER_INIT(0);
	struct error error;

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_ok(buffer_append(&buffer, &i, sizeof i, &error), error);
	for (int i = 0; i < 100000; i++)
		assert_memory_equal(buffer.data + (size_t)i * sizeof i, &i, sizeof i);
}

/* What is moved leaves its old place, what is refused stays where it is. */
static void takes_another(void **state)
{
	CLEANUP(buffer_free) struct buffer into = BUFFER_INIT(6);
	CLEANUP(buffer_free) struct buffer from = BUFFER_INIT(0);
	struct error error;

	(void)state;
	assert_ok(buffer_append_string(&from, "abcd", &error), error);
	const uint8_t *moved = from.data;
	assert_ok(buffer_append_take(&into, &from, &error), error);
	assert_ptr_equal(into.data, moved);
	assert_null(from.data);
	assert_int_equal(into.limit, 6);
	assert_int_equal(from.limit, 0);
	assert_ok(buffer_append_string(&from, "ef", &error), error);
	assert_ok(buffer_append_take(&into, &from, &error), error);
	assert_string_equal((char *)into.data, "abcdef");
	assert_int_equal(from.size, 0);
	assert_ok(buffer_append_take(&into, &from, &error), error);
	assert_ok(buffer_append_string(&from, "ghijklm", &error), error);
	for (int i = 0; i < 2; i++) {
		assert_refused(buffer_append_take(&into, &from, &error), error, ERROR_DATA, "length");
		assert_string_equal((char *)from.data, "ghijklm");
		buffer_clear(&into);
	}
	buffer_consume(&from, 1);
	assert_ok(buffer_append_take(&into, &from, &error), error);
	assert_string_equal((char *)into.data, "hijklm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_up_to_its_limit),
		cmocka_unit_test(consumes_from_the_front),
		cmocka_unit_test(grows_far),
		cmocka_unit_test(takes_another),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
