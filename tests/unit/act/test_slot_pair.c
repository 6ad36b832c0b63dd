/* The pair of images behind the interface of slot.h: each operation, and whole upgrades on a machine whose boot loader
 * counts its tries. The loader is a script: it reads and writes boot.env as one in firmware does, and makes `current`
 * name what it started, so that the fixture's product runs. */
#include "tests/unit/act/machine.h"
#include "tests/unit/act/outage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/watcher.h"
#include "base/log.h"
#include "base/secret.h"

static char version[LAYOUT_VERSION_SIZE];

#define LOADER                                                                                                         \
	"#!/bin/sh\ncd %s/product\n. ./boot.env\n[ $next = a ] && other=b || other=a\n"                                \
	"eval ok=\\$slot_${next}_ok tries=\\$slot_${next}_tries\n"                                                     \
	"if [ $ok = 1 ]; then slot=$next\n"                                                                            \
	"elif [ $tries -gt 0 ]; then slot=$next; sed -i s/^slot_${next}_tries=.*/slot_${next}_tries=$((tries-1))/ "    \
	"boot.env\n"                                                                                                   \
	"else slot=$other; fi\n"                                                                                       \
	"echo $slot > booted\neval version=\\$slot_${slot}_version\nln -sfn releases/$version current\n"               \
	"cat slot-$slot >> ../started\n"

/* A tree with its image, before it is packed. */
static void draw(struct fixture *fixture, const char *of)
{
	char name[64], text[64];

	snprintf(name, sizeof name, "tree-%s/image", of);
	snprintf(text, sizeof text, "image %s\n", of);
	fixture_write(fixture, name, text);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	char script[1024];

	assert_non_null(fixture);
	fixture_make(fixture, NULL);
	draw(fixture, "1.0");
	draw(fixture, "1.1");
	draw(fixture, "1.2");
	fixture_adopt(fixture, "1.0");
	machine_make(fixture, NULL);
	snprintf(script, sizeof script, LOADER, fixture->directory);
	fixture_write(fixture, "loader", script);
	fixture_write(fixture, "product/slot-a", "image 1.0\n");
	fixture_write(fixture, "product/booted", "a\n");
	fixture_write(fixture, "product/boot.env",
		      "slot_a_version=1.0\nslot_a_ok=1\nslot_a_tries=0\nslot_b_version=\nslot_b_ok=0\nslot_b_tries=0\n"
		      "next=a\n");
	fixture->layout.slots = &slot_pair;
	*state = fixture;
	return 0;
}

static void assert_env(struct fixture *fixture, const char *wanted)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "product/boot.env");

	if (!strstr(text, wanted))
		fail_msg("\"%s\" is not in %s", wanted, text);
}

static void test_each_operation(void **state)
{
	struct fixture *fixture = *state;
	const struct layout *layout = &fixture->layout;
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	assert_int_equal(slot_pair.current(layout, version, &error), 0);
	assert_string_equal(version, "1.0");
	assert_true(slot_pair.holds(layout, "1.0"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(slot_pair.prepare(layout, "1.1", &error), 0);
		CLEANUP(free_pointer) char *image = fixture_text(fixture, "product/slot-b");
		assert_string_equal(image, "image 1.1\n");
		assert_env(fixture, "slot_b_version=1.1\nslot_b_ok=0\nslot_b_tries=0\nnext=a\n");
	}
	/* It was never found good: nothing to go back to. */
	assert_false(slot_pair.holds(layout, "1.1"));
	assert_int_equal(slot_pair.activate(layout, "9.9", &error), -ERROR_DATA);
	assert_int_equal(slot_pair.activate(layout, "1.1", &error), 0);
	assert_env(fixture, "slot_b_tries=3\nnext=b\n");
	/* Nothing has changed for what runs. */
	assert_int_equal(slot_pair.current(layout, version, &error), 0);
	assert_string_equal(version, "1.0");
	assert_int_equal(slot_pair.undo(layout, "1.0", &error), 0);
	assert_env(fixture, "slot_b_tries=0\nnext=a\n");
	assert_int_equal(slot_pair.activate(layout, "1.1", &error), 0);
	machine_cut(fixture);
	assert_int_equal(slot_pair.current(layout, version, &error), 0);
	assert_string_equal(version, "1.1");
	assert_env(fixture, "slot_b_tries=2\nnext=b\n");
	assert_int_equal(slot_pair.mark_good(layout, "1.1", "1.0", "", &error), 0);
	assert_env(fixture, "slot_b_ok=1\nslot_b_tries=0\nnext=b\n");
	assert_true(slot_pair.holds(layout, "1.0"));
}

/* Not marked good: after its tries the boot loader starts the other one by itself. */
static void test_loader_falls_back(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	assert_int_equal(slot_pair.prepare(&fixture->layout, "1.1", &error), 0);
	assert_int_equal(slot_pair.activate(&fixture->layout, "1.1", &error), 0);
	for (int i = 0; i < 4; i++) {
		machine_cut(fixture);
		assert_int_equal(slot_pair.current(&fixture->layout, version, &error), 0);
		assert_string_equal(version, i < 3 ? "1.1" : "1.0");
	}
}

static void test_no_image(void **state)
{
	struct fixture *fixture = *state;
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	fixture_stage(fixture, "1.5", FIXTURE_GOOD, sha256);
	assert_int_equal(slot_pair.prepare(&fixture->layout, "1.5", &error), -ERROR_NOT_NOW);
	assert_env(fixture, "slot_a_ok=1\nslot_a_tries=0\nslot_b_version=\n");
}

/* The same run as on a tree, though the release itself is not marked `reboot`. */
static void test_whole_upgrade(void **state)
{
	struct fixture *fixture = *state;
	struct rollback_plan plan;
	struct error error = {0};

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_HOOKS), JOURNAL_COMMITTED);
	assert_int_equal(slot_pair.current(&fixture->layout, version, &error), 0);
	assert_string_equal(version, "1.1");
	assert_int_equal(machine_boots(fixture), 2);
	assert_env(fixture, "slot_b_ok=1\nslot_b_tries=0\nnext=b\n");
	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), 0);
	assert_string_equal(plan.to, "1.0");
	/* And on, into the other slot. */
	assert_int_equal(machine_upgrade(fixture, "up-2", "1.2", FIXTURE_GOOD), JOURNAL_COMMITTED);
	assert_env(fixture, "slot_a_version=1.2\nslot_a_ok=1\n");
	CLEANUP(free_pointer) char *started = fixture_text(fixture, "started");
	assert_string_equal(started, "image 1.1\nimage 1.2\n");
}

static void test_sick_release_goes_back(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_SICK), JOURNAL_ROLLED_BACK);
	assert_int_equal(slot_pair.current(&fixture->layout, version, &error), 0);
	assert_string_equal(version, "1.0");
	assert_int_equal(machine_boots(fixture), 3);
	assert_env(fixture, "slot_b_ok=0\nslot_b_tries=0\nnext=a\n");
}

static int switch_only(struct fixture *fixture, const char *sha256)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);

	return switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);
}

/* The new image never comes as far as `resume`: the loader gives it up, and the old one says so. */
static void test_image_that_does_not_start(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	fixture_stage(fixture, "1.1", FIXTURE_GOOD, sha256);
	assert_true(WIFSIGNALED(machine_do(fixture, switch_only, sha256)));
	fixture->fence++;
	for (int i = 0; i < 3; i++)
		machine_cut(fixture);
	assert_int_equal(slot_pair.current(&fixture->layout, version, &error), 0);
	assert_string_equal(version, "1.0");
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	assert_int_equal(machine_boots(fixture), 5); /* no further restart: it runs where it goes back to */
	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	assert_non_null(strstr(journal_state(journal)->run.reason, "came back on 1.0, not on 1.1"));
}

/* As fixture_watch, on a pair. */
static int watch(int argc, char **argv)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	CLEANUP(layout_close) struct layout layout = LAYOUT_CLOSED;
	struct error error = {0};

	log_start("test", LOG_LEVEL_ERROR);
	assert_int_equal(secret_start(&error), 0);
	if (argc != 8 || strcmp(argv[3], "watch") != 0)
		return -1;
	if (hook_settings_load(argv[2], &settings, &error) < 0 || layout_open(&settings, &layout, &error) < 0)
		return 78;
	layout.slots = &slot_pair;
	return -watcher_watch(&layout, (const char *const *)argv + 4, &error);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_operation), TEST(test_loader_falls_back),      TEST(test_no_image),
		TEST(test_whole_upgrade),  TEST(test_sick_release_goes_back), TEST(test_image_that_does_not_start),
	};
	int restarted = outage_main(argc, argv);
	int watched = restarted >= 0 ? restarted : watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
