#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t size;
	char bytes[];
};

static int add_block(struct arena *arena, size_t least, struct error *error)
{
	size_t size = least > BLOCK - sizeof(struct arena_block) ? least : BLOCK - sizeof(struct arena_block);
	struct arena_block *block = malloc(sizeof(*block) + size);

	if (!block)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a text of %zu bytes", least);
	block->next = arena->blocks;
	block->size = size;
	arena->blocks = block;
	arena->left = size;
	return 0;
}

int arena_text(struct arena *arena, const char *text, size_t size, const char **ret_text, struct error *error)
{
	if (size >= SIZE_MAX / 2)
		return error_set(error, ERROR_DATA, "length", "a text is too long");
	if (!arena->blocks || arena->left < size + 1) {
		int status = add_block(arena, size + 1, error);
		if (status < 0)
			return status;
	}
	char *copy = arena->blocks->bytes + (arena->blocks->size - arena->left);
	memcpy(copy, text, size);
	copy[size] = '\0';
	arena->left -= size + 1;
	*ret_text = copy;
	return 0;
}

void arena_free(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->next;
		free(block);
	}
	arena->left = 0;
}
