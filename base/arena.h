/* Texts that end together with their owner: laid end to end, without a word of housekeeping for each. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"

struct arena_block;
struct arena {
	struct arena_block *blocks; /* NULL: empty; the first one is being filled */
	size_t left;                /* bytes, of that one */
};

/* A copy of `size` bytes with a NUL behind it, which stands until arena_free. */
int arena_text(struct arena *arena, const char *text, size_t size, const char **ret_text,
	       struct error *error) MUST_CHECK;
/* Also the CLEANUP function. */
void arena_free(struct arena *arena);

#endif
