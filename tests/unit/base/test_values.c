#include "tests/unit/fixture.h"

#include "base/clock.h"
#include "base/command.h"
#include "base/hash.h"
#include "base/text.h"

static void reads_and_writes_times(void **state)
{
	static const char *const bad[] = {
		"2027-02-29T00:00:00Z", "2027-01-01 00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:00:60Z",
		"1969-12-31T23:59:59Z", "2027-01-01T00:00:00+", "2027-1-01T00:00:00Z0", ""};
	char text[CLOCK_UTC_SIZE];
	struct error error;
	int64_t time = 0;

	(void)state;
	assert_ok(clock_parse_utc("2028-02-29T23:59:59Z", &time, &error), error);
	clock_format_utc(time, text);
	assert_string_equal(text, "2028-02-29T23:59:59Z");
	assert_int_equal(time, 1835481599);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(clock_parse_utc(bad[i], &time, &error), error, ERROR_DATA, "time");
}

static void hashes(void **state)
{
	int directory = *(int *)*state;
	CLEANUP(file_close) int fd = -1;
	uint8_t hash[HASH_SIZE], again[HASH_SIZE];
	char hex[HASH_HEX_SIZE];
	uint64_t size = 0;
	struct error error;

	hash_bytes(HASH_SHA256, "abc", 3, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash_bytes(HASH_BLAKE2B, "abc", 3, hash);
	hash_to_hex(hash, HASH_SIZE, hex);
	assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	assert_ok(file_replace_at(directory, "abc", "abc", 3, 0600, &error), error);
	fd = openat(directory, "abc", O_RDONLY);
	assert_ok(hash_file(HASH_BLAKE2B, fd, "abc", again, &size, &error), error);
	assert_true(hash_equal(hash, again));
	assert_int_equal(size, 3);
	assert_ok(hash_from_hex(hex, again, HASH_SIZE, &error), error);
	assert_refused(hash_from_hex("zz", again, 1, &error), error, ERROR_DATA, "format");
	assert_refused(hash_from_hex("00", again, 2, &error), error, ERROR_DATA, "format");
}

static void seals(void **state)
{
	const struct secret_cost cheap = {.operations = 1, .memory = 8192};
	const struct secret_cost dear = {.operations = 1, .memory = 1ULL << 40};
	uint8_t salt[SECRET_SALT] = {1}, nonce[SECRET_NONCE] = {2}, sealed[5 + SECRET_TAG], plain[5];
	struct error error;

	(void)state;
	assert_ok(secret_seal("pass", 4, salt, cheap, nonce, "hello", 5, sealed, &error), error);
	assert_ok(secret_open("pass", 4, salt, cheap, nonce, sealed, sizeof sealed, plain, &error), error);
	assert_memory_equal(plain, "hello", 5);
	assert_refused(secret_open("Pass", 4, salt, cheap, nonce, sealed, sizeof sealed, plain, &error), error,
		       ERROR_DATA, "passphrase");
	sealed[0] ^= 1;
	assert_refused(secret_open("pass", 4, salt, cheap, nonce, sealed, sizeof sealed, plain, &error), error,
		       ERROR_DATA, "passphrase");
	assert_refused(secret_open("pass", 4, salt, dear, nonce, sealed, sizeof sealed, plain, &error), error,
		       ERROR_DATA, "cost");
}

static char seen[400];

static int show(const struct command_line *line, void *context UNUSED, struct error *error)
{
	if (command_flag(line, "--fail"))
		return error_set(error, ERROR_NOT_NOW, "window", "not now");
	snprintf(seen, sizeof seen, "%s|%s|%s|%s|%s|%d", command_row(line)->words,
		 command_argument(line, 0) ? command_argument(line, 0) : "-",
		 command_option(line, "--to") ? command_option(line, "--to") : "-",
		 command_option_at(line, "--keys", 1) ? command_option_at(line, "--keys", 1) : "-",
		 command_option(line, "--config") ? command_option(line, "--config") : "-",
		 command_flag(line, "--yes"));
	return 0;
}

static const struct command_option row_options[] = {
	{"--to", "V", true, false, false, "to"},
	{"--keys", "K", false, false, true, "keys"},
	{"--yes", NULL, false, false, false, "yes"},
	{"--fail", NULL, false, false, false, "fail"},
	{0},
};
static const struct command rows[] = {
	{"box", "", 0, 0, NULL, "box", show, NULL},
	{"box move", "NAME", 1, 1, row_options, "move", show, NULL},
	{0},
};
static const struct command_option common[] = {{"--config", "FILE", false, false, false, "config"}, {0}};
static const struct command_program program = {"prog", "test", common, rows};

static int run(const char *line)
{
	char text[200], *argv[20] = {(char *)"prog"};
	int argc = 1;

	snprintf(text, sizeof text, "%s", line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	seen[0] = 0;
	return command_main(&program, argc, argv, NULL);
}

static void finds_commands(void **state)
{
	(void)state;
	assert_int_equal(run("--config F box move b1 --to 2 --keys a b --yes"), 0);
	assert_string_equal(seen, "box move|b1|2|b|F|1");
	assert_int_equal(run("box move --to=2 -- --odd"), 0);
	assert_string_equal(seen, "box move|--odd|2|-|-|0");
	assert_int_equal(run("box --config G"), 0);
	assert_string_equal(seen, "box|-|-|-|G|0");
	assert_int_equal(run("box move b1"), ERROR_USAGE);
	assert_int_equal(run("box move b1 --to"), ERROR_USAGE);
	assert_int_equal(run("box move b1 --to 2 --to 3"), ERROR_USAGE);
	assert_int_equal(run("box move b1 b2 --to 2"), ERROR_USAGE);
	assert_int_equal(run("box move b1 --to 2 --what"), ERROR_USAGE);
	assert_int_equal(run("crate"), ERROR_USAGE);
	assert_int_equal(run(""), ERROR_USAGE);
	assert_string_equal(seen, "");
	assert_int_equal(run("box move b1 --to 2 --fail"), ERROR_NOT_NOW);
	assert_int_equal(run("box move --help"), 0);
	assert_string_equal(seen, "");
}

static void errors_may_quote_themselves(void **state)
{
	struct error error;

	(void)state;
	error_set(&error, ERROR_DATA, "hash", "%s", "inner");
	error_set(&error, ERROR_NOT_NOW, error.name, "outer: %s", error.text);
	assert_string_equal(error.name, "hash");
	assert_string_equal(error.text, "outer: inner");
	assert_int_equal(error.code, ERROR_NOT_NOW);
}

static void texts_are_copied_whole_or_not(void **state)
{
	char to[4] = "old";

	(void)state;
	assert_true(text_copy(to, sizeof to, "new"));
	assert_string_equal(to, "new");
	assert_false(text_copy(to, sizeof to, "four"));
	assert_string_equal(to, "");
	assert_false(text_copy(to, sizeof to, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_may_quote_themselves),
		cmocka_unit_test(texts_are_copied_whole_or_not),
		cmocka_unit_test(reads_and_writes_times),
		cmocka_unit_test(hashes),
		cmocka_unit_test(seals),
		cmocka_unit_test(finds_commands),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
