/* The root process of the appliance: no network, no foreign bytes, a closed list of requests. */
#ifndef ACT_ACT_H
#define ACT_ACT_H

#include "appliance-hook/settings.h"

/* Handlers at a time. check has fewer sessions than this, but one that switches outlives its own. */
#define ACT_HANDLERS_MOST 32

/* `check_fd`: from check's main process {"session":N,"uid":U,"gid":G} with a descriptor for each session, for which a
 * handler is forked; past ACT_HANDLERS_MOST the session is told ERROR_NOT_NOW "busy". Ends, with 0, when either end
 * closes or on SIGTERM; handlers that are at work go on. Returns an exit code. */
int act_main(int parent_fd, int check_fd, const struct hook_settings *settings) MUST_CHECK;

#endif
