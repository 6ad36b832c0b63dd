/* The dead-man's timer: a process outside the one that may die. It waits until the run has ended, or the lock is free
 * with the run unfinished, or the deadline has come; then it resumes. */
#ifndef ACT_WATCHER_H
#define ACT_WATCHER_H

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

/* The caller holds the lock. Runs `PROGRAM --config FILE watch UPGRADE HOLDER SEQ DEADLINE` in a session of its own, as
 * a transient unit where systemd is. Returns when the program has begun; a run without its watcher is not begun. */
int watcher_arm(const struct layout *layout, const struct journal *journal, const char *upgrade,
		struct error *error) MUST_CHECK;

#define WATCHER_WORDS 4
/* What `watch` does: the four words as they were given. Returns when the run has ended. */
int watcher_main(const struct hook_settings *settings, const char *const words[static WATCHER_WORDS],
		 struct error *error) MUST_CHECK;
/* The same on a layout that is open. */
int watcher_watch(const struct layout *layout, const char *const words[static WATCHER_WORDS],
		  struct error *error) MUST_CHECK;

#endif
