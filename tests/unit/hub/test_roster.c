#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/hub/roster.h"
#include "orchestrator/hub/ticket.h"

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

static void test_tickets_are_counted_and_the_oldest_makes_room(void **state UNUSED)
{
	struct tickets tickets = {0};
	char text[16];

	assert_int_equal(tickets_allow(&tickets, "a"), 0);
	assert_int_equal(tickets_allow(&tickets, ""), 0); /* an empty row is no ticket */
	tickets_expect(&tickets, "a", 3);
	assert_int_equal(tickets_allow(&tickets, "a"), 3);
	assert_int_equal(tickets_allow(&tickets, "ab"), 0);
	tickets_expect(&tickets, "a", 5);
	assert_int_equal(tickets_allow(&tickets, "a"), 5);
	for (int i = 0; i < TICKETS_MOST - 1; i++) {
		snprintf(text, sizeof text, "t%d", i);
		tickets_expect(&tickets, text, 1);
	}
	assert_int_equal(tickets_allow(&tickets, "a"), 5);
	tickets_expect(&tickets, "last", 1);
	assert_int_equal(tickets_allow(&tickets, "a"), 0);
	assert_int_equal(tickets_allow(&tickets, "t0"), 1);
	assert_int_equal(tickets_allow(&tickets, "last"), 1);
	tickets_forget(&tickets);
	assert_int_equal(tickets_allow(&tickets, "last"), 0);
}

static void test_streams_of_a_key_are_counted(void **state)
{
	struct roster *roster;
	struct roster_entry box = {.key = {1}, .name = "box"};
	const uint8_t stranger[ROSTER_KEY_SIZE] = {2};
	struct error error;

	(void)state;
	assert_int_equal(roster_new(&roster, &error), 0);
	assert_int_equal(roster_admit(roster, &box, &error), 0);
	assert_false(roster_spend(roster, stranger, 1000));
	for (int i = 0; i < ROSTER_STREAMS_AT_ONCE; i++)
		assert_true(roster_spend(roster, box.key, 1000));
	assert_false(roster_spend(roster, box.key, 1000));
	/* To be admitted again brings nothing back; time does. */
	assert_int_equal(roster_admit(roster, &box, &error), 0);
	assert_false(roster_spend(roster, box.key, 1000));
	for (int i = 0; i < ROSTER_STREAMS_A_SECOND; i++)
		assert_true(roster_spend(roster, box.key, 2000));
	assert_false(roster_spend(roster, box.key, 2000));
	roster_free(&roster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_found_replaced_and_dismissed),
		cmocka_unit_test(test_a_key_ends_at_its_hour),
		cmocka_unit_test(test_thousands_stay_apart),
		cmocka_unit_test(test_streams_of_a_key_are_counted),
		cmocka_unit_test(test_tickets_are_counted_and_the_oldest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
