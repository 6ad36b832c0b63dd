/* All connections of one hub thread: takes them in within the caps, knows them by key and name, obeys the engine. */
#ifndef HUB_SWITCHBOARD_H
#define HUB_SWITCHBOARD_H

#include "orchestrator/hub/desk.h"
#include "orchestrator/hub/roster.h"
#include "orchestrator/hub/wire.h"

struct session;

/* Read by the sessions of the board; written by the board, but for the list and the counters that session.c keeps. */
struct switchboard {
	struct loop *loop;
	struct wire *wire;
	struct roster *roster;
	struct desk *desk;
	bool ready; /* the engine's whole table is there */
	struct session *sessions;
	uint64_t last_number;
	size_t total, half_open;
	int *listeners;
	size_t listener_count;
	uint64_t tick_timer, pause_timer;
};

/* Takes the wire. */
int switchboard_new(struct loop *loop, struct wire **wire, struct switchboard **ret_board,
		    struct error *error) MUST_CHECK;
void switchboard_free(struct switchboard **board);
/* Borrows `count` listening sockets, which must be non-blocking. */
int switchboard_listen(struct switchboard *board, const int *listeners, size_t count, struct error *error) MUST_CHECK;
/* A new engine; nobody logs in until it says that it is ready. */
int switchboard_engine_take(struct switchboard *board, int fd, struct error *error) MUST_CHECK;

#endif
