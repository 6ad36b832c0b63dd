/* `appliance-hook serve`: the parent of link, check and act, keeper of the tunnel's grant, and what the command line
 * talks to. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "appliance-hook/settings.h"

/* Until SIGTERM or SIGINT. A switch that act has begun goes on after it. */
int serve_run(const struct hook_settings *settings, struct error *error) MUST_CHECK;

#endif
