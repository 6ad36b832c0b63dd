#include "fixture.h"

#include <endian.h>
#include <sys/xattr.h>

#include "release/tree.h"

static struct manifest *manifest_of_tree;

static void make(const char *path, bool link)
{
	char name[512];
	snprintf(name, sizeof(name), "%s/bin/server", path);
	put_bytes(name, "#!/bin/sh\n", 10, 0755);
	snprintf(name, sizeof(name), "%s/lib/a.txt", path);
	put_text(name, "content");
	snprintf(name, sizeof(name), "%s/lib/link", path);
	if (link)
		assert_int_equal(symlink("a.txt", name), 0);
}

static int start(void **state)
{
	if (fixture_start(state) != 0)
		return -1;
	make("model", true);
	manifest_of_tree = pack_tree("model", "1", "model.bundle");
	return 0;
}

static int end(void **state)
{
	manifest_free(&manifest_of_tree);
	return fixture_end(state);
}

static int check(const char *path, unsigned flags, struct error *error)
{
	CLEANUP(file_close) int fd = open_dir(path);
	return tree_verify(fd, manifest_of_tree, MANIFEST_TREE, flags, error);
}

static void whole(void **state)
{
	(void)state;
	struct error error;
	make("whole", true);
	assert_done(check("whole", TREE_CONTENT, &error));
	assert_done(check("whole", TREE_SEALED, &error));
	if (geteuid() == 0)
		assert_done(check("whole", TREE_OWNERS | TREE_SEALED, &error));
}

#define DIFFERENCE(name, change)                                                                                       \
	do {                                                                                                           \
		make(name, true);                                                                                      \
		assert_done(check(name, TREE_CONTENT, &error));                                                        \
		change;                                                                                                \
		assert_refused(check(name, TREE_CONTENT, &error), "tree");                                             \
	} while (0)

static void differences(void **state)
{
	(void)state;
	struct error error;
	DIFFERENCE("d1", put_text("d1/lib/a.txt", "c0ntent"));
	DIFFERENCE("d2", put_text("d2/lib/a.txt", "content "));
	DIFFERENCE("d3", assert_int_equal(unlink("d3/lib/a.txt"), 0));
	DIFFERENCE("d4", put_text("d4/lib/extra", ""));
	DIFFERENCE("d5", put_text("d5/extra", ""));
	DIFFERENCE("d6", assert_int_equal(chmod("d6/lib/a.txt", 0600), 0));
	DIFFERENCE("d7", assert_int_equal(chmod("d7/lib", 0700), 0));
	DIFFERENCE("d8", assert_int_equal(unlink("d8/lib/link"), 0));
	DIFFERENCE("d9", assert_int_equal(mkdir("d9/empty", 0755), 0));
	DIFFERENCE("d10", (assert_int_equal(unlink("d10/lib/link"), 0),
			   assert_int_equal(symlink("../lib/a.txt", "d10/lib/link"), 0)));
	DIFFERENCE("d11", (assert_int_equal(unlink("d11/lib/link"), 0), put_text("d11/lib/link", "a.txt")));
	DIFFERENCE("d12", (assert_int_equal(unlink("d12/lib/a.txt"), 0),
			   assert_int_equal(symlink("../../model/lib/a.txt", "d12/lib/a.txt"), 0)));
	DIFFERENCE("d13",
		   (assert_int_equal(unlink("d13/lib/a.txt"), 0), assert_int_equal(mkfifo("d13/lib/a.txt", 0644), 0)));
	DIFFERENCE("d14", (assert_int_equal(rename("d14/lib", "moved"), 0),
			   assert_int_equal(symlink("../moved", "d14/lib"), 0)));
}

/* A file that somebody still holds open for writing is refused, however right its bytes are now. */
static void open_writer(void **state)
{
	(void)state;
	struct error error;
	make("sealed", true);
	int fd = open("sealed/lib/a.txt", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_done(check("sealed", TREE_CONTENT, &error));
	assert_refused(check("sealed", TREE_SEALED, &error), "tree");
	CLEANUP(file_close) int directory = open_dir("sealed");
	assert_refused(tree_seal(directory, manifest_of_tree, MANIFEST_TREE, &error), "tree");
	close(fd);
	assert_done(check("sealed", TREE_SEALED, &error));
	assert_done(tree_seal(directory, manifest_of_tree, MANIFEST_TREE, &error));
}

/* What is taken is looked at, too: sealing finds each difference that verifying does but owner and mode. */
static void sealed_differences(void **state)
{
	(void)state;
	struct error error;
	static const struct {
		const char *path, *text; /* NULL: removed */
	} changes[] = {
		{"differs/lib/a.txt", "c0ntent"},
		{"differs/lib/a.txt", "content "},
		{"differs/lib/a.txt", NULL},
		{"differs/lib/extra", ""},
		{"differs/extra", ""},
		{"differs/lib/link", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		make("differs", true);
		if (changes[i].text != NULL)
			put_text(changes[i].path, changes[i].text);
		else
			assert_int_equal(unlink(changes[i].path), 0);
		CLEANUP(file_close) int directory = open_dir("differs");
		assert_refused(tree_seal(directory, manifest_of_tree, MANIFEST_TREE, &error), "tree");
		assert_done(file_remove_tree_at(AT_FDCWD, "differs", &error));
	}
	make("modes", true);
	assert_int_equal(chmod("modes/lib", 0700), 0);
	assert_int_equal(chmod("modes/lib/a.txt", 0600), 0);
	CLEANUP(file_close) int directory = open_dir("modes");
	assert_done(tree_seal(directory, manifest_of_tree, MANIFEST_TREE, &error));
	assert_done(check("modes", TREE_CONTENT, &error));
}

static void owned(void **state)
{
	(void)state;
	struct error error;
	if (geteuid() != 0)
		skip();
	make("owned", true);
	assert_int_equal(lchown("owned/lib/a.txt", 1234, 1234), 0);
	assert_int_equal(lchown("owned/lib/link", 1234, 1234), 0);
	assert_int_equal(lchown("owned", 1234, 1234), 0);
	assert_int_equal(chmod("owned/bin/server", 0700), 0);
	assert_refused(check("owned", TREE_OWNERS, &error), "tree");
	CLEANUP(file_close) int fd = open_dir("owned");
	assert_done(tree_seal(fd, manifest_of_tree, MANIFEST_TREE, &error));
	assert_done(check("owned", TREE_OWNERS | TREE_SEALED, &error));
	assert_int_equal(chown("owned/lib", 1234, 0), 0);
	assert_refused(check("owned", TREE_OWNERS, &error), "tree");
}

/* A second name of a foreign file among ours: neither its owner nor its mode may change through us. */
static void second_name(void **state)
{
	(void)state;
	struct error error;
	make("second", true);
	put_bytes("victim", "content", 7, 0600);
	assert_int_equal(unlink("second/lib/a.txt"), 0);
	assert_int_equal(link("victim", "second/lib/a.txt"), 0);
	CLEANUP(file_close) int fd = open_dir("second");
	assert_refused(tree_seal(fd, manifest_of_tree, MANIFEST_TREE, &error), "tree");
	struct stat status;
	assert_int_equal(stat("victim", &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

/* acl(5) as the kernel stores it: version 2, then tag, permissions and id of owner, user 1234, group, mask, others. */
static bool give_to_1234(const char *path, const char *name)
{
	static const struct {
		uint16_t tag, permissions;
		uint32_t id;
	} rows[] = {{0x01, 7, UINT32_MAX},
		    {0x02, 7, 1234},
		    {0x04, 5, UINT32_MAX},
		    {0x10, 7, UINT32_MAX},
		    {0x20, 5, UINT32_MAX}};
	uint8_t list[4 + sizeof(rows)] = {2};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t halves[2] = {htole16(rows[i].tag), htole16(rows[i].permissions)};
		uint32_t id = htole32(rows[i].id);
		memcpy(list + 4 + 8 * i, halves, sizeof(halves));
		memcpy(list + 8 + 8 * i, &id, sizeof(id));
	}
	return setxattr(path, name, list, sizeof(list), 0) == 0;
}

/* Who filled the staging directory named himself in access lists: neither owner nor mode take him out again. */
static void access_list(void **state)
{
	(void)state;
	static const struct {
		const char *path, *list;
	} ways[] = {
		{"listed/lib/a.txt", "system.posix_acl_access"}, {"listed/lib", "system.posix_acl_access"},
		{"listed/lib", "system.posix_acl_default"},      {"listed", "system.posix_acl_access"},
		{"listed", "system.posix_acl_default"},
	};
	struct error error;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		make("listed", true);
		if (!give_to_1234(ways[i].path, ways[i].list))
			skip();
		CLEANUP(file_close) int fd = open_dir("listed");
		assert_refused(check("listed", TREE_SEALED, &error), "tree");
		assert_done(tree_seal(fd, manifest_of_tree, MANIFEST_TREE, &error));
		assert_done(check("listed", TREE_SEALED, &error));
		assert_int_equal(getxattr(ways[i].path, ways[i].list, NULL, 0), -1);
		assert_done(file_remove_tree_at(AT_FDCWD, "listed", &error));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),       cmocka_unit_test(differences),
		cmocka_unit_test(open_writer), cmocka_unit_test(sealed_differences),
		cmocka_unit_test(owned),       cmocka_unit_test(second_name),
		cmocka_unit_test(access_list),
	};
	return cmocka_run_group_tests_name("tree", tests, start, end);
}
