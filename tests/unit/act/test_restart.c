/* Releases that restart the machine or touch its network: over the restart and forward, over the restart and back, and
 * everything that can come between. */
#include "tests/unit/act/machine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "appliance-hook/act/preflight.h"
#include "appliance-hook/act/quarantine.h"
#include "base/file.h"
#include "base/packet.h"

static char version[LAYOUT_VERSION_SIZE];

static int setup_with(void **state, const char *extra)
{
	fixture_setup(state);
	machine_make(*state, extra);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, NULL);
}

static void assert_units(struct fixture *fixture, const char *wanted)
{
	CLEANUP(free_pointer) char *units = fixture_text(fixture, "units.log");

	assert_string_equal(units, wanted);
}

/* The last run of the journal, until the next call. */
static const struct journal_run *last_run(struct fixture *fixture)
{
	static struct journal_run run;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
	run = journal_state(journal)->run;
	return &run;
}

static void assert_blamed(struct fixture *fixture, bool wanted)
{
	struct error error = {0};
	bool quarantined = !wanted;

	assert_int_equal(quarantine_has(&fixture->layout, last_run(fixture)->sha256, &quarantined, &error), 0);
	assert_int_equal(quarantined, wanted);
}

static void test_commits_over_a_restart(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_REBOOT | FIXTURE_HOOKS | FIXTURE_MIGRATION),
			 JOURNAL_COMMITTED);
	assert_string_equal(fixture_whole(fixture, version), "1.1");
	assert_units(fixture, "stop\nreboot\nstart 1.1\n");
	assert_int_equal(machine_boots(fixture), 2);
	const struct journal_run *run = last_run(fixture);
	assert_true(run->reboot && journal_step_is_ok(run, "reboot") && journal_step_is_ok(run, "boot"));
	assert_false(run->tunnel || run->confirmed);
	CLEANUP(free_pointer) char *hooks = fixture_text(fixture, "hooks.log");
	assert_string_equal(hooks, "preflight 1.0 1.1\npre-switch 1.0 1.1\npost-switch 1.0 1.1\n");
	/* And the next one, without a restart. */
	assert_int_equal(machine_upgrade(fixture, "up-2", "1.2", FIXTURE_GOOD), JOURNAL_COMMITTED);
	assert_int_equal(machine_boots(fixture), 2);
}

static void test_goes_back_over_a_restart(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "data/precious", "kept\n");
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1",
					 FIXTURE_REBOOT | FIXTURE_HOOKS | FIXTURE_MIGRATION | FIXTURE_SICK),
			 JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	assert_units(fixture, "stop\nreboot\nstart 1.1\nstop\nreboot\nstart 1.0\n");
	assert_int_equal(machine_boots(fixture), 3);
	assert_non_null(strstr(last_run(fixture)->reason, "probe well"));
	assert_true(journal_step_is_ok(last_run(fixture), "back-health"));
	assert_blamed(fixture, true);
	CLEANUP(free_pointer) char *precious = fixture_text(fixture, "data/precious");
	CLEANUP(free_pointer) char *hooks = fixture_text(fixture, "hooks.log");
	assert_string_equal(precious, "kept\n");
	/* The release's `undo` ran once, not again after the restart. */
	const char *undo = strstr(hooks, "undo 1.1 1.0\n");
	assert_non_null(undo);
	assert_null(strstr(undo + 1, "undo"));
}

/* Nothing was started on the new release yet: the machine that runs is the old one's. */
static void test_goes_back_before_the_restart(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_REBOOT | FIXTURE_HOOKS | FIXTURE_POST_FAILS),
			 JOURNAL_ROLLED_BACK);
	assert_units(fixture, "stop\nstop\nstart 1.0\n");
	assert_int_equal(machine_boots(fixture), 1);
}

static void test_machine_that_does_not_restart(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "stuck", "");
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_REBOOT), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	assert_units(fixture, "stop\nreboot\nreboot\nstop\nstart 1.0\n");
	assert_non_null(strstr(last_run(fixture)->reason, "still runs"));
	assert_blamed(fixture, false);
}

static int switch_only(struct fixture *fixture, const char *sha256)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);

	return switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);
}

static int resume_only(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct resume_report report = {0};
	struct error error = {0};
	int status = resume_run(&fixture->layout, 60000, &report, &error);

	return status == 0 && report.goes_on ? 0 : -1;
}

/* Up to where the machine has gone down, and nobody has resumed. */
static void go_down(struct fixture *fixture, unsigned kind)
{
	char sha256[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_REBOOT | kind, sha256);
	assert_true(WIFSIGNALED(machine_do(fixture, switch_only, sha256)));
	fixture->fence++;
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_REBOOTING);
	assert_int_equal(machine_boots(fixture), 2);
}

/* The probe of a sick release is asked for an hour, also by watchers. */
static void be_patient(struct fixture *fixture)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "hook.conf");
	CLEANUP(free_pointer) char *longer = NULL;
	static const char key[] = "\ndeadline = ";
	char *at = strstr(text, key);

	assert_non_null(at);
	char *rest = strchr(at + strlen(key), '\n');
	assert_non_null(rest);
	assert_true(asprintf(&longer, "%.*s%s1h%s", (int)(at - text), text, key, rest) > 0);
	fixture_write(fixture, "hook.conf", longer);
}

/* A watcher, which by then has another behind it, has begun to ask for health that often. */
static void await_health(struct fixture *fixture, size_t count)
{
	const struct journal_run *run = last_run(fixture);

	for (int i = 0; i < 2000 && journal_step_count(run, "health") < count; i++) {
		usleep(10000);
		run = last_run(fixture);
	}
	assert_int_equal(journal_step_count(run, "health"), count);
}

/* A release under which the machine starts again and again: three starts, then back. */
static void test_starts_are_counted(void **state)
{
	struct fixture *fixture = *state;

	be_patient(fixture);
	go_down(fixture, FIXTURE_SICK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(machine_do(fixture, resume_only, NULL), 0);
		await_health(fixture, (size_t)i + 1);
		machine_cut(fixture);
	}
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	if (!strstr(last_run(fixture)->reason, "started 3 times"))
		fail_msg("back for \"%s\"", last_run(fixture)->reason);
	assert_blamed(fixture, true);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
}

/* Once or twice is a power cut, and no reason to go back. */
static void test_power_cut_while_checking(void **state)
{
	struct fixture *fixture = *state;

	go_down(fixture, FIXTURE_GOOD);
	assert_int_equal(machine_do(fixture, resume_only, NULL), 0);
	await_health(fixture, 1);
	machine_cut(fixture);
	assert_int_equal(machine_settle(fixture), JOURNAL_COMMITTED);
	assert_string_equal(fixture_whole(fixture, version), "1.1");
}

static void test_comes_back_on_the_old(void **state)
{
	struct fixture *fixture = *state;
	char link[256];

	go_down(fixture, FIXTURE_GOOD);
	snprintf(link, sizeof link, "%s/product/current", fixture->directory);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("releases/1.0", link), 0);
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(last_run(fixture)->reason, "came back on 1.0, not on 1.1"));
	assert_blamed(fixture, true);
}

static void test_comes_back_damaged(void **state)
{
	struct fixture *fixture = *state;

	go_down(fixture, FIXTURE_GOOD);
	fixture_write(fixture, "product/releases/1.1/version", "1.X");
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
}

/* Whoever looks at units and health after the restart is looked at, too. */
static void test_checker_is_killed(void **state)
{
	struct fixture *fixture = *state;

	be_patient(fixture);
	go_down(fixture, FIXTURE_SICK);
	assert_int_equal(machine_do(fixture, resume_only, NULL), 0);
	await_health(fixture, 1);
	CLEANUP(free_pointer) char *holder = fixture_text(fixture, "state/shop/lock");
	assert_int_equal(kill((pid_t)strtol(holder, NULL, 10), SIGKILL), 0);
	for (int i = 0; i < 2000 && fixture_stage_of(fixture) == JOURNAL_CHECKING; i++)
		usleep(10000);
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
}

static int roll_back(struct fixture *fixture, const char *data)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	const struct rollback_request request = {.upgrade = "local-back", .restore_data = data != NULL};

	return rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error);
}

static void test_rollback_after_commit(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_REBOOT | FIXTURE_MIGRATION),
			 JOURNAL_COMMITTED);
	assert_true(WIFSIGNALED(machine_do(fixture, roll_back, "data")));
	assert_int_equal(machine_settle(fixture), JOURNAL_ROLLED_BACK);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
	assert_units(fixture, "stop\nreboot\nstart 1.1\nstop\nreboot\nstart 1.0\n");
	assert_int_equal(machine_boots(fixture), 3);
	/* There is nothing to go back to any more. */
	struct rollback_plan plan;
	struct error error = {0};
	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), -ERROR_NOT_NOW);
}

/* The machine cannot be made to restart on the way back: it runs the old tree on what the new one started. */
static void test_way_back_that_does_not_restart(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_REBOOT), JOURNAL_COMMITTED);
	fixture_write(fixture, "stuck", "");
	assert_int_equal(machine_do(fixture, roll_back, NULL), 0);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_INCONSISTENT);
	assert_non_null(strstr(last_run(fixture)->reason, "still runs"));
}

static void test_refused_where_nothing_restarts(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	fixture_stage(fixture, "1.1", FIXTURE_REBOOT, sha256);
	fixture->settings.units_reboot.count = 0;
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	assert_int_equal(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "restart");
	assert_non_null(strstr(error.text, "[units] reboot"));
	/* And at booking, when nothing of it is here yet. */
	const struct preflight_request question = {.version = "1.2", .reboot = true};
	const struct journal_state idle = {0};
	error = (struct error){0};
	assert_int_equal(preflight_require(&fixture->layout, &idle, &question, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "restart");
	fixture->settings.units_reboot.count = 1;
	assert_false(fixture_exists(fixture, "units.log"));
}

/* --- the tunnel --- */

/* A line came up when the file was written. */
static json_int_t up_ms(const struct fixture *fixture)
{
	char path[512];
	struct timespec now;
	struct stat status;

	snprintf(path, sizeof path, "%s/tunnel", fixture->directory);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return (now.tv_sec - status.st_mtim.tv_sec) * 1000 + (now.tv_nsec - status.st_mtim.tv_nsec) / 1000000;
}

/* What `serve` says: "closed", "waiting" or "up" in DIRECTORY/tunnel, "permanent" after it. */
static void answer(struct fixture *fixture, int caller)
{
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "tunnel");
	CLEANUP(jsonio_free) json_t *request = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error = {0};

	if (packet_receive(caller, &request, &passed, &error) < 0)
		return;
	const char *state = strstr(text, "up") ? "connected" : strstr(text, "waiting") ? "connecting" : "closed";
	if (packet_send_take(caller,
			     json_pack("{s:{s:b,s:b,s:s,s:I}}", "ok", "open", strstr(text, "closed") ? 0 : 1,
				       "permanent", strstr(text, "permanent") ? 1 : 0, "state", state, "up_ms",
				       up_ms(fixture)),
			     -1, &error) < 0)
		return;
}

static int serve(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/state/control.sock", fixture->directory);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 8), 0);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent) {
			int caller = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
			if (caller >= 0)
				answer(fixture, caller);
			close(caller);
		}
		_exit(0);
	}
	close(fd);
	return (int)pid;
}

static int server;

static int setup_tunnel(void **state)
{
	setup_with(state, "[hub]\nback_within = 1s\n");
	server = serve(state);
	return 0;
}

static int teardown_tunnel(void **state)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return fixture_teardown(state);
}

static void test_tunnel_is_back(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "tunnel", "up permanent");
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_NETWORK), JOURNAL_COMMITTED);
	assert_true(last_run(fixture)->tunnel && last_run(fixture)->confirmed);
	assert_true(journal_step_is_ok(last_run(fixture), "tunnel"));
	assert_int_equal(machine_boots(fixture), 1);
	assert_int_equal(machine_upgrade(fixture, "up-2", "1.2", FIXTURE_REBOOT), JOURNAL_COMMITTED);
	assert_true(last_run(fixture)->tunnel && last_run(fixture)->confirmed);
}

/* "up" while the run begins; `after` as the new version is started, or `later` seconds behind its back. */
static void lose_tunnel(struct fixture *fixture, const char *after, const char *later)
{
	char script[512], pause[64] = "", behind[] = " > /dev/null 2>&1 &";

	fixture_write(fixture, "tunnel", "up permanent");
	if (later != NULL)
		snprintf(pause, sizeof pause, "sleep %s; ", later);
	snprintf(script, sizeof script,
		 "#!/bin/sh\nv=$(cat %s/product/current/version)\necho start $v >> %s/units.log\n"
		 "[ $v = 1.0 ] || (%sprintf '%s' > %s/tunnel)%s\n",
		 fixture->directory, fixture->directory, pause, after, fixture->directory, later != NULL ? behind : "");
	fixture_write(fixture, "start", script);
}

static void test_tunnel_never_comes_back(void **state)
{
	struct fixture *fixture = *state;

	lose_tunnel(fixture, "waiting permanent", NULL);
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_NETWORK), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(last_run(fixture)->reason, "tunnel"));
	assert_blamed(fixture, true);
	assert_units(fixture, "stop\nstart 1.1\nstop\nstart 1.0\n");
	fixture_write(fixture, "tunnel", "up permanent");
	assert_int_equal(machine_upgrade(fixture, "up-2", "1.2", FIXTURE_REBOOT), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(last_run(fixture)->reason, "tunnel"));
	assert_int_equal(machine_boots(fixture), 3);
	assert_string_equal(fixture_whole(fixture, version), "1.0");
}

/* That the line is dead shows only after a while: what is still called up is not believed before. */
static void test_tunnel_is_lost_late(void **state)
{
	struct fixture *fixture = *state;

	lose_tunnel(fixture, "waiting permanent", "0.3");
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_NETWORK), JOURNAL_ROLLED_BACK);
	assert_non_null(strstr(last_run(fixture)->reason, "tunnel"));
}

/* The customer closed it meanwhile: nobody waits for what nobody opens. */
static void test_tunnel_closed_meanwhile(void **state)
{
	struct fixture *fixture = *state;

	lose_tunnel(fixture, "closed", NULL);
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_NETWORK), JOURNAL_COMMITTED);
	assert_false(last_run(fixture)->confirmed);
}

/* Down before, or closed by the restart itself, or a release that touches neither: it does not count. */
static void test_tunnel_does_not_count(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "tunnel", "waiting permanent");
	assert_int_equal(machine_upgrade(fixture, "up-1", "1.1", FIXTURE_NETWORK), JOURNAL_COMMITTED);
	assert_false(last_run(fixture)->tunnel || last_run(fixture)->confirmed);
	fixture_write(fixture, "tunnel", "up");
	assert_int_equal(machine_upgrade(fixture, "up-2", "1.2", FIXTURE_REBOOT | FIXTURE_NETWORK), JOURNAL_COMMITTED);
	assert_false(last_run(fixture)->tunnel);
	fixture_write(fixture, "tunnel", "up permanent");
	assert_int_equal(machine_upgrade(fixture, "up-3", "1.3", FIXTURE_GOOD), JOURNAL_COMMITTED);
	assert_false(last_run(fixture)->tunnel);
}

int main(int argc, char **argv)
{
#define TEST(name)   cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
#define TUNNEL(name) cmocka_unit_test_setup_teardown(name, setup_tunnel, teardown_tunnel)
	const struct CMUnitTest tests[] = {
		TEST(test_commits_over_a_restart),
		TEST(test_goes_back_over_a_restart),
		TEST(test_goes_back_before_the_restart),
		TEST(test_machine_that_does_not_restart),
		TEST(test_starts_are_counted),
		TEST(test_power_cut_while_checking),
		TEST(test_comes_back_on_the_old),
		TEST(test_comes_back_damaged),
		TEST(test_checker_is_killed),
		TEST(test_rollback_after_commit),
		TEST(test_way_back_that_does_not_restart),
		TEST(test_refused_where_nothing_restarts),
		TUNNEL(test_tunnel_is_back),
		TUNNEL(test_tunnel_never_comes_back),
		TUNNEL(test_tunnel_is_lost_late),
		TUNNEL(test_tunnel_closed_meanwhile),
		TUNNEL(test_tunnel_does_not_count),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
