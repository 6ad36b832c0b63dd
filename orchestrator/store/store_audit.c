#include "orchestrator/store/store_audit.h"

#include <string.h>

#include "base/clock.h"

struct row {
	int64_t seq, at;
	const char *actor, *action, *object, *detail;
};

static void hash_number(struct hash_state *state, uint64_t number)
{
	uint8_t bytes[8];
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (56 - 8 * i));
	hash_update(state, bytes, sizeof bytes);
}

/* Each text with its length before it, so that no two rows give the same bytes. */
static void hash_row(const struct row *row, const uint8_t previous[static HASH_SIZE],
		     uint8_t ret_hash[static HASH_SIZE])
{
	struct hash_state state;
	hash_begin(&state, HASH_BLAKE2B);
	hash_number(&state, (uint64_t)row->seq);
	hash_update(&state, previous, HASH_SIZE);
	hash_number(&state, (uint64_t)row->at);
	const char *const texts[] = {row->actor, row->action, row->object, row->detail};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		hash_number(&state, strlen(texts[i]));
		hash_update(&state, texts[i], strlen(texts[i]));
	}
	hash_end(&state, ret_hash);
}

int store_audit_head(struct store *store, uint8_t ret_head[static HASH_SIZE], int64_t *ret_seq, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", "") ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	uint8_t head[HASH_SIZE] = {0};
	if (row && store_query_hash(query, 1, head, error))
		return -(int)error->code;
	*ret_seq = row ? store_query_integer(query, 0) : 0;
	memcpy(ret_head, head, HASH_SIZE);
	return 0;
}

int store_audit_append(struct store *store, const char *actor, const char *action, const char *object,
		       const char *detail, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	uint8_t previous[HASH_SIZE], hash[HASH_SIZE];
	int64_t last = 0;
	if (store_begin(store, &transaction, error) || store_audit_head(store, previous, &last, error))
		return -(int)error->code;
	struct row row = {last + 1, clock_now(), actor, action, object, detail ? detail : ""};
	hash_row(&row, previous, hash);
	if (store_change(store, NULL, error,
			 "INSERT INTO audit (seq, at, actor, action, object, detail, previous, hash)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			 "iisssshh", row.seq, row.at, row.actor, row.action, row.object, row.detail, previous, hash))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

static int verify_row(struct store_query *query, int64_t expected, const uint8_t previous[static HASH_SIZE],
		      uint8_t ret_hash[static HASH_SIZE], struct error *error)
{
	struct row row = {store_query_integer(query, 0), store_query_integer(query, 1), store_query_text(query, 2),
			  store_query_text(query, 3),    store_query_text(query, 4),    store_query_text(query, 5)};
	uint8_t stored_previous[HASH_SIZE], stored[HASH_SIZE], hash[HASH_SIZE];
	if (row.seq != expected)
		return error_set(error, ERROR_DATA, "audit", "audit row %lld is missing: row %lld follows row %lld",
				 (long long)expected, (long long)row.seq, (long long)(expected - 1));
	if (store_query_hash(query, 6, stored_previous, error) || store_query_hash(query, 7, stored, error))
		return error_prefix(error, "audit row %lld", (long long)row.seq);
	hash_row(&row, previous, hash);
	if (!hash_equal(stored_previous, previous) || !hash_equal(stored, hash))
		return error_set(error, ERROR_DATA, "audit",
				 "audit row %lld was changed after it was written: its hash does not fit",
				 (long long)row.seq);
	memcpy(ret_hash, hash, HASH_SIZE);
	return 0;
}

int store_audit_verify(struct store *store, const uint8_t *head, int64_t *ret_rows, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	uint8_t previous[HASH_SIZE] = {0};
	bool seen = false;
	int64_t rows = 0;
	if (store_query(store, &query, error,
			"SELECT seq, at, actor, action, object, detail, previous, hash FROM audit ORDER BY seq", ""))
		return -(int)error->code;
	for (bool row = true;; rows++) {
		if (store_query_next(query, &row, error))
			return -(int)error->code;
		if (!row)
			break;
		if (verify_row(query, rows + 1, previous, previous, error))
			return -(int)error->code;
		seen = seen || (head && hash_equal(head, previous));
	}
	if (head && !seen)
		return error_set(
			error, ERROR_DATA, "audit",
			"the given head stands nowhere in the audit log: its end was cut off or it is another log");
	*ret_rows = rows;
	return 0;
}

int store_audit_list(struct store *store, int64_t after, const char *object, int64_t most, json_t **ret_rows,
		     struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT * FROM (SELECT seq, at, actor, action, object, detail, hash FROM audit"
			  " WHERE seq > ?1 AND (?2 IS NULL OR object = ?2) ORDER BY seq DESC LIMIT ?3) ORDER BY seq",
			  "isi", after, object, most);
}
