/* Strings into fields of a fixed size. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/compiler.h"

/* Copies `from` whole or not at all: true, or false with `to` empty where it does not fit or is NULL. A name is never
 * cut into another one. What a table of fields has bounded already always fits. */
bool text_copy(char *to, size_t capacity, const char *from);

#endif
