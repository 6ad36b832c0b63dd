#include <stdlib.h>

#include "release/btf.h"
#include "release/reference_walk.h"

/* ELF, gABI chapter 4: Elf64_Sym; the type of a symbol that stands for a section. */
#define SYMBOL_SIZE    24
#define SYMBOL_INFO    4
#define SYMBOL_SECTION 6
#define SYMBOL_VALUE   8
#define TYPE_SECTION   3
/* Symbols of further sections keep their values. */
#define SECTIONS_MOST 2048

static void visit_number(const struct reference_walker *walker, uint8_t *at, uint64_t space)
{
	walker->visit(walker->context,
		      &(struct reference){
			      .form = REFERENCE_WORD, .at = at, .base = space, .target = space + reference_word(at)});
}

static size_t section_of(const uint8_t *symbol)
{
	return (size_t)symbol[SYMBOL_SECTION] | (size_t)symbol[SYMBOL_SECTION + 1] << 8;
}

/* A value becomes what a relocation by the section's own symbol would say. */
int reference_walk_object_symbols(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);
	uint32_t sections[SECTIONS_MOST] = {0}; /* by section: its symbol */
	size_t count = span.size / SYMBOL_SIZE;

	if (span.skipped > 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *symbol = span.bytes + i * SYMBOL_SIZE;
		if ((symbol[SYMBOL_INFO] & 15) == TYPE_SECTION && section_of(symbol) < SECTIONS_MOST)
			sections[section_of(symbol)] = (uint32_t)i;
	}
	for (size_t i = 0; i < count; i++) {
		uint8_t *symbol = span.bytes + i * SYMBOL_SIZE;
		size_t section = section_of(symbol);
		if (reference_word(symbol) != 0)
			visit_number(walker, symbol, REFERENCE_NUMBERS(REFERENCE_OBJECT_NAMES));
		if ((symbol[SYMBOL_INFO] & 15) != TYPE_SECTION && section < SECTIONS_MOST && sections[section] != 0)
			visit_number(walker, symbol + SYMBOL_VALUE,
				     REFERENCE_LINKS + ((uint64_t)sections[section] << 32));
	}
	return 0;
}

struct types {
	const struct reference_walker *walker;
	const struct reference_region *region;
};

static void visit_type(void *context, enum btf_word kind, uint8_t *at)
{
	const struct types *types = context;
	uint64_t first = kind == BTF_TYPE ? types->region->address : types->region->base;
	uint64_t space = REFERENCE_NUMBERS(kind == BTF_TYPE ? REFERENCE_TYPE_NUMBERS : REFERENCE_TYPE_NAMES);

	visit_number(types->walker, at, reference_word(at) < first ? space | REFERENCE_SHARED : space);
}

int reference_walk_types(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);
	struct types types = {walker, region};

	if (span.skipped == 0)
		btf_walk(span.bytes, span.size, visit_type, &types);
	return 0;
}
