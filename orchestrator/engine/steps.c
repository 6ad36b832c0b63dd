#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/engine/engine_inner.h"

/* Who takes the step, as history and audit name it. */
static void write_actor(enum upgrade_owner owner, const char *appliance, char text[static STORE_NAME_SIZE + 8])
{
	if (owner == UPGRADE_HOOK)
		snprintf(text, STORE_NAME_SIZE + 8, "hook:%s", appliance);
	else
		snprintf(text, STORE_NAME_SIZE + 8, "engine");
}

bool steps_take(struct engine *engine, const struct steps_change *change, const char *format, ...)
{
	char text[STORE_TEXT_SIZE], actor[STORE_NAME_SIZE + 8];
	struct error error = {0};
	int64_t now = clock_now();
	va_list values;
	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	write_actor(change->owner, change->appliance, actor);
	struct store_upgrade_step step = {
		.to = change->to,
		.owner = change->owner,
		.actor = actor,
		.text = text,
		.code = change->code,
		.held_for = change->held_for,
		.fence = change->fence,
		.retry_at = change->retry_in ? now + change->retry_in : 0,
		.now = now,
	};
	if (store_upgrade_step(engine->store, change->upgrade, &step, &error)) {
		log_failure(change->appliance, &error);
		return false;
	}
	log_write(LOG_LEVEL_NOTICE, "%s: upgrade %s is %s: %s", change->appliance, change->upgrade,
		  upgrade_state_name(change->to), text);
	engine_wake(engine);
	return true;
}

bool steps_free(struct engine *engine, const struct store_upgrade *upgrade, const char *format, ...)
{
	char text[STORE_TEXT_SIZE];
	struct error error = {0};
	va_list values;
	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	struct store_upgrade_step step = {.owner = UPGRADE_ENGINE,
					  .actor = "engine",
					  .text = text,
					  .held_for = upgrade->held_for,
					  .fence = -1,
					  .now = clock_now()};
	if (store_upgrade_resume(engine->store, upgrade->id, &step, &error)) {
		log_failure(upgrade->appliance, &error);
		return false;
	}
	engine_wake(engine);
	return true;
}

static bool keep_back(struct engine *engine, const struct store_upgrade *upgrade, int code, const char *text)
{
	if (!engine->sentences)
		engine->sentences = json_object();
	return json_object_set_new(
		       engine->sentences, upgrade->id,
		       json_pack("{s:i, s:i, s:s}", "state", (int)upgrade->state, "code", code, "text", text)) == 0;
}

void steps_why(struct engine *engine, const struct store_upgrade *upgrade, int code, const char *format, ...)
{
	char text[STORE_TEXT_SIZE];
	struct error error = {0};
	va_list values;
	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	/* The row that the agenda read says the same already: spare the write. */
	if (upgrade->code == code && !strcmp(upgrade->why, text))
		return;
	if (engine->agenda_runs && keep_back(engine, upgrade, code, text))
		return;
	if (store_upgrade_why(engine->store, upgrade->id, text, code, &error))
		log_failure(upgrade->appliance, &error);
}

static int write_sentences(struct engine *engine, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	const char *id;
	json_t *said;
	if (store_begin(engine->store, &transaction, error))
		return -(int)error->code;
	json_object_foreach(engine->sentences, id, said)
	{
		struct store_upgrade upgrade;
		if (store_upgrade_get(engine->store, id, &upgrade, error))
			return -(int)error->code;
		/* It has moved on since: the sentence is of another state. */
		if ((int64_t)upgrade.state == jsonio_integer(said, "state") &&
		    store_upgrade_why(engine->store, id, jsonio_string(said, "text"), (int)jsonio_integer(said, "code"),
				      error))
			return -(int)error->code;
	}
	return store_commit(&transaction, error);
}

void steps_write(struct engine *engine)
{
	struct error error = {0};
	if (json_object_size(engine->sentences) && write_sentences(engine, &error))
		log_failure("the agenda", &error);
	jsonio_free(&engine->sentences);
}
