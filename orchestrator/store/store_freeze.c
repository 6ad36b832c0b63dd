#include "orchestrator/store/store_freeze.h"

#include <string.h>

#include "base/inifile.h"
#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_customer.h"
#include "schedules/window.h"

#define CUSTOMER_SCOPE "customer:"

static int add_one(struct store *store, struct freeze *freeze, const char *actor, int64_t now, struct error *error)
{
	CLEANUP(buffer_free) struct buffer ini = BUFFER_INIT(INIFILE_SIZE_MOST);
	const struct freeze_set one = {.freezes = &freeze, .count = 1};
	const char *name = freeze_name(freeze), *scope = freeze_scope(freeze);
	int result = freeze_set_write(&one, &ini, error);

	if (result == 0 && strncmp(scope, CUSTOMER_SCOPE, strlen(CUSTOMER_SCOPE)) == 0)
		result = store_customer_check(store, scope + strlen(CUSTOMER_SCOPE), error);
	if (result == 0)
		result = store_change(store, NULL, error,
				      "INSERT INTO freeze (name, scope, ini, added, added_by) VALUES (?, ?, ?, ?, ?)",
				      "sssis", name, scope, (const char *)ini.data, now, actor);
	if (result < 0 && strcmp(error->name, "exists") == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "exists",
				 "freeze %s is there already: `nightshift freeze remove %s` first", name, name);
	if (result == 0)
		result = store_audit_append(store, actor, "freeze add", name, (const char *)ini.data, error);
	return result;
}

int store_freeze_add(struct store *store, const char *ini, const char *file, const char *actor, int64_t now,
		     json_t **ret_names, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(freeze_set_free) struct freeze_set set = {0};
	CLEANUP(jsonio_free) json_t *names = json_array();
	int result = freeze_set_parse(ini, strlen(ini), file, &set, error);

	if (result == 0 && set.count == 0)
		return error_set(error, ERROR_DATA, "freeze", "%s: holds no [freeze NAME]", file);
	if (result == 0)
		result = store_begin(store, &transaction, error);
	for (size_t i = 0; i < set.count && result == 0; i++) {
		result = add_one(store, set.freezes[i], actor, now, error);
		if (result == 0 && json_array_append_new(names, json_string(freeze_name(set.freezes[i]))) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the freezes");
	}
	if (result == 0)
		result = store_commit(&transaction, error);
	if (result == 0)
		*ret_names = TAKE(names);
	return result;
}

int store_freeze_remove(struct store *store, const char *name, const char *actor, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int64_t changed = 0;
	int result = store_begin(store, &transaction, error);

	if (result == 0)
		result = store_change(store, &changed, error, "DELETE FROM freeze WHERE name = ?", "s", name);
	if (result == 0 && changed == 0)
		return error_set(error, ERROR_DATA, "unknown-freeze",
				 "freeze %s is not known: `nightshift freeze list` shows those that are", name);
	if (result == 0)
		result = store_audit_append(store, actor, "freeze remove", name, "", error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_freeze_list(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error, "SELECT name, scope, ini, added, added_by FROM freeze ORDER BY name",
			  "");
}

int store_freeze_of_appliance(struct store *store, const char *customer, const char *tags, struct buffer *ret_ini,
			      struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	CLEANUP(buffer_free) struct buffer ini = BUFFER_INIT(ret_ini->limit);
	bool row = false;
	int result = store_query(store, &query, error,
				 "SELECT ini FROM freeze WHERE scope = 'vendor' OR scope = 'customer:' || ?1"
				 " OR (scope LIKE 'tag:%'"
				 "     AND instr(',' || ?2 || ',', ',' || substr(scope, 5) || ',') > 0)"
				 " ORDER BY name",
				 "ss", customer, tags);

	while (result == 0 && (result = store_query_next(query, &row, error)) == 0 && row) {
		result = buffer_append_string(&ini, store_query_text(query, 0), error);
		if (result == 0)
			result = buffer_append_string(&ini, "\n", error);
	}
	return result < 0 || ini.size == 0 ? result : buffer_append(ret_ini, ini.data, ini.size, error);
}
