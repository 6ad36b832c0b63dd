/* Lists in memory that become longer one by one. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stddef.h>

/* The list, with room for one more than `count` members of `size` bytes each: twice as long where *room, in members,
 * was used up. NULL where memory ends: list and *room are then as they were. */
void *list_grow(void *list, size_t count, size_t *room, size_t size);

#endif
