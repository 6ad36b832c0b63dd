/* What must hold after any cut: what had been told and answered before it, and that the box is whole. */
#ifndef TESTS_POWER_PROMISE_H
#define TESTS_POWER_PROMISE_H

#include "tests/power/story.h"
#include "tests/unit/act/whole.h"

/* In a box that comes up after a cut before entry `until` of the tape: what it is, and what is wrong ("": nothing). */
enum whole_verdict promise_check(const struct story *story, const char *box, const struct tape *tape, size_t until,
				 char ret_text[WHOLE_TEXT_SIZE]);

#endif
