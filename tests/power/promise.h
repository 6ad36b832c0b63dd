/* What must hold after any cut: what had been told and answered before it, and that the box is whole. */
#ifndef TESTS_POWER_PROMISE_H
#define TESTS_POWER_PROMISE_H

#include "tests/power/story.h"
#include "tests/unit/act/alike.h"
#include "tests/unit/act/whole.h"

struct promise_found {
	enum whole_verdict verdict;
	bool alike;                 /* to a box that was judged before, whose verdict it is */
	char text[WHOLE_TEXT_SIZE]; /* what is wrong; "": nothing */
};

/* In a box that comes up after a cut before entry `until` of the tape. */
void promise_check(const struct story *story, const char *box, const struct tape *tape, size_t until,
		   struct alike *alike, struct promise_found *found);

#endif
