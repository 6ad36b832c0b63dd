#include "orchestrator/store/store_tunnel.h"

int store_tunnel_clear(struct store *store, struct error *error)
{
	return store_change(store, NULL, error, "DELETE FROM tunnel", "");
}

int store_tunnel_put(struct store *store, const struct store_tunnel *tunnel, struct error *error)
{
	return store_change(
		store, NULL, error,
		"INSERT OR REPLACE INTO tunnel (appliance, since, address, transport, scope, until, last_seen)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)",
		"sisssii", tunnel->appliance, tunnel->since, tunnel->address, tunnel->transport, tunnel->scope,
		tunnel->until, tunnel->last_seen);
}

int store_tunnel_seen(struct store *store, const char *appliance, int64_t now, struct error *error)
{
	return store_change(store, NULL, error, "UPDATE tunnel SET last_seen = ?2 WHERE appliance = ?1", "si",
			    appliance, now);
}

int store_tunnel_remove(struct store *store, const char *appliance, struct error *error)
{
	return store_change(store, NULL, error, "DELETE FROM tunnel WHERE appliance = ?", "s", appliance);
}

int store_tunnel_get(struct store *store, const char *appliance, struct store_tunnel *ret_tunnel, bool *ret_found,
		     struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT appliance, since, address, transport, scope, until, last_seen FROM tunnel WHERE "
			"appliance = ?",
			"s", appliance) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row) {
		store_query_copy(query, 0, ret_tunnel->appliance, sizeof ret_tunnel->appliance);
		ret_tunnel->since = store_query_integer(query, 1);
		store_query_copy(query, 2, ret_tunnel->address, sizeof ret_tunnel->address);
		store_query_copy(query, 3, ret_tunnel->transport, sizeof ret_tunnel->transport);
		store_query_copy(query, 4, ret_tunnel->scope, sizeof ret_tunnel->scope);
		ret_tunnel->until = store_query_integer(query, 5);
		ret_tunnel->last_seen = store_query_integer(query, 6);
	}
	*ret_found = row;
	return 0;
}

int store_tunnel_list(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(
		store, ret_rows, error,
		"SELECT t.appliance, c.customer, t.since, t.address, t.transport, t.scope, t.until, t.last_seen,"
		" a.version, a.skew, a.duplicate FROM tunnel t JOIN appliance a ON a.name = t.appliance"
		" JOIN contract c ON c.id = a.contract ORDER BY t.appliance",
		"");
}
