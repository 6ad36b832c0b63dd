#include "tests/unit/fixture.h"

#include <stdio.h>

#include "release/manifest_entry.h"
#include "release/manifest_words.h"

#define HEX "5c17babb934c5dbb5f574b3513c24c4a62e4dae5db6c4c8c29e6bd0adf59e8a0"

static bool knows(const char *text)
{
	struct manifest_words words;
	return manifest_words_read(text, strlen(text), &words);
}

/* Every form that manifest_write has is known, whatever an entry says; written again it is the same text. */
static void knows_what_is_written(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{\"mode\":\"0755\",\"path\":\"a/b\",\"type\":\"directory\"}",
		"{\"mode\":\"0750\",\"owner\":\"www-data\",\"path\":\"a\",\"type\":\"directory\"}",
		"{\"path\":\"a/b\",\"target\":\"../c d\",\"type\":\"link\"}",
		"{\"owner\":\"nobody\",\"path\":\"a/b\",\"target\":\"~\",\"type\":\"link\"}",
		"{\"hash\":\"" HEX "\",\"mode\":\"0644\",\"path\":\"f\",\"size\":0,\"type\":\"file\"}",
		"{\"hash\":\"" HEX "\",\"mode\":\"0644\",\"path\":\"f\",\"size\":1099511627776,\"type\":\"file\"}",
		"{\"hash\":\"" HEX "\",\"mode\":\"4755\",\"owner\":\"daemon\",\"path\":\"f\",\"set_id\":true,"
		"\"size\":4017,\"type\":\"file\"}",
		"{\"hash\":\"" HEX "\",\"mode\":\"0755\",\"path\":\"undo\",\"root\":\"hooks\",\"size\":1,"
		"\"type\":\"file\"}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(arena_free) struct arena texts_end = {0};
		CLEANUP(buffer_free) struct buffer again = BUFFER_INIT(0);
		CLEANUP(jsonio_free) json_t *value = NULL;
		struct manifest manifest = {0};
		struct manifest_entry entry;
		struct error error;
		assert_true(knows(texts[i]));
		assert_ok(manifest_entry_read(&manifest, texts[i], strlen(texts[i]), &entry, &error), error);
		texts_end = manifest.texts;
		value = manifest_entry_value(&entry);
		assert_non_null(value);
		assert_ok(jsonio_write(value, false, &again, &error), error);
		assert_string_equal((char *)again.data, texts[i]);
	}
}

static void knows_what_it_says(void **state)
{
	(void)state;
	static const char text[] =
		"{\"hash\":\"" HEX "\",\"mode\":\"4755\",\"owner\":\"daemon\",\"path\":\"p/q\","
		"\"root\":\"hooks\",\"set_id\":true,\"size\":40170,\"target\":\"t\",\"type\":\"file\"}";
	struct manifest_words words;

	assert_true(manifest_words_read(text, strlen(text), &words));
	assert_true(manifest_word_is(words.hash, HEX));
	assert_true(manifest_word_is(words.mode, "4755"));
	assert_true(manifest_word_is(words.owner, "daemon"));
	assert_true(manifest_word_is(words.path, "p/q"));
	assert_true(manifest_word_is(words.root, "hooks"));
	assert_true(manifest_word_is(words.target, "t"));
	assert_true(manifest_word_is(words.type, "file"));
	assert_true(words.set_id && words.has_size);
	assert_int_equal(words.size, 40170);
	/* Cut anywhere it is no entry. */
	for (size_t i = 0; i < strlen(text); i++)
		assert_false(manifest_words_read(text, i, &words));
}

/* Whatever needs a parser is the parser's, right or wrong. */
static void leaves_the_rest(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"{",
		"{}",
		"1",
		"{\"path\":\"a\"}",
		"{\"type\":\"link\"}",
		"{\"path\":\"a\",\"type\":\"link\"},",
		"{\"path\":\"a\",\"type\":\"link\"}}",
		"{\"path\":\"a\",\"type\":\"link\",}",
		"{\"path\":\"a\" ,\"type\":\"link\"}",
		" {\"path\":\"a\",\"type\":\"link\"}",
		"{\"path\":\"a\",\"type\":\"link\"} ",
		"{\"path\":\"a\" \"type\":\"link\"}",
		"{\"type\":\"link\",\"path\":\"a\"}",
		"{\"path\":\"a\",\"path\":\"a\",\"type\":\"link\"}",
		"{\"path\":\"a\",\"type\":\"link\",\"type\":\"link\"}",
		"{\"path\":\"a\",\"type\":\"link\",\"unknown\":1}",
		"{\"p\\u0061th\":\"a\",\"type\":\"link\"}",
		"{\"path\":\"\\u0061\",\"type\":\"link\"}",
		"{\"path\":\"a\\\"b\",\"type\":\"link\"}",
		"{\"path\":\"a\tb\",\"type\":\"link\"}",
		"{\"path\":\"\xc3\xa4\",\"type\":\"link\"}",
		"{\"path\":\"\xff\",\"type\":\"link\"}",
		"{\"path\":null,\"type\":\"link\"}",
		"{\"path\":1,\"type\":\"link\"}",
		"{\"mode\":\"07555\",\"path\":\"a\",\"type\":\"directory\"}",
		"{\"owner\":\"a-name-of-more-than-thirty-two-letters\",\"path\":\"a\",\"type\":\"directory\"}",
		"{\"hash\":\"" HEX "0\",\"path\":\"a\",\"type\":\"file\"}",
		"{\"path\":\"a\",\"set_id\":false,\"type\":\"file\"}",
		"{\"path\":\"a\",\"set_id\":1,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":-1,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":01,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":1.0,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":1e3,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":\"1\",\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":1099511627777,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":18446744073709551616,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":1,\"size\":1,\"type\":\"file\"}",
		"{\"path\":\"a\",\"size\":1,\"set_id\":true,\"type\":\"file\"}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (knows(texts[i]))
			fail_msg("%s is known without a parser", texts[i]);
	char text[MANIFEST_PATH_MOST + 64];
	for (int size = MANIFEST_PATH_MOST - 1; size <= MANIFEST_PATH_MOST + 1; size++) {
		snprintf(text, sizeof text, "{\"path\":\"%0*d\",\"type\":\"link\"}", size, 1);
		assert_true(knows(text) == (size <= MANIFEST_PATH_MOST));
	}
}

static void knows_hashes(void **state)
{
	(void)state;
	static const char *const others[] = {"", "\"", "\"a", "a\"", "\"a\"b", "\"\\u0061\"", " \"a\"", "\"a\" ", "1"};
	struct manifest_word word;
	uint8_t hash[HASH_SIZE];
	struct error error;

	assert_true(manifest_words_string("\"" HEX "\"", 66, 64, &word));
	assert_ok(manifest_word_hash(word, hash, &error), error);
	assert_int_equal(hash[0], 0x5c);
	assert_int_equal(hash[31], 0xa0);
	assert_false(manifest_words_string("\"" HEX "\"", 66, 63, &word));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(manifest_words_string(others[i], strlen(others[i]), 64, &word));
	static const char *const wrong[] = {"", "5c", HEX "0",
					    "gc17babb934c5dbb5f574b3513c24c4a62e4dae5db6c4c8c29e6bd0adf59e8a0"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		word = (struct manifest_word){wrong[i], strlen(wrong[i])};
		assert_refused(manifest_word_hash(word, hash, &error), error, ERROR_DATA, "format");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_what_is_written),
		cmocka_unit_test(knows_what_it_says),
		cmocka_unit_test(leaves_the_rest),
		cmocka_unit_test(knows_hashes),
	};
	return cmocka_run_group_tests_name("manifest_words", tests, NULL, NULL);
}
