/* A join code comes through a telephone unharmed or not at all. */
#include <ctype.h>

#include "fixture.h"
#include "keys/joincode.h"

static struct joincode good_code(const char *host)
{
	struct joincode code = {.port = 443};

	snprintf(code.host, sizeof code.host, "%s", host);
	for (int i = 0; i < HASH_SIZE; i++) {
		code.host_key[i] = (uint8_t)(7 * i);
		code.root[i] = (uint8_t)(255 - i);
	}
	memset(code.secret, 0x5a, sizeof code.secret);
	return code;
}

static void assert_same(const struct joincode *a, const struct joincode *b)
{
	assert_string_equal(a->host, b->host);
	assert_int_equal(a->port, b->port);
	assert_memory_equal(a->host_key, b->host_key, HASH_SIZE);
	assert_memory_equal(a->root, b->root, HASH_SIZE);
	assert_memory_equal(a->secret, b->secret, JOINCODE_SECRET);
}

static void codes_of_every_length_go_round(void **state UNUSED)
{
	char host[JOINCODE_HOST_MOST] = "", text[JOINCODE_TEXT_MOST];
	struct error error = {0};

	for (size_t i = 0; i + 1 < sizeof host; i++) {
		struct joincode code, read;

		host[i] = 'h';
		code = good_code(host);
		assert_ok(joincode_write(&code, text, &error));
		assert_memory_equal(text, "ns1-", 4);
		assert_ok(joincode_read(text, &read, &error));
		assert_same(&code, &read);
	}
}

static void case_dashes_and_misread_letters_do_not_matter(void **state UNUSED)
{
	struct joincode code = good_code("hub.example.com"), read;
	char text[JOINCODE_TEXT_MOST], spoken[2 * JOINCODE_TEXT_MOST];
	struct error error = {0};
	size_t at = 0;

	assert_ok(joincode_write(&code, text, &error));
	for (const char *c = text; *c; c++) {
		if (*c == '-') {
			spoken[at++] = ' ';
			continue;
		}
		spoken[at++] = c < text + 4 ? *c : *c == '0' ? 'o' : *c == '1' ? 'L' : (char)tolower((unsigned char)*c);
	}
	spoken[at] = '\0';
	assert_ok(joincode_read(spoken, &read, &error));
	assert_same(&code, &read);
}

static void every_mistyped_digit_is_noticed(void **state UNUSED)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	struct joincode code = good_code("hub.example.com"), read;
	char text[JOINCODE_TEXT_MOST];
	struct error error = {0};
	unsigned tried = 0;

	assert_ok(joincode_write(&code, text, &error));
	for (size_t i = 4; text[i]; i++) {
		char right = text[i];

		if (right == '-')
			continue;
		for (const char *wrong = digits; *wrong; wrong++) {
			if (*wrong == right)
				continue;
			text[i] = *wrong;
			assert_refused(joincode_read(text, &read, &error), ERROR_USAGE, "join-code");
			tried++;
		}
		text[i] = 'U';
		assert_refused(joincode_read(text, &read, &error), ERROR_USAGE, "join-code");
		text[i] = right;
	}
	assert_true(tried > 5000);
}

static void swapped_missing_and_extra_digits_are_noticed(void **state UNUSED)
{
	struct joincode code = good_code("hub.example.com"), read;
	char text[JOINCODE_TEXT_MOST], wrong[2 * JOINCODE_TEXT_MOST];
	struct error error = {0};

	assert_ok(joincode_write(&code, text, &error));
	for (size_t i = 4; text[i + 1]; i++) {
		size_t next = text[i + 1] == '-' ? i + 2 : i + 1;

		if (text[i] == '-')
			continue;
		if (text[i] != text[next]) {
			strcpy(wrong, text);
			wrong[i] = text[next];
			wrong[next] = text[i];
			assert_refused(joincode_read(wrong, &read, &error), ERROR_USAGE, "join-code");
		}
		snprintf(wrong, sizeof wrong, "%.*s%s", (int)i, text, text + i + 1);
		assert_refused(joincode_read(wrong, &read, &error), ERROR_USAGE, "join-code");
		snprintf(wrong, sizeof wrong, "%.*s7%s", (int)i, text, text + i);
		assert_refused(joincode_read(wrong, &read, &error), ERROR_USAGE, "join-code");
	}
}

static void nonsense_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {"", "ns1", "ns1-", "ns2-00000", "ns1-00000", "n", "-----", "ns1-\xff\xfe"};
	struct joincode read, bad;
	char text[JOINCODE_TEXT_MOST], longest[4000];
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_refused(joincode_read(texts[i], &read, &error), ERROR_USAGE, "join-code");
	memset(longest, 'Z', sizeof longest);
	memcpy(longest, "ns1-", 4);
	longest[sizeof longest - 1] = '\0';
	assert_refused(joincode_read(longest, &read, &error), ERROR_USAGE, "join-code");
	memset(longest + 4, '0', sizeof longest - 5);
	assert_refused(joincode_read(longest, &read, &error), ERROR_USAGE, "join-code");
	bad = good_code("");
	assert_refused(joincode_write(&bad, text, &error), ERROR_CONFIG, "join-code");
	bad = good_code("host with blanks");
	assert_refused(joincode_write(&bad, text, &error), ERROR_CONFIG, "join-code");
	bad = good_code("h");
	bad.port = 0;
	assert_refused(joincode_write(&bad, text, &error), ERROR_CONFIG, "join-code");
}

static void seed_depends_on_secret_hub_and_root(void **state UNUSED)
{
	struct joincode code = good_code("a");
	uint8_t first[32], again[32], other[32];

	joincode_seed(&code, first);
	strcpy(code.host, "b"); /* a hub may move */
	joincode_seed(&code, again);
	assert_memory_equal(first, again, 32);
	for (int i = 0; i < 3; i++) {
		struct joincode changed = code;

		((uint8_t *[]){changed.secret, changed.host_key, changed.root})[i][15] ^= 1;
		joincode_seed(&changed, other);
		assert_memory_not_equal(first, other, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_of_every_length_go_round),
		cmocka_unit_test(case_dashes_and_misread_letters_do_not_matter),
		cmocka_unit_test(every_mistyped_digit_is_noticed),
		cmocka_unit_test(swapped_missing_and_extra_digits_are_noticed),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(seed_depends_on_secret_hub_and_root),
	};
	return cmocka_run_group_tests_name("joincode", tests, NULL, NULL);
}
