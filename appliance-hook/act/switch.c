#include "appliance-hook/act/switch.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/hooks.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/preflight.h"
#include "appliance-hook/act/probe.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/snapshot.h"
#include "appliance-hook/act/stage.h"
#include "appliance-hook/act/units.h"
#include "appliance-hook/act/watcher.h"
#include "base/file.h"
#include "base/log.h"

#define LOCAL_PREFIX "local-"

static int stop(struct run *run, struct error *error)
{
	return units_stop(run->layout->settings, error);
}

static int snapshot(struct run *run, struct error *error)
{
	return snapshot_take(run->layout, run_now(run)->snapshot, error);
}

static int hook(struct run *run, const char *name, struct error *error)
{
	const struct journal_run *now = run_now(run);
	const struct hooks_call call = {
		.version = now->to, .hook = name, .upgrade = now->upgrade, .from = now->from, .to = now->to};

	return hooks_run(run->layout, &call, error);
}

static int pre_switch(struct run *run, struct error *error)
{
	return hook(run, "pre-switch", error);
}

static int activate(struct run *run, struct error *error)
{
	return slot_backend(run->layout)->activate(run->layout, run_now(run)->to, error);
}

static int post_switch(struct run *run, struct error *error)
{
	return hook(run, "post-switch", error);
}

static int start(struct run *run, struct error *error)
{
	return units_start(run->layout->settings, error);
}

static int health(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);

	return probe_wait(run->layout->settings, now->to, now->finish ? INT64_MAX : run->end_ticks, error);
}

/* What is done, in order, and the state that is entered once a step is done. */
static const struct step {
	const char *name;
	run_step *run;
	enum journal_stage then; /* IDLE: none */
	bool switched;           /* after the rename: the end of the window is then `finish`'s */
	bool migration;          /* only for a release that migrates data */
	bool blames;             /* its failure is the release's own */
} steps[] = {
	{"stop", stop, JOURNAL_IDLE, false, false, false},
	{"snapshot", snapshot, JOURNAL_IDLE, false, true, false},
	{"pre-switch", pre_switch, JOURNAL_IDLE, false, false, true},
	{"switch", activate, JOURNAL_SWITCHED, false, false, false},
	{"post-switch", post_switch, JOURNAL_IDLE, true, false, true},
	{"start", start, JOURNAL_CHECKING, true, false, true},
	{"health", health, JOURNAL_IDLE, true, false, true},
};

static int check_end(const struct step *step, const struct run *run, struct error *error)
{
	if (clock_ticks_ms() < run->end_ticks || (step->switched && run_now(run)->finish))
		return 0;
	return error_set(error, ERROR_NOT_NOW, "window", "the window ended before step %s", step->name);
}

/* A disk that is full, a window that ended and a hook that says "not now" are nobody's fault. */
static bool is_blamed(const struct step *step, const struct error *error)
{
	if (!step->blames || error->code == ERROR_CANNOT_CREATE || strcmp(error->name, "window") == 0)
		return false;
	return error->code != ERROR_NOT_NOW || strcmp(error->name, "hook") != 0;
}

static int walk(struct run *run, bool *ret_blamed, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct step *step = &steps[i];
		if (step->migration && !run_now(run)->migration)
			continue;
		int status = check_end(step, run, error);
		if (status == 0)
			status = run_do(run, step->name, step->run, error);
		if (status < 0)
			*ret_blamed = is_blamed(step, error);
		if (status == 0 && step->then != JOURNAL_IDLE)
			status = run_enter_take(run, step->then, NULL, error);
		if (status < 0)
			return status;
	}
	return 0;
}

int switch_commit(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);
	const struct layout *layout = run->layout;
	struct error why = {0};
	json_t *fields = json_pack("{s:b,s:s,s:s,s:b,s:I,s:s,s:s}", "confirmed",
				   (int)(run->heard && strncmp(now->upgrade, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) != 0),
				   "fallback", now->from, "fallback_snapshot", now->snapshot, "fallback_migrated",
				   (int)now->migration, "fallback_time", (json_int_t)now->started, "staged", "",
				   "staged_sha256", "");

	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to commit");
	int status = run_enter_take(run, JOURNAL_COMMITTED, fields, error);
	if (status < 0 && journal_state(run->journal)->stage != JOURNAL_COMMITTED)
		return status;
	/* It is committed: what cannot be tidied now is tidied by the next. */
	if (slot_backend(layout)->mark_good(layout, now->to, now->from, "", &why) < 0 ||
	    snapshot_trim(layout, now->snapshot, &why) < 0)
		log_failure("trimming", &why);
	return 0;
}

static int check_window(const struct switch_request *request, struct error *error)
{
	char text[CLOCK_UTC_SIZE];
	int64_t now = clock_now();

	if (now < request->start) {
		clock_format_utc(request->start, text);
		return error_set(error, ERROR_NOT_NOW, "window", "upgrade %s may not start before %s", request->upgrade,
				 text);
	}
	if (now > request->last_start || now >= request->end) {
		clock_format_utc(request->last_start, text);
		return error_set(error, ERROR_NOT_NOW, "window", "upgrade %s had to start by %s; book the next window",
				 request->upgrade, text);
	}
	return 0;
}

static bool is_local(const struct switch_request *request)
{
	return strncmp(request->upgrade, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) == 0;
}

/* Whoever signs orders may not give one the name of those that need no fence. */
static int check_origin(const struct switch_request *request, struct error *error)
{
	if (is_local(request) == (request->order_key[0] == '\0'))
		return 0;
	return error_set(error, ERROR_DATA, "upgrade", "upgrade %s: only what no order key signed is called \"%s…\"",
			 request->upgrade, LOCAL_PREFIX);
}

/* Asked again for what has ended under this very fence: the answer was lost, not the work. */
static int is_repeated(const struct layout *layout, const struct switch_request *request,
		       const struct journal_state *state, bool *ret_repeated, struct error *error)
{
	int64_t seen = 0;
	bool same = state->run.outcome != JOURNAL_IDLE && strcmp(state->run.upgrade, request->upgrade) == 0 &&
		    strcmp(state->run.sha256, request->sha256) == 0;

	*ret_repeated = false;
	if (!same || is_local(request))
		return 0;
	int status = fence_read(layout, request->order_key, &seen, error);
	if (status == 0)
		*ret_repeated = seen == request->fence;
	return status;
}

static int check_release(const struct layout *layout, const struct switch_request *request,
			 struct manifest **ret_manifest, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	uint8_t found[HASH_SIZE], wanted[HASH_SIZE];
	bool quarantined = true;
	int status = hash_from_hex(request->sha256, wanted, sizeof wanted, error);

	if (status == 0)
		status = quarantine_has(layout, request->sha256, &quarantined, error);
	if (status == 0 && quarantined)
		status = error_set(error, ERROR_DATA, "quarantine",
				   "release %s was rolled back on this appliance; \"appliance-hook quarantine remove "
				   "%s\" lets it try again",
				   request->version, request->version);
	if (status == 0)
		status = layout_manifest(layout, request->version, &manifest, found, error);
	if (status < 0 && strcmp(error->name, "missing") == 0)
		return error_set(error, ERROR_NOT_NOW, "staged", "release %s is not staged on this appliance",
				 request->version);
	if (status == 0 && !hash_equal(found, wanted))
		status = error_set(error, ERROR_DATA, "hash",
				   "release %s: the staged manifest is not the one that was ordered", request->version);
	if (status == 0)
		*ret_manifest = TAKE(manifest);
	return status;
}

/* Nothing of the release runs before it was hashed again. What has changed since it was sealed is not staged any more:
 * else it would be taken for staged the next time, too. */
static int check_bytes(const struct layout *layout, struct journal *journal, const struct switch_request *request,
		       struct error *error)
{
	struct error why = {0};
	int status = point_pass("act.prepare.verify", error);

	if (status == 0)
		status = slot_backend(layout)->prepare(layout, request->version, error);
	if (status == -ERROR_DATA && stage_forget(journal, request->version, &why) < 0)
		log_failure("forgetting what was staged", &why);
	return status;
}

static int check_ready(const struct layout *layout, const struct switch_request *request,
		       const struct journal_state *state, const char *current, const struct manifest *manifest,
		       struct error *error)
{
	const struct preflight_request question = {
		.version = request->version, .data_migration = manifest->data_migration, .manifest = manifest};
	const struct hooks_call call = {.version = request->version,
					.hook = "preflight",
					.upgrade = request->upgrade,
					.from = current,
					.to = request->version};
	int status = preflight_require(layout, state, &question, error);

	if (status == 0)
		status = hooks_run(layout, &call, error);
	/* Hashing a large tree takes its time, and so does a hook. */
	return status == 0 ? check_window(request, error) : status;
}

/* Centuries are as good as no end. */
static int64_t ticks_at(int64_t time)
{
	int64_t left = time - clock_now();

	return clock_ticks_ms() + 1000 * (left < INT32_MAX ? left : INT32_MAX);
}

static int prepare(struct run *run, const struct switch_request *request, const char *current,
		   const struct manifest *manifest, struct error *error)
{
	char id[SNAPSHOT_ID_SIZE];
	json_t *fields;

	snapshot_id(request->upgrade, id);
	run->end_ticks = ticks_at(request->end);
	int status = journal_reserve(run->journal, error);
	if (status == 0)
		status = watcher_arm(run->layout, run->journal, request->upgrade, error);
	if (status < 0)
		return status;
	fields = json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:I,s:b,s:s}", "upgrade", request->upgrade, "from", current, "to",
			   request->version, "sha256", request->sha256, "migration", (int)manifest->data_migration,
			   "snapshot", manifest->data_migration ? id : "", "end", (json_int_t)request->end, "finish",
			   (int)request->finish, "audit_head", request->audit_head);
	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the journal");
	return run_enter_take(run, JOURNAL_PREPARING, fields, error);
}

/* Forward, and back again when forward ends early. */
static int execute(struct run *run, struct run_result *ret_result, struct error *error)
{
	struct error why = {0};
	bool blamed = false;
	int status = walk(run, &blamed, &why);

	if (status == 0)
		status = switch_commit(run, &why);
	if (status < 0)
		status = rollback_finish(run, why.text, blamed ? ROLLBACK_QUARANTINE : ROLLBACK_BLAMELESS, error);
	if (status == 0)
		run_conclude(run, ret_result);
	return status;
}

int switch_run(const struct layout *layout, const struct switch_request *request, run_listener *listener, void *context,
	       struct run_result *ret_result, struct error *error)
{
	CLEANUP(file_close) int lock = -1;
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	char current[LAYOUT_VERSION_SIZE];
	bool repeated = false;
	int status = check_origin(request, error);

	if (status == 0)
		status = layout_lock(layout, 0, &lock, error);

	if (status == 0)
		status = journal_open(layout->state, JOURNAL_WRITE, &journal, error);
	if (status < 0)
		return status;
	const struct journal_state *state = journal_state(journal);
	struct run run = {
		.layout = layout, .journal = journal, .listener = listener, .context = context, .heard = true};
	status = is_repeated(layout, request, state, &repeated, error);
	if (status == 0 && repeated) {
		run_conclude(&run, ret_result);
		return 0;
	}
	if (status == 0)
		status = run_may_begin(state, error);
	if (status == 0 && !is_local(request))
		status = fence_raise(layout, request->order_key, request->fence, error);
	if (status == 0)
		status = check_window(request, error);
	if (status == 0)
		status = slot_backend(layout)->current(layout, current, error);
	if (status == 0)
		status = check_release(layout, request, &manifest, error);
	if (status == 0)
		status = check_bytes(layout, journal, request, error);
	if (status == 0)
		status = check_ready(layout, request, state, current, manifest, error);
	if (status == 0)
		status = prepare(&run, request, current, manifest, error);
	/* Entered, though the point after it failed: from here on only the journal's end will do. */
	if (status < 0 && !journal_stage_is_open(state->stage))
		return status;
	if (status < 0) {
		struct error why = *error;
		status = rollback_finish(&run, why.text, ROLLBACK_BLAMELESS, error);
		if (status == 0)
			run_conclude(&run, ret_result);
		return status;
	}
	return execute(&run, ret_result, error);
}
