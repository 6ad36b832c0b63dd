/* Inside the store only: store.c and store_query.c, the two files that meet SQLite. */
#ifndef STORE_STORE_HANDLE_H
#define STORE_STORE_HANDLE_H

#include <sqlite3.h>

#include "orchestrator/store/store.h"

struct store {
	sqlite3 *database;
	int depth; /* of open transactions: 1 is BEGIN, deeper ones are savepoints */
};

/* SQLite's last word on this connection as an error; `what` is the thing that was tried. */
int store_handle_error(struct store *store, int result, const char *what, struct error *error);
/* Statements without values: pragmas, migrations, transactions. */
int store_handle_execute(struct store *store, const char *sql, const char *what, struct error *error) MUST_CHECK;

#endif
