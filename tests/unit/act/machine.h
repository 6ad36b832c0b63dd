/* A machine that restarts, around a fixture: a boot id of its own, and a reboot command that ends everything of the
 * hook that runs, as the end of a machine does. Programs that use it are linked with --wrap=clock_boot_id.
 *
 * DIRECTORY/boots   how often it was started
 * DIRECTORY/stuck   there: a restart that is asked for never comes
 * DIRECTORY/loader  there: run as it starts */
#ifndef TESTS_ACT_MACHINE_H
#define TESTS_ACT_MACHINE_H

#include "tests/unit/act/fixture.h"

/* Around a fixture that was made: its configuration gets `reboot`, and `extra` (NULL: nothing). */
void machine_make(struct fixture *fixture, const char *extra);
/* Around one that was made so before, in another process or on another disk. */
void machine_open(struct fixture *fixture);
bool machine_is_open(void);
void machine_close(void); /* back to the boot id of this very machine */

int machine_boots(struct fixture *fixture);
/* Power is cut: the watchers die, the boot id is another. Nobody has resumed yet. */
void machine_cut(struct fixture *fixture);

typedef int machine_deed(struct fixture *fixture, const char *sha256);
/* The deed in a process of its own, which the machine takes with it when it restarts. Returns its wait status. */
int machine_do(struct fixture *fixture, machine_deed *deed, const char *sha256);

/* What follows by itself: `resume` whenever the machine has come up and once before (a person, or a boot), the
 * watchers, until nothing is open any more. Fails after a minute. */
enum journal_stage machine_settle(struct fixture *fixture);

/* Stages and switches on this machine, and waits for what becomes of it. */
enum journal_stage machine_upgrade(struct fixture *fixture, const char *upgrade, const char *version, unsigned kind);

#endif
