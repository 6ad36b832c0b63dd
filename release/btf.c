#include "release/btf.h"

#include <string.h>

#define WORD 4
/* A name, what kind of type it is with how many members, and a size or a type. */
#define HEAD          (3 * WORD)
#define KIND(info)    ((info) >> 24 & 31)
#define MEMBERS(info) ((info)&0xffff)

/* What the last word of a type's head is, which words follow once, and which for each member. t: a type; n: a name; .:
 * neither. A kind without them is none. */
static const struct shape {
	const char *head, *once, *each;
} shapes[32] = {
	[1] = {".", ".", ""},    /* INT */
	[2] = {"t", "", ""},     /* PTR */
	[3] = {".", "tt.", ""},  /* ARRAY */
	[4] = {".", "", "nt."},  /* STRUCT */
	[5] = {".", "", "nt."},  /* UNION */
	[6] = {".", "", "n."},   /* ENUM */
	[7] = {".", "", ""},     /* FWD */
	[8] = {"t", "", ""},     /* TYPEDEF */
	[9] = {"t", "", ""},     /* VOLATILE */
	[10] = {"t", "", ""},    /* CONST */
	[11] = {"t", "", ""},    /* RESTRICT */
	[12] = {"t", "", ""},    /* FUNC */
	[13] = {"t", "", "nt"},  /* FUNC_PROTO */
	[14] = {"t", ".", ""},   /* VAR */
	[15] = {".", "", "t.."}, /* DATASEC */
	[16] = {".", "", ""},    /* FLOAT */
	[17] = {"t", ".", ""},   /* DECL_TAG */
	[18] = {"t", "", ""},    /* TYPE_TAG */
	[19] = {".", "", "n.."}, /* ENUM64 */
};

struct walk {
	void (*visit)(void *context, enum btf_word kind, uint8_t *at);
	void *context;
	uint8_t *at;
};

static uint32_t read_word(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void walk_words(struct walk *walk, const char *words)
{
	for (; *words != '\0'; words++, walk->at += WORD)
		if (*words != '.' && read_word(walk->at) != 0)
			walk->visit(walk->context, *words == 't' ? BTF_TYPE : BTF_NAME, walk->at);
}

size_t btf_walk(uint8_t *types, size_t size, void (*visit)(void *context, enum btf_word kind, uint8_t *at),
		void *context)
{
	struct walk walk = {visit, context, types};
	size_t count = 0;

	for (size_t left = size; left >= HEAD; count++) {
		uint32_t info = read_word(walk.at + WORD);
		const struct shape *shape = &shapes[KIND(info)];
		if (shape->head == NULL)
			break;
		size_t needs = HEAD + (strlen(shape->once) + MEMBERS(info) * strlen(shape->each)) * WORD;
		if (needs > left)
			break;
		left -= needs;
		walk_words(&walk, "n.");
		walk_words(&walk, shape->head);
		walk_words(&walk, shape->once);
		for (size_t i = 0; i < MEMBERS(info) && *shape->each != '\0'; i++)
			walk_words(&walk, shape->each);
	}
	return count;
}
