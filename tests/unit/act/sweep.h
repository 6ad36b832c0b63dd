/* Strikes a deed at each of its named points, on every core: each run has a box of its own that was copied from a
 * template, is struck in a child, and is then looked at (whole.h). */
#ifndef TESTS_ACT_SWEEP_H
#define TESTS_ACT_SWEEP_H

#include "tests/unit/act/scene.h"
#include "tests/unit/act/whole.h"

enum sweep_action { SWEEP_KILL, SWEEP_ENOSPC, SWEEP_EIO, SWEEP_KILL_TWICE, SWEEP_ACTIONS };

struct sweep; /* scenes with the points that an undisturbed run of each passes */
struct sweep *sweep_new(const struct scene *scenes, size_t count);
void sweep_free(struct sweep **sweep);
unsigned sweep_points(const struct sweep *sweep); /* every passage: the n-th of a name is a point of its own */
unsigned sweep_names(const struct sweep *sweep);  /* and how many names they have */

struct sweep_count {
	unsigned runs[SWEEP_ACTIONS]; /* struck and looked at */
	unsigned alike;               /* of them: boxes that were, file by file, those of a run that was looked at */
	unsigned outcomes[WHOLE_VERDICTS];
};

/* Every `stride`-th point, beginning at `first`. Of each that is struck twice, every `again`-th point of the resume,
 * or, where the machine restarts, so many that follow. */
struct sweep_pace {
	size_t first, stride, again, machine;
};
/* Says each outcome that may not be on stderr; adds to *count. */
void sweep_run(struct sweep *sweep, enum sweep_action action, const struct sweep_pace *pace, struct sweep_count *count);

#endif
