#include "appliance-hook/act/rollback.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/discarded.h"
#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/hooks.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/probe.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/snapshot.h"
#include "appliance-hook/act/units.h"
#include "appliance-hook/act/watcher.h"
#include "base/file.h"
#include "base/log.h"

/* Where a run goes back to, and what it leaves. */
static const char *home_of(const struct journal_run *now)
{
	return now->requested ? now->to : now->from;
}

static const char *left_by(const struct journal_run *now)
{
	return now->requested ? now->from : now->to;
}

/* A machine that was started on the new release has to be started again on the old one. A pair of images tells by
 * itself what runs; below a tree only the journal knows what stood when the machine was started. */
static bool needs_restart(const struct run *run)
{
	const struct journal_run *now = run_now(run);
	const struct slot_backend *slots = slot_backend(run->layout);
	char current[LAYOUT_VERSION_SIZE];
	struct error ignored;

	if (!now->reboot || !journal_step_is_ok(now, "back-switch"))
		return false;
	if (!slots->by_restart)
		return now->booted_new;
	return slots->current(run->layout, current, &ignored) < 0 || strcmp(current, home_of(now)) != 0;
}

/* Of a way back over a restart, what lies before it is done. */
static bool was_restarted(const struct run *run)
{
	return journal_step_begun(run_now(run), "back-reboot") && !needs_restart(run);
}

/* Before the product's units at boot all is put back but what these have a part in; the rest is a watcher's. */
static bool was_handed_over(const struct run *run)
{
	return journal_step_is_ok(run_now(run), "back-boot");
}

static bool is_put_back(const struct run *run)
{
	return was_restarted(run) || was_handed_over(run);
}

static bool was_touched(const struct run *run)
{
	const struct journal_run *now = run_now(run);

	return now->requested || journal_step_begun(now, "stop");
}

static bool needs_stop(const struct run *run)
{
	return !run->booting && was_touched(run);
}

static bool needs_start(const struct run *run)
{
	return !run->booting && was_touched(run);
}

/* The release's own hooks have run, so its `undo` must. */
static bool needs_hook(const struct run *run)
{
	const struct journal_run *now = run_now(run);

	return now->requested || journal_step_begun(now, "pre-switch");
}

/* The snapshot was whole, and something that may write began after it. */
static bool needs_data(const struct run *run)
{
	const struct journal_run *now = run_now(run);

	if (now->requested)
		return now->restore;
	return journal_step_is_ok(now, "snapshot") && journal_step_begun(now, "pre-switch");
}

static bool needs_watcher(const struct run *run)
{
	return run->booting && was_touched(run);
}

static bool needs_health(const struct run *run)
{
	return !run->booting;
}

static int stop(struct run *run, struct error *error)
{
	return units_stop(run->layout->settings, error);
}

static int undo_hook(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);
	const struct hooks_call call = {.version = left_by(now),
					.hook = "undo",
					.upgrade = now->upgrade,
					.from = left_by(now),
					.to = home_of(now)};

	return hooks_run(run->layout, &call, error);
}

static int undo_switch(struct run *run, struct error *error)
{
	return slot_backend(run->layout)->undo(run->layout, home_of(run_now(run)), error);
}

static int restore_data(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);
	char discard[DISCARDED_NAME_SIZE];

	discarded_name(now, discard);
	return snapshot_restore(run->layout, now->snapshot, discard, error);
}

/* After a power cut the old tree must be what it was, too. */
static int verify(struct run *run, struct error *error)
{
	return layout_verify(run->layout, home_of(run_now(run)), error);
}

/* Where the machine came back on it, it was looked at already. */
static bool needs_verify(const struct run *run)
{
	return run->restarted && !journal_step_is_ok(run_now(run), "boot") && !was_handed_over(run);
}

static int hand_over(struct run *run, struct error *error)
{
	return watcher_arm(run->layout, run->journal, run_now(run)->upgrade, error);
}

static int start(struct run *run, struct error *error)
{
	return units_start(run->layout->settings, error);
}

static int health(struct run *run, struct error *error)
{
	return probe_wait(run->layout->settings, home_of(run_now(run)), INT64_MAX, error);
}

/* A failure does not end the list: what can still be put back is put back. */
static const struct step {
	const char *name;
	/* NULL: a restart of the machine, after which the way back goes on with the next row */
	run_step *run;
	bool (*applies)(const struct run *run); /* NULL: always */
	bool puts_back;                         /* not once all is put back */
	bool forgiven; /* its failure does not make the appliance inconsistent: health decides */
	bool if_whole; /* not after a failure: what could not be put back is told at once */
	bool once;     /* not again when it fails: it asks more than once by itself */
} steps[] = {
	{"back-stop", stop, .applies = needs_stop, .puts_back = true, .forgiven = true},
	{"back-hook", undo_hook, .applies = needs_hook, .puts_back = true},
	{"back-switch", undo_switch, .puts_back = true},
	{"back-data", restore_data, .applies = needs_data, .puts_back = true},
	{"back-reboot", NULL, .applies = needs_restart},
	{"back-verify", verify, .applies = needs_verify},
	{"back-boot", hand_over, .applies = needs_watcher, .forgiven = true, .if_whole = true},
	{"back-start", start, .applies = needs_start},
	{"back-health", health, .applies = needs_health, .once = true},
};

/* A disk that was full a moment ago, a command that was killed: a step may be done again, once. */
static int do_step(struct run *run, const struct step *step, struct error *error)
{
	if (!step->run)
		return restart_machine(run, step->name, error);
	int status = run_do_anyway(run, step->name, step->run, error);
	return status < 0 && !step->once ? run_do_anyway(run, step->name, step->run, error) : status;
}

/* What failed before the restart is not forgotten over it. */
static int recall(const struct run *run, const struct step *step, struct error *error)
{
	const struct journal_run *now = run_now(run);

	if (!was_restarted(run) || !journal_step_begun(now, step->name) || journal_step_is_ok(now, step->name))
		return 0;
	return error_set(error, ERROR_DATA, "step", "step %s failed before the restart", step->name);
}

static int do_or_recall(struct run *run, const struct step *step, struct error *error)
{
	if (step->puts_back && is_put_back(run))
		return recall(run, step, error);
	return !step->applies || step->applies(run) ? do_step(run, step, error) : 0;
}

static int walk(struct run *run, struct error *ret_first)
{
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct error why = {0};
		if (result < 0 && steps[i].if_whole)
			continue;
		int status = do_or_recall(run, &steps[i], &why);
		if (status == 0 || steps[i].forgiven || result < 0)
			continue;
		*ret_first = why;
		result = status;
	}
	return result;
}

/* True when it is there. */
static bool quarantine(struct run *run, const char *reason)
{
	const struct journal_run *now = run_now(run);
	struct error why = {0};

	if (!now->sha256[0] || quarantine_add(run->layout, now->sha256, left_by(now), reason, &why) == 0)
		return true;
	log_failure("quarantine", &why);
	return false;
}

/* The blame is written down with the intent: an interruption must not let the release come again. */
static int enter(struct run *run, const char *reason, enum rollback_blame blame, struct error *error)
{
	json_t *fields = NULL;

	if (journal_state(run->journal)->stage == JOURNAL_ROLLING_BACK)
		return 0;
	fields = json_pack("{s:s,s:b}", "reason", reason, "blamed", (int)(blame == ROLLBACK_QUARANTINE));
	if (!fields)
		fields = json_object();
	return run_enter_take(run, JOURNAL_ROLLING_BACK, fields, error);
}

/* Nowhere to go back to any more; the data of a rollback before commit is as it was. */
static json_t *final_fields(const struct journal_run *now, const char *reason)
{
	if (now->requested)
		return json_pack("{s:s,s:s,s:s,s:b,s:b}", "reason", reason, "fallback", "", "fallback_snapshot", "",
				 "fallback_migrated", 0, "fallback_reboot", 0);
	return json_pack("{s:s}", "reason", reason);
}

static int end(struct run *run, enum journal_stage stage, const char *reason, enum rollback_blame blame,
	       struct error *error)
{
	/* Once more, where a full disk kept the way back from being announced. */
	int status = enter(run, reason, blame, error);
	if (journal_state(run->journal)->stage != JOURNAL_ROLLING_BACK)
		return status;
	json_t *fields = final_fields(run_now(run), reason);
	status = run_enter_take(run, stage, fields ? fields : json_object(), error);
	return journal_state(run->journal)->stage == stage ? 0 : status;
}

int rollback_finish(struct run *run, const char *reason, enum rollback_blame blame, struct error *error)
{
	char sentence[JOURNAL_TEXT_SIZE];
	struct error why = {0}, unwritten = {0};

	snprintf(sentence, sizeof sentence, "%.*s", (int)sizeof sentence - 1, reason);
	if (enter(run, sentence, blame, &unwritten) < 0)
		log_failure("journal", &unwritten);
	bool kept = blame == ROLLBACK_BLAMELESS || quarantine(run, sentence);
	int walked = walk(run, &why);
	/* The way back may have made room. */
	if (!kept)
		quarantine(run, sentence);
	if (walked < 0) {
		snprintf(sentence, sizeof sentence, "%.150s; and the way back failed: %.140s", reason, why.text);
		log_write(LOG_LEVEL_ERROR, "%s: INCONSISTENT: %s", run_now(run)->upgrade, sentence);
		return end(run, JOURNAL_INCONSISTENT, sentence, blame, error);
	}
	if (run->booting && was_handed_over(run))
		return 0;
	int status = end(run, JOURNAL_ROLLED_BACK, sentence, blame, error);
	/* What the fallback of an earlier commit may still need stays. */
	if (status == 0 && (snapshot_trim(run->layout, journal_state(run->journal)->fallback_snapshot, &why) < 0 ||
			    discarded_trim(run->layout, run_now(run), &why) < 0))
		log_failure("trimming", &why);
	return status;
}

int rollback_plan(const struct layout *layout, struct rollback_plan *ret_plan, struct error *error)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct rollback_plan plan = {0};
	int status = journal_open(layout->state, JOURNAL_READ, &journal, error);

	if (status == 0)
		status = slot_backend(layout)->current(layout, plan.from, error);
	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	if (strcmp(state->fallback, plan.from) == 0 || !slot_backend(layout)->holds(layout, state->fallback))
		return error_set(error, ERROR_NOT_NOW, "fallback", "no older release stands to go back to from %s",
				 plan.from);
	snprintf(plan.to, sizeof plan.to, "%s", state->fallback);
	plan.migrated = state->fallback_migrated;
	plan.can_restore = snapshot_exists(layout, state->fallback_snapshot);
	plan.lost_seconds = plan.migrated ? clock_now() - state->fallback_time : 0;
	*ret_plan = plan;
	return 0;
}

static int check_plan(const struct rollback_request *request, const struct rollback_plan *plan, struct error *error)
{
	double hours = (double)plan->lost_seconds / 3600;

	if (request->version && request->version[0] && strcmp(request->version, plan->to) != 0)
		return error_set(error, ERROR_NOT_NOW, "fallback", "only %s stands to go back to, not %s", plan->to,
				 request->version);
	if (plan->migrated && !request->restore_data)
		return error_set(
			error, ERROR_NOT_NOW, "data",
			"%s migrated the data, which %s cannot read; with data restored, the last %.1f hours are lost",
			plan->from, plan->to, hours);
	if (request->restore_data && !plan->can_restore)
		return error_set(error, ERROR_NOT_NOW, "data", "no snapshot of the data from before %s is kept",
				 plan->from);
	return 0;
}

static int begin(struct run *run, const struct rollback_request *request, const struct rollback_plan *plan,
		 struct error *error)
{
	CLEANUP(manifest_free) struct manifest *left = NULL;
	uint8_t sha256[HASH_SIZE];
	char hex[HASH_HEX_SIZE];
	/* Only for its hash: that the release which is left is damaged must not keep anybody from leaving it. */
	struct error ignored;

	bool known = layout_manifest(run->layout, plan->from, &left, sha256, &ignored) == 0;
	if (known)
		hash_to_hex(sha256, sizeof sha256, hex);
	bool reboot = slot_backend(run->layout)->by_restart || journal_state(run->journal)->fallback_reboot;
	int status = layout_verify(run->layout, plan->to, error);
	if (status == 0 && reboot)
		status = restart_is_possible(run->layout->settings, error);
	if (status == 0)
		status = journal_reserve(run->journal, error);
	if (status == 0)
		status = watcher_arm(run->layout, run->journal, request->upgrade, error);
	if (status < 0)
		return status;
	json_t *fields =
		json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:s,s:s,s:s}", "upgrade", request->upgrade, "from",
			  plan->from, "to", plan->to, "sha256", known ? hex : "", "requested", 1, "blamed", 1,
			  "restore", (int)request->restore_data, "reboot", (int)reboot, "booted_new", (int)reboot,
			  "snapshot", request->restore_data ? journal_state(run->journal)->fallback_snapshot : "",
			  "audit_head", request->audit_head ? request->audit_head : "", "reason", "asked for");
	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	return run_enter_take(run, JOURNAL_ROLLING_BACK, fields, error);
}

int rollback_run(const struct layout *layout, const struct rollback_request *request, run_listener *listener,
		 void *context, struct run_result *ret_result, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct rollback_plan plan;
	int status = layout_lock(layout, 0, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status == 0)
		status = run_may_begin(journal_state(journal), error);
	if (status == 0 && request->order_key)
		status = fence_raise(layout, request->order_key, request->fence, error);
	if (status == 0)
		status = rollback_plan(layout, &plan, error);
	if (status == 0)
		status = check_plan(request, &plan, error);
	if (status < 0)
		return status;
	struct run run = {
		.layout = layout, .journal = journal, .listener = listener, .context = context, .heard = true};
	status = begin(&run, request, &plan, error);
	if (status < 0 && journal_state(journal)->stage != JOURNAL_ROLLING_BACK)
		return status;
	status = rollback_finish(&run, "asked for", ROLLBACK_QUARANTINE, error);
	if (status == 0)
		run_conclude(&run, ret_result);
	return status;
}
