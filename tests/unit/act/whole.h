/* What a box must be once it was resumed, however it was struck before: whole old or whole new by hash, its data agrees
 * with its code, what was written since is kept aside, the journal has ended and says with the receipt what happened, a
 * second resume finds nothing, and the next upgrade succeeds. No assertion is made here: the caller counts. */
#ifndef TESTS_ACT_WHOLE_H
#define TESTS_ACT_WHOLE_H

#include "tests/unit/act/fixture.h"

#define WHOLE_TEXT_SIZE 640

enum whole_verdict {
	WHOLE_OLD,    /* the version that ran before runs, nothing is lost, and the journal says so */
	WHOLE_NEW,    /* likewise the other one */
	WHOLE_MIXED,  /* a tree is neither */
	WHOLE_LOST,   /* data is not what it was, or not that of the version that runs */
	WHOLE_UNTRUE, /* journal, receipt or quarantine say something else than what stands */
	WHOLE_STUCK,  /* resume or the next upgrade fails */
	WHOLE_VERDICTS
};
const char *whole_name(enum whole_verdict verdict);

struct whole {
	const char *before, *after; /* the versions between which the deed goes; `before` "": none ran */
	const char *precious;       /* what data/precious holds all the time */
};

/* Resumes the box, looks at it, and upgrades it to 1.9, whose bundle fixture_pack has made before. `ret_text` is what
 * is wrong; "" when nothing is. */
enum whole_verdict whole_check(struct fixture *fixture, const struct whole *whole, char ret_text[WHOLE_TEXT_SIZE]);

#endif
