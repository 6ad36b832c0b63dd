/* The store: what is true at the support centre. SQLite behind this header; nothing else includes sqlite3.h, and SQL
 * stands only in orchestrator/store/.
 *
 * WAL, synchronous=FULL, foreign keys on, writers begin IMMEDIATE and wait for each other at most STORE_BUSY_MS. One
 * `struct store` is one connection; it belongs to one thread. Times are UTC seconds. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/hash.h"
#include "base/jsonio.h"

#define STORE_BUSY_MS   4000
#define STORE_NAME_SIZE 64  /* names of people, appliances, customers, versions; with the NUL */
#define STORE_TEXT_SIZE 512 /* sentences */

struct store;

/* Opens (makes, 0600) the file and brings it to the newest shape, each step in its own transaction. A store from a
 * newer program is ERROR_CONFIG "store-version". */
int store_open(const char *path, struct store **ret_store, struct error *error) MUST_CHECK;
void store_free(struct store **store); /* rolls back what is open */
/* The shape that this program knows, and for tests: migrates at most up to `version`. */
int store_shape(void);
int store_open_at(const char *path, int version, struct store **ret_store, struct error *error) MUST_CHECK;

/* Changes whenever another connection has committed (PRAGMA data_version). */
int store_data_version(struct store *store, int64_t *ret_version, struct error *error) MUST_CHECK;

/* Transactions: `CLEANUP(store_rollback) struct store_transaction transaction = {0};` then store_begin, then
 * store_commit as the last thing. What was not committed is rolled back at the end of the scope. A second store_begin
 * inside is a savepoint, so that functions that keep their own rows together may be called from a larger change. */
struct store_transaction {
	struct store *store;
	int depth;
};
int store_begin(struct store *store, struct store_transaction *ret_transaction, struct error *error) MUST_CHECK;
int store_commit(struct store_transaction *transaction, struct error *error) MUST_CHECK;
void store_rollback(struct store_transaction *transaction);
bool store_in_transaction(const struct store *store);

/* Statements. `format` has one letter a '?' of the SQL, in order:
 *   s  const char *              NULL binds NULL
 *   i  int64_t                   cast what is smaller
 *   h  const uint8_t [HASH_SIZE] NULL binds NULL
 *   b  const void *, size_t      a NULL pointer binds NULL
 *   n  nothing                   NULL
 * Strings and bytes are copied. A count that does not match is ERROR_BUG.
 *
 * Errors: a row that exists is ERROR_CANNOT_CREATE "exists", a row that is pointed at ERROR_DATA "missing", a CHECK
 * ERROR_DATA "format", a writer that waited too long ERROR_NOT_NOW "busy", a full disk ERROR_CANNOT_CREATE "disk". */
struct store_query;
int store_query(struct store *store, struct store_query **ret_query, struct error *error, const char *sql,
		const char *format, ...) MUST_CHECK;
int store_query_next(struct store_query *query, bool *ret_row, struct error *error) MUST_CHECK;
void store_query_free(struct store_query **query); /* CLEANUP */

/* Of the row that store_query_next gave; borrowed until the next call on this query. NULL reads as "", 0 and no bytes.
 */
const char *store_query_text(struct store_query *query, int column);
int64_t store_query_integer(struct store_query *query, int column);
const void *store_query_bytes(struct store_query *query, int column, size_t *ret_size);
bool store_query_null(struct store_query *query, int column);
/* Cut at size - 1; the schema's own bounds make that a matter of damaged files only. */
void store_query_copy(struct store_query *query, int column, char *ret_text, size_t size);
/* Exactly 32 bytes, otherwise ERROR_DATA "format". */
int store_query_hash(struct store_query *query, int column, uint8_t ret_hash[static HASH_SIZE],
		     struct error *error) MUST_CHECK;
/* The whole row as an object by column names (AS gives the name): text, integers, bytes as hexadecimal, null. */
int store_query_json(struct store_query *query, json_t **ret_object, struct error *error) MUST_CHECK;

/* One change; *ret_changed (may be NULL) gets the number of rows. */
int store_change(struct store *store, int64_t *ret_changed, struct error *error, const char *sql, const char *format,
		 ...) MUST_CHECK;
/* The rowid of the last insert. */
int64_t store_last_id(const struct store *store);
/* All rows as a JSON array of objects, for listings. */
int store_rows(struct store *store, json_t **ret_array, struct error *error, const char *sql, const char *format,
	       ...) MUST_CHECK;
/* The first row as an object; NULL when there is none. */
int store_row(struct store *store, json_t **ret_object, struct error *error, const char *sql, const char *format,
	      ...) MUST_CHECK;

#endif
