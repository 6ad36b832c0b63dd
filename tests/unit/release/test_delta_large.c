/* Deltas of what is large, moved, or copied whole, and on any number of cores. */
#include "releases.h"

#include <sched.h>

#include "release/blob.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"

#define MIB ((size_t)1024 * 1024)

/* Bytes that are nowhere else. */
static uint8_t *noise(size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(seed >> 56);
	}
	return bytes;
}

/* The same with much nothing between, which is packed in no time. */
static uint8_t *islands(size_t size, uint64_t seed)
{
	uint8_t *bytes = noise(size, seed);

	for (size_t i = 0; i < size; i++)
		if (i % 2048 >= 64)
			bytes[i] = 0;
	return bytes;
}

/* One byte in so many is another, and not the same one everywhere. */
static void edit(uint8_t *bytes, size_t size, size_t every)
{
	for (size_t i = every / 2; i < size; i += every)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void pack_both(const char *old, const char *new)
{
	manifest_free(&(struct manifest *){pack_tree(old, "1", "old.bundle")});
	manifest_free(&(struct manifest *){pack_tree(new, "2", "new.bundle")});
}

static struct delta_made make(const char *output)
{
	const struct delta_make make = {.old = "old.bundle", .new = "new.bundle", .output = output};
	struct delta_made made;
	struct error error;

	assert_done(delta_make(&make, &made, &error));
	return made;
}

/* The plan that is in the delta's index. Caller frees. */
static struct delta_plan plan_of(const char *path, const struct releases *releases)
{
	CLEANUP(buffer_free) struct buffer file = get_bytes(path);
	CLEANUP(free_pointer) uint8_t *index = NULL;
	struct delta_plan plan = {0};
	uint64_t size = 0, stored = 0;
	struct delta_head head;
	struct error error;

	assert_done(delta_read_head(file.data, file.size, &head, &error));
	const uint8_t *at = file.data + head.size, *end = file.data + file.size;
	assert_true(delta_number_take(&at, end, &size) && delta_number_take(&at, end, &stored));
	at += HASH_SIZE;
	assert_true((uint64_t)(end - at) >= stored && size <= DELTA_INDEX_MOST);
	index = malloc((size_t)size);
	assert_non_null(index);
	assert_done(blob_unpatch((struct blob_prefix){NULL, 0}, at, (size_t)stored, index, (size_t)size, &error));
	assert_done(
		delta_plan_read(index, (size_t)size, releases->manifests[0], releases->manifests[1], &plan, &error));
	return plan;
}

/* The new tree comes of the old one and the delta alone. */
static void assert_applies(const struct releases *releases, const char *delta)
{
	struct unpack_made made;

	assert_int_equal(releases_build(releases, "staging", "old", delta, &made), 0);
	assert_int_equal(made.missed, 0);
	assert_int_equal(made.refused.code, 0);
	releases_same("new", "staging");
}

static int forget(void **state)
{
	(void)state;
	run_command("rm -rf old new *.bundle *.delta");
	return 0;
}

/* New files of which the old release has every byte: no frame at all. */
static void all_is_copied(void **state)
{
	(void)state;
	CLEANUP(free_pointer) uint8_t *bytes = noise(MIB, 1);
	CLEANUP(free_pointer) uint8_t *turned = malloc(MIB);
	size_t parts = 0;

	assert_non_null(turned);
	memcpy(turned, bytes + MIB / 2, MIB / 2);
	memcpy(turned + MIB / 2, bytes, MIB / 2);
	put_bytes("old/lib/first", bytes, MIB, 0644);
	put_bytes("old/lib/second", bytes + 1000, 100000, 0644);
	put_bytes("new/lib/first", turned, MIB, 0644);
	put_bytes("new/lib/cut", bytes + 5000, 300000, 0644);
	pack_both("old", "new");
	CLEANUP(releases_end) struct releases releases = releases_load("old.bundle", "new.bundle");
	assert_int_equal(make("copied.delta").contents, 2);
	CLEANUP(delta_plan_free) struct delta_plan plan = plan_of("copied.delta", &releases);
	for (size_t i = 0; i < plan.part_count; i++) {
		assert_int_equal(plan.parts[i].stored, 0);
		assert_int_equal(plan.parts[i].plain, 0);
		parts += plan.parts[i].copied > 0;
	}
	assert_true(parts > 0);
	assert_applies(&releases, "copied.delta");
}

/* Copied from where the base is wrong: the file comes as a blob, and nobody takes what was copied for it. */
static void copied_from_damage(void **state)
{
	(void)state;
	CLEANUP(free_pointer) uint8_t *bytes = noise(MIB, 2);

	put_bytes("old/from", bytes, MIB, 0644);
	put_bytes("old/other", bytes + 10, 5000, 0644);
	put_bytes("new/to", bytes + 4096, MIB - 4096, 0644);
	put_bytes("new/other", bytes + 20, 4000, 0644);
	pack_both("old", "new");
	CLEANUP(releases_end) struct releases releases = releases_load("old.bundle", "new.bundle");
	make("moved.delta");
	run_command("cp -a old hurt && printf x | dd of=hurt/from bs=1 seek=600000 conv=notrunc 2>/dev/null");
	assert_int_equal(releases_mend(&releases, "hurt", "from", "moved.delta", "new"), 1);
	run_command("rm -rf hurt");
}

/* Moved, with edits so close that little of it can be copied, and a block that moved within it. Returns the largest of
 * its parts. */
static size_t edited_and_moved(size_t size)
{
	const size_t block = size / 8, front = 20000;
	CLEANUP(free_pointer) uint8_t *bytes = islands(size, 3);
	CLEANUP(free_pointer) uint8_t *changed = noise(size + front, 4);
	size_t patched = 0, largest = 0;
	struct stat status;

	put_bytes("old/share/image", bytes, size, 0644);
	memcpy(changed + front, bytes + block, size - block);
	memcpy(changed + front + size - block, bytes, block);
	edit(changed + front, size, 700);
	put_bytes("new/elsewhere/image-2", changed, size + front, 0644);
	pack_both("old", "new");
	CLEANUP(releases_end) struct releases releases = releases_load("old.bundle", "new.bundle");
	make("large.delta");
	CLEANUP(delta_plan_free) struct delta_plan plan = plan_of("large.delta", &releases);
	for (size_t i = 0; i < plan.part_count; i++) {
		patched += plan.parts[i].plain;
		if (plan.parts[i].plain > largest)
			largest = plan.parts[i].plain;
	}
	assert_true(patched > size - size / 50);
	assert_int_equal(stat("large.delta", &status), 0);
	assert_true(status.st_size < (off_t)size / 8);
	assert_applies(&releases, "large.delta");
	return largest;
}

static void large_is_patched(void **state)
{
	(void)state;
	const size_t size = 3 * MIB;

	assert_true(edited_and_moved(size) > size);
}

/* More than a part may hold is cut; ten seconds of work, hence only for who asks. */
static void larger_is_cut(void **state)
{
	(void)state;
	const size_t size = DELTA_PLAIN_MOST + 8 * MIB;

	assert_true(edited_and_moved(size) <= DELTA_PLAIN_MOST);
}

/* --- cores --- */

static void use_cores(const cpu_set_t *all, size_t most)
{
	cpu_set_t some;
	size_t left = most;

	CPU_ZERO(&some);
	for (size_t i = 0; i < CPU_SETSIZE && left > 0; i++)
		if (CPU_ISSET(i, all)) {
			CPU_SET(i, &some);
			left--;
		}
	assert_int_equal(sched_setaffinity(0, sizeof(some), &some), 0);
}

/* Enough for several blobs and several parts. */
static void put_many(void)
{
	const size_t size = 7 * MIB;
	char path[64];

	for (int i = 0; i < 2; i++) {
		CLEANUP(free_pointer) uint8_t *bytes = islands(size, (uint64_t)i + 10);
		snprintf(path, sizeof(path), "old/file-%d", i);
		put_bytes(path, bytes, size, 0644);
		edit(bytes, size, 700);
		snprintf(path, sizeof(path), "new/file-%d", i);
		put_bytes(path, bytes, size, 0644);
	}
}

/* Packed and made by one core and by all of them: the same bytes. */
static void same_on_any_cores(void **state)
{
	(void)state;
	cpu_set_t all;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2)
		skip();
	put_many();
	use_cores(&all, 1);
	pack_both("old", "new");
	make("one.delta");
	run_command("mv old.bundle old-1.bundle && mv new.bundle new-1.bundle");
	use_cores(&all, CPU_SETSIZE);
	pack_both("old", "new");
	make("all.delta");
	assert_true(same_files("old-1.bundle", "old.bundle") && same_files("new-1.bundle", "new.bundle"));
	assert_true(same_files("one.delta", "all.delta"));
	CLEANUP(releases_end) struct releases releases = releases_load("old.bundle", "new.bundle");
	CLEANUP(delta_plan_free) struct delta_plan plan = plan_of("all.delta", &releases);
	assert_true(plan.part_count > 1 && releases.manifests[1]->blob_count > 1);
	assert_applies(&releases, "all.delta");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_is_copied, forget),
		cmocka_unit_test_teardown(copied_from_damage, forget),
		cmocka_unit_test_teardown(large_is_patched, forget),
		cmocka_unit_test_teardown(same_on_any_cores, forget),
	};
	const struct CMUnitTest long_ones[] = {
		cmocka_unit_test_teardown(larger_is_cut, forget),
	};
	if (getenv("NIGHTSHIFT_SWEEP") && cmocka_run_group_tests_name("larger", long_ones, fixture_start, fixture_end))
		return 1;
	return cmocka_run_group_tests_name("delta_large", tests, fixture_start, fixture_end);
}
