#include "tests/unit/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"

static void make(int directory, const char *path)
{
	CLEANUP(file_close) int fd = openat(directory, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

static void neighbours(void **state)
{
	int directory = *(int *)*state, parent = -1, again = -1;
	CLEANUP(folder_close) struct folder folder = FOLDER_CLOSED;
	const char *name = NULL;
	struct error error;

	assert_int_equal(mkdirat(directory, "a", 0755), 0);
	assert_int_equal(mkdirat(directory, "a/b", 0755), 0);
	assert_int_equal(mkdirat(directory, "ab", 0755), 0);
	assert_ok(folder_enter(&folder, directory, "a/b/one", &parent, &name, &error), error);
	assert_string_equal(name, "one");
	assert_ok(folder_enter(&folder, directory, "a/b/two", &again, &name, &error), error);
	assert_int_equal(parent, again);
	/* A path of the same length, one that is longer, the root itself, and another root. */
	make(directory, "ab/x");
	make(directory, "a/b/x");
	static const char *const paths[] = {"ab/x", "a/b/x", "ab/x"};
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CLEANUP(file_close) int fd = -1;
		struct stat found, wanted;
		assert_ok(folder_open(&folder, directory, paths[i], O_RDONLY, 0, &fd, &error), error);
		assert_int_equal(fstat(fd, &found), 0);
		assert_int_equal(fstatat(directory, paths[i], &wanted, 0), 0);
		assert_true(found.st_ino == wanted.st_ino);
	}
	assert_ok(folder_enter(&folder, directory, "top", &parent, &name, &error), error);
	assert_int_equal(parent, directory);
	CLEANUP(file_close) int other = openat(directory, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(file_close) int fd = -1;
	assert_refused(folder_open(&folder, other, "ab/x", O_RDONLY, 0, &fd, &error), error, ERROR_DATA, "missing");
}

static void stays_beneath(void **state)
{
	int directory = *(int *)*state, parent = -1;
	CLEANUP(folder_close) struct folder folder = FOLDER_CLOSED;
	CLEANUP(file_close) int fd = -1;
	const char *name = NULL;
	struct error error;

	assert_int_equal(mkdirat(directory, "in", 0755), 0);
	assert_int_equal(mkdirat(directory, "out", 0755), 0);
	make(directory, "out/file");
	assert_int_equal(symlinkat("../out", directory, "in/link"), 0);
	assert_int_equal(symlinkat("../out/file", directory, "in/file"), 0);
	static const char *const paths[] = {"../out/file", "..",       "in/..",   "in/.",        "in/", "",
					    "/in/file",    "in//file", "in/../x", "in/link/file"};
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(folder_open(&folder, directory, paths[i], O_RDONLY, 0, &fd, &error), -ERROR_DATA);
		assert_int_equal(fd, -1);
	}
	/* A link as the last component is not followed, not even to make a file. */
	assert_int_equal(folder_open(&folder, directory, "in/file", O_RDONLY, 0, &fd, &error), -ERROR_DATA);
	assert_int_equal(folder_open(&folder, directory, "in/file", O_WRONLY | O_CREAT, 0600, &fd, &error),
			 -ERROR_DATA);
	assert_int_equal(fd, -1);
	/* One that failed leaves nothing that the next could stand in. */
	assert_refused(folder_enter(&folder, directory, "no/file", &parent, &name, &error), error, ERROR_DATA,
		       "missing");
	assert_ok(folder_enter(&folder, directory, "out/file", &parent, &name, &error), error);
	assert_ok(folder_open(&folder, directory, "out/file", O_RDONLY, 0, &fd, &error), error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours),
		cmocka_unit_test(stays_beneath),
	};
	return cmocka_run_group_tests_name("folder", tests, fixture_directory, fixture_remove);
}
