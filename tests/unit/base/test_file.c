#include "tests/unit/fixture.h"

#include <sys/stat.h>

#include "base/file.h"

static void replaces_whole_or_not_at_all(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(100);
	struct error error;
	struct stat status;

	assert_ok(file_replace_at(directory, "a", "one", 3, 0640, &error), error);
	assert_ok(file_replace_at(directory, "a", "two!", 4, 0600, &error), error);
	assert_ok(file_read_at(directory, "a", &text, &error), error);
	assert_string_equal((char *)text.data, "two!");
	assert_int_equal(fstatat(directory, "a", &status, 0), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_refused(file_create_at(directory, "a", "x", 1, 0600, &error), error, ERROR_CANNOT_CREATE, "exists");
	assert_refused(file_replace_at(directory, "none/a", "x", 1, 0600, &error), error, ERROR_CANNOT_CREATE,
		       "directory");
}

static void reads_within_a_bound(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(buffer_free) struct buffer four = BUFFER_INIT(4);
	CLEANUP(buffer_free) struct buffer three = BUFFER_INIT(3);
	struct error error;

	assert_ok(file_replace_at(directory, "b", "four", 4, 0600, &error), error);
	assert_ok(file_read_at(directory, "b", &four, &error), error);
	assert_refused(file_read_at(directory, "b", &three, &error), error, ERROR_DATA, "length");
	assert_refused(file_read_at(directory, "not-there", &three, &error), error, ERROR_DATA, "missing");
	assert_refused(file_read_at(directory, ".", &three, &error), error, ERROR_DATA, "read");
}

static void reads_a_stretch_whole(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(file_close) int fd = -1;
	char bytes[4] = "";
	struct error error;

	assert_ok(file_replace_at(directory, "c", "stretch", 7, 0600, &error), error);
	assert_ok(file_open_beneath(directory, "c", O_RDONLY, 0, &fd, &error), error);
	assert_ok(file_read_exact(fd, "c", 3, bytes, 3, &error), error);
	assert_string_equal(bytes, "etc");
	assert_refused(file_read_exact(fd, "c", 5, bytes, 3, &error), error, ERROR_DATA, "length");
	assert_refused(file_read_exact(directory, ".", 0, bytes, 1, &error), error, ERROR_DATA, "read");
}

/* A file of no name holds what was copied, and leaves nothing behind. */
static void copies_into_no_name(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer copy = BUFFER_INIT(0);
	CLEANUP(file_close) int from = -1;
	CLEANUP(file_close) int to = -1;
	struct error error;
	struct stat status;

	for (int i = 0; i < 50000; i++)
		assert_ok(buffer_append(&text, &i, sizeof i, &error), error);
	assert_ok(file_replace_at(directory, "long", text.data, text.size, 0600, &error), error);
	assert_ok(file_open_at(directory, "long", &from, &error), error);
	assert_ok(file_temporary(directory, &to, &error), error);
	assert_int_equal(fstat(to, &status), 0);
	assert_int_equal(status.st_nlink, 0);
	assert_ok(file_copy_fd(from, to, "long", text.size, &error), error);
	assert_int_equal(lseek(to, 0, SEEK_SET), 0);
	assert_ok(file_read_fd(to, "copy", &copy, &error), error);
	assert_int_equal(copy.size, text.size);
	assert_memory_equal(copy.data, text.data, text.size);
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	buffer_clear(&copy);
	assert_ok(file_replace_from_at(directory, "placed", from, 0644, &error), error);
	assert_ok(file_read_at(directory, "placed", &copy, &error), error);
	assert_memory_equal(copy.data, text.data, text.size);
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_refused(file_copy_fd(from, to, "long", text.size - 1, &error), error, ERROR_DATA, "length");
	assert_refused(file_open_at(directory, "none", &to, &error), error, ERROR_DATA, "missing");
	assert_refused(file_open_at(directory, ".", &to, &error), error, ERROR_DATA, "read");
}

static void follows_no_link_out(void **state)
{
	int directory = *(int *)*state, fd = -1;
	struct error error;

	assert_ok(file_make_directory_at(directory, "in", 0755, &error), error);
	assert_int_equal(symlinkat("/etc", directory, "in/out"), 0);
	assert_refused(file_open_beneath(directory, "in/out/passwd", O_RDONLY, 0, &fd, &error), error, ERROR_DATA,
		       "path");
	assert_refused(file_open_beneath(directory, "../x", O_RDONLY, 0, &fd, &error), error, ERROR_DATA, "path");
	assert_refused(file_open_beneath(directory, "/etc/passwd", O_RDONLY, 0, &fd, &error), error, ERROR_DATA,
		       "path");
	assert_int_equal(fd, -1);
}

static void waits_for_nobody(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(buffer_free) struct buffer content = BUFFER_INIT(100);
	CLEANUP(file_close) int fd = -1;
	struct error error;

	assert_int_equal(mkfifoat(directory, "pipe", 0600), 0);
	assert_refused(file_read_at(directory, "pipe", &content, &error), error, ERROR_DATA, "read");
	assert_ok(file_open_beneath(directory, "pipe", O_RDONLY, 0, &fd, &error), error);
	assert_ok(file_read_fd(fd, "pipe", &content, &error), error);
	assert_int_equal(content.size, 0);
}

static void makes_parents_beneath(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(file_close) int parent = -1;
	const char *name = NULL;
	struct error error;

	assert_ok(file_open_parent_beneath(directory, "p/q/r/file", true, &parent, &name, &error), error);
	assert_string_equal(name, "file");
	assert_int_equal(faccessat(directory, "p/q/r", F_OK, 0), 0);
	assert_refused(file_open_parent_beneath(directory, "p/../../x", true, &parent, &name, &error), error,
		       ERROR_DATA, "path");
}

static void removes_trees_without_following(void **state)
{
	int directory = *(int *)*state;
	struct error error;

	assert_ok(file_make_directories("tree/a/b", 0755, &error), error);
	assert_ok(file_replace_at(directory, "kept", "k", 1, 0600, &error), error);
	assert_int_equal(symlinkat("../kept", directory, "tree/link"), 0);
	assert_int_equal(fchmodat(directory, "tree/a", 0500, 0), 0);
	assert_ok(file_remove_tree_at(directory, "tree", &error), error);
	assert_int_not_equal(faccessat(directory, "tree", F_OK, 0), 0);
	assert_int_equal(faccessat(directory, "kept", F_OK, 0), 0);
	assert_ok(file_remove_tree_at(directory, "tree", &error), error);
}

/* Deeper than any descriptor table, with a file at each level and a name in the way: nothing is left. */
static void removes_however_deep(void **state)
{
	int directory = *(int *)*state, fd = dup(directory);
	char name[64];
	struct error error;

	for (int i = 0; i < 1500; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		int below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
		assert_int_equal(mknodat(fd, "file", S_IFREG | 0600, 0), 0);
	}
	close(fd);
	snprintf(name, sizeof name, "d/.deep.%ld.0", (long)getpid());
	assert_int_equal(mkdirat(directory, name, 0700), 0);
	assert_ok(file_remove_tree_at(directory, "d", &error), error);
	assert_int_not_equal(faccessat(directory, "d", F_OK, 0), 0);
}

static void locks_once(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(file_close) int first = -1;
	CLEANUP(file_close) int second = -1;
	struct error error;

	assert_ok(file_lock_at(directory, "lock", 0, &first, &error), error);
	assert_refused(file_lock_at(directory, "lock", 30, &second, &error), error, ERROR_NOT_NOW, "busy");
	file_close(&first);
	assert_ok(file_lock_at(directory, "lock", 0, &second, &error), error);
}

static void knows_safe_paths(void **state)
{
	static const char *const good[] = {"a", "a/b", "a.b", "..a", "a/...", "Ä/ö"};
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/..", "a/./b", "a\nb", "a\x7f"};
	char component[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(file_path_is_safe(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(file_path_is_safe(bad[i]));
	memset(component, 'x', sizeof component);
	component[255] = 0;
	assert_true(file_path_is_safe(component));
	component[255] = 'x';
	component[256] = 0;
	assert_false(file_path_is_safe(component));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaces_whole_or_not_at_all),
		cmocka_unit_test(reads_within_a_bound),
		cmocka_unit_test(reads_a_stretch_whole),
		cmocka_unit_test(copies_into_no_name),
		cmocka_unit_test(follows_no_link_out),
		cmocka_unit_test(waits_for_nobody),
		cmocka_unit_test(makes_parents_beneath),
		cmocka_unit_test(removes_trees_without_following),
		cmocka_unit_test(removes_however_deep),
		cmocka_unit_test(locks_once),
		cmocka_unit_test(knows_safe_paths),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
