#include "orchestrator/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "orchestrator/store/store_handle.h"
#include "store_migrations.h"

/* What SQLite says, as our classes. The first row whose bits match the extended code wins. */
static const struct {
	int result;
	enum error_code code;
	const char *name;
} results[] = {
	{SQLITE_CONSTRAINT_UNIQUE, ERROR_CANNOT_CREATE, "exists"},
	{SQLITE_CONSTRAINT_PRIMARYKEY, ERROR_CANNOT_CREATE, "exists"},
	{SQLITE_CONSTRAINT_FOREIGNKEY, ERROR_DATA, "missing"},
	{SQLITE_CONSTRAINT_CHECK, ERROR_DATA, "format"},
	{SQLITE_CONSTRAINT_NOTNULL, ERROR_DATA, "format"},
	{SQLITE_CONSTRAINT_DATATYPE, ERROR_BUG, "store"},
	{SQLITE_BUSY, ERROR_NOT_NOW, "busy"},
	{SQLITE_LOCKED, ERROR_NOT_NOW, "busy"},
	{SQLITE_FULL, ERROR_CANNOT_CREATE, "disk"},
	{SQLITE_IOERR, ERROR_CANNOT_CREATE, "disk"},
	{SQLITE_READONLY, ERROR_CANNOT_CREATE, "disk"},
	{SQLITE_CANTOPEN, ERROR_CANNOT_CREATE, "open"},
	{SQLITE_CORRUPT, ERROR_DATA, "store-damaged"},
	{SQLITE_NOTADB, ERROR_DATA, "store-damaged"},
};

int store_handle_error(struct store *store, int result, const char *what, struct error *error)
{
	const char *text = store->database ? sqlite3_errmsg(store->database) : sqlite3_errstr(result);
	int extended = store->database ? sqlite3_extended_errcode(store->database) : result;
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (results[i].result == extended || results[i].result == (extended & 0xff))
			return error_set(error, results[i].code, results[i].name, "%s: %s", what, text);
	return error_set(error, ERROR_BUG, "store", "%s: %s", what, text);
}

int store_handle_execute(struct store *store, const char *sql, const char *what, struct error *error)
{
	int result = sqlite3_exec(store->database, sql, NULL, NULL, NULL);
	return result == SQLITE_OK ? 0 : store_handle_error(store, result, what, error);
}

int store_shape(void)
{
	return (int)ARRAY_SIZE(migrations);
}

static int read_version(struct store *store, int *ret_version, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error, "PRAGMA user_version", "") || store_query_next(query, &row, error))
		return -(int)error->code;
	*ret_version = row ? (int)store_query_integer(query, 0) : 0;
	return 0;
}

/* One step in one transaction; the version is read again inside it, since another process may have come first. */
static int migrate_step(struct store *store, int target, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int version = 0;
	if (store_begin(store, &transaction, error) || read_version(store, &version, error))
		return -(int)error->code;
	if (version >= target)
		return 0;
	char what[32], pragma[48];
	snprintf(what, sizeof what, "migration %03d", version + 1);
	snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", version + 1);
	if (store_handle_execute(store, migrations[version], what, error) ||
	    store_handle_execute(store, pragma, what, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

static int migrate(struct store *store, const char *path, int target, struct error *error)
{
	int version = 0;
	if (read_version(store, &version, error))
		return -(int)error->code;
	if (version > store_shape())
		return error_set(error, ERROR_CONFIG, "store-version",
				 "the store %s has shape %d and this program knows %d: install the newer nightshiftd",
				 path, version, store_shape());
	while (version < target)
		if (migrate_step(store, target, error) || read_version(store, &version, error))
			return -(int)error->code;
	return 0;
}

/* The file before SQLite sees it, so that it (and the -wal and -shm that inherit its mode) is nobody else's. */
static int make_private(const char *path, struct error *error)
{
	CLEANUP(file_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "open", "the store %s cannot be opened", path);
	return 0;
}

/* Two processes that make the store together: SQLite's own patience does not cover the change to WAL. */
static int enter_wal(struct store *store, const char *path, struct error *error)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	for (int64_t deadline = clock_ticks_ms() + STORE_BUSY_MS;;) {
		if (store_handle_execute(store, "PRAGMA journal_mode = WAL", path, error) == 0)
			return 0;
		if (strcmp(error->name, "busy") || clock_ticks_ms() >= deadline)
			return -(int)error->code;
		nanosleep(&pause, NULL);
	}
}

int store_open_at(const char *path, int version, struct store **ret_store, struct error *error)
{
	if (make_private(path, error))
		return -(int)error->code;
	CLEANUP(store_free) struct store *store = calloc(1, sizeof *store);
	if (!store)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the store");
	int result = sqlite3_open_v2(path, &store->database,
				     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (result != SQLITE_OK)
		return store_handle_error(store, result, path, error);
	sqlite3_busy_timeout(store->database, STORE_BUSY_MS);
	sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (store_handle_execute(store,
				 "PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
				 path, error) ||
	    enter_wal(store, path, error) || migrate(store, path, version, error))
		return -(int)error->code;
	*ret_store = TAKE(store);
	return 0;
}

int store_open(const char *path, struct store **ret_store, struct error *error)
{
	return store_open_at(path, store_shape(), ret_store, error);
}

void store_free(struct store **store)
{
	if (!*store)
		return;
	sqlite3_close_v2((*store)->database);
	free(*store);
	*store = NULL;
}

int store_data_version(struct store *store, int64_t *ret_version, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error, "PRAGMA data_version", "") || store_query_next(query, &row, error))
		return -(int)error->code;
	*ret_version = row ? store_query_integer(query, 0) : 0;
	return 0;
}

bool store_in_transaction(const struct store *store)
{
	return store->depth > 0;
}

static void savepoint_text(char text[static 32], const char *verb, int depth)
{
	snprintf(text, 32, "%s step%d", verb, depth);
}

int store_begin(struct store *store, struct store_transaction *ret_transaction, struct error *error)
{
	char text[32] = "BEGIN IMMEDIATE";
	if (store->depth > 0)
		savepoint_text(text, "SAVEPOINT", store->depth);
	if (store_handle_execute(store, text, "begin a change", error))
		return -(int)error->code;
	store->depth++;
	*ret_transaction = (struct store_transaction){.store = store, .depth = store->depth};
	return 0;
}

int store_commit(struct store_transaction *transaction, struct error *error)
{
	struct store *store = transaction->store;
	if (!store || store->depth != transaction->depth)
		return error_set(error, ERROR_BUG, "store", "a change was committed out of its order");
	char text[32] = "COMMIT";
	if (transaction->depth > 1)
		savepoint_text(text, "RELEASE", transaction->depth - 1);
	if (store_handle_execute(store, text, "commit a change", error))
		return -(int)error->code; /* still open: store_rollback ends it */
	store->depth--;
	transaction->store = NULL;
	return 0;
}

void store_rollback(struct store_transaction *transaction)
{
	struct store *store = transaction->store;
	if (!store)
		return;
	transaction->store = NULL;
	store->depth = transaction->depth - 1;
	/* After a full disk SQLite may have rolled the whole back by itself. */
	if (sqlite3_get_autocommit(store->database))
		return;
	char text[32] = "ROLLBACK";
	if (transaction->depth > 1) {
		savepoint_text(text, "ROLLBACK TO", transaction->depth - 1);
		sqlite3_exec(store->database, text, NULL, NULL, NULL);
		savepoint_text(text, "RELEASE", transaction->depth - 1);
	}
	sqlite3_exec(store->database, text, NULL, NULL, NULL);
}
