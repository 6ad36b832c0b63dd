/* The closed list of requests that a session may make of act (docs/ARCHITECTURE.md, "session → act"). */
#ifndef ACT_HANDLER_H
#define ACT_HANDLER_H

#include <sys/types.h>

#include "appliance-hook/settings.h"

/* Who must own what a session stages. */
struct handler_peer {
	uid_t uid;
	gid_t gid;
};

/* Answers requests one after another until the session closes its end. A switch that has begun ends whether or not
 * anybody listens. Runs in a process of its own. */
int handler_run(int session, const struct handler_peer *peer, const struct hook_settings *settings,
		struct error *error) MUST_CHECK;

#endif
