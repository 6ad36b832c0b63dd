#include "appliance-hook/act/resume.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/forward.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/units.h"
#include "appliance-hook/act/watcher.h"
#include "base/file.h"
#include "base/log.h"

/* What was under way when nobody lived to go on, as a sentence. */
static void say_interrupted(const struct run *run, char *ret_text, size_t size)
{
	const struct journal_run *now = run_now(run);
	const struct journal_step *last = now->step_count ? &now->steps[now->step_count - 1] : NULL;
	const char *by = run->restarted ? " by a restart of the machine" : "";

	if (!last)
		snprintf(ret_text, size, "interrupted before its first step%s", by);
	else if (strcmp(last->result, "failed") == 0)
		snprintf(ret_text, size, "step %s failed, and the way back was interrupted%s", last->name, by);
	else
		snprintf(ret_text, size, "interrupted %s step %s%s", last->result[0] ? "after" : "in", last->name, by);
}

enum caller { BY_COMMAND, BY_WATCHER };

/* Everything was found good and only the last line is missing: and what stands agrees. */
static bool is_done(const struct journal_state *state, const char *current)
{
	return state->stage == JOURNAL_CHECKING && forward_is_done(&state->run) && strcmp(current, state->run.to) == 0;
}

static bool is_forward(const struct journal_state *state)
{
	return state->stage == JOURNAL_REBOOTING || state->stage == JOURNAL_CHECKING;
}

/* The step that asked for the restart which has just happened, or would have if it still ran. */
static const char *asking_step(const struct journal_state *state)
{
	return state->stage == JOURNAL_ROLLING_BACK ? "back-reboot" : "reboot";
}

static int back(struct run *run, const char *reason, enum rollback_blame blame, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	char kept[JOURNAL_TEXT_SIZE];

	if (state->stage != JOURNAL_ROLLING_BACK)
		return rollback_finish(run, reason, blame, error);
	snprintf(kept, sizeof kept, "%s", state->run.reason);
	return rollback_finish(run, kept[0] ? kept : "asked for",
			       state->run.blamed ? ROLLBACK_QUARANTINE : ROLLBACK_BLAMELESS, error);
}

/* The machine came back: on what it was to come back on, and is that whole? */
static int look_at_boot(struct run *run, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	const struct journal_run *now = &state->run;
	const char *wanted = is_forward(state) || now->requested ? now->to : now->from;
	char current[LAYOUT_VERSION_SIZE];
	int status = slot_backend(run->layout)->current(run->layout, current, error);

	if (status == 0 && strcmp(current, wanted) != 0)
		status = error_set(error, ERROR_DATA, "restart", "the machine came back on %s, not on %s",
				   current[0] ? current : "nothing", wanted);
	if (status == 0 && journal_step_count(now, "boot") > RESTART_BOOTS_MOST && is_forward(state))
		status = error_set(error, ERROR_DATA, "restart",
				   "the machine was started %d times before %s was found good", RESTART_BOOTS_MOST,
				   wanted);
	return status == 0 ? layout_verify(run->layout, wanted, error) : status;
}

static int note_boot(struct run *run, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	const char *asking = asking_step(state);
	int status = 0;

	if (journal_step_is_last(&state->run, asking) && !journal_step_is_ok(&state->run, asking)) {
		const struct journal_step *step = &state->run.steps[state->run.step_count - 1];
		int64_t seconds = clock_now() - step->began;
		status = journal_end(run->journal, asking, "ok", seconds > 0 ? 1000 * seconds : 0, NULL, error);
	}
	return status == 0 ? run_do(run, "boot", look_at_boot, error) : status;
}

/* Units and health, which come after the restart. */
static int go_on(struct run *run, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	struct error why = {0};
	bool blamed = false;

	if (state->stage == JOURNAL_ROLLING_BACK)
		return back(run, "", ROLLBACK_BLAMELESS, error);
	run->end_ticks = run_ticks_at(state->run.end);
	/* Somebody outside looks at this process, too. */
	int status = watcher_arm(run->layout, run->journal, state->run.upgrade, &why);
	if (status == 0)
		status = forward_run(run, FORWARD_FROM_RESTART, &blamed, &why);
	return status < 0 ? back(run, why.text, blamed ? ROLLBACK_QUARANTINE : ROLLBACK_BLAMELESS, error) : 0;
}

static int hand_over(struct run *run, bool *ret_goes_on, struct error *error)
{
	struct error why = {0};
	int status = watcher_arm(run->layout, run->journal, run_now(run)->upgrade, &why);

	if (status < 0)
		return back(run, why.text, ROLLBACK_BLAMELESS, error);
	*ret_goes_on = true;
	return 0;
}

/* A run that restarts the machine, after it did. */
static int come_back(struct run *run, enum caller caller, bool *ret_goes_on, struct error *error)
{
	struct error why = {0};

	if (restart_happened(journal_state(run->journal)) && note_boot(run, &why) < 0)
		return back(run, why.text, why.code == ERROR_DATA ? ROLLBACK_QUARANTINE : ROLLBACK_BLAMELESS, error);
	return caller == BY_WATCHER ? go_on(run, error) : hand_over(run, ret_goes_on, error);
}

/* The machine was asked to restart and has not, or not yet. */
static int ask_again(struct run *run, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	const char *asking = asking_step(state);
	struct error why = {0};

	if (journal_step_is_last(&state->run, asking) && !state->run.steps[state->run.step_count - 1].result[0])
		restart_wait(run->layout->settings);
	if (state->stage == JOURNAL_ROLLING_BACK)
		return back(run, "", ROLLBACK_BLAMELESS, error);
	if (restart_machine(run, asking, &why) < 0)
		return back(run, why.text, ROLLBACK_BLAMELESS, error);
	return 0;
}

static bool was_asked(const struct journal_state *state)
{
	return state->stage == JOURNAL_REBOOTING ||
	       (state->stage == JOURNAL_ROLLING_BACK && journal_step_is_last(&state->run, "back-reboot"));
}

/* It restarts the machine, and the machine has come back and was not asked again. */
static bool is_back(const struct journal_state *state)
{
	const struct journal_run *now = &state->run;

	if (!now->reboot || !(is_forward(state) || journal_step_begun(now, asking_step(state))))
		return false;
	return restart_happened(state) || (journal_step_is_last(now, "boot") && journal_step_is_ok(now, "boot"));
}

static int finish(struct run *run, const char *current, enum caller caller, bool *ret_goes_on, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	char reason[JOURNAL_TEXT_SIZE];

	if (is_done(state, current))
		return forward_commit(run, error);
	if (is_back(state))
		return come_back(run, caller, ret_goes_on, error);
	if (was_asked(state) && !restart_happened(state))
		return ask_again(run, error);
	say_interrupted(run, reason, sizeof reason);
	return back(run, reason, ROLLBACK_BLAMELESS, error);
}

static bool was_restarted(const struct journal_run *run)
{
	char boot[CLOCK_BOOT_ID_SIZE];

	clock_boot_id(boot);
	return run->boot[0] && boot[0] && strcmp(run->boot, boot) != 0;
}

static int tidy(const struct layout *layout, const struct journal_state *state, struct error *error)
{
	int status = receipts_ensure(layout, state, error);

	/* A commit that was interrupted while it tidied. */
	if (status == 0 && state->stage == JOURNAL_COMMITTED)
		status = slot_backend(layout)->mark_good(layout, state->run.to, state->fallback, state->staged, error);
	return status;
}

static int say_quiet(const struct layout *layout, const struct journal_state *state, struct resume_report *report)
{
	struct error why = {0};

	if (tidy(layout, state, &why) < 0)
		log_failure("tidying", &why);
	report->outcome = state->stage;
	snprintf(report->text, sizeof report->text, "nothing was interrupted; %s runs %s, state %s",
		 layout->settings->product, report->version[0] ? report->version : "no version",
		 journal_stage_name(state->stage));
	return 0;
}

static int say_end(struct run *run, struct resume_report *report, struct error *error)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	const struct journal_state *state = journal_state(run->journal);
	const char *product = run->layout->settings->product;
	int status = slot_backend(run->layout)->current(run->layout, report->version, error);

	if (status < 0)
		return status;
	report->acted = true;
	if (report->goes_on) {
		report->outcome = state->stage;
		snprintf(report->text, sizeof report->text,
			 "upgrade %s goes on: the machine came back, %s stands at %s, its units and health come next",
			 state->run.upgrade, product, report->version);
		return 0;
	}
	run_conclude(run, &result);
	report->outcome = result.outcome;
	snprintf(report->text, sizeof report->text, "upgrade %s is %s, %s runs %s%s%s", state->run.upgrade,
		 journal_stage_name(result.outcome), product, report->version, result.reason[0] ? ": " : "",
		 result.reason);
	return 0;
}

static int resume(const struct layout *layout, int wait_ms, enum caller caller, struct resume_report *ret_report,
		  struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct resume_report report = {0};
	int status = layout_lock(layout, wait_ms, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, report.version, error);
	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	struct run run = {.layout = layout, .journal = journal, .restarted = was_restarted(&state->run)};
	if (!journal_stage_is_open(state->stage)) {
		status = say_quiet(layout, state, &report);
	} else {
		run.booting = caller == BY_COMMAND && run.restarted && units_start_later(layout->settings);
		status = point_pass("act.resume.begin", error);
		if (status == 0)
			status = finish(&run, report.version, caller, &report.goes_on, error);
		/* A way back, too, may have been left to a watcher. */
		report.goes_on = report.goes_on || journal_stage_is_open(state->stage);
		if (status == 0)
			status = say_end(&run, &report, error);
	}
	if (status == 0)
		*ret_report = report;
	return status;
}

int resume_run(const struct layout *layout, int wait_ms, struct resume_report *ret_report, struct error *error)
{
	return resume(layout, wait_ms, BY_COMMAND, ret_report, error);
}

int resume_to_end(const struct layout *layout, int wait_ms, struct resume_report *ret_report, struct error *error)
{
	return resume(layout, wait_ms, BY_WATCHER, ret_report, error);
}

/* A journal that does not hold is kept beside, for whoever asks what happened. */
static int set_journal_aside(const struct layout *layout, struct error *error)
{
	char name[64];

	snprintf(name, sizeof name, "journal.damaged-%lld", (long long)clock_now());
	return file_rename_at(layout->state, "journal", layout->state, name, error);
}

static int reopen(const struct layout *layout, struct journal **ret_journal, struct error *error)
{
	int status = journal_open(layout->state, JOURNAL_WRITE, ret_journal, error);

	if (status == 0 || strcmp(error->name, "journal") != 0 || error->code != ERROR_DATA)
		return status;
	status = set_journal_aside(layout, error);
	return status == 0 ? journal_open(layout->state, JOURNAL_WRITE, ret_journal, error) : status;
}

static bool is_text(const char *text)
{
	CLEANUP(jsonio_free) json_t *string = json_string(text);

	return string != NULL;
}

int resume_clear(const struct layout *layout, const char *reason, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	char current[LAYOUT_VERSION_SIZE];
	struct error ignored;

	/* Before anything is set aside. */
	if (!reason[0] || strlen(reason) >= JOURNAL_TEXT_SIZE || !is_text(reason))
		return error_set(error, ERROR_USAGE, "reason", "a reason is 1 to %d bytes of text",
				 JOURNAL_TEXT_SIZE - 1);
	int status = layout_lock(layout, 0, &lock, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, current, error);
	if (status == 0 && !current[0])
		status = error_set(error, ERROR_DATA, "current",
				   "no version stands; \"appliance-hook adopt\" puts one there");
	if (status == 0)
		status = layout_verify(layout, current, error);
	if (status < 0)
		return status;
	bool damaged = journal_open(layout->state, JOURNAL_READ, &journal, &ignored) < 0;
	journal_free(&journal);
	status = reopen(layout, &journal, error);
	if (status < 0)
		return status;
	enum journal_stage stage = journal_state(journal)->stage;
	if (!damaged && stage != JOURNAL_INCONSISTENT)
		return error_set(error, ERROR_NOT_NOW, "state", "the state is %s; there is nothing to clear",
				 journal_stage_name(stage));
	/* The fallback is forgotten unless it is whole, too. */
	const char *fallback = journal_state(journal)->fallback;
	bool keeps = fallback[0] && layout_verify(layout, fallback, &ignored) == 0;
	/* json_pack leaves out what ends in '*' when it is NULL. */
	json_t *fields = json_pack("{s:s,s:s*,s:s*,s:s*}", "reason", reason, "fallback", keeps ? NULL : "", "upgrade",
				   damaged ? "clear" : NULL, "to", damaged ? current : NULL);
	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	return journal_enter_take(journal, damaged ? JOURNAL_COMMITTED : JOURNAL_IDLE, fields, error);
}
