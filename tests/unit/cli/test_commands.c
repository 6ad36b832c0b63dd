/* The table of commands says nothing that it does not hold to: what a row sends, it also takes. */
#include "tests/unit/fixture.h"

#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/cli_commands.h"

static bool has_option(const struct command *row, const char *name)
{
	for (const struct command_option *option = row->options; option && option->name; option++)
		if (strcmp(option->name, name) == 0)
			return true;
	return false;
}

static void check_places(const struct command *row, const char *template)
{
	for (const char *c = strchr(template, '$'); c; c = strchr(c + 1, '$'))
		if (c[1] < '1' || c[1] - '0' > row->least)
			fail_msg("\"%s\": %s names an argument that need not be there", row->words, template);
}

static void test_requests(void **state)
{
	(void)state;
	size_t checked = 0;

	for (const struct command *row = cli_commands; row->words; row++) {
		const struct cli_request *request = row->data;
		if (row->run != cli_request_run)
			continue;
		checked++;
		assert_non_null(request);
		assert_int_equal(strncmp(request->path, "/v1/", 4), 0);
		check_places(row, request->path);
		for (const struct cli_part *part = request->parts; part && part->key; part++) {
			if (part->from[0] == '-' && !has_option(row, part->from))
				fail_msg("\"%s\" sends %s and does not take it", row->words, part->from);
			if (part->from[0] != '-' && part->from[0] - '0' > row->most)
				fail_msg("\"%s\" sends argument %s and does not take it", row->words, part->from);
		}
		if (request->view.kind == CLI_NOTHING) {
			assert_non_null(request->view.said);
			check_places(row, request->view.said);
		} else {
			assert_non_null(request->view.columns);
		}
	}
	assert_true(checked > 40);
}

/* An option that no part reads would be taken and forgotten. */
static void test_options_are_used(void **state)
{
	(void)state;
	for (const struct command *row = cli_commands; row->words; row++) {
		const struct cli_request *request = row->data;
		for (const struct command_option *option = row->options;
		     row->run == cli_request_run && option && option->name; option++) {
			bool used = false;
			for (const struct cli_part *part = request->parts; part && part->key; part++)
				used = used || strcmp(part->from, option->name) == 0;
			if (!used)
				fail_msg("\"%s\" takes %s and sends it nowhere", row->words, option->name);
		}
	}
}

static void test_words_are_unique(void **state)
{
	(void)state;
	for (const struct command *row = cli_commands; row->words; row++) {
		assert_true(row->help[0]);
		for (const struct command *other = row + 1; other->words; other++)
			assert_string_not_equal(row->words, other->words);
	}
}

static int run(const char *const *words)
{
	char *argv[16] = {0};
	int argc = 0;

	for (; words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	return cli_main(argc, argv);
}

static void test_exit_codes(void **state)
{
	(void)state;
	const char *const no_file[] = {"nightshift", "status", "--config", "/nonexistent/nightshiftd.conf", NULL};
	const char *const unknown[] = {"nightshift", "make", "tea", NULL};
	const char *const missing[] = {"nightshift", "upgrade", "book", "box1", NULL};
	const char *const daemon[] = {"nightshift", "--config", "here.conf", "customer", "list", NULL};
	const char *const bad_key[] = {"nightshift", "--config", "bad.conf", "customer", "list", NULL};
	const char *const empty[] = {"nightshift", "--config", "here.conf", "customer", "show", "", NULL};
	struct error error;

	assert_ok(file_create_at(AT_FDCWD, "here.conf", "[api]\nsocket = api.sock\n", 24, 0600, &error), error);
	assert_ok(file_create_at(AT_FDCWD, "bad.conf", "[api]\nsockett = x\n", 18, 0600, &error), error);
	assert_int_equal(run(no_file), 78);
	assert_int_equal(run(unknown), 64);
	assert_int_equal(run(missing), 64);
	assert_int_equal(run(daemon), 69);
	assert_int_equal(run(bad_key), 78);
	assert_int_equal(run(empty), 64);
}

/* What is foreign reaches no terminal as it came. */
static void test_foreign_text(void **state)
{
	(void)state;
	char text[64];
	CLEANUP(jsonio_free)
	json_t *value = json_string("a\033[2Jb\xc2\x9b"
				    "31mc\n\xc3\xa9");

	cli_output_format(value, CLI_TEXT, text, sizeof(text));
	assert_string_equal(text, "a?[2Jb??31mc?\xc3\xa9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),         cmocka_unit_test(test_options_are_used),
		cmocka_unit_test(test_words_are_unique), cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_foreign_text),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
