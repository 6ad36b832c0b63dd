/* What a join leaves: the key, its public half, the hub. Joins by number, each in place of the one before. */
#ifndef TESTS_POWER_ENROLLING_H
#define TESTS_POWER_ENROLLING_H

#include "tests/unit/act/fixture.h"
#include "tests/unit/act/whole.h"

#define ENROLLING_LAST 3

int enrolling_join(struct fixture *fixture, int number, struct error *error) MUST_CHECK;
/* Whether the box is wholly of the join that was acknowledged last or of the next one, and can join anew. */
bool enrolling_holds(struct fixture *fixture, int acknowledged, char ret_text[WHOLE_TEXT_SIZE]);

#endif
