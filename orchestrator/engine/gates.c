#include "orchestrator/engine/gates.h"

int gates_pass(struct engine *engine, const struct store_upgrade *upgrade, int64_t now, const char **ret_held,
	       struct error *error)
{
	struct store_release release;
	int64_t at = upgrade->starts > now ? upgrade->starts : now;
	*ret_held = "halt";
	/* Going back needs neither support nor a release that stands well. */
	if (upgrade->rollback)
		return 0;
	if (store_release_get(engine->store, upgrade->product, upgrade->to_version, &release, error))
		return -(int)error->code;
	if (release.halted)
		return error_set(error, ERROR_NOT_NOW, "halt", "release %s is halted: %s", release.version,
				 release.halt_reason);
	if (release.yanked)
		return error_set(error, ERROR_NOT_NOW, "halt", "release %s was yanked: %s", release.version,
				 release.yank_reason);
	*ret_held = "entitlement";
	return store_gate_entitled(engine->store, upgrade->appliance, upgrade->to_version, STORE_GATE_MANAGED,
				   engine->lapsed, at, error);
}

int gates_calendar(struct engine *engine, const struct store_upgrade *upgrade, int64_t now, struct gates_room *ret_room,
		   struct error *error)
{
	CLEANUP(store_gate_calendar_free) struct store_gate_calendar calendar = {0};
	struct gates_room room = {.ends = upgrade->ends, .last_start = upgrade->last_start};
	struct occurrence open;
	if (!upgrade->rollback) {
		if (store_gate_calendar(engine->store, upgrade->appliance, upgrade->to_version, &calendar, error) ||
		    window_set_open(&calendar.windows, &calendar.query, now, &open, error))
			return -(int)error->code;
		if (open.end < room.ends)
			room.ends = open.end;
		if (open.last_start < room.last_start)
			room.last_start = open.last_start;
	}
	*ret_room = room;
	return 0;
}
