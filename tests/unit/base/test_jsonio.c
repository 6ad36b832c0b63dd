#include "tests/unit/fixture.h"

#include <sys/mman.h>
#include <unistd.h>

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

/* A page with nothing behind it: who reads on ends there. */
static char *build_wall(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	return pages + page;
}

static void drop_wall(char *wall)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert_int_equal(munmap(wall - page, 2 * page), 0);
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
	char *wall = build_wall();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct jsonio_list list = {"list", 10, NULL, 0};
		CLEANUP(jsonio_free) json_t *rest = NULL;
		struct error error;
		size_t size = strlen(texts[i].text);
		char *text = wall - size;
		memcpy(text, texts[i].text, size);
		int result = jsonio_parse_lists(text, size, "it", &list, 1, &rest, &error);
		int64_t count = result < 0 ? -1 : (int64_t)list.count;
		for (size_t part = 0; result == 0 && part < list.count; part++) {
			CLEANUP(jsonio_free) json_t *value = NULL;
			result =
				jsonio_parse(text + list.parts[part].at, list.parts[part].size, "part", &value, &error);
		}
		if (result == 0)
			assert_int_equal(json_array_size(json_object_get(rest, "list")), 0);
		free(list.parts);
		assert_int_equal(result < 0 ? -1 : count, texts[i].count);
		if (result < 0)
			assert_int_equal(error.code, ERROR_DATA);
	}
	drop_wall(wall);
}

static void bounds_lists(void **state)
{
	(void)state;
	static const char text[] = "{\"list\":[1,2,3]}";
	CLEANUP(jsonio_free) json_t *rest = NULL;
	struct error error;
	struct jsonio_list list = {"list", 2, NULL, 0};

	assert_refused(jsonio_parse_lists(text, strlen(text), "it", &list, 1, &rest, &error), error, ERROR_DATA,
		       "length");
	assert_null(list.parts);
	list.most = 3;
	assert_ok(jsonio_parse_lists(text, strlen(text), "it", &list, 1, &rest, &error), error);
	assert_int_equal(list.count, 3);
	free(list.parts);
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
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
