/* The end of a machine of machine.h: everything of the hook that runs in its directory ends, and it is another boot. A
 * restart is this very program again, so that no shell has to look through all processes. */
#ifndef TESTS_ACT_OUTAGE_H
#define TESTS_ACT_OUTAGE_H

#include <stdbool.h>

#define OUTAGE_WORD "restart-machine" /* PROGRAM restart-machine DIRECTORY */

/* That restart: its exit code, -1 when the arguments are not those of one. Every main asks it first, by fixture_watch
 * or by itself. */
int outage_main(int argc, char **argv);
/* Whether it was asked: a program that did not would start its tests in place of the restart, and these restart
 * again. */
bool outage_can(void);

enum outage {
	OUTAGE_CUT,    /* nobody has asked for it */
	OUTAGE_RESTART /* asked for by the holder of the lock, who ends last; what guards the caller goes with him */
};
/* Ends every watcher, known by its configuration below `directory`. */
void outage_make(const char *directory, enum outage outage);
int outage_boots(const char *path); /* the number in that file */

#endif
