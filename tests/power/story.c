#include "tests/power/story.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "release/delta.h"
#include "tests/power/enrolling.h"
#include "tests/power/trusting.h"
#include "tests/unit/act/machine.h"

#define LEDGER_LINES 12000
#define BULK_FILES   6
#define RESUME_MS    60000 /* a watcher may be at it */
#define LONG_LINES   150
#define LONG_LINE    7600

/* A product that keeps its data as one should: what it wrote is there when it says so. It writes only what is new, so
 * that not every start makes durable what the hook has left undone. */
static void write_start(struct fixture *fixture)
{
	char script[1024];

	snprintf(script, sizeof script,
		 "#!/bin/sh\ncd %s\nread v < product/current/version\nread was < data/file\n"
		 "if [ \"$was\" != \"$v\" ]; then\n"
		 "	echo $v > data/.file && sync data/.file && mv data/.file data/file && sync data || exit 1\n"
		 "fi\necho start $v >> units.log\n",
		 fixture->directory);
	fixture_write(fixture, "start", script);
}

static void fill_lines(struct buffer *text, const char *word)
{
	struct error error = {0};

	for (int i = 0; i < LEDGER_LINES; i++)
		assert_int_equal(buffer_printf(text, &error, "%s %d\n", word, i), 0);
	assert_int_equal(buffer_append(text, "", 1, &error), 0);
}

char *story_ledger(void)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);

	fill_lines(&text, "paid");
	return (char *)TAKE(text.data);
}

static void pack(struct fixture *fixture, const char *version, unsigned kind)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	char name[64];

	fill_lines(&text, version);
	for (size_t i = 0; i < BULK_FILES; i++) {
		snprintf(name, sizeof name, "tree-%s/lib/%zu/bulk", version, i);
		fixture_write(fixture, name, (const char *)text.data + i * (i % 2) * 100);
	}
	fixture_pack(fixture, version, kind);
}

struct telling {
	struct fixture *fixture;
	struct tape *tape;
};

/* What was told is durable by then, and stays: the journal as it is now is the beginning of any later one. */
static bool tell(void *context, const char *state UNUSED, const char *step UNUSED, const char *text UNUSED)
{
	const struct telling *telling = context;
	CLEANUP(free_pointer) char *journal = fixture_text(telling->fixture, "state/shop/journal");

	if (telling->tape)
		tape_mark(telling->tape, STORY_TOLD, journal, strlen(journal));
	return true;
}

static void be_packed(struct fixture *fixture, unsigned kind)
{
	pack(fixture, "1.0", kind);
	fixture_pack(fixture, "1.9", FIXTURE_GOOD); /* for whole_check */
}

static void adopt(struct fixture *fixture)
{
	fixture_adopt_packed(fixture, "1.0");
}

static void do_adopt(struct fixture *fixture, struct tape *tape UNUSED)
{
	adopt(fixture);
}

static void be_adopted(struct fixture *fixture, unsigned kind)
{
	be_packed(fixture, FIXTURE_GOOD);
	adopt(fixture);
	fixture_write(fixture, "data/file", "1.0\n");
	pack(fixture, "1.1", kind);
}

static void stage_packed(struct fixture *fixture, const char *version)
{
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	fixture_fill_packed(fixture, version, sha256);
	if (stage_seal(&fixture->layout, version, sha256, &error) < 0)
		fail_msg("%s cannot be sealed: %s", version, error.text);
}

static void stage(struct fixture *fixture)
{
	stage_packed(fixture, "1.1");
}

static void do_stage(struct fixture *fixture, struct tape *tape UNUSED)
{
	stage(fixture);
}

static void be_staged(struct fixture *fixture, unsigned kind)
{
	be_adopted(fixture, kind);
	stage(fixture);
}

/* So much was written down that the journal begins anew when it is opened next. */
static void be_long_kept(struct fixture *fixture, unsigned kind)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	char text[LONG_LINE];
	struct error error = {0};

	be_adopted(fixture, kind);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(journal_open(fixture->layout.state, JOURNAL_WRITE, &journal, &error), 0);
	for (int i = 0; i < LONG_LINES; i++)
		assert_int_equal(
			journal_enter_take(journal, JOURNAL_RECEIVING, json_pack("{s:s}", "padding", text), &error), 0);
}

static void be_made_different(struct fixture *fixture, unsigned kind)
{
	char old[128], new[128], output[128];
	struct delta_made made;
	struct error error = {0};

	be_adopted(fixture, kind);
	snprintf(old, sizeof old, "%s/1.0.bundle", fixture->directory);
	snprintf(new, sizeof new, "%s/1.1.bundle", fixture->directory);
	snprintf(output, sizeof output, "%s/1.delta", fixture->directory);
	const struct delta_make make = {.old = old, .new = new, .output = output};
	if (delta_make(&make, &made, &error) < 0)
		fail_msg("the delta: %s", error.text);
}

static void stage_by_delta(struct fixture *fixture)
{
	char delta[128], sha256[HASH_HEX_SIZE];
	struct error error = {0};

	snprintf(delta, sizeof delta, "%s/1.delta", fixture->directory);
	if (fixture_receive(fixture, "1.1", delta, sha256, &error) < 0 ||
	    stage_seal(&fixture->layout, "1.1", sha256, &error) < 0)
		fail_msg("staging by delta: %s", error.text);
}

static void do_stage_by_delta(struct fixture *fixture, struct tape *tape UNUSED)
{
	stage_by_delta(fixture);
}

static void do_discard(struct fixture *fixture, struct tape *tape UNUSED)
{
	struct error error = {0};

	if (stage_discard(&fixture->layout, "1.1", &error) < 0)
		fail_msg("discard: %s", error.text);
}

static void change(struct fixture *fixture, const char *upgrade, const char *version, struct tape *tape)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	struct telling telling = {fixture, tape};
	struct error error = {0};
	uint8_t hash[HASH_SIZE];
	char sha256[HASH_HEX_SIZE];

	assert_int_equal(layout_manifest(&fixture->layout, version, &manifest, hash, &error), 0);
	hash_to_hex(hash, sizeof hash, sha256);
	struct switch_request request = fixture_order(fixture, upgrade, version, sha256);
	if (switch_run(&fixture->layout, &request, tell, &telling, &result, &error) < 0)
		fail_msg("the switch to %s: %s", version, error.text);
}

static void do_switch(struct fixture *fixture, struct tape *tape)
{
	change(fixture, "up-1", "1.1", tape);
}

static void resume(struct fixture *fixture)
{
	struct resume_report report = {0};
	struct error error = {0};

	if (resume_run(&fixture->layout, RESUME_MS, &report, &error) < 0)
		fail_msg("resume: %s", error.text);
}

/* The machine's restart ends the process that asked for it; what has come up goes on. */
static void do_restart(struct fixture *fixture, struct tape *tape)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		change(fixture, "up-1", "1.1", tape);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	machine_settle(fixture);
	resume(fixture);
}

static void be_committed(struct fixture *fixture, unsigned kind)
{
	be_staged(fixture, kind);
	change(fixture, "up-1", "1.1", NULL);
}

/* 1.0 goes when 1.2 is committed. */
static void be_staged_again(struct fixture *fixture, unsigned kind)
{
	be_committed(fixture, kind);
	pack(fixture, "1.2", kind);
	stage_packed(fixture, "1.2");
}

static void do_switch_again(struct fixture *fixture, struct tape *tape)
{
	change(fixture, "up-2", "1.2", tape);
}

static void do_rollback(struct fixture *fixture, struct tape *tape)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	struct telling telling = {fixture, tape};
	struct rollback_plan plan;
	struct error error = {0};

	assert_int_equal(rollback_plan(&fixture->layout, &plan, &error), 0);
	const struct rollback_request request = {.upgrade = "local-back", .restore_data = plan.migrated};
	if (rollback_run(&fixture->layout, &request, tell, &telling, &result, &error) < 0)
		fail_msg("the rollback: %s", error.text);
}

/* In a process that is killed between a change and its sync; then somebody resumes, and finds the change made. */
static void be_killed(struct fixture *fixture, struct tape *tape,
		      void (*deed)(struct fixture *fixture, struct tape *tape), const char *fault)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("NIGHTSHIFT_FAULT", fault, 1);
		deed(fixture, tape);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
#ifdef NIGHTSHIFT_FAULT_POINTS
	assert_true(WIFSIGNALED(status));
#endif
	resume(fixture);
}

static void do_killed_rollback(struct fixture *fixture, struct tape *tape)
{
	be_killed(fixture, tape, do_rollback, "act.slot.sync=kill");
}

static void be_filled(struct fixture *fixture, unsigned kind)
{
	char sha256[HASH_HEX_SIZE];

	be_adopted(fixture, kind);
	fixture_fill_packed(fixture, "1.1", sha256);
}

static void do_seal(struct fixture *fixture, struct tape *tape UNUSED)
{
	struct error error = {0};
	CLEANUP(file_close)
	int staging = openat(fixture->layout.releases, LAYOUT_STAGING "1.1", O_RDONLY | O_DIRECTORY);
	CLEANUP(buffer_free) struct buffer manifest = BUFFER_INIT(MANIFEST_BYTES_MOST);
	uint8_t hash[HASH_SIZE];
	char sha256[HASH_HEX_SIZE];

	assert_int_equal(file_read_at(staging, "manifest.json", &manifest, &error), 0);
	hash_bytes(HASH_SHA256, manifest.data, manifest.size, hash);
	hash_to_hex(hash, sizeof hash, sha256);
	if (stage_seal(&fixture->layout, "1.1", sha256, &error) < 0)
		fail_msg("1.1 cannot be sealed: %s", error.text);
}

/* The second line that a seal writes says that it is done. */
static void do_killed_seal(struct fixture *fixture, struct tape *tape)
{
	be_killed(fixture, tape, do_seal, "act.journal.sync:2=kill");
}

static void follow(struct fixture *fixture, int number, struct tape *tape)
{
	struct error error = {0};

	if (trusting_follow(fixture, number, &error) < 0)
		fail_msg("offer %d: %s", number, error.text);
	if (tape)
		tape_mark(tape, STORY_KEPT, &number, sizeof number);
}

static void be_trusting(struct fixture *fixture, unsigned kind)
{
	be_adopted(fixture, kind);
	trusting_begin(fixture);
	follow(fixture, 1, NULL);
}

static void do_follow(struct fixture *fixture, struct tape *tape)
{
	for (int number = 2; number <= TRUSTING_LAST; number++)
		follow(fixture, number, tape);
}

static void do_enrol(struct fixture *fixture, struct tape *tape)
{
	struct error error = {0};

	for (int number = 1; number <= ENROLLING_LAST; number++) {
		if (enrolling_join(fixture, number, &error) < 0)
			fail_msg("join %d: %s", number, error.text);
		tape_mark(tape, STORY_KEPT, &number, sizeof number);
	}
}

static const struct keeping trust = {1, trusting_holds}, enrolment = {0, enrolling_holds};

#define MIGRATES (FIXTURE_HOOKS | FIXTURE_MIGRATION)

const struct story stories[] = {
	{"adopt", be_packed, FIXTURE_GOOD, do_adopt, NULL, "", "1.0", JOURNAL_COMMITTED, "1.0", ""},
	{"stage", be_adopted, FIXTURE_HOOKS, do_stage, stage, "1.0", "1.1", JOURNAL_STAGED, "1.0", "1.1"},
	{"stage by delta", be_made_different, FIXTURE_HOOKS, do_stage_by_delta, stage, "1.0", "1.1", JOURNAL_STAGED,
	 "1.0", "1.1"},
	{"journal turns", be_long_kept, FIXTURE_GOOD, do_stage, stage, "1.0", "1.1", JOURNAL_STAGED, "1.0", "1.1"},
	{"discard", be_staged, FIXTURE_HOOKS, do_discard, NULL, "1.0", "1.1", JOURNAL_IDLE, "1.0", ""},
	{"switch", be_staged, FIXTURE_HOOKS, do_switch, NULL, "1.0", "1.1", JOURNAL_COMMITTED, "1.1", ""},
	{"switch with migration", be_staged, MIGRATES, do_switch, NULL, "1.0", "1.1", JOURNAL_COMMITTED, "1.1", ""},
	{"switch that fails", be_staged, MIGRATES | FIXTURE_SICK, do_switch, NULL, "1.0", "1.1", JOURNAL_ROLLED_BACK,
	 "1.0", "1.1"},
	{"switch that restarts", be_staged, MIGRATES | FIXTURE_REBOOT, do_restart, NULL, "1.0", "1.1",
	 JOURNAL_COMMITTED, "1.1", ""},
	{"switch that trims", be_staged_again, FIXTURE_HOOKS, do_switch_again, NULL, "1.1", "1.2", JOURNAL_COMMITTED,
	 "1.2", ""},
	{"rollback", be_committed, FIXTURE_HOOKS, do_rollback, NULL, "1.1", "1.0", JOURNAL_ROLLED_BACK, "1.0", ""},
	{"seal killed and looked at", be_filled, FIXTURE_HOOKS, do_killed_seal, stage, "1.0", "1.1", JOURNAL_STAGED,
	 "1.0", "1.1"},
	{"rollback killed and resumed", be_committed, FIXTURE_HOOKS, do_killed_rollback, NULL, "1.1", "1.0",
	 JOURNAL_ROLLED_BACK, "1.0", ""},
	{"rollback with data", be_committed, MIGRATES, do_rollback, NULL, "1.1", "1.0", JOURNAL_ROLLED_BACK, "1.0", ""},
	{"trust followed", be_trusting, FIXTURE_GOOD, do_follow, NULL, "1.0", "1.1", JOURNAL_COMMITTED, "1.0", "",
	 &trust},
	{"joined", be_adopted, FIXTURE_GOOD, do_enrol, NULL, "1.0", "1.1", JOURNAL_COMMITTED, "1.0", "", &enrolment},
};
const size_t story_count = ARRAY_SIZE(stories);

const char *const story_inputs[] = {"1.0.bundle", "1.1.bundle", "1.2.bundle", "1.9.bundle", "1.delta",
				    "tree-1.0",   "tree-1.1",   "tree-1.2",   "tree-1.9",   "hooks-1.0",
				    "hooks-1.1",  "hooks-1.2",  "hooks-1.9",  NULL};

const struct story *story_find(const char *name)
{
	for (size_t i = 0; i < story_count; i++)
		if (strcmp(stories[i].name, name) == 0)
			return &stories[i];
	return NULL;
}

/* Durable, and out of the file system's log, which every mount from here on would play again. */
static void settle(struct fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	CLEANUP(file_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
}

void story_record(const struct story *story, const char *box, struct tape *tape)
{
	CLEANUP(free_pointer) char *precious = story_ledger();
	struct fixture fixture;

	fixture_make_at(&fixture, box, NULL);
	machine_make(&fixture, NULL);
	write_start(&fixture);
	fixture_write(&fixture, "data/precious", precious);
	story->before(&fixture, story->kind);
	settle(&fixture, ".");
	settle(&fixture, "state");
	tape_mark(tape, STORY_BEGUN, NULL, 0);
	story->deed(&fixture, tape);
	tape_mark(tape, STORY_ANSWERED, NULL, 0);
	fixture_close(&fixture);
}

void story_open(struct fixture *fixture, const char *box, const char *boots)
{
	fixture_open(fixture, box);
	fixture->fence = 100;
	fixture_write(fixture, "boots", boots);
	machine_open(fixture);
}

/* By resume in the end: what a watcher is about to make durable is waited for. */
void story_go_on(const struct story *story, struct fixture *fixture)
{
	if (story->kind & FIXTURE_REBOOT)
		machine_settle(fixture);
	resume(fixture);
}

void story_resume(const struct story *story, const char *box, struct tape *tape)
{
	struct fixture fixture;
	struct telling telling = {&fixture, tape};

	story_open(&fixture, box, "2\n");
	story_go_on(story, &fixture);
	tell(&telling, "", "", NULL);
	fixture_close(&fixture);
}

char *story_journal(const char *box)
{
	struct fixture fixture;

	fixture_open(&fixture, box);
	char *text = fixture_text(&fixture, "state/shop/journal");
	fixture_close(&fixture);
	return text;
}
