/* The agenda: each turn looks at every unfinished upgrade, does what is due, and says of each other one in one sentence
 * why it is not running. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/engine/gates.h"

/* Longer than this nobody else has to wait. */
#define TURN_MS 300

/* What a handler works with; read once a turn. */
struct item {
	struct engine *engine;
	const struct store_upgrade *upgrade;
	struct session *session; /* NULL: no tunnel */
	int64_t now;
};

static bool is_worked_on(const struct item *item)
{
	const struct session *session = item->session;
	return session && session->work != SESSION_IDLE && !strcmp(session->upgrade, item->upgrade->id);
}

static void hold(const struct item *item, const char *held_for, int code, const char *text)
{
	struct steps_change change = {.upgrade = item->upgrade->id,
				      .appliance = item->upgrade->appliance,
				      .to = UPGRADE_HELD,
				      .owner = UPGRADE_ENGINE,
				      .code = code,
				      .held_for = held_for,
				      .fence = -1};
	steps_take(item->engine, &change, "%s", text);
}

/* True when it was held. */
static bool hold_at_gates(const struct item *item)
{
	const char *held_for = NULL;
	struct error why = {0};
	if (gates_pass(item->engine, item->upgrade, item->now, &held_for, &why) == 0)
		return false;
	hold(item, held_for, (int)why.code, why.text);
	return true;
}

static int next_booking(const struct item *item, struct store_upgrade *ret_booking, bool *ret_found,
			struct error *error)
{
	CLEANUP(store_gate_calendar_free) struct store_gate_calendar calendar = {0};
	const struct store_upgrade *upgrade = item->upgrade;
	struct occurrence occurrence;
	size_t count = 0;
	/* The very occurrence that was missed is not the next one. */
	int64_t from = item->now > upgrade->ends ? item->now : upgrade->ends;
	if (store_gate_calendar(item->engine->store, upgrade->appliance, upgrade->to_version, &calendar, error) ||
	    window_set_next(&calendar.windows, &calendar.query, from, 1, &occurrence, &count, error))
		return -(int)error->code;
	*ret_found = count > 0;
	if (!count)
		return 0;
	struct store_upgrade booking = *upgrade;
	booking.needs[0] = '\0';
	booking.starts = occurrence.start;
	booking.ends = occurrence.end;
	booking.last_start = occurrence.last_start;
	booking.hold_when_missed = window_missed(occurrence.window) == WINDOW_MISSED_HOLD;
	booking.finish_overrun = window_overrun(occurrence.window) == WINDOW_OVERRUN_FINISH;
	snprintf(booking.window_name, sizeof booking.window_name, "%s", window_name(occurrence.window));
	snprintf(booking.zone, sizeof booking.zone, "%s", zone_name(window_zone(occurrence.window)));
	snprintf(booking.local_start, sizeof booking.local_start, "%04d-%02d-%02dT%02d:%02d", occurrence.local.year,
		 occurrence.local.month, occurrence.local.day, occurrence.local.hour, occurrence.local.minute);
	zone_data_version(booking.tzdata);
	*ret_booking = booking;
	return 0;
}

static void rebook(const struct item *item)
{
	struct store_upgrade booking;
	struct error error = {0};
	char text[STORE_TEXT_SIZE];
	bool found = false;
	if (next_booking(item, &booking, &found, &error)) {
		log_failure(item->upgrade->appliance, &error);
		return;
	}
	if (!found)
		return;
	snprintf(text, sizeof text, "missed its window; waits for the next one, %s at %s %s", booking.window_name,
		 booking.local_start, booking.zone);
	if (store_upgrade_reschedule(item->engine->store, item->upgrade->id, &booking, UPGRADE_ENGINE, "engine", text,
				     item->now, &error))
		log_failure(item->upgrade->appliance, &error);
}

/* The last moment to start has passed. */
static bool miss_if_late(const struct item *item, const char *because)
{
	const struct store_upgrade *upgrade = item->upgrade;
	if (item->now <= upgrade->last_start)
		return false;
	struct steps_change change = {.upgrade = upgrade->id,
				      .appliance = upgrade->appliance,
				      .to = UPGRADE_MISSED,
				      .owner = UPGRADE_ENGINE,
				      .code = ERROR_NOT_NOW,
				      .fence = -1};
	/* In one: what is missed and not yet booked anew would be forgotten by an engine that dies in between. */
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct error error = {0};
	if (store_begin(item->engine->store, &transaction, &error)) {
		log_failure(upgrade->appliance, &error);
		return true;
	}
	bool missed = steps_take(item->engine, &change, "missed its window %s of %s %s: %s", upgrade->window_name,
				 upgrade->local_start, upgrade->zone, because[0] ? because : "it did not start");
	if (missed && !upgrade->fixed && !upgrade->hold_when_missed && !upgrade->rollback &&
	    upgrade->state != UPGRADE_REQUESTED)
		rebook(item);
	if (missed && store_commit(&transaction, &error))
		log_failure(upgrade->appliance, &error);
	return true;
}

/* False, with the sentence written, when the appliance cannot be worked on now. */
static bool reach(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	const char *busy = NULL;
	if (session_free_for(item->session, &busy)) {
		if (item->session->duplicate)
			steps_why(item->engine, upgrade, ERROR_NOT_PERMITTED,
				  "%s was seen twice (a clone or a restored snapshot): join it anew with `nightshift "
				  "appliance code`",
				  upgrade->appliance);
		else if (!item->session->may_upgrade)
			steps_why(item->engine, upgrade, ERROR_UNREACHABLE,
				  "the tunnel of %s is open without the scope upgrade: the customer opens it with"
				  " `appliance-hook tunnel open --scope status,upgrade`",
				  upgrade->appliance);
		else
			return true;
	} else if (!strcmp(busy, "tunnel")) {
		/* Between two streams of one connection there is no news worth a sentence. */
		if (!item->session)
			steps_why(item->engine, upgrade, ERROR_UNREACHABLE,
				  "the tunnel of %s is closed: the customer opens it with `appliance-hook tunnel open`",
				  upgrade->appliance);
	} else {
		steps_why(item->engine, upgrade, ERROR_NOT_NOW, "%s is busy with %s", upgrade->appliance, busy);
	}
	return false;
}

static void do_requested(const struct item *item)
{
	if (!miss_if_late(item, "nobody approved it in time"))
		steps_why(item->engine, item->upgrade, ERROR_NOT_NOW, "waits for approval by the %s",
			  item->upgrade->needs);
}

static void open_if_due(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	if (item->now < upgrade->starts) {
		steps_why(item->engine, upgrade, ERROR_NOT_NOW, "waits for its window %s, which opens %s %s%s",
			  upgrade->window_name, upgrade->local_start, upgrade->zone,
			  upgrade->rollback ? "" : "; the release is staged");
		return;
	}
	struct steps_change change = {.upgrade = upgrade->id,
				      .appliance = upgrade->appliance,
				      .to = UPGRADE_DUE,
				      .owner = UPGRADE_ENGINE,
				      .fence = -1};
	steps_take(item->engine, &change, "its window %s is open", upgrade->window_name);
}

static void do_booked(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	if (miss_if_late(item, upgrade->why) || hold_at_gates(item))
		return;
	if (upgrade->rollback) {
		open_if_due(item);
		return;
	}
	if (item->now < upgrade->retry_at || !reach(item))
		return;
	struct steps_change change = {.upgrade = upgrade->id,
				      .appliance = upgrade->appliance,
				      .to = UPGRADE_STAGING,
				      .owner = UPGRADE_ENGINE,
				      .fence = -1};
	if (steps_take(item->engine, &change, "release %s is being sent; nothing that runs is touched",
		       upgrade->to_version))
		session_begin(item->session, SESSION_STAGE, upgrade->id);
}

static void do_staging(const struct item *item)
{
	/* What is halted stops at once; the session ends with the next turn, as that of one that a person paused. */
	if (is_worked_on(item)) {
		hold_at_gates(item);
		return;
	}
	/* A restart of ours: nobody is at it. */
	struct steps_change change = {.upgrade = item->upgrade->id,
				      .appliance = item->upgrade->appliance,
				      .to = UPGRADE_BOOKED,
				      .owner = UPGRADE_ENGINE,
				      .fence = -1};
	steps_take(item->engine, &change, "staging was interrupted and goes on from where it was");
}

static void do_staged(const struct item *item)
{
	if (!miss_if_late(item, item->upgrade->why) && !hold_at_gates(item))
		open_if_due(item);
}

static void do_due(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	struct error why = {0};
	struct gates_room room;
	bool taken = false;
	if (is_worked_on(item) || miss_if_late(item, upgrade->why) || hold_at_gates(item))
		return;
	if (gates_calendar(item->engine, upgrade, item->now, &room, &why)) {
		if (!strcmp(why.name, "frozen"))
			hold(item, "freeze", ERROR_NOT_NOW, why.text);
		else
			steps_why(item->engine, upgrade, (int)why.code, "%s", why.text);
		return;
	}
	if (upgrade->ha_group[0] && store_upgrade_slot_taken(item->engine->store, upgrade, &taken, &why) == 0 &&
	    taken) {
		hold(item, "ha-group", ERROR_NOT_NOW,
		     "another node of its HA group is being upgraded or waits for a person");
		return;
	}
	if (!reach(item) || clock_ticks_ms() < item->session->rest_until)
		return;
	if (!upgrade->rollback && (item->session->skew > ENGINE_SKEW_MOST || item->session->skew < -ENGINE_SKEW_MOST)) {
		steps_why(item->engine, upgrade, ERROR_NOT_NOW,
			  "the clock of %s is %lld seconds from ours: no order is given until it is set",
			  upgrade->appliance, (long long)item->session->skew);
		return;
	}
	session_begin(item->session, SESSION_RUN, upgrade->id);
}

static void do_running(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	if (is_worked_on(item)) {
		run_keep(item->session, upgrade);
		return;
	}
	/* Ours from before a restart, or another's whose lease ran out. */
	if (strcmp(upgrade->owner, item->engine->owner) && upgrade->lease_until > item->now)
		return;
	struct steps_change change = {.upgrade = upgrade->id,
				      .appliance = upgrade->appliance,
				      .to = UPGRADE_UNKNOWN,
				      .owner = UPGRADE_ENGINE,
				      .code = ERROR_UNREACHABLE,
				      .fence = -1};
	steps_take(item->engine, &change, "the support centre was restarted; the appliance is asked what stands");
}

static void do_unknown(const struct item *item)
{
	const char *busy = NULL;
	if (session_free_for(item->session, &busy))
		session_begin(item->session, SESSION_RECONCILE, item->upgrade->id);
}

/* What frees a hold; "paused" is freed by a person. */
static bool is_freed(const struct item *item)
{
	const struct store_upgrade *upgrade = item->upgrade;
	const char *gate = NULL;
	struct error why = {0};
	struct gates_room room;
	bool taken = true;
	if (!strcmp(upgrade->held_for, "entitlement") || !strcmp(upgrade->held_for, "halt")) {
		if (gates_pass(item->engine, upgrade, item->now, &gate, &why) == 0)
			return true;
		if (!strcmp(gate, upgrade->held_for))
			steps_why(item->engine, upgrade, (int)why.code, "%s", why.text);
		/* the other gate shut meanwhile: freed into it */
		return strcmp(gate, upgrade->held_for) != 0;
	}
	if (!strcmp(upgrade->held_for, "freeze"))
		return gates_calendar(item->engine, upgrade, item->now, &room, &why) == 0 ||
		       strcmp(why.name, "frozen") != 0;
	if (!strcmp(upgrade->held_for, "ha-group"))
		return store_upgrade_slot_taken(item->engine->store, upgrade, &taken, &why) == 0 && !taken;
	return !strcmp(upgrade->held_for, "tunnel") && item->session;
}

static void do_held(const struct item *item)
{
	static const char *const patient[] = {"entitlement", "halt", "paused"};
	for (size_t i = 0; i < ARRAY_SIZE(patient); i++)
		if (!strcmp(item->upgrade->held_for, patient[i])) {
			if (is_freed(item))
				steps_free(item->engine, item->upgrade, "no longer held for %s",
					   item->upgrade->held_for);
			return;
		}
	if (!miss_if_late(item, item->upgrade->why) && is_freed(item))
		steps_free(item->engine, item->upgrade, "no longer held for %s", item->upgrade->held_for);
}

static void (*const handlers[UPGRADE_STATES])(const struct item *item) = {
	[UPGRADE_REQUESTED] = do_requested, [UPGRADE_BOOKED] = do_booked, [UPGRADE_STAGING] = do_staging,
	[UPGRADE_STAGED] = do_staged,       [UPGRADE_DUE] = do_due,       [UPGRADE_RUNNING] = do_running,
	[UPGRADE_UNKNOWN] = do_unknown,     [UPGRADE_HELD] = do_held,
};

/* A staging whose upgrade was paused, moved or aborted meanwhile. */
static void end_orphans(struct engine *engine)
{
	for (struct session *session = engine->sessions; session; session = session->next) {
		struct store_upgrade upgrade;
		struct error error = {0};
		if (session->work != SESSION_STAGE ||
		    store_upgrade_get(engine->store, session->upgrade, &upgrade, &error) ||
		    upgrade.state == UPGRADE_STAGING)
			continue;
		if (!session->abort_asked)
			log_write(LOG_LEVEL_NOTICE, "%s: staging of upgrade %s ends: it is %s now", session->appliance,
				  session->upgrade, upgrade_state_name(upgrade.state));
		if (upgrade.state == UPGRADE_CANCELLED && session->talk)
			staging_abort(session);
		else
			session_finish(session);
	}
}

void agenda_run(struct engine *engine)
{
	CLEANUP(free_pointer) struct store_upgrade *upgrades = NULL;
	struct error error = {0};
	size_t count = 0;
	end_orphans(engine);
	if (store_upgrade_open(engine->store, &upgrades, &count, &error)) {
		log_failure("the agenda", &error);
		return;
	}
	int64_t until = clock_ticks_ms() + TURN_MS;
	size_t i = engine->agenda_next < count ? engine->agenda_next : 0;
	engine->agenda_runs = true;
	for (; i < count && clock_ticks_ms() < until; i++) {
		struct item item = {
			.engine = engine,
			.upgrade = &upgrades[i],
			.session = session_find(engine, upgrades[i].appliance),
			.now = clock_now(),
		};
		if (handlers[upgrades[i].state])
			handlers[upgrades[i].state](&item);
	}
	engine->agenda_runs = false;
	steps_write(engine);
	/* Others wait too: what is left comes in the next turn. */
	engine->agenda_next = i < count ? i : 0;
	if (i < count)
		engine_wake(engine);
}
