#include "fixture.h"

#define HEX_A              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIRECTORY(path)    "{\"path\":\"" path "\",\"type\":\"directory\",\"mode\":\"0755\"}"
#define LINK(path, target) "{\"path\":\"" path "\",\"type\":\"link\",\"target\":\"" target "\"}"
#define FILE_OF(path, size, hash)                                                                                      \
	"{\"path\":\"" path "\",\"type\":\"file\",\"mode\":\"0644\",\"size\":" #size ",\"hash\":\"" hash "\"}"
#define BLOB(stored, plain) "{\"hash\":\"" HEX_A "\",\"stored\":" #stored ",\"plain\":" #plain "}"
#define HEAD                                                                                                           \
	"\"_type\":\"manifest\",\"format\":1,\"product\":\"p\",\"version\":\"1\",\"class\":\"feature\",\"stop\":"      \
	"false,"                                                                                                       \
	"\"data_migration\":false,\"reboot\":false,\"network\":false,\"hook_api\":1,\"tree_bytes\":1000,"              \
	"\"apply_seconds\":1,\"rollback_seconds\":1"

static int parse_text(const char *text, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	int result = manifest_parse(text, strlen(text), &manifest, error);
	assert_true((result == 0) == (manifest != NULL));
	return result;
}

static int parse_lists(const char *entries, const char *contents, const char *blobs, struct error *error)
{
	char text[16384];
	snprintf(text, sizeof(text), "{" HEAD ",\"entries\":[%s],\"contents\":[%s],\"blobs\":[%s]}", entries, contents,
		 blobs);
	return parse_text(text, error);
}

static void accepted(void **state)
{
	(void)state;
	static const char *const entries[] = {
		"",
		DIRECTORY("a"),
		DIRECTORY("a") "," LINK("a/b", "../c"),
		DIRECTORY("a") "," LINK("a/b", "..") "," LINK("c", "a/b/a"),
		DIRECTORY("a") "," LINK("a-b", "a") "," DIRECTORY("a/b"),
		LINK("dangling", "nowhere/at/all"),
		"{\"path\":\"s\",\"type\":\"directory\",\"mode\":\"0750\",\"owner\":\"www-data\"}",
	};
	struct error error;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		assert_done(parse_lists(entries[i], "", "", &error));
	assert_done(parse_lists(FILE_OF("f", 3, HEX_B), "\"" HEX_B "\"", BLOB(9, 3), &error));
	assert_done(parse_lists(FILE_OF("f", 3, HEX_B) "," FILE_OF("g", 3, HEX_B), "\"" HEX_B "\"",
				BLOB(9, 1) "," BLOB(9, 2), &error));
	assert_done(parse_lists("{\"path\":\"undo\",\"type\":\"file\",\"root\":\"hooks\",\"mode\":\"0755\",\"size\":1,"
				"\"hash\":\"" HEX_A "\"}",
				"\"" HEX_A "\"", BLOB(9, 1), &error));
	assert_done(parse_lists(
		"{\"path\":\"s\",\"type\":\"file\",\"mode\":\"4755\",\"set_id\":true,\"size\":1,\"hash\":\"" HEX_A
		"\"}",
		"\"" HEX_A "\"", BLOB(9, 1), &error));
}

static void refused_entries(void **state)
{
	(void)state;
	static const char *const entries[] = {
		/* paths */
		DIRECTORY(".."),
		DIRECTORY("../x"),
		DIRECTORY("/x"),
		DIRECTORY("."),
		DIRECTORY("a/"),
		DIRECTORY(""),
		DIRECTORY("a") "," DIRECTORY("a/../b"),
		DIRECTORY("a") "," DIRECTORY("a//b"),
		DIRECTORY("a\\u0001"),
		/* twice, out of order */
		DIRECTORY("a") "," DIRECTORY("a"),
		DIRECTORY("b") "," DIRECTORY("a"),
		DIRECTORY("a") "," LINK("a", "b"),
		/* parents: missing, a link, written through a link */
		DIRECTORY("a/b"),
		LINK("a", "b") "," DIRECTORY("a/c") "," DIRECTORY("b"),
		LINK("a", ".") "," LINK("a/c", "x"),
		/* links that leave: absolute, up, through another link, in circles */
		LINK("a", "/etc/passwd"),
		LINK("a", ".."),
		LINK("a", "b/../.."),
		LINK("a", ""),
		DIRECTORY("d") "," LINK("d/l", "../.."),
		DIRECTORY("d") "," DIRECTORY("d/e") "," LINK("d/e/up", "../..") "," LINK("out", "d/e/up/../x"),
		LINK("a", "b") "," LINK("b", "a"),
		LINK("a", "a"),
		/* fields that the type does not have, or lacks */
		"{\"path\":\"a\",\"type\":\"directory\"}",
		"{\"path\":\"a\",\"type\":\"link\"}",
		"{\"path\":\"a\",\"type\":\"link\",\"target\":\"b\",\"mode\":\"0777\"}",
		"{\"path\":\"a\",\"type\":\"file\",\"mode\":\"0644\",\"size\":0}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0755\",\"size\":0}",
		"{\"path\":\"a\",\"type\":\"device\",\"mode\":\"0755\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0755\",\"root\":\"etc\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0755\",\"owner\":\"mallory\"}",
		/* modes: undeclared set-id, needless declaration, sticky, writable by all, unreadable, nonsense */
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"4755\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"2755\",\"set_id\":true}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0755\",\"set_id\":true}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"1755\",\"set_id\":true}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0777\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0055\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"755\"}",
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0x55\"}",
		/* hooks: only files by the four names */
		"{\"path\":\"a\",\"type\":\"directory\",\"mode\":\"0755\",\"root\":\"hooks\"}",
		"{\"path\":\"undo\",\"type\":\"link\",\"target\":\"x\",\"root\":\"hooks\"}",
	};
	struct error error;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		error = (struct error){0};
		if (parse_lists(entries[i], "", "", &error) == 0)
			fail_msg("accepted: %s", entries[i]);
		assert_int_equal(error.code, ERROR_DATA);
	}
}

static void refused_contents(void **state)
{
	(void)state;
	static const struct {
		const char *entries, *contents, *blobs;
	} cases[] = {
		{FILE_OF("f", 3, HEX_B), "", BLOB(9, 3)},                            /* a content missing */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_A "\"", BLOB(9, 3)},               /* another one */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\",\"" HEX_A "\"", BLOB(9, 3)}, /* one too many */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\",\"" HEX_B "\"", BLOB(9, 3)}, /* twice */
		{FILE_OF("f", 3, HEX_B), "3", BLOB(9, 3)},                           /* no hash */
		{FILE_OF("f", 3, HEX_B) "," FILE_OF("g", 4, HEX_B), "\"" HEX_B "\"", BLOB(9, 3)}, /* sizes differ */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\"", ""},         /* blobs carry too little */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\"", BLOB(9, 4)}, /* too much */
		{FILE_OF("f", 0, HEX_B), "\"" HEX_B "\"", BLOB(9, 0)}, /* an empty blob */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\"", BLOB(0, 3)},
		{FILE_OF("f", 9000000, HEX_B), "\"" HEX_B "\"", BLOB(9, 9000000)}, /* a blob too large */
		{FILE_OF("f", 3, HEX_B), "\"" HEX_B "\"", BLOB(99000000, 3)},
		{FILE_OF("f", 2000, HEX_B), "\"" HEX_B "\"", BLOB(9, 2000)}, /* more than tree_bytes */
	};
	struct error error;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		error = (struct error){0};
		if (parse_lists(cases[i].entries, cases[i].contents, cases[i].blobs, &error) == 0)
			fail_msg("case %zu was accepted", i);
		assert_int_equal(error.code, ERROR_DATA);
	}
}

/* Every field of the head taken away, added twice, of another type: nothing is read that the table does not know. */
static void closed_head(void **state)
{
	(void)state;
	static const char whole[] = "{" HEAD ",\"entries\":[],\"contents\":[],\"blobs\":[]}";
	struct error error;
	CLEANUP(jsonio_free) json_t *root = json_loads(whole, 0, NULL);
	const char *key;
	json_t *value;

	assert_done(parse_text(whole, &error));
	json_object_foreach(root, key, value)
	{
		CLEANUP(jsonio_free) json_t *changed = json_copy(root);
		json_object_del(changed, key);
		CLEANUP(free_pointer) char *without = json_dumps(changed, 0);
		assert_int_not_equal(parse_text(without, &error), 0);
		json_object_set_new(changed, key, json_null());
		CLEANUP(free_pointer) char *nothing = json_dumps(changed, 0);
		assert_int_not_equal(parse_text(nothing, &error), 0);
		json_object_set(changed, key, value);
		json_object_set_new(changed, "unknown", json_true());
		CLEANUP(free_pointer) char *more = json_dumps(changed, 0);
		assert_int_not_equal(parse_text(more, &error), 0);
	}
	static const struct {
		const char *field, *text;
	} values[] = {
		{"_type", "\"order\""}, {"format", "2"},         {"product", "\"../p\""}, {"version", "\".hidden\""},
		{"version", "\"\""},    {"class", "\"urgent\""}, {"min_from", "\"a/b\""}, {"hook_api", "2"},
		{"tree_bytes", "-1"},   {"sbom", "\"abc\""},     {"tree_bytes", "1.5"},   {"apply_seconds", "99999999"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CLEANUP(jsonio_free) json_t *changed = json_copy(root);
		json_object_set_new(changed, values[i].field, json_loads(values[i].text, JSON_DECODE_ANY, NULL));
		CLEANUP(free_pointer) char *text = json_dumps(changed, 0);
		if (parse_text(text, &error) == 0)
			fail_msg("%s = %s was accepted", values[i].field, values[i].text);
	}
}

static void written_and_read(void **state)
{
	(void)state;
	struct error error;
	put_text("round/bin/server", "#!/bin/sh\n");
	chmod("round/bin/server", 0755);
	put_text("round/lib/a.txt", "same");
	put_text("round/lib/b.txt", "same");
	put_text("round/n\xc3\xa4me \"quoted\"", "utf-8");
	put_text("round/empty", "");
	CLEANUP(manifest_free) struct manifest *manifest = pack_tree("round", "1.2", "round.bundle");
	CLEANUP(buffer_free) struct buffer first = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer second = BUFFER_INIT(0);
	CLEANUP(manifest_free) struct manifest *again = NULL;
	manifest->notes = strdup("two\nlines\t\"quoted\"");
	assert_done(manifest_write(manifest, &first, &error));
	assert_done(manifest_parse(first.data, first.size, &again, &error));
	assert_done(manifest_write(again, &second, &error));
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
	assert_string_equal(again->notes, manifest->notes);
	assert_int_equal(again->content_count, 4);
	const struct manifest_entry *b = manifest_find(again, MANIFEST_TREE, "lib/b.txt");
	assert_non_null(b);
	const struct manifest_content *content = manifest_find_content(again, b->hash);
	assert_non_null(content);
	assert_int_equal(content->files, 2);
	assert_null(manifest_find(again, MANIFEST_HOOKS, "lib/b.txt"));
	assert_null(manifest_find(again, MANIFEST_TREE, "lib/c.txt"));
	uint8_t other[HASH_SIZE] = {0};
	assert_null(manifest_find_content(again, other));
	/* Each byte cut off. */
	for (size_t i = 0; i < first.size; i += 7)
		assert_int_not_equal(manifest_parse(first.data, i, &manifest, &error), 0);
}

static void sheds_the_tree(void **state)
{
	(void)state;
	static const char text[] = "{" HEAD ",\"entries\":[" DIRECTORY("a") "," FILE_OF(
		"f", 3, HEX_B) ","
			       "{\"path\":\"undo\",\"type\":\"file\",\"root\":\"hooks\",\"mode\":\"0755\","
			       "\"size\":3,\"hash\":\"" HEX_B "\"}],\"contents\":[\"" HEX_B
			       "\"],\"blobs\":[" BLOB(9, 3) "]}";
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct error error;

	assert_done(manifest_parse(text, strlen(text), &manifest, &error));
	assert_int_equal(manifest->entry_count, 3);
	for (int i = 0; i < 2; i++) {
		assert_done(manifest_shed_tree(manifest, &error));
		assert_int_equal(manifest->entry_count, 1);
		assert_int_equal(manifest->content_count + manifest->blob_count + manifest->file_count, 0);
		assert_string_equal(manifest->entries[0].path, "undo");
		assert_int_equal(manifest->entries[0].size, 3);
		assert_string_equal(manifest->version, "1");
		assert_null(manifest_find(manifest, MANIFEST_TREE, "f"));
		assert_non_null(manifest_find(manifest, MANIFEST_HOOKS, "undo"));
	}
}

/* A file is read as its bytes are, from its start wherever its descriptor stands, with their hash. */
static void read_from_a_file(void **state)
{
	(void)state;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(file_close) int fd = -1;
	uint8_t wanted[HASH_SIZE], found[HASH_SIZE] = {0};
	static const char text[] = "{" HEAD ",\"entries\":[" DIRECTORY("a") "],\"contents\":[],\"blobs\":[]}";
	struct error error;

	put_text("m.json", text);
	hash_bytes(HASH_SHA256, text, strlen(text), wanted);
	assert_done(file_open_at(AT_FDCWD, "m.json", &fd, &error));
	for (int i = 0; i < 2; i++) {
		assert_done(manifest_read(fd, "m.json", &manifest, found, &error));
		assert_memory_equal(found, wanted, HASH_SIZE);
		assert_int_equal(manifest->entry_count, 1);
		manifest_free(&manifest);
		assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	}
	put_text("n.json", "{");
	file_close(&fd);
	assert_done(file_open_at(AT_FDCWD, "n.json", &fd, &error));
	assert_refused(manifest_read(fd, "m.json", &manifest, NULL, &error), "format");
	assert_null(manifest);
}

static void names(void **state)
{
	(void)state;
	assert_true(manifest_name_is_safe("1.0.3-rc1+build~2"));
	static const char *const bad[] = {
		"",    ".",   "..",  ".x",       "-x",
		"a/b", "a b", "a\n", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(manifest_name_is_safe(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),         cmocka_unit_test(refused_entries),
		cmocka_unit_test(refused_contents), cmocka_unit_test(closed_head),
		cmocka_unit_test(written_and_read), cmocka_unit_test(names),
		cmocka_unit_test(sheds_the_tree),   cmocka_unit_test(read_from_a_file),
	};
	return cmocka_run_group_tests_name("manifest", tests, fixture_start, fixture_end);
}
