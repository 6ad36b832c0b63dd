/* What the API asks for that is no change of an upgrade. */
#include <stdio.h>
#include <string.h>

#include "base/packet.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_task.h"

#define HELLO_SECONDS 10

static void finish_take(struct engine *engine, const struct store_task *task, json_t *result)
{
	CLEANUP(jsonio_free) json_t *owned = result;
	struct error error = {0};
	if (!owned || store_task_done(engine->store, task->id, owned, clock_now(), &error))
		log_failure(task->kind, &error);
}

static void refuse(struct engine *engine, const struct store_task *task, enum error_code code, const char *name,
		   const char *text)
{
	struct error why = {0};
	error_set(&why, code, name, "%s", text);
	finish_take(engine, task, packet_refusal(&why));
}

/* Between two streams of one connection the next HELLO is on its way, and a tunnel that was lost a moment ago may be
 * back in the next: the task waits. */
static bool is_hello_near(const struct session *session, const struct store_task *task)
{
	if (session && (session->work != SESSION_IDLE || session->waiting))
		return false;
	return clock_now() < task->requested + (session ? HELLO_SECONDS : ENGINE_PLAN_GRACE);
}

static void do_plan(struct engine *engine, const struct store_task *task)
{
	struct session *session = session_find(engine, task->target);
	const char *why = NULL;
	char text[STORE_TEXT_SIZE];
	if (is_hello_near(session, task) || (session && session->task == task->id))
		return;
	if (session_free_for(session, &why)) {
		session_begin(session, SESSION_PLAN, "");
		session->task = task->id;
		session->task_asked = task->requested;
		snprintf(session->version, sizeof session->version, "%.*s", STORE_NAME_SIZE - 1, task->argument);
		return;
	}
	if (!strcmp(why, "tunnel")) {
		snprintf(text, sizeof text,
			 "the tunnel of %s is closed: the customer opens it with `appliance-hook tunnel open`",
			 task->target);
		refuse(engine, task, ERROR_UNREACHABLE, "tunnel", text);
	} else {
		snprintf(text, sizeof text, "%s is busy with %s: try again when it is over", task->target, why);
		refuse(engine, task, ERROR_NOT_NOW, "busy", text);
	}
}

static void do_close(struct engine *engine, const struct store_task *task)
{
	char text[STORE_TEXT_SIZE];
	if (!session_find(engine, task->target)) {
		snprintf(text, sizeof text, "the tunnel of %s is not open", task->target);
		refuse(engine, task, ERROR_UNREACHABLE, "tunnel", text);
		return;
	}
	hub_link_close(engine, task->target);
	finish_take(engine, task, json_pack("{s:b}", "ok", 1));
}

static const struct {
	const char *kind;
	void (*run)(struct engine *engine, const struct store_task *task);
} kinds[] = {{"plan", do_plan}, {"tunnel-close", do_close}, {"export", exports_run}};

void tasks_run(struct engine *engine)
{
	for (int64_t after = 0;;) {
		struct store_task task;
		struct error error = {0};
		bool found = false;
		if (store_task_next(engine->store, after, &task, &found, &error)) {
			log_failure("tasks", &error);
			return;
		}
		if (!found)
			return;
		after = task.id;
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (!strcmp(kinds[i].kind, task.kind))
				kinds[i].run(engine, &task);
	}
}
