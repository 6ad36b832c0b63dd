/* TUF's PATHPATTERN (TUF §4.5): a glob over a target's path in which no wildcard crosses a '/'. Internal to keys/. */
#ifndef KEYS_PATTERN_H
#define KEYS_PATTERN_H

#include "base/compiler.h"

/* '*' any run, '?' one character, "[a-z]" and "[!a-z]" one of a set (glob(7)); no escapes, a '[' that is never closed
 * stands for itself. Time is bounded by the product of the lengths, whatever the pattern. */
bool pattern_matches(const char *pattern, const char *path);

#endif
