#include "appliance-hook/act/forward.h"

#include <string.h>

#include "appliance-hook/act/discarded.h"
#include "appliance-hook/act/hooks.h"
#include "appliance-hook/act/probe.h"
#include "appliance-hook/act/restart.h"
#include "appliance-hook/act/slot.h"
#include "appliance-hook/act/snapshot.h"
#include "appliance-hook/act/tunnel.h"
#include "appliance-hook/act/units.h"
#include "base/log.h"

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
	int status = units_start(run->layout->settings, error);

	run->started = clock_ticks_ms();
	return status;
}

static int health(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);

	return probe_wait(run->layout->settings, now->to, now->finish ? INT64_MAX : run->end_ticks, error);
}

static int tunnel(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);
	/* After a restart every line is a new one; else one that came up when all was done that could cut it. */
	int64_t since = now->reboot ? INT64_MIN : run->started != 0 ? run->started : clock_ticks_ms();

	return tunnel_wait(run->layout->settings, since, now->finish ? INT64_MAX : run->end_ticks, &run->reached,
			   error);
}

static bool migrates(const struct journal_run *now)
{
	return now->migration;
}

static bool reboots(const struct journal_run *now)
{
	return now->reboot;
}

static bool counts_tunnel(const struct journal_run *now)
{
	return now->tunnel;
}

/* What is done, in order, and the states that are entered before and after. */
static const struct step {
	const char *name;
	run_step *run; /* NULL: a restart of the machine, after which a run goes on with the next row */
	enum journal_stage before, then; /* IDLE: none */
	bool (*applies)(const struct journal_run *now);
	bool switched; /* after the rename: the end of the window is then `finish`'s */
	bool blames;   /* its failure is the release's own */
} steps[] = {
	{"stop", stop},
	{"snapshot", snapshot, .applies = migrates},
	{"pre-switch", pre_switch, .blames = true},
	{"switch", activate, .then = JOURNAL_SWITCHED},
	{"post-switch", post_switch, .switched = true, .blames = true},
	{"reboot", NULL, .before = JOURNAL_REBOOTING, .applies = reboots, .switched = true},
	{"start", start, .then = JOURNAL_CHECKING, .switched = true, .blames = true},
	{"health", health, .switched = true, .blames = true},
	{"tunnel", tunnel, .applies = counts_tunnel, .switched = true, .blames = true},
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

/* A run that was restarted while it was checked is in that state already. */
static int enter(struct run *run, enum journal_stage stage, struct error *error)
{
	if (stage == JOURNAL_IDLE || journal_state(run->journal)->stage == stage)
		return 0;
	return run_enter_take(run, stage, NULL, error);
}

static int do_step(struct run *run, const struct step *step, struct error *error)
{
	int status = check_end(step, run, error);

	if (status == 0)
		status = enter(run, step->before, error);
	if (status == 0)
		status =
			step->run ? run_do(run, step->name, step->run, error) : restart_machine(run, step->name, error);
	return status;
}

static size_t first_step(enum forward_from from)
{
	size_t first = 0;

	while (from == FORWARD_FROM_RESTART && strcmp(steps[first].name, "start") != 0)
		first++;
	return first;
}

static int walk(struct run *run, enum forward_from from, bool *ret_blamed, struct error *error)
{
	for (size_t i = first_step(from); i < ARRAY_SIZE(steps); i++) {
		const struct step *step = &steps[i];
		if (step->applies && !step->applies(run_now(run)))
			continue;
		int status = do_step(run, step, error);
		if (status < 0)
			*ret_blamed = is_blamed(step, error);
		if (status == 0)
			status = enter(run, step->then, error);
		if (status < 0)
			return status;
	}
	return 0;
}

bool forward_is_done(const struct journal_run *now)
{
	return journal_step_is_ok(now, "health") && (!now->tunnel || journal_step_is_ok(now, "tunnel"));
}

int forward_commit(struct run *run, struct error *error)
{
	const struct journal_run *now = run_now(run);
	const struct layout *layout = run->layout;
	struct error why = {0};
	bool confirmed = (now->tunnel ? run->reached : run->heard) && !run_is_local(now->upgrade);
	json_t *fields = json_pack("{s:b,s:s,s:s,s:b,s:b,s:I,s:s,s:s}", "confirmed", (int)confirmed, "fallback",
				   now->from, "fallback_snapshot", now->snapshot, "fallback_migrated",
				   (int)now->migration, "fallback_reboot", (int)now->reboot, "fallback_time",
				   (json_int_t)now->started, "staged", "", "staged_sha256", "");

	if (!fields)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to commit");
	int status = run_enter_take(run, JOURNAL_COMMITTED, fields, error);
	if (status < 0 && journal_state(run->journal)->stage != JOURNAL_COMMITTED)
		return status;
	/* It is committed: what cannot be tidied now is tidied by the next. */
	if (slot_backend(layout)->mark_good(layout, now->to, now->from, "", &why) < 0 ||
	    snapshot_trim(layout, now->snapshot, &why) < 0 || discarded_trim(layout, now, &why) < 0)
		log_failure("trimming", &why);
	return 0;
}

int forward_run(struct run *run, enum forward_from from, bool *ret_blamed, struct error *error)
{
	*ret_blamed = false;
	int status = walk(run, from, ret_blamed, error);
	return status == 0 ? forward_commit(run, error) : status;
}
