/* The run: a fresh nonce of the hook, a claim under a new fence, an order that the signer signs, and what came of it.
 */
#include <stdio.h>
#include <string.h>

#include "keys/order.h"
#include "orchestrator/engine/gates.h"
#include "orchestrator/store/store_audit.h"

#define NONCE_MS      30000
#define RETRY_SECONDS 20
/* Each order that is refused makes the next one wait longer, so that one appliance that refuses for ever does not use
 * up the orders of an hour. */
#define RETRY_SECONDS_MOST 640

/* What the hook says of its steps is history, and written down: a run has some thirty. */
static const struct pace step_pace = {"step", 10000, 200};

/* Takes it back to booked: no order has left. */
static void give_back(struct session *session, const struct error *why)
{
	struct store_upgrade upgrade;
	struct error error = {0};
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error)) {
		log_failure(session->appliance, &error);
	} else if (upgrade.state == UPGRADE_RUNNING) {
		struct steps_change change = {
			.upgrade = upgrade.id,
			.appliance = session->appliance,
			.to = UPGRADE_BOOKED,
			.owner = UPGRADE_ENGINE,
			.code = (int)why->code,
			.fence = session->claimed,
			.retry_in = RETRY_SECONDS,
		};
		steps_take(session->engine, &change, "no order was given: %s", why->text);
	} else if (upgrade.state == UPGRADE_DUE) {
		steps_why(session->engine, &upgrade, (int)why->code, "no order was given: %s", why->text);
		session->rest_until = clock_ticks_ms() + RETRY_SECONDS * 1000;
	}
	session_finish(session);
}

static void lost_order(struct session *session, const struct error *why)
{
	struct steps_change change = {
		.upgrade = session->upgrade,
		.appliance = session->appliance,
		.to = UPGRADE_UNKNOWN,
		.owner = UPGRADE_ENGINE,
		.code = ERROR_UNREACHABLE,
		.fence = session->claimed,
	};
	steps_take(session->engine, &change,
		   "the tunnel was lost while it ran; the appliance is asked as soon as it is back: %s", why->text);
}

void run_lost(struct session *session, const struct error *why)
{
	/* Before the claim it is still due and the agenda comes back to it. */
	if (session->claimed)
		lost_order(session, why);
}

/* How an outcome word ends an upgrade. */
static const struct {
	const char *word;
	enum upgrade_state to;
	int code;
} outcomes[] = {
	{"committed", UPGRADE_COMMITTED, 0},
	{"rolled-back", UPGRADE_ROLLED_BACK, 0},
	{"inconsistent", UPGRADE_NEEDS_HUMAN, ERROR_BUG},
};

void run_outcome(struct session *session, const struct store_upgrade *upgrade, const json_t *outcome)
{
	const char *word = jsonio_string(outcome, "outcome"), *reason = jsonio_string(outcome, "reason");
	const json_t *receipt = jsonio_member(outcome, "receipt");
	struct error error = {0};
	struct steps_change change = {
		.upgrade = upgrade->id,
		.appliance = upgrade->appliance,
		.to = UPGRADE_NEEDS_HUMAN,
		.owner = UPGRADE_HOOK,
		.code = ERROR_DATA,
		.fence = session->claimed,
	};
	for (size_t i = 0; word && i < ARRAY_SIZE(outcomes); i++)
		if (!strcmp(outcomes[i].word, word)) {
			change.to = outcomes[i].to;
			change.code = outcomes[i].code;
		}
	if (receipt &&
	    receipts_keep(session->engine, upgrade->appliance, upgrade->id, receipt, word ? word : "", &error)) {
		/* The store's own trouble says nothing of the receipt: the row stays, and the appliance is asked again.
		 */
		if (error.code != ERROR_DATA) {
			log_failure(upgrade->appliance, &error);
			return;
		}
		change.to = UPGRADE_NEEDS_HUMAN;
		change.code = ERROR_DATA;
		steps_take(session->engine, &change, "the appliance says %s and its receipt does not stand: %s",
			   word ? word : "nothing", error.text);
		return;
	}
	/* A rollback that was ordered is rolled-back too, and there the way led to to_version. */
	bool arrived = change.to == UPGRADE_COMMITTED || upgrade->rollback;
	const char *version = arrived ? upgrade->to_version : upgrade->from_version;
	/* Before the next HELLO says it: whoever sees the outcome books from the version that runs. */
	if (change.to != UPGRADE_NEEDS_HUMAN &&
	    store_appliance_runs(session->engine->store, upgrade->appliance, version, &error))
		log_failure(upgrade->appliance, &error);
	if (change.to == UPGRADE_NEEDS_HUMAN)
		steps_take(session->engine, &change, "the appliance says %s: %s", word ? word : "nothing",
			   reason ? reason : "no reason given");
	else
		steps_take(session->engine, &change, "%s runs %s%s%s", upgrade->appliance, version, reason ? ": " : "",
			   reason ? reason : "");
}

static void stepped(void *context, const json_t *body)
{
	struct session *session = context;
	struct error error = {0};
	const char *text = jsonio_string(body, "text");
	if (!pace_allow(&session->engine->paces, &step_pace, session->appliance, clock_ticks_ms()))
		return;
	char actor[STORE_NAME_SIZE + 8], sentence[STORE_TEXT_SIZE];
	snprintf(actor, sizeof actor, "hook:%s", session->appliance);
	const char *step = jsonio_string(body, "step"), *word = step[0] ? step : jsonio_string(body, "state");
	snprintf(sentence, sizeof sentence, "%s%s%s", word, text ? ": " : "", text ? text : "");
	if (store_upgrade_note(session->engine->store, session->upgrade, jsonio_string(body, "state"), actor, sentence,
			       clock_now(), &error))
		log_failure(session->appliance, &error);
}

/* Refusals by name after which another try, with a fresh nonce and the fence of a fresh HELLO, can go well. */
static bool is_passing(const struct error *why)
{
	static const char *const names[] = {"clock", "nonce", "fence", "scope"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(why->name, names[i]))
			return true;
	return why->code == ERROR_NOT_NOW || why->code == ERROR_UNREACHABLE || why->code == ERROR_CANNOT_CREATE;
}

static int64_t refusal_rest(struct engine *engine, const char *id)
{
	struct error error = {0};
	int64_t claims = 1, rest = RETRY_SECONDS;
	if (store_upgrade_claims(engine->store, id, &claims, &error))
		log_failure(id, &error);
	for (int64_t i = 1; i < claims && rest < RETRY_SECONDS_MOST; i++)
		rest *= 2;
	return rest;
}

/* The hook refused the order: nothing has changed there. */
static void refused(struct session *session, const struct store_upgrade *upgrade, const struct error *why)
{
	struct steps_change change = {
		.upgrade = upgrade->id,
		.appliance = session->appliance,
		.to = UPGRADE_NEEDS_HUMAN,
		.owner = UPGRADE_HOOK,
		.code = (int)why->code,
		.fence = session->claimed,
	};
	if (upgrade->abort && !strcmp(why->name, "aborted")) {
		change.to = UPGRADE_CANCELLED;
	} else if (is_passing(why)) {
		change.to = UPGRADE_BOOKED;
		change.retry_in = refusal_rest(session->engine, upgrade->id);
	} else if (!strcmp(why->name, "entitlement")) {
		change.to = UPGRADE_HELD;
		change.held_for = "entitlement";
	}
	steps_take(session->engine, &change, "the appliance refused the order: %s (%s)", why->text, why->name);
}

static void answered(void *context, const json_t *body, const struct error *why)
{
	struct session *session = context;
	struct store_upgrade upgrade;
	struct error error = {0};
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, &error))
		log_failure(session->appliance, &error);
	else if (body)
		run_outcome(session, &upgrade, body);
	else
		refused(session, &upgrade, why);
	session_finish(session);
}

/* The order's words, all from the store. */
static int make_order(struct session *session, const struct store_upgrade *upgrade, const char *nonce,
		      struct order *ret_order, struct error *error)
{
	struct store_appliance box;
	struct store_release release = {0};
	struct order order = {
		.action = upgrade->rollback ? ORDER_ROLLBACK : ORDER_UPGRADE,
		.start = upgrade->starts,
		.end = upgrade->ends,
		.last_start = upgrade->last_start,
		.issued = clock_now(),
		.fence = session->claimed,
		.finish_overrun = upgrade->finish_overrun,
	};
	int64_t seq = 0;
	if (store_appliance_get(session->engine->store, session->appliance, &box, error) ||
	    (store_release_get(session->engine->store, upgrade->product, upgrade->to_version, &release, error) &&
	     !upgrade->rollback) || /* what a box came with may never have been imported; going back goes by its name */
	    store_audit_head(session->engine->store, order.audit_head, &seq, error) ||
	    hash_from_hex(nonce, order.nonce, sizeof order.nonce, error))
		return -(int)error->code;
	order.expires = order.issued + ORDER_LIFE_MOST < upgrade->ends ? order.issued + ORDER_LIFE_MOST : upgrade->ends;
	snprintf(order.upgrade, sizeof order.upgrade, "%s", upgrade->id);
	snprintf(order.appliance, sizeof order.appliance, "%s", box.key_id);
	snprintf(order.product, sizeof order.product, "%s", upgrade->product);
	snprintf(order.version, sizeof order.version, "%s", upgrade->to_version);
	memcpy(order.manifest, release.sha256, sizeof order.manifest);
	*ret_order = order;
	return 0;
}

static int send_order(struct session *session, const struct store_upgrade *upgrade, const char *nonce,
		      struct error *error)
{
	struct engine *engine = session->engine;
	CLEANUP(jsonio_free) json_t *envelope = NULL, *entitlement = NULL;
	struct order order;
	if (make_order(session, upgrade, nonce, &order, error) ||
	    sign_document(engine, "order", order_document(&order), &envelope, error))
		return -(int)error->code;
	if (upgrade->rollback) {
		session_ask_take(session, MESSAGE_ROLLBACK, 0, stepped, answered,
				 json_pack("{s:s, s:O}", "upgrade", upgrade->id, "order", envelope));
		return 0;
	}
	if (sign_entitlement(engine, session->appliance, &entitlement, error))
		return -(int)error->code;
	session_ask_take(
		session, MESSAGE_RUN, 0, stepped, answered,
		json_pack("{s:s, s:O, s:O}", "upgrade", upgrade->id, "order", envelope, "entitlement", entitlement));
	return 0;
}

/* Everything is looked at once more in the transaction that claims: what was halted, frozen or moved a moment ago is
 * not ordered. *ret_upgrade has no more of its hour than the calendar leaves now. */
static int claim(struct session *session, int64_t now, struct store_upgrade *ret_upgrade, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct engine *engine = session->engine;
	struct store_upgrade upgrade;
	struct gates_room room;
	const char *held_for = NULL;
	int64_t fence = 0;
	if (store_begin(engine->store, &transaction, error) ||
	    store_upgrade_get(engine->store, session->upgrade, &upgrade, error) ||
	    gates_pass(engine, &upgrade, now, &held_for, error) ||
	    gates_calendar(engine, &upgrade, now, &room, error) ||
	    store_upgrade_claim(engine->store, upgrade.id, engine->owner, session->fence, now + ENGINE_LEASE, now,
				&fence, error) ||
	    store_commit(&transaction, error))
		return -(int)error->code;
	upgrade.ends = room.ends;
	upgrade.last_start = room.last_start;
	session->claimed = fence;
	*ret_upgrade = upgrade;
	return 0;
}

/* A wrong clock blocks orders, never the way back. */
static int check_clock(struct session *session, struct error *error)
{
	struct store_upgrade upgrade;
	if (store_upgrade_get(session->engine->store, session->upgrade, &upgrade, error))
		return -(int)error->code;
	if (!upgrade.rollback && (session->skew > ENGINE_SKEW_MOST || session->skew < -ENGINE_SKEW_MOST))
		return error_set(error, ERROR_NOT_NOW, "clock",
				 "the clock of %s is %lld seconds from ours; it is to be set first", session->appliance,
				 (long long)session->skew);
	return 0;
}

static void got_nonce(void *context, const json_t *body, const struct error *why)
{
	struct session *session = context;
	struct store_upgrade upgrade;
	struct error error = {0};
	int64_t now = clock_now();
	if (!body) {
		give_back(session, why);
		return;
	}
	session->skew = jsonio_integer(body, "time") - now;
	if (check_clock(session, &error) || claim(session, now, &upgrade, &error) ||
	    send_order(session, &upgrade, jsonio_string(body, "nonce"), &error)) {
		give_back(session, &error);
		return;
	}
	session->renewed_at = clock_ticks_ms();
	log_write(LOG_LEVEL_NOTICE, "%s: upgrade %s runs under fence %lld", session->appliance, upgrade.id,
		  (long long)session->claimed);
}

void run_begin(struct session *session)
{
	session_ask_take(session, MESSAGE_NONCE, NONCE_MS, NULL, got_nonce, json_object());
}

static void abort_answered(void *context, const json_t *body, const struct error *why UNUSED)
{
	struct session *session = context;
	struct error error = {0};
	bool obeyed = body && jsonio_boolean(body, "aborted");
	if (store_upgrade_note(session->engine->store, session->upgrade, NULL, "engine",
			       obeyed ? "the appliance ends it"
				      : "the appliance cannot end it any more: it finishes or rolls back",
			       clock_now(), &error))
		log_failure(session->appliance, &error);
}

void run_keep(struct session *session, const struct store_upgrade *upgrade)
{
	struct error error = {0};
	int64_t ticks = clock_ticks_ms();
	if (ticks - session->renewed_at >= ENGINE_RENEW_MS) {
		session->renewed_at = ticks;
		if (store_upgrade_renew(session->engine->store, upgrade->id, session->engine->owner, session->claimed,
					clock_now() + ENGINE_LEASE, &error))
			log_failure(session->appliance, &error);
	}
	if (upgrade->abort && !session->abort_asked && session->work == SESSION_RUN) {
		session->abort_asked = true;
		session_ask_take(session, MESSAGE_ABORT, 0, NULL, abort_answered,
				 json_pack("{s:s}", "upgrade", upgrade->id));
	}
}
