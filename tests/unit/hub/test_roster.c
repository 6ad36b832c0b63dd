#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/hub/roster.h"

static struct roster_entry entry_of(uint32_t number, const char *name)
{
	struct roster_entry entry = {0};

	memcpy(entry.key, &number, sizeof number);
	strcpy(entry.name, name);
	return entry;
}

static void test_keys_are_found_replaced_and_dismissed(void **state UNUSED)
{
	struct roster *roster;
	struct error error;
	struct roster_entry entry = entry_of(7, "first");

	assert_int_equal(roster_new(&roster, &error), 0);
	assert_null(roster_find(roster, entry.key, 0));
	assert_int_equal(roster_admit(roster, &entry, &error), 0);
	assert_string_equal(roster_find(roster, entry.key, 0)->name, "first");
	entry = entry_of(7, "second");
	assert_int_equal(roster_admit(roster, &entry, &error), 0);
	assert_string_equal(roster_find(roster, entry.key, 0)->name, "second");
	roster_dismiss(roster, entry.key);
	roster_dismiss(roster, entry.key);
	assert_null(roster_find(roster, entry.key, 0));
	roster_free(&roster);
	assert_null(roster);
}

static void test_a_key_ends_at_its_hour(void **state UNUSED)
{
	struct roster *roster;
	struct error error;
	struct roster_entry entry = entry_of(1, "box");

	entry.expires = 1000;
	assert_int_equal(roster_new(&roster, &error), 0);
	assert_int_equal(roster_admit(roster, &entry, &error), 0);
	assert_non_null(roster_find(roster, entry.key, 999));
	assert_null(roster_find(roster, entry.key, 1000));
	roster_free(&roster);
}

static void test_thousands_stay_apart(void **state UNUSED)
{
	struct roster *roster;
	struct error error;

	assert_int_equal(roster_new(&roster, &error), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		char name[16];
		snprintf(name, sizeof name, "box-%u", i);
		struct roster_entry entry = entry_of(i, name);
		assert_int_equal(roster_admit(roster, &entry, &error), 0);
	}
	for (uint32_t i = 0; i < 20000; i++) {
		char name[16];
		snprintf(name, sizeof name, "box-%u", i);
		struct roster_entry entry = entry_of(i, "");
		assert_string_equal(roster_find(roster, entry.key, 0)->name, name);
	}
	roster_clear(roster);
	assert_null(roster_find(roster, entry_of(5, "").key, 0));
	roster_free(&roster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_found_replaced_and_dismissed),
		cmocka_unit_test(test_a_key_ends_at_its_hour),
		cmocka_unit_test(test_thousands_stay_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
