#include "base/text.h"

#include <string.h>

bool text_copy(char *to, size_t capacity, const char *from)
{
	size_t size = from ? strlen(from) + 1 : SIZE_MAX;

	if (size > capacity) {
		to[0] = 0;
		return false;
	}
	memcpy(to, from, size);
	return true;
}
