#include "tests/unit/act/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/act/outage.h"

#define BOOT_VARIABLE "MACHINE_BOOTS" /* the file with the number of starts; inherited by what the hook starts */

void __real_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE]);
void __wrap_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE]);

void __wrap_clock_boot_id(char id[static CLOCK_BOOT_ID_SIZE])
{
	const char *path = getenv(BOOT_VARIABLE);

	if (path)
		snprintf(id, CLOCK_BOOT_ID_SIZE, "00000000-0000-4000-8000-%012d", outage_boots(path));
	else
		__real_clock_boot_id(id);
}

static void write_script(struct fixture *fixture)
{
	char script[512], program[256] = "";

	assert_true(outage_can());
	assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
	snprintf(script, sizeof script, "#!/bin/sh\nexec %s %s %s\n", program, OUTAGE_WORD, fixture->directory);
	fixture_write(fixture, "reboot", script);
}

void machine_open(struct fixture *fixture)
{
	char path[256];

	snprintf(path, sizeof path, "%s/boots", fixture->directory);
	assert_int_equal(setenv(BOOT_VARIABLE, path, 1), 0);
}

bool machine_is_open(void)
{
	return getenv(BOOT_VARIABLE) != NULL;
}

void machine_close(void)
{
	unsetenv(BOOT_VARIABLE);
}

void machine_make(struct fixture *fixture, const char *extra)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "hook.conf");
	CLEANUP(free_pointer) char *longer = NULL;
	char path[256];
	struct error error = {0};
	static const char units[] = "[units]\n";
	char *at = strstr(text, units);

	assert_non_null(at);
	at += strlen(units);
	assert_true(asprintf(&longer, "%.*sreboot = %s/reboot\nreboot_within = 1s\n%s%s", (int)(at - text), text,
			     fixture->directory, at, extra ? extra : "") > 0);
	fixture_write(fixture, "hook.conf", longer);
	fixture_write(fixture, "boots", "1\n");
	write_script(fixture);
	hook_settings_free(&fixture->settings);
	snprintf(path, sizeof path, "%s/hook.conf", fixture->directory);
	if (hook_settings_load(path, &fixture->settings, &error) < 0)
		fail_msg("%s", error.text);
	machine_open(fixture);
}

int machine_boots(struct fixture *fixture UNUSED)
{
	return outage_boots(getenv(BOOT_VARIABLE));
}

void machine_cut(struct fixture *fixture)
{
	outage_make(fixture->directory, OUTAGE_CUT);
}

int machine_do(struct fixture *fixture, machine_deed *deed, const char *sha256)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(deed(fixture, sha256) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int boot(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct resume_report report = {0};
	struct error error = {0};

	return resume_run(&fixture->layout, 60000, &report, &error);
}

enum journal_stage machine_settle(struct fixture *fixture)
{
	int booted = -1; /* of the last resume */
	int64_t deadline = clock_ticks_ms() + 60000;

	while (journal_stage_is_open(fixture_stage_of(fixture))) {
		if (clock_ticks_ms() > deadline)
			fail_msg("still %s after a minute, started %d times",
				 journal_stage_name(fixture_stage_of(fixture)), machine_boots(fixture));
		int boots = machine_boots(fixture);
		if (boots == booted) {
			usleep(20000);
			continue;
		}
		booted = boots;
		machine_do(fixture, boot, NULL);
	}
	return fixture_stage_of(fixture);
}

struct upgrade {
	const char *upgrade, *version;
};

static int switch_it(struct fixture *fixture, const struct upgrade *what, const char *sha256)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, what->upgrade, what->version, sha256);
	int status = switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	if (status < 0)
		fprintf(stderr, "%s\n", error.text);
	return status;
}

enum journal_stage machine_upgrade(struct fixture *fixture, const char *upgrade, const char *version, unsigned kind)
{
	char sha256[HASH_HEX_SIZE];
	const struct upgrade what = {upgrade, version};
	int status = 0;

	fixture_stage(fixture, version, kind, sha256);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(switch_it(fixture, &what, sha256) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fixture->fence++;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		fail_msg("upgrade %s was refused", upgrade);
	return machine_settle(fixture);
}
