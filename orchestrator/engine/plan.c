/* The appliance's half of a dry run: its own checks with their values. The store's half is the API's. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_task.h"

#define PLAN_MS 120000

static void finish(struct session *session, const json_t *result)
{
	struct error error = {0};
	if (!result || store_task_done(session->engine->store, session->task, result, clock_now(), &error))
		log_failure(session->appliance, &error);
}

static void finish_refused(struct session *session, const struct error *why)
{
	CLEANUP(jsonio_free) json_t *body = packet_from_error(why), *result = json_pack("{s:O}", "error", body);
	finish(session, result);
}

static void answered(void *context, const json_t *body, const struct error *why)
{
	struct session *session = context;
	if (body)
		finish(session, body);
	else
		finish_refused(session, why);
	session_finish(session);
}

void plan_begin(struct session *session)
{
	struct error error = {0};
	json_t *entitlement = NULL;
	if (sign_entitlement(session->engine, session->appliance, &entitlement, &error)) {
		finish_refused(session, &error);
		session_finish(session);
		return;
	}
	session_ask_take(session, MESSAGE_PLAN, PLAN_MS, NULL, answered,
			 json_pack("{s:s, s:o}", "version", session->version, "entitlement", entitlement));
}

void plan_lost(struct session *session, const struct error *why)
{
	/* The task is tried once more when the next HELLO comes soon. */
	if (clock_now() < session->task_asked + ENGINE_PLAN_GRACE)
		return;
	finish_refused(session, why);
}
