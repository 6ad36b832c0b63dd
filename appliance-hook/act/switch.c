#include "appliance-hook/act/switch.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/fence.h"
#include "appliance-hook/act/forward.h"
#include "appliance-hook/act/hooks.h"
#include "appliance-hook/act/point.h"
#include "appliance-hook/act/preflight.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/snapshot.h"
#include "appliance-hook/act/stage.h"
#include "appliance-hook/act/tunnel.h"
#include "appliance-hook/act/watcher.h"
#include "base/file.h"
#include "base/log.h"

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

/* Whoever signs orders may not give one the name of those that need no fence. */
static int check_origin(const struct switch_request *request, struct error *error)
{
	if (run_is_local(request->upgrade) == (request->order_key[0] == '\0'))
		return 0;
	return error_set(error, ERROR_DATA, "upgrade", "upgrade %s: only what no order key signed is called \"%s…\"",
			 request->upgrade, RUN_LOCAL_PREFIX);
}

/* Asked again for what has ended under this very fence: the answer was lost, not the work. */
static int is_repeated(const struct layout *layout, const struct switch_request *request,
		       const struct journal_state *state, bool *ret_repeated, struct error *error)
{
	int64_t seen = 0;
	bool same = state->run.outcome != JOURNAL_IDLE && strcmp(state->run.upgrade, request->upgrade) == 0 &&
		    strcmp(state->run.sha256, request->sha256) == 0;

	*ret_repeated = false;
	if (!same || run_is_local(request->upgrade))
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
	/* Each command and hook is a fork of what is held. */
	if (status == 0)
		status = manifest_shed_tree(manifest, error);
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

/* A tunnel that was opened for a time is closed by a restart: nobody can wait for it. */
static bool counts_tunnel(const struct hook_settings *settings, const struct manifest *manifest, bool reboot)
{
	if (!manifest->reboot && !manifest->network)
		return false;
	struct tunnel tunnel = tunnel_ask(settings);
	return tunnel.standing == TUNNEL_UP && (tunnel.permanent || !reboot);
}

static int prepare(struct run *run, const struct switch_request *request, const char *current,
		   const struct manifest *manifest, struct error *error)
{
	bool reboot = manifest->reboot || slot_backend(run->layout)->by_restart;
	char id[LAYOUT_ID_SIZE];
	json_t *fields;

	layout_id(request->upgrade, id);
	run->end_ticks = run_ticks_at(request->end);
	int status = journal_reserve(run->journal, error);
	if (status == 0)
		status = watcher_arm(run->layout, run->journal, request->upgrade, error);
	if (status < 0)
		return status;
	fields =
		json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:s,s:I,s:b,s:s}", "upgrade", request->upgrade, "from", current,
			  "to", request->version, "sha256", request->sha256, "migration", (int)manifest->data_migration,
			  "reboot", (int)reboot, "tunnel", (int)counts_tunnel(run->layout->settings, manifest, reboot),
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
	int status = forward_run(run, FORWARD_FROM_STOP, &blamed, &why);

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
	if (status == 0 && !run_is_local(request->upgrade))
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
	manifest_free(&manifest);
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
