#include "fixture.h"

#include "release/unpack_pool.h"

/* What is worth beginning its way to the disk early. */
#define LARGE ((off_t)256 * 1024 * 1024)

struct release {
	struct bundle *bundle;
	struct manifest *manifest;
};

static struct release releases[2]; /* they differ in one text */
static int staging = -1, base = -1;

static void make_release(struct release *release, const char *name)
{
	char path[64];
	struct error error;

	snprintf(path, sizeof(path), "%s/text", name);
	put_text(path, name);
	snprintf(path, sizeof(path), "%s/large", name);
	put_text(path, "large");
	assert_int_equal(truncate(path, LARGE), 0);
	snprintf(path, sizeof(path), "%s.bundle", name);
	release->manifest = pack_tree(name, name, path);
	assert_done(bundle_open(path, &release->bundle, &error));
}

static int start(void **state)
{
	if (fixture_start(state) != 0)
		return -1;
	make_release(&releases[0], "old");
	make_release(&releases[1], "new");
	return 0;
}

static int end(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		manifest_free(&releases[i].manifest);
		bundle_free(&releases[i].bundle);
	}
	return fixture_end(state);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(mkdir("staging", 0755), 0);
	staging = open_dir("staging");
	base = open_dir("old");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct error error;
	file_close(&staging);
	file_close(&base);
	return file_remove_tree_at(AT_FDCWD, "staging", &error);
}

static struct unpack *begin(const struct manifest *old)
{
	struct unpack *unpack = NULL;
	struct error error;
	assert_done(unpack_begin(staging, releases[1].manifest, old != NULL ? base : -1, old, UNPACK_COPY, &unpack,
				 &error));
	return unpack;
}

static int stage(struct error *error)
{
	CLEANUP(unpack_free) struct unpack *unpack = begin(releases[0].manifest);
	int result = unpack_bundle(unpack, releases[1].bundle, releases[1].manifest, error);
	return result == 0 ? unpack_finish(unpack, error) : result;
}

static bool is_noted(const char *line)
{
	CLEANUP(buffer_free) struct buffer progress = get_bytes("staging/progress");
	return strstr((const char *)progress.data, line) != NULL;
}

/* An earlier try's blob, and what it brought. */
static bool counts(void)
{
	CLEANUP(unpack_free) struct unpack *unpack = begin(NULL);
	return unpack_progress(unpack).blobs_done > 0;
}

static void much_is_flushed(void **state)
{
	(void)state;
	struct error error;

	assert_done(stage(&error));
	assert_true(is_noted("\nflush\n"));
	assert_true(is_noted("\nflushed\n"));
	assert_true(counts());
}

static void little_is_left_for_the_end(void **state)
{
	(void)state;
	CLEANUP(unpack_free) struct unpack *unpack = begin(NULL);
	assert_non_null(unpack);
	assert_false(is_noted("flush"));
}

/* The kernel says it once: to the one who flushes, not to act that syncs last. */
static void disk_refuses(void **state)
{
	(void)state;
	struct error error;

#ifndef NIGHTSHIFT_FAULT_POINTS
	skip();
#endif
	assert_int_equal(setenv("NIGHTSHIFT_FAULT", "file.syncfs=eio", 1), 0);
	assert_refused(stage(&error), "write");
	assert_int_equal(unsetenv("NIGHTSHIFT_FAULT"), 0);
	assert_false(is_noted("flushed"));
	assert_false(counts());
	assert_done(stage(&error));
	assert_true(counts());
}

static void nobody_saw_the_end(void **state)
{
	(void)state;
	struct error error;

	assert_done(stage(&error));
	CLEANUP(buffer_free) struct buffer progress = get_bytes("staging/progress");
	const char *text = (const char *)progress.data, *end = strstr(text, "flushed\n");
	assert_non_null(end);
	CLEANUP(buffer_free) struct buffer killed = BUFFER_INIT(0);
	assert_done(buffer_append(&killed, text, (size_t)(end - text), &error));
	assert_done(buffer_append(&killed, end + strlen("flushed\n"), strlen(end + strlen("flushed\n")), &error));
	put_bytes("staging/progress", killed.data, killed.size, 0600);
	assert_false(counts());
	assert_done(stage(&error));
	assert_true(counts());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(much_is_flushed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(little_is_left_for_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disk_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_saw_the_end, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("unpack_flush", tests, start, end);
}
