/* The table of keys that the hub admits, kept as the hub was last told, so that only differences travel. */
#include <string.h>

#include "orchestrator/engine/engine_inner.h"

static void admit(struct engine *engine, const char *key, const json_t *row)
{
	peer_send_take(engine->hub, json_pack("{s:s, s:s, s:s, s:s, s:I}", "do", "admit", "key", key, "kind",
					      jsonio_string(row, "kind"), "name", jsonio_string(row, "name"), "expires",
					      (json_int_t)jsonio_integer(row, "expires")));
}

/* Key → row. */
static json_t *index_rows(const json_t *rows)
{
	json_t *index = json_object();
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		const char *key = jsonio_string(row, "key");
		if (!index || !key || json_object_set(index, key, row)) {
			json_decref(index);
			return NULL;
		}
	}
	return index;
}

static void dismiss_missing(struct engine *engine, json_t *now_there)
{
	const char *key;
	json_t *row;
	json_object_foreach(engine->roster, key, row)
	{
		if (json_object_get(now_there, key))
			continue;
		/* A join ends by itself once the answer was read; cutting it off now would lose that answer. */
		if (engine->joins && !strcmp(jsonio_string(row, "kind"), "join")) {
			json_object_set(now_there, key, row);
			continue;
		}
		peer_send_take(engine->hub, json_pack("{s:s, s:s}", "do", "dismiss", "key", key));
	}
}

void roster_send(struct engine *engine, bool whole)
{
	CLEANUP(jsonio_free) json_t *rows = NULL;
	struct error error = {0};
	if (!engine->hub)
		return;
	/* Also when it could not be sent whole before: until then the hub lets nobody in. */
	whole = whole || !engine->roster;
	if (store_appliance_keys(engine->store, clock_now(), &rows, &error)) {
		log_failure("the table of keys", &error);
		return;
	}
	json_t *index = index_rows(rows);
	if (!index) {
		log_write(LOG_LEVEL_ERROR, "no memory for the table of keys");
		return;
	}
	if (whole)
		jsonio_free(&engine->roster);
	const char *key;
	json_t *row;
	json_object_foreach(index, key, row)
	{
		if (!engine->roster || !json_equal(json_object_get(engine->roster, key), row))
			admit(engine, key, row);
	}
	if (engine->roster)
		dismiss_missing(engine, index);
	jsonio_free(&engine->roster);
	engine->roster = index;
	if (whole)
		peer_send_take(engine->hub, json_pack("{s:s}", "do", "ready"));
}
