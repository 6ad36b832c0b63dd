#include "orchestrator/api/api_booking.h"

#include <string.h>

#include "base/clock.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_contract.h"
#include "orchestrator/store/store_gate.h"
#include "orchestrator/store/store_release.h"

#define FORWARD (API_BOOKING_NEW | API_BOOKING_MOVE)
#define BACK    (API_BOOKING_ROLLBACK | API_BOOKING_ROLLBACK_MOVE)

/* What the rules are asked about, and what they find out on the way. */
struct inquiry {
	struct api_call *call;
	const struct api_booking_wish *wish;
	struct store_appliance appliance;
	struct store_release release;
	struct store_gate_calendar calendar;
	struct occurrence occurrence;
	int64_t start;
	bool timed; /* occurrence and start are known */
	struct error held;
	char value[160]; /* what the rule saw, for the plan */
};

static void inquiry_end(struct inquiry *inquiry)
{
	store_gate_calendar_free(&inquiry->calendar);
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static enum store_gate_lapsed lapsed_policy(const struct api_call *call)
{
	return call->settings->lapsed == SETTINGS_LAPSED_PUBLISHED ? STORE_GATE_PUBLISHED : STORE_GATE_BLOCKED;
}

static int check_member(struct inquiry *inquiry, struct error *error)
{
	const struct store_appliance *appliance = &inquiry->appliance;

	snprintf(inquiry->value, sizeof(inquiry->value), "%s",
		 appliance->revoked     ? "revoked"
		 : appliance->duplicate ? "duplicate"
		 : appliance->joined    ? "joined"
					: "not joined");
	if (appliance->revoked)
		return error_set(error, ERROR_NOT_PERMITTED, "revoked",
				 "appliance %s is revoked: add it anew under another name", appliance->name);
	if (!appliance->joined)
		return error_set(error, ERROR_UNREACHABLE, "not-joined",
				 "appliance %s has not joined yet: `appliance-hook join CODE` there, with the code of "
				 "`nightshift appliance code %s`",
				 appliance->name, appliance->name);
	if (appliance->duplicate)
		return error_set(error, ERROR_NOT_PERMITTED, "duplicate",
				 "appliance %s shows as duplicate: join it again with `nightshift appliance code %s`",
				 appliance->name, appliance->name);
	return 0;
}

static int check_entitlement(struct inquiry *inquiry, struct error *error)
{
	struct api_call *call = inquiry->call;
	struct store_contract contract;
	int result = store_contract_get(call->store, inquiry->appliance.contract, &contract, error);

	if (result < 0)
		return result;
	snprintf(inquiry->value, sizeof(inquiry->value), "%s until %s", contract.tier, contract.support_until);
	result = store_gate_entitled(call->store, inquiry->appliance.name, inquiry->release.version, STORE_GATE_MANAGED,
				     lapsed_policy(call), call->now, error);
	/* The same verdict in the words of those who can renew it. */
	if (result < 0 && error->code == ERROR_NOT_PERMITTED && call->now >= contract.ends)
		return error_set(error, ERROR_NOT_PERMITTED, "entitlement",
				 "support of appliance %s ended on %s: renew it with `nightshift contract renew %s "
				 "--until DATE`",
				 inquiry->appliance.name, contract.support_until, contract.id);
	return result;
}

static int check_channel(struct inquiry *inquiry, struct error *error)
{
	const char *channel = inquiry->appliance.channel;
	size_t length = strlen(channel);

	snprintf(inquiry->value, sizeof(inquiry->value), "%.150s", inquiry->release.channels);
	for (const char *list = inquiry->release.channels; *list;) {
		size_t size = strcspn(list, ",");
		if (size == length && memcmp(list, channel, size) == 0)
			return 0;
		list += size + (list[size] == ',');
	}
	return error_set(
		error, ERROR_DATA, "channel",
		"release %s of %s is in %.100s and appliance %s follows %s: promote it, or take another release",
		inquiry->release.version, inquiry->release.product, inquiry->release.channels, inquiry->appliance.name,
		channel);
}

static int check_path(struct inquiry *inquiry, struct error *error)
{
	const char *from = inquiry->appliance.version;

	snprintf(inquiry->value, sizeof(inquiry->value), "%s to %s", from[0] ? from : "unknown",
		 inquiry->release.version);
	return store_release_path(inquiry->call->store, inquiry->appliance.product, from, inquiry->release.version,
				  error);
}

static int check_free(struct inquiry *inquiry, struct error *error)
{
	struct store_upgrade current;
	bool found = false;
	int result = store_upgrade_current(inquiry->call->store, inquiry->appliance.name, &current, &found, error);

	if (result < 0)
		return result;
	snprintf(inquiry->value, sizeof(inquiry->value), "%s", found ? current.id : "none");
	if (found)
		return error_set(
			error, ERROR_NOT_NOW, "booked",
			"appliance %s has upgrade %s to %s, which is %s: `nightshift upgrade abort %s` or wait for it",
			inquiry->appliance.name, current.id, current.to_version, upgrade_state_name(current.state),
			current.id);
	return 0;
}

static void format_local(struct civil civil, char *text, size_t size)
{
	snprintf(text, size, "%04d-%02d-%02dT%02d:%02d", civil.year, civil.month, civil.day, civil.hour, civil.minute);
}

static int check_window(struct inquiry *inquiry, struct error *error)
{
	const struct api_booking_wish *wish = inquiry->wish;
	const char *window = text_or_empty(wish->window), *at = text_or_empty(wish->at);
	size_t count = 0;

	snprintf(inquiry->value, sizeof(inquiry->value), "none");
	if (window[0] && strcmp(window, "next") != 0)
		return error_set(error, ERROR_USAGE, "window", "--window takes only \"next\", not \"%.30s\"", window);
	if (window[0] && at[0])
		return error_set(error, ERROR_USAGE, "window", "give --window or --at, not both");
	int result = store_gate_calendar(inquiry->call->store, inquiry->appliance.name,
					 wish->calendar_version ? wish->calendar_version : wish->version,
					 &inquiry->calendar, error);
	const struct window_set *set = &inquiry->calendar.windows;
	const struct window_query *query = &inquiry->calendar.query;
	if (result == 0 && at[0]) {
		result =
			window_set_at(set, query, at, inquiry->call->now, &inquiry->occurrence, &inquiry->start, error);
	} else if (result == 0) {
		result = window_set_next(set, query, inquiry->call->now, 1, &inquiry->occurrence, &count, error);
		if (result == 0 && count == 0)
			result = error_set(error, ERROR_NOT_NOW, "window",
					   "appliance %s has no window in the next five years that is long enough and "
					   "not frozen: see `nightshift window show %s`",
					   inquiry->appliance.name, inquiry->appliance.name);
		inquiry->start = inquiry->occurrence.start;
	}
	if (result < 0)
		return result;
	char local[32];
	format_local(zone_local(window_zone(inquiry->occurrence.window), inquiry->start, NULL, NULL), local,
		     sizeof(local));
	snprintf(inquiry->value, sizeof(inquiry->value), "%s %s (%s)", local,
		 zone_name(window_zone(inquiry->occurrence.window)), window_name(inquiry->occurrence.window));
	inquiry->timed = true;
	return 0;
}

/* Support that ends before the hour comes: no refusal, the booking waits for the renewal. */
static int check_support_then(struct inquiry *inquiry, struct error *error)
{
	struct api_call *call = inquiry->call;
	struct error later = {0};

	snprintf(inquiry->value, sizeof(inquiry->value), "unknown");
	if (!inquiry->timed)
		return error_set(error, ERROR_NOT_NOW, "window", "no hour, so nothing to compare the support with");
	int64_t at = inquiry->start > call->now ? inquiry->start : call->now;
	snprintf(inquiry->value, sizeof(inquiry->value), "current then");
	if (store_gate_entitled(call->store, inquiry->appliance.name, inquiry->release.version, STORE_GATE_MANAGED,
				lapsed_policy(call), at, &later) == 0)
		return 0;
	if (later.code != ERROR_NOT_PERMITTED) {
		*error = later;
		return -(int)later.code;
	}
	snprintf(inquiry->value, sizeof(inquiry->value), "held until the contract is renewed");
	struct store_contract contract;
	if (store_contract_get(call->store, inquiry->appliance.contract, &contract, error) < 0)
		return -(int)error->code;
	error_set(&inquiry->held, ERROR_NOT_PERMITTED, "entitlement",
		  "support of appliance %s ends on %s, before this hour comes: `nightshift contract renew %s --until "
		  "DATE` "
		  "frees it",
		  inquiry->appliance.name, contract.support_until, contract.id);
	return 0;
}

static const struct booking_rule {
	const char *name;
	unsigned kinds;
	int (*check)(struct inquiry *inquiry, struct error *error);
} rules[] = {
	{"entitlement", FORWARD, check_entitlement},
	{"appliance", FORWARD | BACK, check_member},
	{"channel", API_BOOKING_NEW, check_channel},
	{"path", FORWARD, check_path},
	{"free", API_BOOKING_NEW | API_BOOKING_ROLLBACK, check_free},
	{"window", FORWARD | BACK, check_window},
	{"support", FORWARD, check_support_then},
};

static int inquiry_begin(struct api_call *call, const struct api_booking_wish *wish, struct inquiry *ret_inquiry,
			 struct error *error)
{
	*ret_inquiry = (struct inquiry){.call = call, .wish = wish};
	int result = store_appliance_get(call->store, wish->appliance, &ret_inquiry->appliance, error);

	/* The release that a box goes back to may be older than anything that was imported here. */
	if (result == 0 && !(wish->kind & BACK))
		result = store_release_get(call->store, ret_inquiry->appliance.product, wish->version,
					   &ret_inquiry->release, error);
	return result;
}

/* Who must say yes before it stands. A rollback in a window that the customer gave needs nobody. */
static void find_needs(const struct inquiry *inquiry, char *ret_needs, size_t size)
{
	const struct api_call *call = inquiry->call;
	int64_t notice = window_notice(inquiry->occurrence.window);
	bool near = notice > 0 && inquiry->start - call->now < notice;
	bool second = call->settings->approvals == SETTINGS_APPROVALS_SECOND_PERSON;

	if (inquiry->wish->kind & BACK)
		near = second = false;
	snprintf(ret_needs, size, "%s%s%s", second ? "approver" : "", second && near ? "," : "",
		 near ? "customer" : "");
}

static void fill_row(const struct inquiry *inquiry, struct store_upgrade *row)
{
	const struct occurrence *occurrence = &inquiry->occurrence;
	const struct zone *zone = window_zone(occurrence->window);
	const struct api_booking_wish *wish = inquiry->wish;
	char utc[CLOCK_UTC_SIZE];

	*row = (struct store_upgrade){
		.rollback = (wish->kind & BACK) != 0,
		.fixed = text_or_empty(wish->at)[0] != '\0',
		.hold_when_missed = window_missed(occurrence->window) == WINDOW_MISSED_HOLD,
		.finish_overrun = window_overrun(occurrence->window) == WINDOW_OVERRUN_FINISH,
		.starts = inquiry->start,
		.ends = occurrence->end,
		.last_start = occurrence->last_start,
	};
	snprintf(row->appliance, sizeof(row->appliance), "%s", inquiry->appliance.name);
	snprintf(row->product, sizeof(row->product), "%s", inquiry->appliance.product);
	snprintf(row->from_version, sizeof(row->from_version), "%s", inquiry->appliance.version);
	snprintf(row->to_version, sizeof(row->to_version), "%s", wish->version);
	snprintf(row->requested_by, sizeof(row->requested_by), "%s", inquiry->call->caller->name);
	snprintf(row->window_name, sizeof(row->window_name), "%s", window_name(occurrence->window));
	snprintf(row->zone, sizeof(row->zone), "%s", zone_name(zone));
	format_local(row->fixed ? zone_local(zone, inquiry->start, NULL, NULL) : occurrence->local, row->local_start,
		     sizeof(row->local_start));
	zone_data_version(row->tzdata);
	find_needs(inquiry, row->needs, sizeof(row->needs));
	clock_format_utc(row->starts, utc);
	if (row->needs[0])
		snprintf(row->why, sizeof(row->why), "waits for approval by %s; would start %s %s (%s)",
			 strcmp(row->needs, "customer") == 0   ? "the customer, because it is nearer than the notice"
			 : strcmp(row->needs, "approver") == 0 ? "a second person"
							       : "a second person and the customer",
			 row->local_start, row->zone, utc);
	else if (row->starts <= inquiry->call->now)
		snprintf(row->why, sizeof(row->why), "its window %s is open", row->window_name);
	else
		snprintf(row->why, sizeof(row->why), "its window %s opens %s %s (%s)", row->window_name,
			 row->local_start, row->zone, utc);
}

int api_booking_prepare(struct api_call *call, const struct api_booking_wish *wish, struct api_booking *ret_booking,
			struct error *error)
{
	CLEANUP(inquiry_end) struct inquiry inquiry = {0};
	int result = inquiry_begin(call, wish, &inquiry, error);

	for (size_t i = 0; i < ARRAY_SIZE(rules) && result == 0; i++)
		if (rules[i].kinds & wish->kind)
			result = rules[i].check(&inquiry, error);
	if (result < 0)
		return result;
	fill_row(&inquiry, &ret_booking->row);
	ret_booking->held = inquiry.held;
	return 0;
}

int api_booking_plan(struct api_call *call, const struct api_booking_wish *wish, json_t **ret_checks, bool *ret_ok,
		     struct error *error)
{
	CLEANUP(inquiry_end) struct inquiry inquiry = {0};
	CLEANUP(jsonio_free) json_t *checks = json_array();
	bool all = true;
	int result = inquiry_begin(call, wish, &inquiry, error);

	for (size_t i = 0; i < ARRAY_SIZE(rules) && result == 0; i++) {
		struct error broken = {0};
		if (!(rules[i].kinds & wish->kind))
			continue;
		inquiry.value[0] = '\0';
		bool ok = rules[i].check(&inquiry, &broken) == 0;
		all = all && ok;
		if (json_array_append_new(checks, json_pack("{s:s,s:b,s:s,s:i,s:s}", "name", rules[i].name, "ok", ok,
							    "value", inquiry.value, "code", ok ? 0 : (int)broken.code,
							    "text", ok ? "" : broken.text)) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the plan");
	}
	if (result < 0)
		return result;
	*ret_checks = TAKE(checks);
	*ret_ok = all;
	return 0;
}
