#include "orchestrator/store/store_window.h"

#include <string.h>

#include "base/inifile.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_customer.h"
#include "schedules/window.h"

const char *store_window_scope_name(enum store_window_scope scope)
{
	return scope == STORE_WINDOW_APPLIANCE ? "appliance" : "customer";
}

static int check_target(struct store *store, const struct store_window_change *change, struct error *error)
{
	struct store_appliance appliance;

	if (change->scope == STORE_WINDOW_CUSTOMER)
		return store_customer_check(store, change->name, error);
	return store_appliance_get(store, change->name, &appliance, error);
}

int store_window_set(struct store *store, const struct store_window_change *change, const char *file, const char *actor,
		     int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(window_set_free) struct window_set windows = {0};
	CLEANUP(buffer_free) struct buffer detail = BUFFER_INIT(INIFILE_SIZE_MOST + 4096);
	const char *scope = store_window_scope_name(change->scope);
	char tzdata[16];
	int result = window_set_parse(change->ini, strlen(change->ini), file, &windows, error);

	if (result == 0 && windows.count == 0)
		return error_set(error, ERROR_DATA, "window", "%s: holds no [window NAME]", file);
	zone_data_version(tzdata);
	/* The log holds what was agreed, word by word: it settles the dispute about which Tuesday was meant. */
	if (result == 0)
		result = buffer_printf(&detail, error, "%s%s%s\n%s", scope, change->requester[0] ? ", asked by " : "",
				       change->requester, change->ini);
	if (result == 0)
		result = store_begin(store, &transaction, error);
	if (result == 0)
		result = check_target(store, change, error);
	if (result == 0)
		result = store_change(
			store, NULL, error,
			"INSERT INTO target_window (scope, name, ini, tzdata, changed, changed_by, requester)"
			" VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, name) DO UPDATE SET"
			" ini = excluded.ini, tzdata = excluded.tzdata, changed = excluded.changed,"
			" changed_by = excluded.changed_by, requester = excluded.requester",
			"ssssiss", scope, change->name, change->ini, tzdata, now, actor, change->requester);
	if (result == 0)
		result = store_audit_append(store, actor, "window set", change->name, (const char *)detail.data, error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_window_row(struct store *store, enum store_window_scope scope, const char *name, json_t **ret_row,
		     struct error *error)
{
	return store_row(store, ret_row, error,
			 "SELECT scope, name, ini, tzdata, changed, changed_by, requester FROM target_window"
			 " WHERE scope = ? AND name = ?",
			 "ss", store_window_scope_name(scope), name);
}
