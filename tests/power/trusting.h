/* What check keeps of the support centre's word: the chain of metadata, the floor of time, authority and technicians.
 * The same offers each time, by number. */
#ifndef TESTS_POWER_TRUSTING_H
#define TESTS_POWER_TRUSTING_H

#include "tests/unit/act/fixture.h"
#include "tests/unit/act/whole.h"

#define TRUSTING_LAST 6 /* the newest that a story follows; one more is there for afterwards */

void trusting_begin(struct fixture *fixture); /* STATE/trust, empty */
/* Follows offer `number` as a session of check does; afterwards it is acknowledged. */
int trusting_follow(struct fixture *fixture, int number, struct error *error) MUST_CHECK;
/* Whether what was acknowledged last is there, no older offer is taken, and the next is. */
bool trusting_holds(struct fixture *fixture, int acknowledged, char ret_text[WHOLE_TEXT_SIZE]);

#endif
