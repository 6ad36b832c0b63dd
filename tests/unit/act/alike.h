/* Boxes that are alike file by file are judged once: what was found of one holds for all of them. */
#ifndef TESTS_ACT_ALIKE_H
#define TESTS_ACT_ALIKE_H

#include <stdbool.h>

#include "base/hash.h"

/* Every name below `directory` (of a temporary file: but for its digits) with its type, mode, owner and content, but
 * for `except` (paths below it, NULL at the end). `salt` is what else decides. */
void alike_print(const char *directory, const char *const except[], unsigned salt, uint8_t ret_print[HASH_SIZE]);

/* Shared memory of those who were forked since, or who have its descriptor. */
struct alike;
struct alike *alike_new(void);
struct alike *alike_open(int fd);
void alike_free(struct alike **alike);
int alike_fd(const struct alike *alike);
/* Whether such a box was judged, and how. */
bool alike_find(const struct alike *alike, const uint8_t print[HASH_SIZE], int *ret_verdict);
void alike_note(struct alike *alike, const uint8_t print[HASH_SIZE], int verdict);

#endif
