#include "orchestrator/store/store_fact.h"

int store_fact_get(struct store *store, const char *name, char ret_value[static STORE_FACT_SIZE], struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool found = false;
	int result = store_query(store, &query, error, "SELECT value FROM fact WHERE name = ?", "s", name);

	if (result == 0)
		result = store_query_next(query, &found, error);
	if (result < 0)
		return result;
	ret_value[0] = '\0';
	if (found)
		store_query_copy(query, 0, ret_value, STORE_FACT_SIZE);
	return 0;
}

int store_fact_set(struct store *store, const char *name, const char *value, struct error *error)
{
	return store_change(store, NULL, error,
			    "INSERT INTO fact (name, value) VALUES (?, ?)"
			    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			    "ss", name, value);
}
