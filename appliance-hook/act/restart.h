/* A restart of the machine as a step of a run. The journal says what was asked for before it is asked, each line with
 * the boot id, and the next line on another boot is how a restart is known to have happened. */
#ifndef ACT_RESTART_H
#define ACT_RESTART_H

#include "appliance-hook/act/run.h"

#define RESTART_TRIES      2 /* a machine that was asked so often and still runs is not asked again */
#define RESTART_BOOTS_MOST 3 /* a release that was not found good in so many starts is gone back from */

/* ERROR_NOT_NOW "restart": nothing is configured for it, or the kernel has no boot id to know it by. */
int restart_is_possible(const struct hook_settings *settings, struct error *error) MUST_CHECK;

/* Does the step `name`: asks, and waits to be ended by it. Returns only when the machine still runs. */
int restart_machine(struct run *run, const char *name, struct error *error) MUST_CHECK;

/* As long as a machine that was asked may take to go down. */
void restart_wait(const struct hook_settings *settings);

/* Whether the machine has restarted since the journal's last line. */
bool restart_happened(const struct journal_state *state);

#endif
