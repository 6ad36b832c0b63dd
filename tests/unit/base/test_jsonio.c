#include "tests/unit/fixture.h"

#include "base/jsonio.h"

static int parse(const char *text, json_t **ret_value, struct error *error)
{
	return jsonio_parse(text, strlen(text), "the text", ret_value, error);
}

static void refuses_what_others_read_differently(void **state)
{
	static const char *const bad[] = {
		"",
		"{\"a\":1,\"a\":2}",
		"{\"a\":1.0}",
		"[1e3]",
		"{\"a\":\"\\u0000\"}",
		"{} x",
		"\xef\xbb\xbf{}",
		"{\"a\":\"\\ud800\"}",
		"[9223372036854775808]",
		"{\"a\":'x'}",
		"\"\xff\"",
		"nul",
	};
	struct error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(jsonio_free) json_t *value = NULL;
		assert_refused(parse(bad[i], &value, &error), error, ERROR_DATA, "format");
		assert_null(value);
	}
}

static void bounds_the_depth(void **state)
{
	char text[2 * JSONIO_DEPTH + 8] = "";
	struct error error;

	(void)state;
	for (int depth = JSONIO_DEPTH; depth <= JSONIO_DEPTH + 1; depth++) {
		CLEANUP(jsonio_free) json_t *value = NULL;
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = 0;
		if (depth <= JSONIO_DEPTH)
			assert_ok(parse(text, &value, &error), error);
		else
			assert_refused(parse(text, &value, &error), error, ERROR_DATA, "format");
	}
}

static const struct jsonio_field fields[] = {
	{"name", JSONIO_STRING, true, 4, false},    {"count", JSONIO_INTEGER, false, 10, false},
	{"shift", JSONIO_INTEGER, false, 10, true}, {"list", JSONIO_ARRAY, false, 2, false},
	{NULL, JSONIO_STRING, false, 0, false},
};

static void checks_by_table(void **state)
{
	static const struct {
		const char *text, *name;
	} bad[] = {
		{"{}", "format"},
		{"{\"name\":7}", "format"},
		{"{\"name\":\"12345\"}", "length"},
		{"{\"name\":\"a\",\"count\":11}", "length"},
		{"{\"name\":\"a\",\"count\":-1}", "length"},
		{"{\"name\":\"a\",\"list\":[1,2,3]}", "length"},
		{"{\"name\":\"a\",\"other\":1}", "format"},
		{"[]", "format"},
	};
	struct error error;
	CLEANUP(jsonio_free) json_t *good = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(jsonio_free) json_t *value = NULL;
		assert_ok(parse(bad[i].text, &value, &error), error);
		assert_refused(jsonio_check(value, fields, "it", &error), error, ERROR_DATA, bad[i].name);
	}
	assert_ok(parse("{\"name\":\"abcd\",\"count\":10,\"shift\":-3,\"list\":[]}", &good, &error), error);
	assert_ok(jsonio_check(good, fields, "it", &error), error);
	assert_int_equal(jsonio_integer(good, "shift"), -3);
	assert_null(jsonio_string(good, "absent"));
	json_object_set_new(good, "other", json_true());
	assert_ok(jsonio_check_open(good, fields, "it", &error), error);
}

static void writes_canonical_json(void **state)
{
	CLEANUP(jsonio_free) json_t *value = NULL;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	struct error error;

	(void)state;
	assert_ok(parse("{\"b\":[1,-2,true,null],\"a\":\"q\\\"\\\\\\n/\\u00e9\",\"\":{},\"B\":0}", &value, &error),
		  error);
	assert_ok(jsonio_write_canonical(value, &text, &error), error);
	assert_string_equal((char *)text.data,
			    "{\"\":{},\"B\":0,\"a\":\"q\\\"\\\\\n/\xc3\xa9\",\"b\":[1,-2,true,null]}");
}

/* A text that comes a few bytes at a time, or all at once, and may break off. */
struct trickle {
	const char *left;
	size_t step, breaks; /* SIZE_MAX: never */
};

static int read_trickle(void *context, void *room, size_t size, size_t *ret_got, struct error *error)
{
	struct trickle *trickle = context;
	size_t got = strnlen(trickle->left, size < trickle->step ? size : trickle->step);

	if (trickle->breaks-- == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "broken", "the text broke off");
	memcpy(room, trickle->left, got);
	trickle->left += got;
	*ret_got = got;
	return 0;
}

struct members {
	size_t count, fails_at, longest;
};

static int take_member(void *context, const char *text, size_t size, struct error *error)
{
	struct members *members = context;
	CLEANUP(jsonio_free) json_t *value = NULL;

	if (members->count == members->fails_at)
		return error_set(error, ERROR_NOT_NOW, "enough", "no more");
	members->count++;
	members->longest = size > members->longest ? size : members->longest;
	return jsonio_parse(text, size, "part", &value, error);
}

static int parse_lists(struct trickle *trickle, size_t most, struct members *members, json_t **ret_rest,
		       struct error *error)
{
	const struct jsonio_list list = {"list", most, take_member};
	const struct jsonio_source source = {read_trickle, trickle};

	return jsonio_parse_lists(&source, "it", &list, 1, members, ret_rest, error);
}

/* Text that is split before it is parsed: exactly what parses whole comes through, member by member. */
static void splits_lists(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t count; /* of the members; -1: refused */
	} texts[] = {
		{"{\"list\":[],\"a\":1}", 0},
		{" { \"a\" : 1 , \"list\" : [ ] } ", 0},
		{"{\"list\":[1],\"a\":1}", 1},
		{"{\"a\":1,\"list\":[ {\"x\":\"]},\\\"\"} , [1,[2]],\"\\\\\",null ]}", 4},
		{"{\"a\":\"\\\"list\\\":[1]\",\"list\":[2,3]}", 2},
		{"{\"a\":{\"list\":[1,2,3]},\"list\":[4]}", 1},
		{"{\"a\":1}", -1},
		{"{\"list\":1,\"a\":1}", -1},
		{"{\"list\":{\"0\":1}}", -1},
		{"{\"list\":[1],\"list\":[2]}", -1},
		{"{\"list\":[1],\"l\\u0069st\":[2]}", -1},
		{"{\"l\\u0069st\":[1]}", -1},
		{"{\"list\":[1,],\"a\":1}", -1},
		{"{\"list\":[,1],\"a\":1}", -1},
		{"{\"list\":[1 2],\"a\":1}", -1},
		{"{\"list\":[1]]}", -1},
		{"{\"list\":[1}", -1},
		{"{\"list\":[1", -1},
		{"{\"list\":[1]", -1},
		{"{\"list\":[[1}]}", -1},
		{"{\"list\":[1]}}", -1},
		{"{\"list\":[1]} {}", -1},
		{"{\"list\":[1],}", -1},
		{"{,\"list\":[1]}", -1},
		{"{\"list\"[1]}", -1},
		{"{\"list\":[\"]}", -1},
		{"{\"list\":[\"\\", -1},
		{"{\"lis\\", -1},
		{"{\"a\":\"", -1},
		{"{\"a\":\"b\\", -1},
		{"{\"a\":[\"b\\", -1},
		{"{\"a", -1},
		{"{list:[1]}", -1},
		{"{\"list\":[1.5]}", -1},
		{"{\"list\":[01]}", -1},
		{"[\"list\"]", -1},
		{"", -1},
		{"{", -1},
		{"{}", -1},
	};
	static const size_t steps[] = {SIZE_MAX, 1, 2, 7};
	for (size_t i = 0; i < ARRAY_SIZE(texts) * ARRAY_SIZE(steps); i++) {
		const int64_t wanted = texts[i / ARRAY_SIZE(steps)].count;
		struct trickle trickle = {texts[i / ARRAY_SIZE(steps)].text, steps[i % ARRAY_SIZE(steps)], SIZE_MAX};
		struct members members = {.fails_at = SIZE_MAX};
		CLEANUP(jsonio_free) json_t *rest = NULL;
		struct error error;
		int result = parse_lists(&trickle, 10, &members, &rest, &error);
		assert_int_equal(result < 0 ? -1 : (int64_t)members.count, wanted);
		if (result == 0)
			assert_int_equal(json_array_size(json_object_get(rest, "list")), 0);
		else
			assert_int_equal(error.code, ERROR_DATA);
	}
}

/* Members longer than what is read at a time are whole as well; nothing is held that is longer than any may be. */
static void bounds_lists(void **state)
{
	(void)state;
	const size_t sizes[] = {65534, 65536, 200000, 1000000, 1100000};
	CLEANUP(free_pointer) char *text = malloc(1200000);
	struct error error;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i / 2];
		const bool inside = i % 2 == 0;
		CLEANUP(jsonio_free) json_t *rest = NULL;
		struct members members = {.fails_at = SIZE_MAX};
		size_t at = (size_t)sprintf(text, inside ? "{\"list\":[1,\"" : "{\"list\":[1],\"a\":\"");
		memset(text + at, 'x', size);
		strcpy(text + at + size, inside ? "\",2]}" : "\"}");
		struct trickle trickle = {text, 5000, SIZE_MAX};
		if (size > 1024 * 1024) {
			assert_refused(parse_lists(&trickle, 3, &members, &rest, &error), error, ERROR_DATA, "length");
			continue;
		}
		assert_ok(parse_lists(&trickle, 3, &members, &rest, &error), error);
		assert_int_equal(members.count, inside ? 3 : 1);
		assert_int_equal(members.longest, inside ? size + 2 : 1);
	}
	CLEANUP(jsonio_free) json_t *rest = NULL;
	struct trickle trickle = {"{\"list\":[1,2,3]}", 3, SIZE_MAX};
	struct members members = {.fails_at = SIZE_MAX};
	assert_refused(parse_lists(&trickle, 2, &members, &rest, &error), error, ERROR_DATA, "length");
}

/* Who reads and who takes end it all by their own words, wherever they are. */
static void lists_break_off(void **state)
{
	(void)state;
	static const char text[] = " {\"a\" : 1,\"list\":[1,\"two\",3], \"b\":2 }  ";

	for (size_t i = 0; i <= strlen(text); i++) {
		CLEANUP(jsonio_free) json_t *rest = NULL;
		struct trickle trickle = {text, 1, i};
		struct members members = {.fails_at = SIZE_MAX};
		struct error error;
		assert_refused(parse_lists(&trickle, 3, &members, &rest, &error), error, ERROR_CANNOT_CREATE, "broken");
		assert_null(rest);
	}
	for (size_t i = 0; i < 3; i++) {
		CLEANUP(jsonio_free) json_t *rest = NULL;
		struct trickle trickle = {text, 1, SIZE_MAX};
		struct members members = {.fails_at = i};
		struct error error;
		assert_refused(parse_lists(&trickle, 3, &members, &rest, &error), error, ERROR_NOT_NOW, "enough");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_others_read_differently),
		cmocka_unit_test(bounds_the_depth),
		cmocka_unit_test(checks_by_table),
		cmocka_unit_test(writes_canonical_json),
		cmocka_unit_test(splits_lists),
		cmocka_unit_test(bounds_lists),
		cmocka_unit_test(lists_break_off),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
