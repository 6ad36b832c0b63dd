/* The ways to a release that need no support centre at the moment: a mirror of its repository, and a file that somebody
 * carried here. Both answer FETCH on the session's stream; what they give is verified as ever. */
#ifndef CHECK_HUBLESS_H
#define CHECK_HUBLESS_H

#include "appliance-hook/check/session.h"

/* Outcomes as pull_run's. The mirror's own timestamp is all that tells how fresh it is; the entitlement is the one that
 * was received last. */
int hubless_mirror(struct session *session, json_t **ret_outcome, struct error *error) MUST_CHECK;
/* The file's offline grant stands in for the timestamp, and says which release. */
int hubless_file(struct session *session, json_t **ret_outcome, struct error *error) MUST_CHECK;

#endif
