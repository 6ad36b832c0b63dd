#include "base/list.h"

#include <stdlib.h>

#define FIRST_ROOM 16

void *list_grow(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	size_t wanted = *room > 0 ? 2 * *room : FIRST_ROOM;
	void *larger = reallocarray(list, wanted, size);
	if (larger != NULL)
		*room = wanted;
	return larger;
}
