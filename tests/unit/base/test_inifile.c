#include "tests/unit/fixture.h"

#include "base/config.h"
#include "base/inifile.h"

static int collect(void *context, const char *section, const char *key, const char *value, unsigned line,
		   struct error *error)
{
	char *text = context;

	if (key && strcmp(key, "stop") == 0)
		return error_set(error, ERROR_DATA, "stopped", "here");
	sprintf(text + strlen(text), "%s|%s|%s|%u;", section, key ? key : "-", value ? value : "-", line);
	return 0;
}

static int read_text(const char *text, char *found, struct error *error)
{
	found[0] = 0;
	return inifile_parse(text, strlen(text), "f.ini", ERROR_DATA, collect, found, error);
}

static void reads_pairs_with_lines(void **state)
{
	char found[1000];
	struct error error;

	(void)state;
	assert_ok(read_text("; head\n[a b]\nk = v ; why\n\nurl=x;y\n[empty]\r\n[c]\nk=2", found, &error), error);
	assert_string_equal(found, "a b|k|v|3;a b|url|x;y|5;empty|-|-|6;c|k|2|8;");
}

static void refuses_what_inih_lets_through(void **state)
{
	char found[1000], long_line[300] = "[a]\nk = ", header[80] = "[";
	static const char *const bad[] = {
		"k = v\n",      "[a]\nk = 1\nk = 2\n", "[a]\nk=1\n[a]\nj=1\n", "[a]\nk = v\n more = x\n",
		"[a]\nstray\n", "[a\nk=1\n",           "[a] junk\n",           "[]\nk=1\n",
		"[a]\n= v\n",   "[a]\nk = \x01\n",
	};
	struct error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_refused(read_text(bad[i], found, &error), error, ERROR_DATA, "syntax");
		assert_non_null(strstr(error.text, "f.ini:"));
	}
	memset(long_line + strlen(long_line), 'x', 200);
	assert_refused(read_text(long_line, found, &error), error, ERROR_DATA, "syntax");
	assert_non_null(strstr(error.text, "f.ini:2"));
	memset(header + 1, 'h', 49);
	strcat(header, "]\nk=1\n");
	assert_refused(read_text(header, found, &error), error, ERROR_DATA, "syntax");
	assert_refused(read_text("[a]\nk=1\nstop=1\n", found, &error), error, ERROR_DATA, "stopped");
	assert_non_null(strstr(error.text, "f.ini:3"));
}

struct target {
	char *name, *path;
	int64_t seconds, bytes;
	bool on;
	int colour;
};
static const char *const colours[] = {"red", "green", NULL};
static const struct config_key keys[] = {
	{"a", "name", CONFIG_STRING, offsetof(struct target, name), NULL, 0, 10, NULL, "who"},
	{"a", "path", CONFIG_PATH, offsetof(struct target, path), "x/y", 0, 0, NULL, "where"},
	{"a", "seconds", CONFIG_SECONDS, offsetof(struct target, seconds), "45m", 1, 86400, NULL, "how long"},
	{"b", "bytes", CONFIG_BYTES, offsetof(struct target, bytes), "2K", 0, 1 << 30, NULL, "how much"},
	{"b", "on", CONFIG_BOOLEAN, offsetof(struct target, on), "yes", 0, 0, NULL, "whether"},
	{"b", "colour", CONFIG_CHOICE, offsetof(struct target, colour), "green", 0, 0, colours, "which"},
	{0},
};

static int load(int directory, const char *text, struct target *target, struct error *error)
{
	config_free(keys, NULL, target);
	*target = (struct target){0};
	int status = file_replace_at(directory, "c.conf", text, strlen(text), 0600, error);
	return status < 0 ? status : config_load("c.conf", keys, target, NULL, error);
}

static void loads_configuration(void **state)
{
	int directory = *(int *)*state;
	struct target target = {0};
	char whole[4096], *here = getcwd(whole, sizeof whole);
	struct error error;

	assert_ok(load(directory, "[a]\nname = me\n", &target, &error), error);
	assert_string_equal(target.name, "me");
	assert_int_equal(target.seconds, 2700);
	assert_int_equal(target.bytes, 2048);
	assert_true(target.on);
	assert_int_equal(target.colour, 1);
	assert_int_equal(strncmp(target.path, here, strlen(here)), 0);
	assert_string_equal(target.path + strlen(here), "/x/y");
	assert_ok(file_make_directory_at(directory, "c.conf.d", 0755, &error), error);
	assert_ok(file_replace_at(directory, "c.conf.d/10.conf", "[a]\nname=drop\n[b]\non=no\n", 24, 0600, &error),
		  error);
	assert_ok(load(directory, "[a]\nname = me\n[b]\ncolour = red\n", &target, &error), error);
	assert_string_equal(target.name, "drop");
	assert_false(target.on);
	assert_int_equal(target.colour, 0);
	assert_refused(load(directory, "[b]\non = maybe\n", &target, &error), error, ERROR_CONFIG, "value");
	assert_refused(load(directory, "[a]\nnmae = x\n", &target, &error), error, ERROR_CONFIG, "unknown-key");
	assert_refused(load(directory, "[z]\nname = x\n", &target, &error), error, ERROR_CONFIG, "unknown-key");
	assert_refused(load(directory, "[a]\nseconds = 2w\n", &target, &error), error, ERROR_CONFIG, "value");
	assert_refused(load(directory, "[a]\nname = 12345678901\n", &target, &error), error, ERROR_CONFIG, "value");
	assert_ok(file_remove_tree_at(directory, "c.conf.d", &error), error);
	assert_refused(load(directory, "[b]\non = no\n", &target, &error), error, ERROR_CONFIG, "missing-key");
	assert_refused(config_load("none.conf", keys, &target, NULL, &error), error, ERROR_CONFIG, "missing");
	config_free(keys, NULL, &target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_pairs_with_lines),
		cmocka_unit_test(refuses_what_inih_lets_through),
		cmocka_unit_test(loads_configuration),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
