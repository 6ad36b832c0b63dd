#include "orchestrator/engine/pace.h"

#include <stdio.h>

/* The generic cell rate algorithm: one number a name, the time at which all that was allowed would have come at the
 * steady rate. */
bool pace_allow(json_t **table, const struct pace *pace, const char *name, int64_t ticks)
{
	char key[160];
	if (!*table)
		*table = json_object();
	snprintf(key, sizeof key, "%s/%s", pace->kind, name);
	int64_t due = json_integer_value(json_object_get(*table, key));
	if (due < ticks)
		due = ticks;
	if (due - ticks > (pace->burst - 1) * pace->interval_ms)
		return false;
	/* Without memory for the entry nothing is counted: that must not stop an upgrade. */
	if (json_object_set_new(*table, key, json_integer(due + pace->interval_ms)))
		return true;
	return true;
}
