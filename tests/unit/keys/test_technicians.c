/* technicians.json: a closed set with unique names and keys, the same bytes for the same people. */
#include "fixture.h"
#include "keys/sshkey.h"
#include "keys/technicians.h"
#include "tests/unit/mutate.h"

/* An OpenSSH line of the key that has this number; 0 is a key too. */
static const char *line_of(unsigned number, const char *comment, char line[static SSHKEY_LINE_MOST])
{
	uint8_t key[SECRET_ED25519_PUBLIC] = {0};
	struct error error = {0};

	memcpy(key, &number, sizeof number);
	assert_ok(sshkey_public_line(key, comment, line, &error));
	return line;
}

static void add(struct technicians *technicians, const char *name, unsigned number)
{
	struct error error = {0};
	char line[SSHKEY_LINE_MOST];

	assert_ok(technicians_add(technicians, name, line_of(number, name, line), &error));
}

static void goes_round_sorted(void **state UNUSED)
{
	CLEANUP(technicians_free) struct technicians one = {0}, other = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0}, same = {0};
	struct error error = {0};
	char first[SSHKEY_LINE_MOST];

	add(&one, "tom", 1);
	add(&one, "ann", 2);
	add(&other, "ann", 2);
	add(&other, "tom", 1);
	assert_ok(technicians_write(&one, &bytes, &error));
	assert_ok(technicians_write(&other, &same, &error));
	assert_int_equal(bytes.size, same.size);
	assert_memory_equal(bytes.data, same.data, same.size);
	assert_ok(technicians_parse(bytes.data, bytes.size, &again, &error));
	assert_int_equal(again.count, 2);
	assert_string_equal(again.list[0].name, "ann");
	assert_ok(sshkey_public_line(technicians_find(&again, "tom")->key, "", first, &error));
	assert_string_equal(first, line_of(1, "", (char[SSHKEY_LINE_MOST]){0}));
	assert_null(technicians_find(&again, "to"));
	assert_null(technicians_find(&again, "tom2"));
}

static void nobody_is_a_list(void **state UNUSED)
{
	CLEANUP(technicians_free) struct technicians none = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(technicians_write(&none, &bytes, &error));
	assert_ok(technicians_parse(bytes.data, bytes.size, &again, &error));
	assert_int_equal(again.count, 0);
}

static void names_and_keys_are_unique(void **state UNUSED)
{
	CLEANUP(technicians_free) struct technicians technicians = {0};
	struct error error = {0};
	char line[SSHKEY_LINE_MOST];

	add(&technicians, "tom", 1);
	assert_refused(technicians_add(&technicians, "tom", line_of(2, "", line), &error), ERROR_DATA, "exists");
	assert_refused(technicians_add(&technicians, "ann", line_of(1, "another", line), &error), ERROR_DATA, "exists");
	assert_int_equal(technicians.count, 1);
	assert_false(technicians_remove(&technicians, "ann"));
	add(&technicians, "ann", 2);
	add(&technicians, "bea", 3);
	assert_true(technicians_remove(&technicians, "ann"));
	assert_null(technicians_find(&technicians, "ann"));
	assert_non_null(technicians_find(&technicians, "bea"));
	add(&technicians, "joe", 2);
}

static void names_and_keys_are_sound(void **state UNUSED)
{
	static const char *const names[] = {
		"",    "-x",  ".x",       "a b",
		"a/b", "a\n", "\xc3\xa4", "a234567890123456789012345678901234567890123456789012345678901234"};
	static const char *const ends[] = {"\nssh-ed25519 AAAA", "\n", "\r", "\x7f"};
	CLEANUP(technicians_free) struct technicians technicians = {0};
	struct error error = {0};
	char line[SSHKEY_LINE_MOST], longer[4 * SSHKEY_LINE_MOST];

	line_of(1, "", line);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_malformed(technicians_add(&technicians, names[i], line, &error));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(longer, sizeof longer, "%s%s", line, ends[i]);
		assert_malformed(technicians_add(&technicians, "tom", longer, &error));
	}
	assert_malformed(technicians_add(&technicians, "tom", "ssh-rsa AAAAB3NzaC1yc2E= x", &error));
	assert_malformed(technicians_add(&technicians, "tom", "command=\"x\" ssh-ed25519 AAAA", &error));
	snprintf(longer, sizeof longer, "%s %0*d", line, SSHKEY_LINE_MOST, 1);
	assert_malformed(technicians_add(&technicians, "tom", longer, &error));
	assert_int_equal(technicians.count, 0);
}

static void has_a_most(void **state UNUSED)
{
	CLEANUP(technicians_free) struct technicians technicians = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0}, more = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct error error = {0};
	char name[64], line[SSHKEY_LINE_MOST];

	for (unsigned i = 0; i < TECHNICIANS_MOST; i++) {
		snprintf(name, sizeof name, "t%062u", i);
		add(&technicians, name, i);
	}
	assert_refused(technicians_add(&technicians, "more", line_of(TECHNICIANS_MOST, "", line), &error), ERROR_DATA,
		       "length");
	assert_ok(technicians_write(&technicians, &bytes, &error));
	assert_ok(technicians_parse(bytes.data, bytes.size, &again, &error));
	assert_int_equal(again.count, TECHNICIANS_MOST);
	assert_ok(jsonio_parse(bytes.data, bytes.size, "technicians", &object, &error));
	json_array_append_new(json_object_get(object, "technicians"),
			      json_pack("{s:s, s:s}", "name", "more", "key", line));
	assert_ok(jsonio_write(object, false, &more, &error));
	technicians_free(&again);
	assert_malformed(technicians_parse(more.data, more.size, &again, &error));
	assert_int_equal(again.count, 0);
}

struct run {
	unsigned tried, accepted;
};

/* No signature is at hand here: what is accepted is another sound list, which its hash in the targets tells apart. */
static void try_change(void *context, const char *what UNUSED, const struct buffer *bytes)
{
	struct run *run = context;
	CLEANUP(technicians_free) struct technicians read = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer written = {0};
	struct error error = {0};

	run->tried++;
	if (technicians_parse(bytes->data, bytes->size, &read, &error)) {
		assert_int_equal(error.code, ERROR_DATA);
		assert_int_equal(read.count, 0);
		return;
	}
	run->accepted++;
	for (size_t i = 0; i < read.count; i++)
		assert_ptr_equal(technicians_find(&read, read.list[i].name), &read.list[i]);
	assert_ok(technicians_write(&read, &written, &error));
	assert_ok(technicians_parse(written.data, written.size, &again, &error));
	assert_int_equal(again.count, read.count);
}

static void changes_are_refused_or_sound(void **state UNUSED)
{
	CLEANUP(technicians_free) struct technicians technicians = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct run run = {0};
	const struct mutate mutate = {try_change, &run};
	struct error error = {0};

	for (unsigned i = 0; i < 5; i++)
		add(&technicians, (const char *const[]){"ann", "bea", "joe", "tim", "tom"}[i], i);
	assert_ok(technicians_write(&technicians, &bytes, &error));
	assert_ok(jsonio_parse(bytes.data, bytes.size, "technicians", &object, &error));
	mutate_part(&mutate, object, object);
	mutate_bits(&mutate, &bytes, 1);
	print_message("%u changes, %u of them another sound list\n", run.tried, run.accepted);
	assert_true(run.tried > 50 && run.accepted < run.tried / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_round_sorted),
		cmocka_unit_test(nobody_is_a_list),
		cmocka_unit_test(names_and_keys_are_unique),
		cmocka_unit_test(names_and_keys_are_sound),
		cmocka_unit_test(has_a_most),
		cmocka_unit_test(changes_are_refused_or_sound),
	};
	return cmocka_run_group_tests_name("technicians", tests, NULL, NULL);
}
