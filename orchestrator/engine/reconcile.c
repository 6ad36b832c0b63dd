/* After a lost tunnel or a restart: a new fence, then ask what stands and believe nothing but the answer. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/engine/engine_inner.h"

#define STATUS_MS 30000
#define POLL_MS   2000

/* The hook's state words, by what they mean for an upgrade that its journal knows. */
enum standing { STANDING_NOT_BEGUN, STANDING_AT_WORK, STANDING_OVER };
static const struct {
	const char *word;
	enum standing standing;
} words[] = {
	{"idle", STANDING_NOT_BEGUN},    {"receiving", STANDING_NOT_BEGUN},  {"staged", STANDING_NOT_BEGUN},
	{"preparing", STANDING_AT_WORK}, {"switched", STANDING_AT_WORK},     {"rebooting", STANDING_AT_WORK},
	{"checking", STANDING_AT_WORK},  {"rolling-back", STANDING_AT_WORK}, {"committed", STANDING_OVER},
	{"rolled-back", STANDING_OVER},  {"inconsistent", STANDING_OVER},
};

static void ask(void *context);

/* Still at it: our row runs again, and the hook is asked until it is over. */
static void at_work(struct session *session, const struct store_upgrade *upgrade, const char *state)
{
	struct error error = {0};
	if (upgrade->state == UPGRADE_UNKNOWN) {
		struct steps_change change = {.upgrade = upgrade->id,
					      .appliance = upgrade->appliance,
					      .to = UPGRADE_RUNNING,
					      .owner = UPGRADE_HOOK,
					      .fence = session->claimed};
		steps_take(session->engine, &change, "the appliance is still at it: %s", state);
	} else if (strcmp(upgrade->step, state)) {
		char actor[STORE_NAME_SIZE + 8];
		snprintf(actor, sizeof actor, "hook:%s", upgrade->appliance);
		if (store_upgrade_note(session->engine->store, upgrade->id, state, actor, state, clock_now(), &error))
			log_failure(upgrade->appliance, &error);
	}
	session->timer = loop_after(session->engine->loop, POLL_MS, ask, session);
}

static void not_begun(struct session *session, const struct store_upgrade *upgrade, const char *state)
{
	struct steps_change change = {
		.upgrade = upgrade->id,
		.appliance = upgrade->appliance,
		.to = upgrade->abort ? UPGRADE_CANCELLED : UPGRADE_BOOKED,
		.owner = UPGRADE_HOOK,
		.fence = session->claimed,
	};
	steps_take(session->engine, &change, "the appliance had not begun (it says %s): nothing has changed there",
		   state);
}

static void over(struct session *session, const struct store_upgrade *upgrade, const json_t *journal, const char *state)
{
	const char *reason = jsonio_string(journal, "reason");
	const json_t *receipt = jsonio_member(journal, "receipt");
	CLEANUP(jsonio_free)
	json_t *outcome =
		json_pack("{s:s, s:s*, s:O*}", "outcome", state, "reason", reason, "receipt", (json_t *)receipt);
	run_outcome(session, upgrade, outcome);
}

static void answered(void *context, const json_t *body, const struct error *why)
{
	struct session *session = context;
	struct store_upgrade upgrade;
	struct error error = {0};
	if (!body) {
		/* Busy with the very thing that we ask about: again in a moment, under the same fence. */
		log_failure(session->appliance, why);
		session->timer = loop_after(session->engine->loop, POLL_MS, ask, session);
		return;
	}
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error) ||
	    (upgrade.state != UPGRADE_RUNNING && upgrade.state != UPGRADE_UNKNOWN)) {
		session_finish(session);
		return;
	}
	const json_t *journal = jsonio_member(body, "journal");
	const char *named = jsonio_string(journal, "upgrade"), *state = jsonio_string(journal, "state");
	enum standing standing = STANDING_NOT_BEGUN;
	if (!named || strcmp(named, upgrade.id))
		state = "nothing of it";
	for (size_t i = 0; state && i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i].word, state))
			standing = words[i].standing;
	if (standing == STANDING_AT_WORK) {
		at_work(session, &upgrade, state);
		return;
	}
	if (standing == STANDING_OVER)
		over(session, &upgrade, journal, state);
	else
		not_begun(session, &upgrade, state ? state : "nothing of it");
	session_finish(session);
}

static void ask(void *context)
{
	struct session *session = context;
	session->timer = 0;
	session_ask_take(session, MESSAGE_STATUS, STATUS_MS, NULL, answered, json_object());
}

void reconcile_begin(struct session *session)
{
	struct error error = {0};
	int64_t now = clock_now();
	if (store_upgrade_reclaim(session->engine->store, session->upgrade, session->engine->owner, session->fence,
				  now + ENGINE_LEASE, now, &session->claimed, &error)) {
		log_failure(session->appliance, &error);
		session_finish(session);
		return;
	}
	session->renewed_at = clock_ticks_ms();
	ask(session);
}

void reconcile_lost(struct session *session, const struct error *why)
{
	struct store_upgrade upgrade;
	struct error error = {0};
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error) ||
	    upgrade.state != UPGRADE_RUNNING)
		return;
	struct steps_change change = {.upgrade = upgrade.id,
				      .appliance = upgrade.appliance,
				      .to = UPGRADE_UNKNOWN,
				      .owner = UPGRADE_ENGINE,
				      .code = ERROR_UNREACHABLE,
				      .fence = -1};
	steps_take(session->engine, &change,
		   "the tunnel was lost while it ran; the appliance is asked as soon as it is back: %s", why->text);
}
