#include "orchestrator/store/store_status.h"

#include "orchestrator/store/store_lifetime.h"

static int count_upgrades(struct store *store, json_t **ret_counts, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	CLEANUP(jsonio_free) json_t *counts = json_object();
	bool row = false;
	int result = store_query(store, &query, error, "SELECT state, count(*) FROM upgrade GROUP BY state", "");

	while (result == 0 && (result = store_query_next(query, &row, error)) == 0 && row)
		if (json_object_set_new(counts, store_query_text(query, 0),
					json_integer(store_query_integer(query, 1))) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (result == 0)
		*ret_counts = TAKE(counts);
	return result;
}

/* Who still runs what was withdrawn: yanked, or named by no signed list any more. */
static int list_withdrawn(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT a.name AS appliance, c.customer, a.product, a.version,"
			  " CASE WHEN r.yanked AND r.yank_reason <> '' THEN r.yank_reason WHEN r.yanked THEN 'yanked'"
			  " ELSE 'the signed list names it no more' END AS reason"
			  " FROM appliance a JOIN contract c ON c.id = a.contract"
			  " JOIN release r ON r.product = a.product AND r.version = a.version"
			  " WHERE a.revoked IS NULL AND (r.yanked OR NOT r.listed) ORDER BY a.name",
			  "");
}

int store_status(struct store *store, int64_t now, json_t **ret_object, struct error *error)
{
	CLEANUP(jsonio_free) json_t *status = NULL;
	json_t *counts = NULL, *attention = NULL, *warnings = NULL, *withdrawn = NULL;
	int result = store_row(store, &status, error,
			       "SELECT ?1 AS time,"
			       " (SELECT count(*) FROM customer) AS customers,"
			       " (SELECT count(*) FROM appliance WHERE revoked IS NULL) AS appliances,"
			       " (SELECT count(*) FROM tunnel) AS connected,"
			       " (SELECT count(*) FROM appliance WHERE duplicate AND revoked IS NULL) AS duplicates,"
			       " (SELECT count(*) FROM contract WHERE ends <= ?1) AS lapsed,"
			       " (SELECT count(*) FROM release WHERE listed) AS releases,"
			       " (SELECT count(*) FROM release WHERE listed AND halted) AS halted,"
			       " (SELECT count(*) FROM audit) AS audit",
			       "i", now);

	if (result == 0)
		result = count_upgrades(store, &counts, error);
	if (result == 0 && json_object_set_new(status, "upgrades", counts) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (result == 0)
		result = store_rows(store, &attention, error,
				    "SELECT id, appliance, state, why FROM upgrade"
				    " WHERE state IN ('requested', 'needs-human', 'unknown', 'held') ORDER BY changed",
				    "");
	if (result == 0 && json_object_set_new(status, "attention", attention) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (result == 0)
		result = store_lifetime_warnings(store, now, &warnings, error);
	if (result == 0 && json_object_set_new(status, "warnings", warnings) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (result == 0)
		result = list_withdrawn(store, &withdrawn, error);
	if (result == 0 && json_object_set_new(status, "withdrawn", withdrawn) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	if (result == 0)
		*ret_object = TAKE(status);
	return result;
}
