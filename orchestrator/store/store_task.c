#include "orchestrator/store/store_task.h"

#include <string.h>

#include "orchestrator/store/store_audit.h"

int store_task_add(struct store *store, const char *kind, const char *target, const char *argument, const char *actor,
		   int64_t now, int64_t *ret_id, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	if (store_begin(store, &transaction, error) ||
	    store_change(store, NULL, error,
			 "INSERT INTO task (kind, target, argument, requested_by, requested) VALUES (?, ?, ?, ?, ?)",
			 "ssssi", kind, target, argument, actor, now))
		return -(int)error->code;
	int64_t id = store_last_id(store);
	/* A dry run changes nothing and leaves no trace. */
	if ((strcmp(kind, "plan") && store_audit_append(store, actor, kind, target, argument, error)) ||
	    store_commit(&transaction, error))
		return -(int)error->code;
	*ret_id = id;
	return 0;
}

static void read_task(struct store_query *query, struct store_task *ret_task)
{
	ret_task->id = store_query_integer(query, 0);
	store_query_copy(query, 1, ret_task->kind, sizeof ret_task->kind);
	store_query_copy(query, 2, ret_task->target, sizeof ret_task->target);
	store_query_copy(query, 3, ret_task->argument, sizeof ret_task->argument);
	store_query_copy(query, 4, ret_task->requested_by, sizeof ret_task->requested_by);
	ret_task->requested = store_query_integer(query, 5);
}

int store_task_next(struct store *store, int64_t after, struct store_task *ret_task, bool *ret_found,
		    struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(
		    store, &query, error,
		    "SELECT id, kind, target, argument, requested_by, requested FROM task WHERE done IS NULL AND id > ?"
		    " ORDER BY id LIMIT 1",
		    "i", after) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row)
		read_task(query, ret_task);
	*ret_found = row;
	return 0;
}

int store_task_get(struct store *store, int64_t id, struct store_task *ret_task, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT id, kind, target, argument, requested_by, requested FROM task WHERE id = ?", "i", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-task", "there is no task %lld", (long long)id);
	read_task(query, ret_task);
	return 0;
}

int store_task_done(struct store *store, int64_t id, const json_t *result, int64_t now, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(1024 * 1024);
	if (jsonio_write(result, false, &text, error))
		return -(int)error->code;
	return store_change(store, NULL, error, "UPDATE task SET done = ?, result = ? WHERE id = ?", "isi", now,
			    (const char *)text.data, id);
}

int store_task_result(struct store *store, int64_t id, bool *ret_done, json_t **ret_result, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	CLEANUP(jsonio_free) json_t *result = NULL;
	bool row = false;
	if (store_query(store, &query, error, "SELECT done IS NOT NULL, result FROM task WHERE id = ?", "i", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-task", "there is no task %lld", (long long)id);
	bool done = store_query_integer(query, 0) != 0;
	const char *text = store_query_text(query, 1);
	if (done && jsonio_parse(text, strlen(text), "result of a task", &result, error))
		return -(int)error->code;
	*ret_done = done;
	if (done)
		*ret_result = TAKE(result);
	return 0;
}
