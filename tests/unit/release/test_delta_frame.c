#include "fixture.h"

#include "release/delta_frame.h"
#include "release/delta_number.h"

#define SIZE ((size_t)400 * 1024)

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(seed >> 56);
	}
}

/* Makes, reads back and compares; returns how many bytes were stored. */
static size_t round_trip(const uint8_t *prefix, size_t prefix_size, const uint8_t *plain, size_t size)
{
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0), again = BUFFER_INIT(0);
	CLEANUP(free_pointer) uint8_t *made = malloc(size);
	const struct blob_prefix old = {prefix, prefix_size};
	struct error error;

	assert_done(delta_frame_make(old, plain, size, &stored, &error));
	assert_done(delta_frame_make(old, plain, size, &again, &error));
	assert_int_equal(stored.size, again.size);
	assert_memory_equal(stored.data, again.data, stored.size);
	assert_done(delta_frame_read(old, stored.data, stored.size, made, size, &error));
	assert_memory_equal(made, plain, size);
	/* One byte less, and one of another plain. */
	assert_true(delta_frame_read(old, stored.data, stored.size - 1, made, size, &error) < 0);
	assert_true(delta_frame_read(old, stored.data, stored.size, made, size - 1, &error) < 0);
	return stored.size;
}

static void round_trips(void **state)
{
	(void)state;
	CLEANUP(free_pointer) uint8_t *old = malloc(SIZE);
	CLEANUP(free_pointer) uint8_t *new = malloc(SIZE);

	fill(old, SIZE, 1);
	/* The same; in another order; with edits; grown at both ends; cut; of a few bytes; without any prefix. */
	memcpy(new, old, SIZE);
	assert_true(round_trip(old, SIZE, new, SIZE) < 100);
	memcpy(new, old + SIZE / 2, SIZE / 2);
	memcpy(new + SIZE / 2, old, SIZE / 2);
	assert_true(round_trip(old, SIZE, new, SIZE) < 200);
	for (size_t i = 5000; i < SIZE; i += 20011)
		new[i] ^= 1;
	assert_true(round_trip(old, SIZE, new, SIZE) < 2000);
	memcpy(new + 3000, old, SIZE - 6000);
	fill(new, 3000, 2);
	fill(new + SIZE - 3000, 3000, 3);
	assert_true(round_trip(old, SIZE, new, SIZE) < 7000);
	assert_true(round_trip(old, SIZE, old + 77777, 99999) < 100);
	assert_true(round_trip(old, SIZE, old + 7, 70) < 100);
	assert_true(round_trip(NULL, 0, old, 3000) < 3100);
	/* Nothing alike, and an edit every hundred bytes: no copies. */
	fill(new, SIZE, 4);
	assert_true(round_trip(old, SIZE, new, SIZE) > SIZE);
	memcpy(new, old, SIZE);
	for (size_t i = 0; i < SIZE; i += 100)
		new[i] ^= 1;
	assert_true(round_trip(old, SIZE, new, SIZE) < SIZE / 10);
	/* One byte all over. */
	memset(old, 0, SIZE);
	memset(new, 0, SIZE);
	assert_true(round_trip(old, SIZE, new, SIZE / 2) < 100);
}

/* What lies far from every copy is out of the prefix, on both sides. */
static void far_away(void **state)
{
	(void)state;
	size_t size = (size_t)4 << 20;
	CLEANUP(free_pointer) uint8_t *old = malloc(size);
	CLEANUP(free_pointer) uint8_t *new = malloc(size);
	fill(old, size, 1);
	memcpy(new, old + size / 2, size / 4);
	fill(new + size / 8, 4000, 2);
	assert_true(round_trip(old, size, new, size / 4) < 4200);
}

static void wrong_prefix(void **state)
{
	(void)state;
	CLEANUP(free_pointer) uint8_t *old = malloc(SIZE);
	CLEANUP(free_pointer) uint8_t *made = calloc(1, SIZE);
	CLEANUP(buffer_free) struct buffer stored = BUFFER_INIT(0);
	struct error error;

	fill(old, SIZE, 1);
	assert_done(delta_frame_make((struct blob_prefix){old, SIZE}, old + 1000, SIZE - 1000, &stored, &error));
	old[SIZE / 2] ^= 1;
	assert_done(
		delta_frame_read((struct blob_prefix){old, SIZE}, stored.data, stored.size, made, SIZE - 1000, &error));
	assert_memory_equal(made, old + 1000, SIZE - 1000);
	/* A prefix that is too short for what is copied from it. */
	assert_refused(delta_frame_read((struct blob_prefix){old, SIZE - 1}, stored.data, stored.size, made,
					SIZE - 1000, &error),
		       "delta");
}

/* A part of 10000 bytes over a prefix of as many whose copies are these numbers. */
static int read_copies(const uint64_t *numbers, size_t count, struct error *error)
{
	CLEANUP(buffer_free) struct buffer table = BUFFER_INIT(0), frame = BUFFER_INIT(0), stored = BUFFER_INIT(0);
	static uint8_t prefix[10000], plain[10000];

	for (size_t i = 0; i < count; i++)
		assert_int_equal(delta_number_write(&table, numbers[i], error), 0);
	assert_int_equal(blob_patch((struct blob_prefix){NULL, 0}, table.data, table.size, true, &frame, error), 0);
	assert_int_equal(delta_number_write(&stored, table.size, error), 0);
	assert_int_equal(delta_number_write(&stored, frame.size, error), 0);
	assert_int_equal(buffer_append(&stored, frame.data, frame.size, error), 0);
	return delta_frame_read((struct blob_prefix){prefix, sizeof(prefix)}, stored.data, stored.size, plain,
				sizeof(plain), error);
}

static void hostile(void **state)
{
	(void)state;
	const struct {
		uint64_t numbers[7];
		size_t count;
		const char *why;
	} tables[] = {
		{{0, 0, 10000, 0}, 4, NULL}, /* a good one: reach, gap, size, shift */
		{{0, 0, 10001, 0}, 4, "delta"},
		{{0, 1, 10000, 0}, 4, "delta"},
		{{0, 10001, 1, 0}, 4, "delta"},
		{{0, 0, 0, 0}, 4, "delta"},
		{{0, 0, 511, 0}, 4, "delta"}, /* shorter than any */
		{{0, 0, 10000, 2}, 4, "delta"}, /* from 1 on */
		{{0, 0, 10000, 1}, 4, "delta"}, /* from -1 on */
		{{0, 0, UINT64_MAX >> 1, 0}, 4, "delta"},
		{{0, UINT64_MAX >> 1, 2, 0}, 4, "delta"},
		{{0, 0, 5000, 0, 0, 5001, 0}, 7, "delta"},
		{{0, 0, 5000, 0, 0, 5000, 0}, 7, NULL},
		{{0, 0, 10000}, 3, "delta"}, /* ends early */
		{{UINT64_MAX >> 1, 0, 10000, 0}, 4, "delta"},
		{{0, 0, 9000, 0}, 4, "format"}, /* and no frame for the rest */
	};
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0x7f, 0x01, 0x00};
	uint8_t plain[100];
	struct error error;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i].why == NULL)
			assert_done(read_copies(tables[i].numbers, tables[i].count, &error));
		else
			assert_refused(read_copies(tables[i].numbers, tables[i].count, &error), tables[i].why);
	assert_refused(delta_frame_read((struct blob_prefix){NULL, 0}, "", 0, plain, sizeof(plain), &error), "delta");
	assert_refused(
		delta_frame_read((struct blob_prefix){NULL, 0}, huge, sizeof(huge), plain, sizeof(plain), &error),
		"length");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(far_away),
		cmocka_unit_test(wrong_prefix),
		cmocka_unit_test(hostile),
	};
	return cmocka_run_group_tests_name("delta_frame", tests, NULL, NULL);
}
