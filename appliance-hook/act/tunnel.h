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
	int64_t since;  /* clock_ticks_ms when its line came up; INT64_MIN where nobody says */
};

struct tunnel tunnel_ask(const struct hook_settings *settings);

/* Waits until it is up, at most the configured time and not past `until` (clock_ticks_ms). A line whose far end has
 * gone is noticed only after its silence: one that came up before `since` counts when it has outlived that, any later
 * one at once. One that was closed meanwhile, by the customer or by its time, is not waited for: *ret_up is false then.
 * ERROR_NOT_NOW "tunnel", or "window". */
int tunnel_wait(const struct hook_settings *settings, int64_t since, int64_t until, bool *ret_up,
		struct error *error) MUST_CHECK;

#endif
