/* The root process of the appliance: no network, no foreign bytes, a closed list of requests. */
#ifndef ACT_ACT_H
#define ACT_ACT_H

#include "appliance-hook/settings.h"

/* `check_fd`: from check's main process {"session":N,"uid":U,"gid":G} with a descriptor for each session, for which a
 * handler is forked. Ends, with 0, when either end closes or on SIGTERM; handlers that are at work go on. Returns an
 * exit code. */
int act_main(int parent_fd, int check_fd, const struct hook_settings *settings) MUST_CHECK;

#endif
