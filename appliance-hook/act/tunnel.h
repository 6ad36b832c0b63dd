/* Is the control tunnel up? act has no network: it asks `serve`, over the same socket as the command line does. */
#ifndef ACT_TUNNEL_H
#define ACT_TUNNEL_H

#include "appliance-hook/settings.h"

enum tunnel_standing {
	TUNNEL_UNKNOWN, /* serve does not answer */
	TUNNEL_CLOSED,  /* nobody has opened it, or its time is over */
	TUNNEL_WAITING, /* open here, and not connected */
	TUNNEL_UP,
};

struct tunnel {
	enum tunnel_standing standing;
	bool permanent; /* a restart of the machine does not close it */
};

struct tunnel tunnel_ask(const struct hook_settings *settings);

/* A line whose far end has gone is noticed only after its silence: what is up may be a word of before. */
enum tunnel_line {
	TUNNEL_LINE_NEW, /* the machine has restarted: whatever is up was opened since */
	TUNNEL_LINE_OLD, /* it counts once it was lost and is back, or when it outlives that silence */
};

/* Waits until it is up, at most the configured time and not past `until` (clock_ticks_ms). One that was closed
 * meanwhile, by the customer or by its time, is not waited for: *ret_up is false then. ERROR_NOT_NOW "tunnel", or
 * "window". */
int tunnel_wait(const struct hook_settings *settings, enum tunnel_line line, int64_t until, bool *ret_up,
		struct error *error) MUST_CHECK;

#endif
