/* What a new support centre needs once: directories, the hub's host key, the store with its first admin, and the
 * signer's keys. */
#ifndef SUPERVISOR_INIT_H
#define SUPERVISOR_INIT_H

#include "orchestrator/settings.h"

/* `nightshiftd --init --admin NAME --login UNIXUSER`. What stands already is kept; a store that has an admin is
 * ERROR_CANNOT_CREATE "exists". */
int init_centre(const struct settings *settings, const char *admin, const char *login, struct error *error) MUST_CHECK;

/* `nightshiftd keys init`: the order, timestamp and entitlement keys. Refused when one exists. */
int init_keys(const struct settings *settings, struct error *error) MUST_CHECK;
/* `nightshiftd keys show`: one line a key on stdout, name, id and the .pub file for `repo init`. */
int init_show_keys(const struct settings *settings, struct error *error) MUST_CHECK;

#endif
