/* The life of an upgrade as one table: a row an edge, with who may take it. The API and the engine both go through it
 * (store_upgrade_step); what the table does not name cannot happen. */
#ifndef STORE_UPGRADE_EDGES_H
#define STORE_UPGRADE_EDGES_H

#include "base/error.h"

enum upgrade_state {
	UPGRADE_NONE, /* before the row is there */
	UPGRADE_REQUESTED,
	UPGRADE_BOOKED,
	UPGRADE_STAGING,
	UPGRADE_STAGED,
	UPGRADE_DUE,
	UPGRADE_RUNNING,
	UPGRADE_COMMITTED,
	UPGRADE_ROLLED_BACK,
	UPGRADE_NEEDS_HUMAN,
	UPGRADE_HELD,
	UPGRADE_MISSED,
	UPGRADE_CANCELLED,
	UPGRADE_UNKNOWN,
	UPGRADE_STATES
};

enum upgrade_owner { UPGRADE_TECHNICIAN, UPGRADE_CUSTOMER, UPGRADE_ENGINE, UPGRADE_HOOK, UPGRADE_OWNERS };

struct upgrade_edge {
	enum upgrade_state from, to;
	enum upgrade_owner owner;
	const char *verb; /* what was done: book, approve, decline, pause, …; for the history and the manual */
};

extern const struct upgrade_edge upgrade_edges[];
extern const size_t upgrade_edges_count;

/* NULL when `owner` may not take it. */
const struct upgrade_edge *upgrade_edges_find(enum upgrade_state from, enum upgrade_state to, enum upgrade_owner owner);
bool upgrade_edges_final(enum upgrade_state state); /* committed, rolled-back, cancelled */

const char *upgrade_state_name(enum upgrade_state state); /* "rolled-back"; "" for none */
int upgrade_state_read(const char *name, enum upgrade_state *ret_state, struct error *error) MUST_CHECK;
const char *upgrade_owner_name(enum upgrade_owner owner);

#endif
