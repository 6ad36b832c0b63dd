/* The supervisor: starts each role of nightshiftd with only the descriptors of its row, starts it again when it dies,
 * and introduces the new one to its peers. It holds no store, no connection and no key but the hub's host key, which it
 * hands to each new hub. */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "orchestrator/settings.h"

/* Runs until SIGTERM or SIGINT. Roles are started as `nightshiftd role NAME`. */
int supervisor_run(const struct settings *settings, struct error *error) MUST_CHECK;

#endif
