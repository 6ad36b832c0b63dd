#include "appliance-hook/act/resume.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/point.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/switch.h"
#include "appliance-hook/act/units.h"
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

/* Everything was found good and only the last line is missing: and what stands agrees. */
static bool is_done(const struct journal_state *state, const char *current)
{
	return state->stage == JOURNAL_CHECKING && journal_step_is_ok(&state->run, "health") &&
	       strcmp(current, state->run.to) == 0;
}

static int finish(struct run *run, const char *current, struct error *error)
{
	const struct journal_state *state = journal_state(run->journal);
	char reason[JOURNAL_TEXT_SIZE];

	if (is_done(state, current))
		return switch_commit(run, error);
	if (state->stage == JOURNAL_ROLLING_BACK) {
		snprintf(reason, sizeof reason, "%s", state->run.reason);
		return rollback_finish(run, reason[0] ? reason : "asked for",
				       state->run.blamed ? ROLLBACK_QUARANTINE : ROLLBACK_BLAMELESS, error);
	}
	say_interrupted(run, reason, sizeof reason);
	return rollback_finish(run, reason, ROLLBACK_BLAMELESS, error);
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

int resume_run(const struct layout *layout, int wait_ms, struct resume_report *ret_report, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(run_result_free) struct run_result result = {0};
	struct resume_report report = {0};
	int status = layout_lock(layout, wait_ms, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, report.version, error);
	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	if (!journal_stage_is_open(state->stage)) {
		struct error why = {0};
		if (tidy(layout, state, &why) < 0)
			log_failure("tidying", &why);
		report.outcome = state->stage;
		snprintf(report.text, sizeof report.text, "nothing was interrupted; %s runs %s, state %s",
			 layout->settings->product, report.version[0] ? report.version : "no version",
			 journal_stage_name(state->stage));
		*ret_report = report;
		return 0;
	}
	struct run run = {.layout = layout, .journal = journal, .restarted = was_restarted(&state->run)};
	run.booting = run.restarted && units_start_later(layout->settings);
	status = point_pass("act.resume.begin", error);
	if (status == 0)
		status = finish(&run, report.version, error);
	if (status < 0)
		return status;
	run_conclude(&run, &result);
	status = slot_backend(layout)->current(layout, report.version, error);
	if (status < 0)
		return status;
	report.acted = true;
	report.outcome = result.outcome;
	snprintf(report.text, sizeof report.text, "upgrade %s is %s, %s runs %s%s%s", state->run.upgrade,
		 journal_stage_name(result.outcome), layout->settings->product, report.version,
		 result.reason[0] ? ": " : "", result.reason);
	*ret_report = report;
	return 0;
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
	json_t *fields =
		keeps ? json_pack("{s:s}", "reason", reason) : json_pack("{s:s,s:s}", "reason", reason, "fallback", "");
	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	if (damaged) {
		if (json_object_set_new(fields, "upgrade", json_string("clear")) < 0 ||
		    json_object_set_new(fields, "to", json_string(current)) < 0)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
		return journal_enter_take(journal, JOURNAL_COMMITTED, fields, error);
	}
	return journal_enter_take(journal, JOURNAL_IDLE, fields, error);
}
