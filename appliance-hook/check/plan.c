#include "appliance-hook/check/plan.h"

#include <inttypes.h>
#include <stdio.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/floor.h"
#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/check/run.h"

enum { VALUE_MOST = 160 };

/* One check of the plan: what it found and what it may be at most or least. */
struct finding {
	char value[VALUE_MOST], limit[VALUE_MOST];
};

struct plan {
	struct verify *verify;
	const struct verify_wish *wish;
	json_t *checks;
	bool ok;
};

static int find_clock(struct plan *plan, struct finding *finding, struct error *error)
{
	int trust = plan->verify->session->places->trust;
	int64_t floor = 0;
	if (floor_read(trust, &floor, error) < 0)
		return -(int)error->code;
	clock_format_utc(plan->verify->now, finding->value);
	clock_format_utc(floor, finding->limit);
	return floor_check(trust, plan->verify->now, error);
}

static int find_metadata(struct plan *plan, struct finding *finding, struct error *error)
{
	if (verify_metadata(plan->verify, error) < 0)
		return -(int)error->code;
	snprintf(finding->value, sizeof(finding->value), "root %" PRId64 ", targets %" PRId64,
		 trust_version(plan->verify->trust, ROLE_ROOT), trust_version(plan->verify->trust, ROLE_TARGETS));
	clock_format_utc(trust_expires(plan->verify->trust, ROLE_TIMESTAMP), finding->limit);
	return 0;
}

static int find_manifest(struct plan *plan, struct finding *finding, struct error *error)
{
	if (verify_manifest(plan->verify, plan->wish->version, error) < 0)
		return -(int)error->code;
	hash_to_hex(plan->verify->release.sha256, HASH_SIZE, finding->value);
	return 0;
}

static int find_path(struct plan *plan, struct finding *finding, struct error *error)
{
	const struct verify *verify = plan->verify;
	snprintf(finding->value, sizeof(finding->value), "%s to %s", verify->running, verify->release.version);
	snprintf(finding->limit, sizeof(finding->limit), "from %s",
		 verify->release.min_from[0] ? verify->release.min_from : "any");
	return verify_path(plan->verify, error);
}

static int find_entitlement(struct plan *plan, struct finding *finding, struct error *error)
{
	int result = verify_entitlement(plan->verify, plan->wish->entitlement, plan->wish->managed, error);
	const struct entitlement *entitlement = &plan->verify->entitlement;
	snprintf(finding->value, sizeof(finding->value), "%s", entitlement->tier);
	snprintf(finding->limit, sizeof(finding->limit), "until %s", entitlement->support_until);
	return result;
}

static int find_window(struct plan *plan, struct finding *finding, struct error *error)
{
	const struct verify *verify = plan->verify;
	struct ownwindow window = {0};
	clock_format_utc(verify->now, finding->value);
	if (ownwindow_open(verify->session->places->product, run_need(verify->manifest), verify->release.security,
			   verify->now, &window, error) < 0)
		return -(int)error->code;
	if (window.is_set)
		clock_format_utc(window.last_start, finding->limit);
	return 0;
}

/* In the order of the checks; after a `needed` one that failed nothing more can be asked. The own window stops a
 * switch, not a plan: a later start may lie inside it. */
static const struct {
	const char *name;
	int (*find)(struct plan *plan, struct finding *finding, struct error *error);
	bool needed, advice;
} steps[] = {
	{"clock", find_clock, true, false},
	{"metadata", find_metadata, true, false},
	{"manifest", find_manifest, true, false},
	{"path", find_path, false, false},
	{"entitlement", find_entitlement, false, false},
	{"own-window", find_window, false, true},
};

static int add(struct plan *plan, const char *name, const struct finding *finding, const struct error *why,
	       struct error *error)
{
	json_t *line = json_pack("{s:s, s:b, s:s, s:s, s:s}", "name", name, "ok", (int)(why->code == 0), "value",
				 finding->value, "limit", finding->limit, "text", why->text);
	if (!line || json_array_append_new(plan->checks, line) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a plan");
	return 0;
}

static int add_preflight(struct plan *plan, struct error *error)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	if (verify_preflight(plan->verify, &answer, error) < 0)
		return -(int)error->code;
	if (!json_is_true(json_object_get(answer, "ok")))
		plan->ok = false;
	if (json_array_extend(plan->checks, json_object_get(answer, "checks")) < 0)
		return error_set(error, ERROR_BUG, "act", "act's preflight names no checks");
	return 0;
}

/* *ret_whole: no check failed that the rest needs. */
static int take_steps(struct plan *plan, bool *ret_whole, struct error *error)
{
	*ret_whole = true;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && *ret_whole; i++) {
		struct finding finding = {0};
		struct error why = {0};
		int result = steps[i].find(plan, &finding, &why);
		/* An aborted or broken dialogue is no finding. */
		if (result < 0 && why.code == ERROR_UNREACHABLE) {
			*error = why;
			return result;
		}
		if (result < 0 && !steps[i].advice)
			plan->ok = false;
		if (result < 0 && steps[i].needed)
			*ret_whole = false;
		if (add(plan, steps[i].name, &finding, &why, error) < 0)
			return -(int)error->code;
	}
	return 0;
}

int plan_make(struct verify *verify, const struct verify_wish *wish, json_t **ret_plan, struct error *error)
{
	CLEANUP(jsonio_free) json_t *checks = json_array();
	struct plan plan = {.verify = verify, .wish = wish, .checks = checks, .ok = true};
	bool whole = false;
	if (!checks)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a plan");
	if (verify_standing(verify, error) < 0 || take_steps(&plan, &whole, error) < 0 ||
	    (whole && add_preflight(&plan, error) < 0))
		return -(int)error->code;
	json_t *body = json_pack("{s:O, s:b}", "checks", checks, "ok", (int)plan.ok);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a plan");
	*ret_plan = body;
	return 0;
}

int plan_answer(struct session *session, const struct stream_message *message, json_t **ret_reply, struct error *error)
{
	struct control_busy busy = {.session = session, .message = message, .upgrade = "", .abortable = true};
	struct verify_wish wish = {
		.version = jsonio_string(message->body, "version"),
		.entitlement = jsonio_member(message->body, "entitlement"),
		.managed = true,
	};
	CLEANUP(verify_end) struct verify verify;
	verify_start(&verify, session, control_meanwhile, &busy);
	return plan_make(&verify, &wish, ret_reply, error);
}
