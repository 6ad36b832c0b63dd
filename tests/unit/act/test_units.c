/* The systemd backend against a stand-in for systemctl that notes what it is asked and answers as systemctl does. The
 * scenario test_systemd runs it against the real one. */
#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/probe.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/units.h"
#include "base/file.h"

/* One line a call in "calls". What a verb says and ends with stands in "VERB": "EXIT TEXT". "is-active" may have
 * several lines, one for each time; the last counts for ever. */
#define SYSTEMCTL                                                                                                      \
	"#!/bin/sh\ncd %s\necho \"$@\" >> calls\n[ -e hang ] && sleep 60\n"                                            \
	"[ -e $1 ] || exit 0\nread code text < $1\n[ $(wc -l < $1) -gt 1 ] && sed -i 1d $1\n"                          \
	"echo $text\nexit $code\n"

struct bench {
	char directory[64];
	struct hook_settings settings;
};

static void put(const struct bench *bench, const char *name, const char *text)
{
	char path[256];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/%s", bench->directory, name);
	assert_int_equal(file_replace_at(AT_FDCWD, path, text, strlen(text), 0755, &error), 0);
}

static void assert_calls(const struct bench *bench, const char *wanted)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(65536);
	char path[256];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/calls", bench->directory);
	assert_int_equal(file_read_at(AT_FDCWD, path, &text, &error), 0);
	assert_string_equal((const char *)text.data, wanted);
	assert_int_equal(unlink(path), 0);
}

static struct bench *make(const char *units)
{
	struct bench *bench = calloc(1, sizeof *bench);
	char text[2048], path[256];
	struct error error = {0};

	assert_non_null(bench);
	strcpy(bench->directory, "/tmp/units-XXXXXX");
	assert_non_null(mkdtemp(bench->directory));
	snprintf(text, sizeof text, SYSTEMCTL, bench->directory);
	put(bench, "systemctl", text);
	snprintf(text, sizeof text,
		 "[appliance]\nproduct = shop\nproduct_root = product\nstate = state\ntrust_root = root.json\n"
		 "[units]\nbackend = systemd\nsystemctl = %s/systemctl\ntimeout = 1s\n%s"
		 "[probe unit]\ntype = unit\ntarget = shop.service\ntimes = 2\ninterval = 0\ndeadline = 2s\n",
		 bench->directory, units);
	put(bench, "hook.conf", text);
	snprintf(path, sizeof path, "%s/hook.conf", bench->directory);
	if (hook_settings_load(path, &bench->settings, &error) < 0)
		fail_msg("%s", error.text);
	return bench;
}

static int setup(void **state)
{
	*state = make("stop = shop.socket shop.service\n");
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	struct error error = {0};

	assert_int_equal(file_remove_tree_at(AT_FDCWD, bench->directory, &error), 0);
	hook_settings_free(&bench->settings);
	free(bench);
	return 0;
}

/* All in one job, and back in reverse where nothing else is said. */
static void test_stops_and_starts(void **state)
{
	struct bench *bench = *state, *other = make("stop = a.service b.service\nstart = c.target\n");
	struct error error = {0};

	assert_int_equal(units_stop(&bench->settings, &error), 0);
	assert_int_equal(units_start(&bench->settings, &error), 0);
	assert_calls(bench, "stop -- shop.socket shop.service\nstart -- shop.service shop.socket\n");
	assert_int_equal(units_stop(&other->settings, &error), 0);
	assert_int_equal(units_start(&other->settings, &error), 0);
	assert_calls(other, "stop -- a.service b.service\nstart -- c.target\n");
	teardown((void **)&other);
}

static void test_says_what_failed(void **state)
{
	struct bench *bench = *state;
	struct error error = {0};

	put(bench, "start", "1 Job for shop.service failed because the control process exited with error code.\n");
	assert_int_equal(units_start(&bench->settings, &error), -ERROR_DATA);
	assert_string_equal(error.name, "units");
	assert_non_null(strstr(error.text, "ended with 1: Job for shop.service failed"));
	put(bench, "stop", "5 Failed to stop shop.socket: Unit shop.socket not loaded.\n");
	assert_int_equal(units_stop(&bench->settings, &error), -ERROR_DATA);
	assert_non_null(strstr(error.text, "not loaded"));
	put(bench, "hang", "");
	assert_int_equal(units_stop(&bench->settings, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "timeout");
}

/* systemctl is-active: 0 active, 3 anything else, 4 no such unit. */
static void test_active(void **state)
{
	struct bench *bench = *state;
	struct error error = {0};
	static const char *const others[] = {"3 inactive\n", "3 failed\n", "3 activating\n", "4 unknown\n"};

	put(bench, "is-active", "0 active\n");
	assert_int_equal(units_active(&bench->settings, "shop.service", 5000, &error), 0);
	assert_calls(bench, "is-active -- shop.service\n");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		put(bench, "is-active", others[i]);
		assert_int_equal(units_active(&bench->settings, "shop.service", 5000, &error), -ERROR_DATA);
		assert_non_null(strstr(error.text, "shop.service: "));
	}
	put(bench, "hang", "");
	assert_int_equal(units_active(&bench->settings, "shop.service", 300, &error), -ERROR_NOT_NOW);
}

/* A unit that takes its time is not sick; one that never gets ready is, and the probe says what it was. */
static void test_probe_waits_for_activation(void **state)
{
	struct bench *bench = *state;
	struct error error = {0};

	put(bench, "is-active", "3 activating\n3 activating\n3 activating\n0 active\n");
	assert_int_equal(probe_wait(&bench->settings, "1.1", INT64_MAX, &error), 0);
	assert_calls(bench, "is-active -- shop.service\nis-active -- shop.service\nis-active -- shop.service\n"
			    "is-active -- shop.service\nis-active -- shop.service\n");
	put(bench, "is-active", "3 activating\n");
	assert_int_equal(probe_wait(&bench->settings, "1.1", INT64_MAX, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "health");
	assert_non_null(strstr(error.text, "probe unit"));
	assert_non_null(strstr(error.text, "activating"));
	/* Up and down again is no row of two. */
	put(bench, "is-active", "0 active\n3 failed\n");
	assert_int_equal(probe_wait(&bench->settings, "1.1", INT64_MAX, &error), -ERROR_NOT_NOW);
	assert_non_null(strstr(error.text, "failed"));
}

/* After a restart: they are left to systemd unless one runs already. */
static void test_start_later(void **state)
{
	struct bench *bench = *state;

	put(bench, "is-active", "3 inactive\n");
	assert_true(units_start_later(&bench->settings));
	assert_calls(bench, "is-active -- shop.socket\nis-active -- shop.service\n");
	put(bench, "is-active", "3 inactive\n0 active\n");
	assert_false(units_start_later(&bench->settings));
}

static void test_reboots(void **state)
{
	struct bench *bench = *state;
	struct bench *own = make("reboot = /bin/false now\n");
	struct error error = {0};

	assert_int_equal(restart_is_possible(&bench->settings, &error), 0);
	assert_int_equal(units_reboot(&bench->settings, &error), 0);
	assert_calls(bench, "reboot\n");
	put(bench, "reboot", "1 Call to Reboot failed: Access denied\n");
	assert_int_equal(units_reboot(&bench->settings, &error), -ERROR_DATA);
	assert_non_null(strstr(error.text, "Access denied"));
	/* What is configured goes before. */
	assert_int_equal(units_reboot(&own->settings, &error), -ERROR_DATA);
	assert_non_null(strstr(error.text, "/bin/false"));
	teardown((void **)&own);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stops_and_starts),           TEST(test_says_what_failed), TEST(test_active),
		TEST(test_probe_waits_for_activation), TEST(test_start_later),      TEST(test_reboots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
