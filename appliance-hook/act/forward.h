/* The way forward, step by step, from the running release to the committed one. */
#ifndef ACT_FORWARD_H
#define ACT_FORWARD_H

#include "appliance-hook/act/run.h"

enum forward_from {
	FORWARD_FROM_STOP,    /* a run that has just begun */
	FORWARD_FROM_RESTART, /* the machine came back on the new release: start, health, tunnel */
};

/* Every step from there on, and the commit. A failure has put nothing back; *ret_blamed says whether it is the
 * release's own. Where the release restarts the machine this does not come back, or says that it did not restart. */
int forward_run(struct run *run, enum forward_from from, bool *ret_blamed, struct error *error) MUST_CHECK;

/* Everything was found good and only the commit is missing. */
bool forward_is_done(const struct journal_run *now);
/* Committed, old releases and snapshots trimmed. */
int forward_commit(struct run *run, struct error *error) MUST_CHECK;

#endif
