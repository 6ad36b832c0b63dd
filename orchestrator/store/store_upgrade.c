#include "orchestrator/store/store_upgrade.h"

#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_upgrade_row.h"

int store_upgrade_event(struct store *store, const struct store_upgrade_event *event, struct error *error)
{
	char action[48], detail[STORE_TEXT_SIZE + 160];
	snprintf(action, sizeof action, "upgrade %s", event->verb);
	snprintf(detail, sizeof detail, "%s: %s to %s, fence %lld: %s", event->appliance,
		 event->from == UPGRADE_NONE ? "new" : upgrade_state_name(event->from), upgrade_state_name(event->to),
		 (long long)event->fence, event->text);
	if (store_change(store, NULL, error,
			 "INSERT INTO upgrade_event (upgrade, seq, at, actor, from_state, to_state, fence, text)"
			 " SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM upgrade_event WHERE "
			 "upgrade = ?1",
			 "sisssis", event->id, event->now, event->actor, upgrade_state_name(event->from),
			 upgrade_state_name(event->to), event->fence, event->text))
		return -(int)error->code;
	return store_audit_append(store, event->actor, action, event->id, detail, error);
}

static int write_event(struct store *store, const struct store_upgrade *upgrade, const struct upgrade_edge *edge,
		       const char *actor, const char *text, int64_t now, struct error *error)
{
	struct store_upgrade_event event = {.id = upgrade->id,
					    .appliance = upgrade->appliance,
					    .from = edge->from,
					    .to = edge->to,
					    .actor = actor,
					    .verb = edge->verb,
					    .text = text ? text : "",
					    .fence = upgrade->fence,
					    .now = now};
	return store_upgrade_event(store, &event, error);
}

/* What may be done from a state by this kind of actor, for the refusal's sentence. */
static void list_verbs(enum upgrade_state from, enum upgrade_owner owner, char text[static 160])
{
	text[0] = '\0';
	for (size_t i = 0; i < upgrade_edges_count; i++) {
		const struct upgrade_edge *edge = &upgrade_edges[i];
		if (edge->from != from || edge->owner != owner || strstr(text, edge->verb))
			continue;
		size_t length = strlen(text);
		snprintf(text + length, 160 - length, "%s%s", length ? ", " : "", edge->verb);
	}
	if (!text[0])
		snprintf(text, 160, "nothing");
}

static int find_edge(const struct store_upgrade *upgrade, enum upgrade_state to, enum upgrade_owner owner,
		     const struct upgrade_edge **ret_edge, struct error *error)
{
	const struct upgrade_edge *edge = upgrade_edges_find(upgrade->state, to, owner);
	if (!edge) {
		char verbs[160];
		list_verbs(upgrade->state, owner, verbs);
		return error_set(error, ERROR_NOT_NOW, "state",
				 "upgrade %s of %s is %s and cannot become %s: a %s can %s it", upgrade->id,
				 upgrade->appliance, upgrade_state_name(upgrade->state), upgrade_state_name(to),
				 upgrade_owner_name(owner), verbs);
	}
	*ret_edge = edge;
	return 0;
}

static int insert_row(struct store *store, const char *id, const struct store_upgrade *booking, int64_t now,
		      struct error *error)
{
	int result = store_change(
		store, NULL, error,
		"INSERT INTO upgrade (id, appliance, action, product, from_version, to_version, state, needs, why,"
		" requested_by, window_name, zone, local_start, tzdata, fixed, hold_when_missed, finish_overrun, "
		"starts, ends,"
		" last_start, ha_group, created, changed)"
		" SELECT ?1, name, ?3, ?4, ?5, ?6, 'requested', ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, "
		"?18, ?19,"
		" ha_group, ?20, ?20 FROM appliance WHERE name = ?2",
		"sssssssssssssiiiiiii", id, booking->appliance, booking->rollback ? "rollback" : "upgrade",
		booking->product, booking->from_version, booking->to_version, booking->needs, booking->why,
		booking->requested_by, booking->window_name, booking->zone, booking->local_start, booking->tzdata,
		(int64_t)booking->fixed, (int64_t)booking->hold_when_missed, (int64_t)booking->finish_overrun,
		booking->starts, booking->ends, booking->last_start, now);
	if (result && !strcmp(error->name, "exists"))
		return error_set(
			error, ERROR_NOT_NOW, "booked",
			"%s has an upgrade already: `nightshift upgrade list` shows it, abort or resolve it first",
			booking->appliance);
	return result;
}

int store_upgrade_book(struct store *store, const struct store_upgrade *booking, const char *actor, int64_t now,
		       char ret_id[static STORE_UPGRADE_ID_SIZE], struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	uint8_t random[(STORE_UPGRADE_ID_SIZE - 1) / 2];
	char id[STORE_UPGRADE_ID_SIZE];
	struct store_upgrade upgrade;
	const struct upgrade_edge *edge = NULL;
	secret_random(random, sizeof random);
	hash_to_hex(random, sizeof random, id);
	if (store_begin(store, &transaction, error) || insert_row(store, id, booking, now, error))
		return -(int)error->code;
	if (store_upgrade_get(store, id, &upgrade, error))
		return error_set(error, ERROR_DATA, "unknown-appliance", "there is no appliance %s",
				 booking->appliance);
	upgrade.state = UPGRADE_NONE;
	char text[STORE_TEXT_SIZE];
	snprintf(text, sizeof text, "%s %s from %s to %s, window %s at %s %s", booking->product,
		 booking->rollback ? "back" : "upgrade", booking->from_version, booking->to_version,
		 booking->window_name, booking->local_start, booking->zone);
	if (find_edge(&upgrade, UPGRADE_REQUESTED, UPGRADE_TECHNICIAN, &edge, error) ||
	    write_event(store, &upgrade, edge, actor, text, now, error))
		return -(int)error->code;
	struct store_upgrade_step step = {.to = UPGRADE_BOOKED,
					  .owner = UPGRADE_ENGINE,
					  .actor = actor,
					  .text = booking->why,
					  .fence = -1,
					  .now = now};
	if (!booking->needs[0] && store_upgrade_step(store, id, &step, error))
		return -(int)error->code;
	if (store_commit(&transaction, error))
		return -(int)error->code;
	memcpy(ret_id, id, sizeof id);
	return 0;
}

/* Staging that is held begins again from booked: the hook keeps what it has. */
static enum upgrade_state origin_of(enum upgrade_state state)
{
	return state == UPGRADE_STAGING ? UPGRADE_BOOKED : state;
}

static int apply_step(struct store *store, const struct store_upgrade *upgrade, const struct store_upgrade_step *step,
		      struct error *error)
{
	const struct upgrade_edge *edge = NULL;
	if (find_edge(upgrade, step->to, step->owner, &edge, error))
		return -(int)error->code;
	if (step->fence >= 0 && step->fence != upgrade->fence)
		return error_set(error, ERROR_NOT_NOW, "fence",
				 "upgrade %s has fence %lld and not %lld: another worker has it", upgrade->id,
				 (long long)upgrade->fence, (long long)step->fence);
	bool held = step->to == UPGRADE_HELD, at_work = step->to == UPGRADE_RUNNING;
	if (store_change(
		    store, NULL, error,
		    "UPDATE upgrade SET state = ?2, held_for = ?3, held_from = ?4, why = coalesce(?5, why), code = ?6,"
		    " retry_at = ?7, changed = ?8, step = CASE WHEN ?9 THEN step ELSE '' END,"
		    " owner = CASE WHEN ?9 THEN owner ELSE '' END, lease_until = CASE WHEN ?9 THEN lease_until ELSE 0 "
		    "END,"
		    " abort = CASE WHEN ?10 THEN abort ELSE 0 END, fence = CASE WHEN ?2 = 'booked' THEN 0 ELSE fence "
		    "END"
		    " WHERE id = ?1",
		    "sssssiiiii", upgrade->id, upgrade_state_name(step->to),
		    held && step->held_for ? step->held_for : "",
		    held ? upgrade_state_name(origin_of(upgrade->state)) : "", step->text, (int64_t)step->code,
		    step->retry_at, step->now, (int64_t)at_work, (int64_t)(at_work || step->to == UPGRADE_UNKNOWN)))
		return -(int)error->code;
	return write_event(store, upgrade, edge, step->actor, step->text, step->now, error);
}

int store_upgrade_step(struct store *store, const char *id, const struct store_upgrade_step *step, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error) ||
	    apply_step(store, &upgrade, step, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_upgrade_resume(struct store *store, const char *id, const struct store_upgrade_step *step,
			 struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error))
		return -(int)error->code;
	if (upgrade.state != UPGRADE_HELD)
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is %s and not held", upgrade.id,
				 upgrade_state_name(upgrade.state));
	if (step->held_for && strcmp(step->held_for, upgrade.held_for))
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is held for %s and not for %s: %s",
				 upgrade.id, upgrade.held_for, step->held_for, upgrade.why);
	struct store_upgrade_step back = *step;
	back.to = origin_of(upgrade.held_from);
	back.held_for = NULL;
	if (apply_step(store, &upgrade, &back, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

/* Takes one word out of a comma separated list; false when it is not in it. */
static bool take_word(char *list, const char *word)
{
	size_t length = strlen(word);
	for (char *at = list; *at;) {
		char *end = strchrnul(at, ',');
		if ((size_t)(end - at) == length && !memcmp(at, word, length)) {
			const char *rest = *end ? end + 1 : end;
			memmove(at, rest, strlen(rest) + 1);
			size_t left = strlen(list);
			if (left && list[left - 1] == ',')
				list[left - 1] = '\0';
			return true;
		}
		at = *end ? end + 1 : end;
	}
	return false;
}

/* Whether `actor` chose what is to be approved: the booking itself or another hour for it. */
static int has_asked(struct store *store, const char *id, const char *actor, bool *ret_asked, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	return store_query(store, &query, error,
			   "SELECT 1 FROM audit WHERE object = ? AND actor = ?"
			   " AND action IN ('upgrade book', 'upgrade move', 'upgrade retry') LIMIT 1",
			   "ss", id, actor)
		       ? -(int)error->code
		       : store_query_next(query, ret_asked, error);
}

static int check_approval(struct store *store, struct store_upgrade *upgrade, const char *what, const char *approver,
			  const char *actor, struct error *error)
{
	bool asked = false;
	if (upgrade->state != UPGRADE_REQUESTED)
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is %s and waits for nobody's approval",
				 upgrade->id, upgrade_state_name(upgrade->state));
	if (has_asked(store, upgrade->id, actor, &asked, error))
		return -(int)error->code;
	if (!strcmp(what, "approver") && (asked || !strcmp(approver, upgrade->requested_by)))
		return error_set(
			error, ERROR_NOT_PERMITTED, "approval",
			"%s asked for upgrade %s and cannot approve it: another person with the role approver can",
			approver, upgrade->id);
	if (!take_word(upgrade->needs, what))
		return error_set(error, ERROR_NOT_NOW, "approval", "upgrade %s waits for %s and not for the %s",
				 upgrade->id, upgrade->needs, what);
	return 0;
}

int store_upgrade_approve(struct store *store, const char *id, const char *what, const char *approver,
			  const char *actor, int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	char text[STORE_TEXT_SIZE];
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error) ||
	    check_approval(store, &upgrade, what, approver, actor, error))
		return -(int)error->code;
	snprintf(text, sizeof text, "approved by %s", approver);
	if (store_change(
		    store, NULL, error,
		    "UPDATE upgrade SET needs = ?2, changed = ?3,"
		    " approved_by = CASE approved_by WHEN '' THEN ?4 ELSE approved_by || ',' || ?4 END WHERE id = ?1",
		    "ssis", upgrade.id, upgrade.needs, now, approver))
		return -(int)error->code;
	struct store_upgrade_step step = {
		.to = UPGRADE_BOOKED,
		.owner = strcmp(what, "customer") ? UPGRADE_TECHNICIAN : UPGRADE_CUSTOMER,
		.actor = actor,
		.text = text,
		.fence = -1,
		.now = now,
	};
	int result = upgrade.needs[0] ? store_upgrade_note(store, upgrade.id, NULL, actor, text, now, error)
				      : store_upgrade_step(store, upgrade.id, &step, error);
	return result ? result : store_commit(&transaction, error);
}

/* Where another occurrence leads to. */
static enum upgrade_state moved_state(const struct store_upgrade *upgrade, const char *needs)
{
	if (needs[0])
		return UPGRADE_REQUESTED;
	bool stands = upgrade->state != UPGRADE_REQUESTED && upgrade->state != UPGRADE_MISSED &&
		      upgrade->state != UPGRADE_DUE;
	return stands ? upgrade->state : UPGRADE_BOOKED;
}

int store_upgrade_reschedule(struct store *store, const char *id, const struct store_upgrade *booking,
			     enum upgrade_owner owner, const char *actor, const char *text, int64_t now,
			     struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	const struct upgrade_edge *edge = NULL;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error) ||
	    find_edge(&upgrade, moved_state(&upgrade, booking->needs), owner, &edge, error))
		return -(int)error->code;
	bool held = edge->to == UPGRADE_HELD;
	int result = store_change(
		store, NULL, error,
		"UPDATE upgrade SET state = ?2, window_name = ?3, zone = ?4, local_start = ?5, tzdata = ?6, fixed = ?7,"
		" hold_when_missed = ?8, finish_overrun = ?9, starts = ?10, ends = ?11, last_start = ?12, needs = ?13, "
		"why = ?14,"
		" code = 0, retry_at = 0, approved_by = CASE WHEN ?13 = '' THEN approved_by ELSE '' END,"
		" held_for = CASE WHEN ?15 THEN held_for ELSE '' END,"
		" held_from = CASE WHEN NOT ?15 THEN '' WHEN held_from = 'due' THEN 'booked' ELSE held_from END, "
		"changed = ?16"
		" WHERE id = ?1",
		"ssssssiiiiiissii", upgrade.id, upgrade_state_name(edge->to), booking->window_name, booking->zone,
		booking->local_start, booking->tzdata, (int64_t)booking->fixed, (int64_t)booking->hold_when_missed,
		(int64_t)booking->finish_overrun, booking->starts, booking->ends, booking->last_start, booking->needs,
		text, (int64_t)held, now);
	if (result && !strcmp(error->name, "exists"))
		return error_set(error, ERROR_NOT_NOW, "booked", "%s has another upgrade by now", upgrade.appliance);
	/* The edge may bear another verb (an hour that needs nobody's approval is no approval). */
	struct upgrade_edge taken = *edge;
	taken.verb = owner == UPGRADE_ENGINE ? "rebook" : "move";
	if (result || write_event(store, &upgrade, &taken, actor, text, now, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_upgrade_abort(struct store *store, const char *id, const char *actor, const char *text, int64_t now,
			struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error))
		return -(int)error->code;
	struct store_upgrade_step step = {.to = UPGRADE_CANCELLED,
					  .owner = UPGRADE_TECHNICIAN,
					  .actor = actor,
					  .text = text,
					  .fence = -1,
					  .now = now};
	int result;
	if (upgrade.state == UPGRADE_RUNNING || upgrade.state == UPGRADE_UNKNOWN) {
		result = store_change(store, NULL, error, "UPDATE upgrade SET abort = 1, changed = ?2 WHERE id = ?1",
				      "si", upgrade.id, now);
		if (!result)
			result = store_upgrade_note(store, upgrade.id, NULL, actor, text, now, error);
	} else {
		result = apply_step(store, &upgrade, &step, error);
	}
	return result ? result : store_commit(&transaction, error);
}

int store_upgrade_note(struct store *store, const char *id, const char *step, const char *actor, const char *text,
		       int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error) ||
	    store_change(store, NULL, error, "UPDATE upgrade SET step = coalesce(?2, step), changed = ?3 WHERE id = ?1",
			 "ssi", upgrade.id, step, now))
		return -(int)error->code;
	struct upgrade_edge edge = {upgrade.state, upgrade.state, UPGRADE_HOOK, "note"};
	if (write_event(store, &upgrade, &edge, actor, text, now, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_upgrade_progress(struct store *store, const char *id, int64_t blobs, int64_t blobs_done, int64_t bytes,
			   int64_t bytes_done, int64_t now, struct error *error)
{
	return store_change(store, NULL, error,
			    "UPDATE upgrade SET blobs = ?2, blobs_done = ?3, bytes = ?4, bytes_done = ?5, changed = ?6 "
			    "WHERE id = ?1",
			    "siiiii", id, blobs, blobs_done, bytes, bytes_done, now);
}

int store_upgrade_why(struct store *store, const char *id, const char *why, int code, struct error *error)
{
	return store_change(store, NULL, error,
			    "UPDATE upgrade SET why = ?2, code = ?3 WHERE id = ?1 AND (why <> ?2 OR code <> ?3)", "ssi",
			    id, why, (int64_t)code);
}
