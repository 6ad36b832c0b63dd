#include "orchestrator/store/store_import.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"

static const char *const state_names[] = {"requested", "running", "done", "refused"};

#define COLUMNS "id, directory, requested_by, state, code, detail"

static int read_row(struct store_query *query, struct store_import *ret_import, struct error *error)
{
	const char *state = store_query_text(query, 3);
	size_t index = 0;
	while (index < ARRAY_SIZE(state_names) && strcmp(state_names[index], state))
		index++;
	if (index == ARRAY_SIZE(state_names))
		return error_set(error, ERROR_DATA, "format", "an import has the unknown state \"%.32s\"", state);
	ret_import->id = store_query_integer(query, 0);
	store_query_copy(query, 1, ret_import->directory, sizeof ret_import->directory);
	store_query_copy(query, 2, ret_import->requested_by, sizeof ret_import->requested_by);
	ret_import->state = (enum store_import_state)index;
	ret_import->code = (int)store_query_integer(query, 4);
	store_query_copy(query, 5, ret_import->detail, sizeof ret_import->detail);
	return 0;
}

int store_import_request(struct store *store, const char *directory, const char *actor, int64_t now, int64_t *ret_id,
			 struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	if (strlen(directory) >= sizeof((struct store_import *)0)->directory)
		return error_set(error, ERROR_USAGE, "length", "the path of an import has at most %zu bytes",
				 sizeof((struct store_import *)0)->directory - 1);
	if (store_begin(store, &transaction, error) ||
	    store_change(store, NULL, error,
			 "INSERT INTO import (directory, requested_by, requested, state) VALUES (?, ?, ?, 'requested')",
			 "ssi", directory, actor, now))
		return -(int)error->code;
	int64_t id = store_last_id(store);
	if (store_audit_append(store, actor, "release import", directory, "asked", error) ||
	    store_commit(&transaction, error))
		return -(int)error->code;
	*ret_id = id;
	return 0;
}

int store_import_get(struct store *store, int64_t id, struct store_import *ret_import, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error, "SELECT " COLUMNS " FROM import WHERE id = ?", "i", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-import", "there is no import %lld", (long long)id);
	return read_row(query, ret_import, error);
}

int store_import_take(struct store *store, struct store_import *ret_import, bool *ret_found, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false, more = false;
	if (store_query(store, &query, error,
			"UPDATE import SET state = 'running' WHERE id = (SELECT min(id) FROM import WHERE state = "
			"'requested')"
			" RETURNING " COLUMNS,
			"") ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row && (read_row(query, ret_import, error) || store_query_next(query, &more, error)))
		return -(int)error->code;
	*ret_found = row;
	return 0;
}

int store_import_restart(struct store *store, struct error *error)
{
	return store_change(store, NULL, error, "UPDATE import SET state = 'requested' WHERE state = 'running'", "");
}

static int finish(struct store *store, int64_t id, const char *state, int64_t code, const char *detail,
		  struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_import import;
	if (store_begin(store, &transaction, error) || store_import_get(store, id, &import, error) ||
	    store_change(store, NULL, error, "UPDATE import SET state = ?, code = ?, detail = ? WHERE id = ?", "sisi",
			 state, code, detail, id) ||
	    store_audit_append(store, "engine", code ? "release import refused" : "release import done",
			       import.directory, detail, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_import_done(struct store *store, int64_t id, const char *detail, struct error *error)
{
	return finish(store, id, "done", 0, detail, error);
}

int store_import_refused(struct store *store, int64_t id, const struct error *why, struct error *error)
{
	char detail[sizeof why->text + sizeof why->name + 4];
	snprintf(detail, sizeof detail, "%s (%s)", why->text, why->name);
	return finish(store, id, "refused", why->code, detail, error);
}
