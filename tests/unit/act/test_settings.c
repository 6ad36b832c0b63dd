#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/secret.h"

#define LEAST "[appliance]\nproduct = shop\nproduct_root = product\n"

static int load(const char *text, struct hook_settings *settings, struct error *error)
{
	char directory[] = "/tmp/settings-XXXXXX", path[64];
	struct error ignored = {0};

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/hook.conf", directory);
	assert_int_equal(file_replace_at(AT_FDCWD, path, text, strlen(text), 0644, &ignored), 0);
	int status = hook_settings_load(path, settings, error);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, directory, &ignored), 0);
	return status;
}

static void test_reads_all(void **state UNUSED)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	struct error error = {0};
	int status =
		load(LEAST "state = /srv/state\nkeep = 3\nshare = copy\n[hub]\nports = 443, 22\njitter = 0\n"
			   "[units]\nbackend = command\nstop = /bin/a  b c\nstart = /bin/d\n[data]\ndirs = /a/b /c\n"
			   "[probe web]\ntype = http\ntarget = http://127.0.0.1:80/\nexpect = 200 well\ntimes = 5\n"
			   "[probe port]\ntype = tcp\ntarget = localhost:22\n[self-service]\nmode = pull\ntimer = 2h\n",
		     &settings, &error);

	if (status < 0)
		fail_msg("%s", error.text);
	assert_string_equal(settings.state, "/srv/state");
	assert_true(settings.product_root[0] == '/' && strstr(settings.product_root, "/product"));
	assert_int_equal(settings.keep, 3);
	assert_int_equal(settings.share, HOOK_SHARE_COPY);
	assert_int_equal(settings.port_count, 2);
	assert_int_equal(settings.ports[0], 443);
	assert_int_equal(settings.units_stop.count, 3);
	assert_string_equal(settings.units_stop.words[2], "c");
	assert_null(settings.units_stop.words[3]);
	assert_int_equal(settings.data_dirs.count, 2);
	assert_int_equal(settings.probe_count, 2);
	assert_string_equal(settings.probes[0]->name, "web");
	assert_int_equal(settings.probes[0]->times, 5);
	assert_int_equal(settings.probes[1]->type, HOOK_PROBE_TCP);
	assert_int_equal(settings.probes[1]->times, 3);
	assert_int_equal(settings.self_service_timer, 7200);
	assert_int_equal(settings.hub_back_within, 1800);
	assert_int_equal(settings.units_reboot_within, 600);
	assert_int_equal(settings.units_reboot.count, 0);
	assert_string_equal(settings.units_systemctl, "systemctl");
	assert_int_equal(settings.data_discarded, 5);
	assert_int_equal(settings.hub_jitter, 0);
}

static void test_refuses(void **state UNUSED)
{
	static const char *const wrong[] = {
		"[appliance]\nproduct = shop\n",
		"[appliance]\nproduct = ../etc\nproduct_root = product\n",
		LEAST "colour = red\n",
		LEAST "keep = 1\n",
		LEAST "[nonsense]\na = b\n",
		LEAST "[units]\nbackend = command\nstop = rm -rf\n",
		LEAST "[units]\nstop = --now\n",
		LEAST "[units]\nsystemctl = bin/systemctl\n",
		LEAST "[units]\nreboot = reboot\n",
		LEAST "[units]\nreboot_within = 0\n",
		LEAST "[hub]\nback_within = 0\n",
		LEAST "[data]\ndiscarded = 0\n",
		LEAST "[data]\ndirs = relative\n",
		LEAST "[data]\ndirs = /a/../b\n",
		LEAST "[data]\ndirs = /a /a/b\n",
		LEAST "[hub]\nports = 22,0\n",
		LEAST "[probe a/b]\ntype = tcp\ntarget = a:1\n",
		LEAST "[probe web]\ntarget = ftp://x/\n",
		LEAST "[probe cmd]\ntype = command\ntarget = true\n",
		LEAST "[probe tcp]\ntype = tcp\ntarget = nowhere\n",
		LEAST "[probe unit]\ntype = unit\ntarget = -x\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CLEANUP(hook_settings_free) struct hook_settings settings = {0};
		struct error error = {0};
		if (load(wrong[i], &settings, &error) != -ERROR_CONFIG)
			fail_msg("accepted: %s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_all),
		cmocka_unit_test(test_refuses),
	};
	struct error error = {0};

	assert_int_equal(secret_start(&error), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
