#include "tests/unit/act/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/handler.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"
#include "release/bundle.h"
#include "release/delta.h"
#include "tests/unit/act/machine.h"

static int do_adopt(struct fixture *fixture, const char *sha256 UNUSED)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	char path[128], version[LAYOUT_VERSION_SIZE];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/1.0.bundle", fixture->directory);
	int status = bundle_open(path, &bundle, &error);
	return status == 0 ? adopt_bundle(&fixture->layout, bundle, -1, version, &error) : status;
}

static int do_stage(struct fixture *fixture, const char *sha256 UNUSED)
{
	char received[HASH_HEX_SIZE];
	struct error error = {0};
	int status = fixture_receive(fixture, "1.1", NULL, received, &error);

	return status == 0 ? stage_seal(&fixture->layout, "1.1", received, &error) : status;
}

static int do_seal(struct fixture *fixture, const char *sha256)
{
	struct error error = {0};

	return stage_seal(&fixture->layout, "1.1", sha256, &error);
}

static int do_switch(struct fixture *fixture, const char *sha256)
{
	struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	int status = switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

/* As check asks for it: what is answered, and told on the way, is said to whoever listens. */
static int do_session(struct fixture *fixture, const char *sha256)
{
	struct switch_request order = fixture_order(fixture, "up-1", "1.1", sha256);
	const struct handler_peer peer = {geteuid(), getegid()};
	int pair[2];
	struct error error = {0};
	int status = process_socketpair(false, pair, &error);

	if (status < 0)
		return status;
	CLEANUP(file_close) int asks = pair[0];
	CLEANUP(file_close) int answers = pair[1];
	status = packet_send_take(asks,
				  json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:I,s:s,s:s}", "do", "switch", "upgrade",
					    order.upgrade, "version", order.version, "sha256", order.sha256, "start",
					    (json_int_t)order.start, "end", (json_int_t)order.end, "last_start",
					    (json_int_t)order.last_start, "finish", 0, "fence", (json_int_t)order.fence,
					    "order_key", order.order_key, "audit_head", ""),
				  -1, &error);
	if (status == 0 && shutdown(asks, SHUT_WR) < 0)
		return -1;
	return status == 0 ? handler_run(answers, &peer, fixture->layout.settings, &error) : status;
}

#define FAULT       "NIGHTSHIFT_FAULT"
#define FAULT_KEPT  "SCENE_FAULT"
#define SETTLE_MS   60000
#define PATIENCE_MS 500 /* until a person resumes what nobody else does */

/* What strikes is for the processes of the hook, not for this one, which starts them. */
static int start(struct fixture *fixture, machine_deed *deed, const char *sha256)
{
	const char *fault = getenv(FAULT_KEPT);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (fault)
			setenv(FAULT, fault, 1);
		_exit(deed(fixture, sha256) == 0 ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static int boot(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct resume_report report = {0};
	struct error error = {0};

	return resume_run(&fixture->layout, 60000, &report, &error);
}

/* Whether any process is left of what was started: orphans come to this one. */
static bool somebody_lives(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid == 0;
}

static bool is_open(struct fixture *fixture, struct stat *seen)
{
	struct stat journal = {0};

	/* Folded only when something was written. */
	if (fstatat(fixture->layout.state, "journal", &journal, 0) == 0 && journal.st_ino == seen->st_ino &&
	    journal.st_size == seen->st_size)
		return true;
	*seen = journal;
	return journal_stage_is_open(fixture_stage_of(fixture));
}

/* Up to where nothing is open any more, however often the machine restarts: resume at each boot; where that was killed
 * and no watcher lives, somebody calls it again. */
static int do_restart(struct fixture *fixture, const char *sha256)
{
	const char *fault = getenv(FAULT);
	int64_t began = clock_ticks_ms(), asked = 0;
	struct stat seen = {0};
	int booted = -1;

	if (fault)
		setenv(FAULT_KEPT, fault, 1);
	unsetenv(FAULT);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start(fixture, do_switch, sha256);
	while (is_open(fixture, &seen)) {
		if (clock_ticks_ms() - began > SETTLE_MS)
			return -1;
		if (machine_boots(fixture) == booted && somebody_lives() && clock_ticks_ms() - asked < PATIENCE_MS) {
			usleep(5000);
			continue;
		}
		booted = machine_boots(fixture);
		start(fixture, boot, NULL);
		asked = clock_ticks_ms();
	}
	return 0;
}

static int do_stage_by_delta(struct fixture *fixture, const char *sha256 UNUSED)
{
	char received[HASH_HEX_SIZE], delta[128];
	struct error error = {0};

	snprintf(delta, sizeof delta, "%s/1.0..1.1.delta", fixture->directory);
	int status = fixture_receive(fixture, "1.1", delta, received, &error);
	return status == 0 ? stage_seal(&fixture->layout, "1.1", received, &error) : status;
}

static int do_rollback(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct run_result result = {0};
	struct error error = {0};
	const struct rollback_request request = {.upgrade = "local-back", .restore_data = true};
	int status = rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

static void set_bare(struct fixture *fixture, unsigned kind UNUSED, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_pack(fixture, "1.0", FIXTURE_GOOD);
	ret_sha256[0] = '\0';
}

static void set_packed(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_pack(fixture, "1.1", kind);
	ret_sha256[0] = '\0';
}

static void set_with_delta(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	char old[128], new[128], output[128];
	const struct delta_make make = {.old = old, .new = new, .output = output};
	struct delta_made made;
	struct error error = {0};

	set_packed(fixture, kind, ret_sha256);
	snprintf(old, sizeof old, "%s/1.0.bundle", fixture->directory);
	snprintf(new, sizeof new, "%s/1.1.bundle", fixture->directory);
	snprintf(output, sizeof output, "%s/1.0..1.1.delta", fixture->directory);
	if (delta_make(&make, &made, &error) < 0)
		fail_msg("%s", error.text);
}

static void set_filled(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_fill(fixture, "1.1", kind, ret_sha256);
}

static void set_staged(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_stage(fixture, "1.1", kind, ret_sha256);
}

static void set_committed(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	set_staged(fixture, kind, ret_sha256);
	assert_int_equal(do_switch(fixture, ret_sha256), 0);
}

#define H FIXTURE_HOOKS
#define M FIXTURE_MIGRATION
#define S FIXTURE_SICK
#define R FIXTURE_REBOOT

const struct scene scene_table[SCENE_COUNT] = {
	{"adopt", set_bare, 0, do_adopt, "", "1.0", JOURNAL_COMMITTED, false},
	{"stage", set_packed, H, do_stage, "1.0", "1.0", JOURNAL_STAGED, false},
	{"stage by delta", set_with_delta, H, do_stage_by_delta, "1.0", "1.0", JOURNAL_STAGED, false},
	{"seal", set_filled, H, do_seal, "1.0", "1.0", JOURNAL_STAGED, false},
	{"upgrade", set_staged, H, do_switch, "1.0", "1.1", JOURNAL_COMMITTED, false},
	{"upgrade for a session", set_staged, H, do_session, "1.0", "1.1", JOURNAL_COMMITTED, false},
	{"upgrade with migration", set_staged, H | M, do_switch, "1.0", "1.1", JOURNAL_COMMITTED, false},
	{"upgrade that fails", set_staged, H | M | S, do_switch, "1.0", "1.0", JOURNAL_ROLLED_BACK, false},
	{"upgrade over a restart", set_staged, H | M | R, do_restart, "1.0", "1.1", JOURNAL_COMMITTED, true},
	{"upgrade that fails over a restart", set_staged, H | M | S | R, do_restart, "1.0", "1.0", JOURNAL_ROLLED_BACK,
	 true},
	{"rollback with data", set_committed, H | M, do_rollback, "1.1", "1.0", JOURNAL_ROLLED_BACK, false},
};
