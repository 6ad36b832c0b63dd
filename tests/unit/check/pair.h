/* Two releases of large files, the delta between them, and a session that is offered it. */
#ifndef TESTS_CHECK_PAIR_H
#define TESTS_CHECK_PAIR_H

#include "release/delta.h"
#include "release/delta_plan.h"
#include "tests/unit/check/exchange.h"

#define FRESH_SIZE ((size_t)300 * 1024) /* bytes of the new release that the old one lacks */

extern struct buffer made; /* the delta, packed once a program */
/* Of a group of tests. */
int pack_pair(void **state);
int drop_pair(void **state);
/* The old one runs, the new one is published; the test signs a delta of its choice. */
int pair_begin(void **state);

/* Caller owns. */
struct buffer copy_of(const void *bytes, size_t size);
struct manifest *new_manifest(void);
struct delta_head head_of_made(void);
/* Both targets, signed as they are. Takes both. */
void sign_delta(struct world *world, struct buffer head, struct buffer whole);
void sign_made(struct world *world);

/* Starts a session; what it says goes to the file "log". */
void greet(struct world *world);
void assert_said(const char *words);
/* The new release is in the staging directory byte for byte, and was given to act. */
void assert_staged(void);

#endif
