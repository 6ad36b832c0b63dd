#include "orchestrator/store/store_technician.h"

#include <string.h>

#include "orchestrator/store/store_audit.h"

int store_technician_add(struct store *store, const struct store_technician *technician, const char *actor, int64_t now,
			 struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	char detail[128];
	int result = store_begin(store, &transaction, error);

	if (result == 0)
		result = store_change(store, NULL, error,
				      "INSERT INTO technician (name, login, public_key, role, added)"
				      " VALUES (?, ?, ?, ?, ?)",
				      "ssssi", technician->name, technician->login, technician->public_key,
				      technician->role, now);
	if (result < 0 && strcmp(error->name, "exists") == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "exists",
				 "technician %s or login %s is there already: `nightshift technician list` shows which",
				 technician->name, technician->login);
	if (result < 0 && strcmp(error->name, "format") == 0)
		return error_set(error, ERROR_DATA, "role",
				 "role \"%s\" must be admin, accounts, technician, approver or auditor",
				 technician->role);
	snprintf(detail, sizeof(detail), "login %.40s, role %s", technician->login, technician->role);
	if (result == 0)
		result = store_audit_append(store, actor, "technician add", technician->name, detail, error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_technician_by_login(struct store *store, const char *login, struct store_technician *ret_technician,
			      struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	struct store_technician technician = {0};
	bool found = false;
	int result =
		store_query(store, &query, error,
			    "SELECT name, login, public_key, role, added FROM technician WHERE login = ?", "s", login);

	if (result == 0)
		result = store_query_next(query, &found, error);
	if (result < 0)
		return result;
	if (!found)
		return error_set(error, ERROR_DATA, "unknown-technician", "no technician has the login %s", login);
	store_query_copy(query, 0, technician.name, sizeof(technician.name));
	store_query_copy(query, 1, technician.login, sizeof(technician.login));
	store_query_copy(query, 2, technician.public_key, sizeof(technician.public_key));
	store_query_copy(query, 3, technician.role, sizeof(technician.role));
	technician.added = store_query_integer(query, 4);
	*ret_technician = technician;
	return 0;
}

int store_technician_remove(struct store *store, const char *name, const char *actor, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(jsonio_free) json_t *row = NULL;
	int result = store_begin(store, &transaction, error);

	if (result == 0)
		result = store_row(store, &row, error,
				   "SELECT role, (SELECT count(*) FROM technician WHERE role = 'admin') AS admins"
				   " FROM technician WHERE name = ?",
				   "s", name);
	if (result < 0)
		return result;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-technician",
				 "technician %s is not known: `nightshift technician list` shows those that are", name);
	if (strcmp(jsonio_string(row, "role"), "admin") == 0 && jsonio_integer(row, "admins") < 2)
		return error_set(error, ERROR_NOT_PERMITTED, "last-admin",
				 "technician %s is the last admin: add another one first", name);
	result = store_change(store, NULL, error, "DELETE FROM technician WHERE name = ?", "s", name);
	if (result == 0)
		result = store_audit_append(store, actor, "technician remove", name, "", error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_technician_list(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT name, login, role, public_key, added FROM technician ORDER BY name", "");
}
