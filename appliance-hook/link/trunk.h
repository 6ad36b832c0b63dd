/* A connection to the hub that is wanted: the way out, the SSH connection, its streams, and trying again with full
 * jitter. Control: one stream, asked for anew when it ends, for ever while wanted. Bulk and pull: once their streams
 * end they are done. */
#ifndef LINK_TRUNK_H
#define LINK_TRUNK_H

#include "appliance-hook/link/home.h"
#include "base/loop.h"

#define TRUNK_TICKET_MOST 64

enum trunk_kind { TRUNK_CONTROL, TRUNK_BULK, TRUNK_PULL };

struct trunk;

struct trunk_events {
	/* "connecting", "connected", "closed"; `why` NULL when all is well. Not called for bulk. */
	void (*state)(void *context, enum trunk_kind kind, const char *state, const struct error *why);
	/* A stream's local end. */
	void (*stream)(void *context, enum trunk_kind kind, const char *ticket, int fd);
	/* It is over; called once, from the loop. The trunk is freed when this returns. */
	void (*done)(void *context, struct trunk *trunk);
};

struct trunk_wish {
	enum trunk_kind kind;
	const char *ticket; /* bulk */
	unsigned count;     /* bulk: streams */
	bool lasting;       /* control: a wrong host key is tried again too, at the longest delay */
};

struct trunk_world {
	struct loop *loop;
	int directory; /* of home_read */
	const struct link_settings *settings;
	const char *proxy_password;
	const struct trunk_events *events;
	void *context;
};

/* Starts at once. The world is borrowed. */
int trunk_new(const struct trunk_world *world, const struct trunk_wish *wish, struct trunk **ret_trunk,
	      struct error *error) MUST_CHECK;
/* Wanted no more: its descriptors close now; not from within an event. No event follows. */
void trunk_free(struct trunk **trunk);
const char *trunk_ticket(const struct trunk *trunk);

#endif
