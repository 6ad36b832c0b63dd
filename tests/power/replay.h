/* A story's cuts, one after the other: the disks are made as each left them, come up and are judged. */
#ifndef TESTS_POWER_REPLAY_H
#define TESTS_POWER_REPLAY_H

#include "tests/power/errand.h"

/* What came of it all. */
struct tally {
	size_t flushes, torn, resumes, examined, damaged;
	size_t alike; /* of the points: those whose files were, one by one, those of a point that was judged */
	size_t verdicts[WHOLE_VERDICTS];
	size_t shown;
};

/* Records the story and replays it: all flush points with NIGHTSHIFT_SWEEP=1 in the environment, otherwise some. Says
 * what may not be. */
void replay_story(const struct errand *errand, struct tally *tally);

void tally_add(struct tally *all, const struct tally *one);
void tally_tell(const char *what, const struct tally *tally);

#endif
