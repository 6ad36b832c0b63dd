#include <string.h>

#include "base/clock.h"
#include "orchestrator/api/api_booking.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_customer.h"
#include "orchestrator/store/store_release.h"
#include "orchestrator/store/store_task.h"
#include "schedules/zone.h"

#define ROLLBACK_NOW_LIFE (12 * 60 * 60) /* how long an approved `rollback --now` may wait for its appliance */

static const char *field(const struct api_call *call, const char *name)
{
	const char *value = jsonio_string(call->body, name);

	return value ? value : "";
}

static int answer_with(struct api_call *call, const char *id, json_t **ret_answer, struct error *error)
{
	return store_upgrade_show(call->store, id, ret_answer, error);
}

int api_upgrade_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *appliance = call->query(call, "appliance"), *state = call->query(call, "state");
	struct store_appliance known;
	enum upgrade_state read;

	if (appliance[0] && store_appliance_get(call->store, appliance, &known, error) < 0)
		return -(int)error->code;
	if (state[0] && upgrade_state_read(state, &read, error) < 0) {
		error->code = ERROR_USAGE;
		return -ERROR_USAGE;
	}
	return store_upgrade_list(call->store, appliance[0] ? appliance : NULL, state[0] ? state : NULL, ret_answer,
				  error);
}

int api_upgrade_show(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return answer_with(call, call->parameters[0], ret_answer, error);
}

/* What the store can say at once, and a task for the engine to ask the appliance itself. */
int api_upgrade_plan(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *appliance = field(call, "appliance"), *version = field(call, "to");
	const struct api_booking_wish wish = {.kind = API_BOOKING_NEW, .appliance = appliance, .version = version};
	json_t *checks = NULL;
	int64_t task = 0;
	bool ok = false;
	int result = api_booking_plan(call, &wish, &checks, &ok, error);

	if (result == 0)
		result = store_task_add(call->store, "plan", appliance, version, call->caller->actor, call->now, &task,
					error);
	if (result < 0) {
		jsonio_free(&checks);
		return result;
	}
	*ret_answer = json_pack("{s:s,s:s,s:b,s:o,s:I}", "appliance", appliance, "to", version, "ok", ok, "checks",
				checks, "task", (json_int_t)task);
	return 0;
}

/* Support ends before the hour: booked, and held at once until a renewal frees it. One that still waits for an approval
 * is held by the engine when it has it. */
static int hold_for_support(struct api_call *call, const char *id, const struct error *held, struct error *error)
{
	const struct store_upgrade_step step = {
		.to = UPGRADE_HELD,
		.owner = UPGRADE_ENGINE,
		.actor = call->caller->actor,
		.text = held->text,
		.code = (int)held->code,
		.held_for = "entitlement",
		.fence = -1,
		.now = call->now,
	};

	return store_upgrade_step(call->store, id, &step, error);
}

static int book(struct api_call *call, const struct api_booking_wish *wish, json_t **ret_answer, struct error *error)
{
	struct api_booking booking = {0};
	char id[STORE_UPGRADE_ID_SIZE];
	int result = api_booking_prepare(call, wish, &booking, error);

	if (result == 0)
		result = store_upgrade_book(call->store, &booking.row, call->caller->actor, call->now, id, error);
	if (result == 0 && booking.held.code && !booking.row.needs[0])
		result = hold_for_support(call, id, &booking.held, error);
	return result < 0 ? result : answer_with(call, id, ret_answer, error);
}

int api_upgrade_book(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const struct api_booking_wish wish = {
		.kind = API_BOOKING_NEW,
		.appliance = field(call, "appliance"),
		.version = field(call, "to"),
		.window = field(call, "window"),
		.at = field(call, "at"),
	};

	return book(call, &wish, ret_answer, error);
}

/* Another hour, by the same rules as the first. */
static int reschedule(struct api_call *call, const struct store_upgrade *upgrade, struct error *error)
{
	const struct api_booking_wish wish = {
		.kind = upgrade->rollback ? API_BOOKING_ROLLBACK_MOVE : API_BOOKING_MOVE,
		.appliance = upgrade->appliance,
		.version = upgrade->to_version,
		.calendar_version = upgrade->rollback ? upgrade->from_version : NULL,
		.window = field(call, "window"),
		.at = field(call, "at"),
	};
	struct api_booking booking = {0};
	int result = api_booking_prepare(call, &wish, &booking, error);

	return result < 0 ? result
			  : store_upgrade_reschedule(call->store, upgrade->id, &booking.row, UPGRADE_TECHNICIAN,
						     call->caller->actor, booking.row.why, call->now, error);
}

int api_upgrade_move(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_upgrade upgrade;
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result == 0)
		result = reschedule(call, &upgrade, error);
	return result < 0 ? result : answer_with(call, upgrade.id, ret_answer, error);
}

static int check_not_own(struct api_call *call, const struct store_upgrade *upgrade, struct error *error)
{
	if (strcmp(upgrade->requested_by, call->caller->name) == 0)
		return error_set(error, ERROR_NOT_PERMITTED, "approval",
				 "upgrade %s was asked for by %s, and nobody approves or declines his own: ask another "
				 "approver, or withdraw it with `nightshift upgrade abort %s`",
				 upgrade->id, upgrade->requested_by, upgrade->id);
	if (upgrade->state != UPGRADE_REQUESTED)
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is %s and waits for no approval",
				 upgrade->id, upgrade_state_name(upgrade->state));
	return 0;
}

/* The person at the customer who said yes must be one whose address we have. */
static int check_contact(struct api_call *call, const char *appliance, const char *email, struct error *error)
{
	CLEANUP(jsonio_free) json_t *customer = NULL;
	struct store_appliance known;
	size_t index;
	const json_t *contact;
	int result = store_appliance_get(call->store, appliance, &known, error);

	if (result == 0)
		result = store_customer_show(call->store, known.customer, &customer, error);
	if (result < 0)
		return result;
	json_array_foreach(jsonio_member(customer, "contacts"), index, contact)
	{
		if (strcasecmp(jsonio_string(contact, "email"), email) == 0)
			return 0;
	}
	return error_set(error, ERROR_USAGE, "unknown-contact",
			 "customer %s has no contact %s: `nightshift customer contact add %s %s` first", known.customer,
			 email, known.customer, email);
}

int api_upgrade_approve(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *contact = field(call, "customer");
	const char *what = contact[0] ? "customer" : "approver";
	struct store_upgrade upgrade;
	char text[STORE_TEXT_SIZE];
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result == 0)
		result = check_not_own(call, &upgrade, error);
	if (result == 0 && !contact[0] && strcmp(upgrade.needs, "customer") == 0)
		return error_set(error, ERROR_USAGE, "approval",
				 "upgrade %s needs the customer's yes: say who gave it with --customer EMAIL",
				 upgrade.id);
	if (result == 0 && contact[0])
		result = check_contact(call, upgrade.appliance, contact, error);
	if (result == 0 && contact[0]) {
		snprintf(text, sizeof(text), "%s at the customer said yes to %s", contact, call->caller->name);
		result = store_upgrade_note(call->store, upgrade.id, NULL, call->caller->actor, text, call->now, error);
	}
	if (result == 0)
		result = store_upgrade_approve(call->store, upgrade.id, what, call->caller->name, call->caller->actor,
					       call->now, error);
	return result < 0 ? result : answer_with(call, upgrade.id, ret_answer, error);
}

/* "what by NAME: reason" */
static int reason_text(struct api_call *call, const char *what, char ret_text[static STORE_TEXT_SIZE],
		       struct error *error)
{
	const char *reason = field(call, "reason");
	int result = api_line_check("a reason", reason, 200, error);

	if (result == 0)
		snprintf(ret_text, STORE_TEXT_SIZE, "%s by %s%s%s", what, call->caller->name, reason[0] ? ": " : "",
			 reason);
	return result;
}

static int step_to(struct api_call *call, const char *id, enum upgrade_state to, const char *text, struct error *error)
{
	const struct store_upgrade_step step = {
		.to = to,
		.owner = UPGRADE_TECHNICIAN,
		.actor = call->caller->actor,
		.text = text,
		.held_for = to == UPGRADE_HELD ? "paused" : NULL,
		.fence = -1,
		.now = call->now,
	};

	return store_upgrade_step(call->store, id, &step, error);
}

int api_upgrade_decline(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_upgrade upgrade;
	char text[STORE_TEXT_SIZE];
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result == 0)
		result = check_not_own(call, &upgrade, error);
	if (result == 0)
		result = reason_text(call, "declined", text, error);
	if (result == 0)
		result = step_to(call, upgrade.id, UPGRADE_CANCELLED, text, error);
	return result < 0 ? result : answer_with(call, upgrade.id, ret_answer, error);
}

int api_upgrade_pause(struct api_call *call, json_t **ret_answer, struct error *error)
{
	char text[STORE_TEXT_SIZE];
	int result = reason_text(call, "paused", text, error);

	if (result == 0)
		result = step_to(call, call->parameters[0], UPGRADE_HELD, text, error);
	return result < 0 ? result : answer_with(call, call->parameters[0], ret_answer, error);
}

/* Only what a person paused: the other reasons end when what they wait for has come. */
int api_upgrade_resume(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const struct store_upgrade_step step = {
		.owner = UPGRADE_TECHNICIAN,
		.actor = call->caller->actor,
		.text = "resumed",
		.held_for = "paused",
		.fence = -1,
		.now = call->now,
	};
	int result = store_upgrade_resume(call->store, call->parameters[0], &step, error);

	return result < 0 ? result : answer_with(call, call->parameters[0], ret_answer, error);
}

int api_upgrade_abort(struct api_call *call, json_t **ret_answer, struct error *error)
{
	char text[STORE_TEXT_SIZE];
	int result = reason_text(call, "abort asked", text, error);

	if (result == 0)
		result = store_upgrade_abort(call->store, call->parameters[0], call->caller->actor, text, call->now,
					     error);
	return result < 0 ? result : answer_with(call, call->parameters[0], ret_answer, error);
}

/* One that waits for a person goes on as itself; one that has ended is booked anew, under the same rules. */
int api_upgrade_retry(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_upgrade upgrade;
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result < 0)
		return result;
	if (upgrade.state == UPGRADE_ROLLED_BACK || upgrade.state == UPGRADE_CANCELLED) {
		const struct api_booking_wish wish = {
			.kind = upgrade.rollback ? API_BOOKING_ROLLBACK : API_BOOKING_NEW,
			.appliance = upgrade.appliance,
			.version = upgrade.to_version,
			.calendar_version = upgrade.rollback ? upgrade.from_version : NULL,
			.window = field(call, "window"),
			.at = field(call, "at"),
		};
		return book(call, &wish, ret_answer, error);
	}
	if (upgrade.state != UPGRADE_NEEDS_HUMAN && upgrade.state != UPGRADE_MISSED)
		return error_set(
			error, ERROR_NOT_NOW, "state",
			"upgrade %s is %s: what can be retried is missed, needs-human, rolled-back or cancelled",
			upgrade.id, upgrade_state_name(upgrade.state));
	if (upgrade.state == UPGRADE_NEEDS_HUMAN)
		result = step_to(call, upgrade.id, UPGRADE_BOOKED, "retried", error);
	if (result == 0)
		result = reschedule(call, &upgrade, error);
	return result < 0 ? result : answer_with(call, upgrade.id, ret_answer, error);
}

/* Outside a window it takes a second person, and is then good at once. */
static int rollback_now(struct api_call *call, const struct store_upgrade *upgrade, json_t **ret_answer,
			struct error *error)
{
	struct store_upgrade row = {
		.rollback = true,
		.fixed = true,
		.needs = "approver",
		.window_name = "now",
		.zone = "UTC",
		.finish_overrun = true,
		.starts = call->now,
		.ends = call->now + ROLLBACK_NOW_LIFE,
		.last_start = call->now + ROLLBACK_NOW_LIFE,
	};
	struct store_release release;
	char id[STORE_UPGRADE_ID_SIZE], utc[CLOCK_UTC_SIZE];
	struct error ignored;

	if (store_release_get(call->store, upgrade->product, upgrade->to_version, &release, &ignored) == 0 &&
	    release.need < ROLLBACK_NOW_LIFE)
		row.last_start -= release.need;
	clock_format_utc(call->now, utc);
	snprintf(row.local_start, sizeof(row.local_start), "%.16s", utc);
	zone_data_version(row.tzdata);
	snprintf(row.appliance, sizeof(row.appliance), "%s", upgrade->appliance);
	snprintf(row.product, sizeof(row.product), "%s", upgrade->product);
	snprintf(row.from_version, sizeof(row.from_version), "%s", upgrade->to_version);
	snprintf(row.to_version, sizeof(row.to_version), "%s", upgrade->from_version);
	snprintf(row.requested_by, sizeof(row.requested_by), "%s", call->caller->name);
	snprintf(row.why, sizeof(row.why), "waits for approval by a second person, because it is to run at once");
	int result = store_upgrade_book(call->store, &row, call->caller->actor, call->now, id, error);
	return result < 0 ? result : answer_with(call, id, ret_answer, error);
}

int api_upgrade_rollback(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_upgrade upgrade;
	struct store_appliance appliance;
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result == 0)
		result = store_appliance_get(call->store, upgrade.appliance, &appliance, error);
	if (result < 0)
		return result;
	if (upgrade.state != UPGRADE_COMMITTED)
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is %s: only a committed one is rolled back",
				 upgrade.id, upgrade_state_name(upgrade.state));
	if (strcmp(appliance.version, upgrade.to_version) != 0 || !upgrade.from_version[0])
		return error_set(error, ERROR_NOT_NOW, "state",
				 "appliance %s runs %s and not what upgrade %s brought: take the newest one",
				 appliance.name, appliance.version, upgrade.id);
	if (jsonio_boolean(call->body, "now")) {
		if (field(call, "at")[0] || field(call, "window")[0])
			return error_set(error, ERROR_USAGE, "window", "--now asks for no window");
		return rollback_now(call, &upgrade, ret_answer, error);
	}
	const struct api_booking_wish wish = {
		.kind = API_BOOKING_ROLLBACK,
		.appliance = upgrade.appliance,
		.version = upgrade.from_version,
		.calendar_version = upgrade.to_version,
		.window = field(call, "window"),
		.at = field(call, "at"),
	};
	return book(call, &wish, ret_answer, error);
}

int api_upgrade_resolve(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *as = field(call, "as");
	struct store_upgrade upgrade;
	enum upgrade_state to;
	char text[STORE_TEXT_SIZE];
	int result = store_upgrade_get(call->store, call->parameters[0], &upgrade, error);

	if (result == 0 && (upgrade_state_read(as, &to, error) < 0 || !upgrade_edges_final(to)))
		return error_set(error, ERROR_USAGE, "state",
				 "an upgrade is resolved as committed, rolled-back or cancelled, not \"%s\"", as);
	if (result == 0 && upgrade.state != UPGRADE_NEEDS_HUMAN)
		return error_set(error, ERROR_NOT_NOW, "state", "upgrade %s is %s: only needs-human is resolved",
				 upgrade.id, upgrade_state_name(upgrade.state));
	if (result == 0)
		result = reason_text(call, "resolved", text, error);
	if (result == 0)
		result = step_to(call, upgrade.id, to, text, error);
	return result < 0 ? result : answer_with(call, upgrade.id, ret_answer, error);
}
