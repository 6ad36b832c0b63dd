#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "orchestrator/store/store_upgrade.h"

#define COLUMNS                                                                                                        \
	"id, appliance, action, product, from_version, to_version, state, held_for, held_from, needs, why, code,"      \
	" requested_by, approved_by, window_name, zone, local_start, tzdata, fixed, hold_when_missed, finish_overrun," \
	" starts, ends, last_start, coalesce(ha_group, ''), fence, owner, lease_until, blobs, blobs_done, bytes,"      \
	" bytes_done, step, abort, retry_at, created, changed"

static int read_row(struct store_query *query, struct store_upgrade *ret_upgrade, struct error *error)
{
	struct store_upgrade row = {0};
	int column = 0;
	const struct {
		char *text;
		size_t size;
	} head[] = {{row.id, sizeof row.id}, {row.appliance, sizeof row.appliance}};
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		store_query_copy(query, column++, head[i].text, head[i].size);
	row.rollback = !strcmp(store_query_text(query, column++), "rollback");
	store_query_copy(query, column++, row.product, sizeof row.product);
	store_query_copy(query, column++, row.from_version, sizeof row.from_version);
	store_query_copy(query, column++, row.to_version, sizeof row.to_version);
	if (upgrade_state_read(store_query_text(query, column++), &row.state, error))
		return -(int)error->code;
	store_query_copy(query, column++, row.held_for, sizeof row.held_for);
	const char *from = store_query_text(query, column++);
	if (*from && upgrade_state_read(from, &row.held_from, error))
		return -(int)error->code;
	store_query_copy(query, column++, row.needs, sizeof row.needs);
	store_query_copy(query, column++, row.why, sizeof row.why);
	row.code = (int)store_query_integer(query, column++);
	const struct {
		char *text;
		size_t size;
	} texts[] = {
		{row.requested_by, sizeof row.requested_by}, {row.approved_by, sizeof row.approved_by},
		{row.window_name, sizeof row.window_name},   {row.zone, sizeof row.zone},
		{row.local_start, sizeof row.local_start},   {row.tzdata, sizeof row.tzdata},
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		store_query_copy(query, column++, texts[i].text, texts[i].size);
	row.fixed = store_query_integer(query, column++) != 0;
	row.hold_when_missed = store_query_integer(query, column++) != 0;
	row.finish_overrun = store_query_integer(query, column++) != 0;
	row.starts = store_query_integer(query, column++);
	row.ends = store_query_integer(query, column++);
	row.last_start = store_query_integer(query, column++);
	store_query_copy(query, column++, row.ha_group, sizeof row.ha_group);
	row.fence = store_query_integer(query, column++);
	store_query_copy(query, column++, row.owner, sizeof row.owner);
	int64_t *const numbers[] = {&row.lease_until, &row.blobs, &row.blobs_done, &row.bytes, &row.bytes_done};
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		*numbers[i] = store_query_integer(query, column++);
	store_query_copy(query, column++, row.step, sizeof row.step);
	row.abort = store_query_integer(query, column++) != 0;
	row.retry_at = store_query_integer(query, column++);
	row.created = store_query_integer(query, column++);
	row.changed = store_query_integer(query, column++);
	*ret_upgrade = row;
	return 0;
}

int store_upgrade_get(struct store *store, const char *id, struct store_upgrade *ret_upgrade, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	struct store_upgrade found;
	if (store_query(store, &query, error,
			/* Ids are lower-case hexadecimal: a range, so that the index serves a beginning too. */
			"SELECT " COLUMNS " FROM upgrade WHERE id >= ?1 AND id < ?1 || 'g'"
			" AND (id = ?1 OR length(?1) >= 6) LIMIT 2",
			"s", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-upgrade",
				 "there is no upgrade %.32s: `nightshift upgrade list` shows them", id);
	if (read_row(query, &found, error) || store_query_next(query, &row, error))
		return -(int)error->code;
	if (row)
		return error_set(error, ERROR_DATA, "unknown-upgrade",
				 "more than one upgrade begins with %.32s: give more of its digits", id);
	*ret_upgrade = found;
	return 0;
}

int store_upgrade_claims(struct store *store, const char *id, int64_t *ret_count, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT count(*) FROM upgrade_event WHERE upgrade = ?1 AND from_state = 'due' AND to_state = "
			"'running'"
			" AND seq > (SELECT coalesce(max(seq), 0) FROM upgrade_event WHERE upgrade = ?1"
			" AND from_state = 'needs-human')",
			"s", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	*ret_count = row ? store_query_integer(query, 0) : 0;
	return 0;
}

int store_upgrade_current(struct store *store, const char *appliance, struct store_upgrade *ret_upgrade,
			  bool *ret_found, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT " COLUMNS " FROM upgrade WHERE appliance = ?"
			" AND state NOT IN ('committed','rolled-back','cancelled','missed')",
			"s", appliance) ||
	    store_query_next(query, &row, error) || (row && read_row(query, ret_upgrade, error)))
		return -(int)error->code;
	*ret_found = row;
	return 0;
}

int store_upgrade_open(struct store *store, struct store_upgrade **ret_upgrades, size_t *ret_count, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	CLEANUP(free_pointer) struct store_upgrade *upgrades = NULL;
	size_t count = 0, capacity = 0;
	if (store_query(store, &query, error,
			"SELECT " COLUMNS
			" FROM upgrade WHERE state NOT IN ('committed','rolled-back','cancelled','missed')"
			" ORDER BY starts, id",
			""))
		return -(int)error->code;
	for (bool row = true;; count++) {
		if (store_query_next(query, &row, error))
			return -(int)error->code;
		if (!row)
			break;
		struct store_upgrade *larger = list_grow(upgrades, count, &capacity, sizeof *upgrades);
		if (!larger)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for %zu upgrades", count);
		upgrades = larger;
		if (read_row(query, &upgrades[count], error))
			return -(int)error->code;
	}
	*ret_upgrades = TAKE(upgrades);
	*ret_count = count;
	return 0;
}

int store_upgrade_list(struct store *store, const char *appliance, const char *state, json_t **ret_rows,
		       struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT * FROM upgrade WHERE (?1 IS NULL OR appliance = ?1) AND (?2 IS NULL OR state = ?2)"
			  " ORDER BY created, id",
			  "ss", appliance, state);
}

/* The receipt's text was verified when it came; it is parsed again so that the answer is one document. */
static int add_receipt(struct store *store, const char *id, json_t *object, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	CLEANUP(jsonio_free) json_t *receipt = NULL;
	bool row = false;
	if (store_query(store, &query, error, "SELECT document FROM receipt WHERE upgrade = ?", "s", id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row) {
		const char *text = store_query_text(query, 0);
		if (jsonio_parse(text, strlen(text), "receipt", &receipt, error))
			return -(int)error->code;
	}
	if (json_object_set_new(object, "receipt", receipt ? TAKE(receipt) : json_null()))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a receipt");
	return 0;
}

int store_upgrade_show(struct store *store, const char *id, json_t **ret_object, struct error *error)
{
	struct store_upgrade upgrade;
	CLEANUP(jsonio_free) json_t *object = NULL, *events = NULL;
	if (store_upgrade_get(store, id, &upgrade, error) ||
	    store_row(store, &object, error, "SELECT * FROM upgrade WHERE id = ?", "s", upgrade.id) ||
	    store_rows(
		    store, &events, error,
		    "SELECT seq, at, actor, from_state AS \"from\", to_state AS \"to\", fence, text FROM upgrade_event"
		    " WHERE upgrade = ? ORDER BY seq",
		    "s", upgrade.id) ||
	    add_receipt(store, upgrade.id, object, error))
		return -(int)error->code;
	if (json_object_set_new(object, "events", TAKE(events)))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a history");
	*ret_object = TAKE(object);
	return 0;
}
