#include <stdlib.h>

#include "release/reference_walk.h"

/* ELF, gABI chapter 4: Elf64_Rela and Elf64_Sym; R_X86_64_RELATIVE and R_AARCH64_RELATIVE. */
#define RELA_SIZE         24
#define RELA_INFO         8
#define RELA_SYMBOL       12
#define RELA_ADDEND       16
#define SYMBOL_SIZE       24
#define SYMBOL_VALUE      8
#define RELATIVE_ON_X86   8
#define RELATIVE_ON_ARM64 1027
#define POINTER_SIZE      8

uint32_t reference_word(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t reference_long(const uint8_t *at)
{
	return reference_word(at) | (uint64_t)reference_word(at + 4) << 32;
}

void reference_put_word(uint8_t *at, uint32_t word)
{
	at[0] = (uint8_t)word;
	at[1] = (uint8_t)(word >> 8);
	at[2] = (uint8_t)(word >> 16);
	at[3] = (uint8_t)(word >> 24);
}

void reference_put_long(uint8_t *at, uint64_t number)
{
	reference_put_word(at, (uint32_t)number);
	reference_put_word(at + 4, (uint32_t)(number >> 32));
}

struct reference_span reference_cut(const struct reference_view *view, const struct reference_region *region)
{
	struct reference_span span = {.bytes = view->bytes, .address = region->address};
	uint64_t begin = region->offset, end = begin + region->size;

	if (end < begin || end <= view->offset || begin >= view->offset + view->size)
		return span;
	if (begin < view->offset)
		begin = view->offset;
	if (end > view->offset + view->size)
		end = view->offset + view->size;
	span.bytes = view->bytes + (begin - view->offset);
	span.size = (size_t)(end - begin);
	span.skipped = begin - region->offset;
	span.address = region->address + span.skipped;
	return span;
}

/* imm26 in words; immhi:immlo in pages; imm12. Arm ARM, C6.2. */
static uint32_t put_branch(uint32_t word, uint64_t value)
{
	return (word & UINT32_C(0xfc000000)) | ((uint32_t)value & UINT32_C(0x03ffffff));
}

static uint32_t put_page(uint32_t word, uint64_t value)
{
	uint32_t page = (uint32_t)value & UINT32_C(0x1fffff);
	return (word & UINT32_C(0x9f00001f)) | (page & 3) << 29 | page >> 2 << 5;
}

static uint32_t put_low(uint32_t word, uint64_t value)
{
	return (word & UINT32_C(0xffc003ff)) | ((uint32_t)value & UINT32_C(0xfff)) << 10;
}

void reference_write(const struct reference *reference, uint64_t target)
{
	uint8_t *at = reference->at;

	switch (reference->form) {
	case REFERENCE_DISTANCE:
	case REFERENCE_BACK:
	case REFERENCE_WORD:
		reference_put_word(at, (uint32_t)target);
		break;
	case REFERENCE_STEP:
		reference_put_word(at, (uint32_t)(reference->target - reference->expected));
		break;
	case REFERENCE_BRANCH:
		reference_put_word(at, put_branch(reference_word(at), target >> 2));
		break;
	case REFERENCE_PAGE:
		reference_put_word(at, put_page(reference_word(at), target >> 12));
		break;
	case REFERENCE_LOW:
		reference_put_word(at, put_low(reference_word(at), (target & 0xfff) >> reference->scale));
		break;
	case REFERENCE_POINTER:
		reference_put_long(at, target);
		break;
	case REFERENCE_LINK:
		reference_put_word(at, (uint32_t)((target - REFERENCE_LINKS) >> 32));
		reference_put_word(at + 4, (uint32_t)target);
		break;
	}
}

void reference_restore(const struct reference *reference)
{
	uint8_t *at = reference->at;
	uint32_t word = reference_word(at);

	switch (reference->form) {
	case REFERENCE_DISTANCE:
	case REFERENCE_WORD:
		reference_put_word(at, word - (uint32_t)reference->base);
		break;
	case REFERENCE_BACK:
		reference_put_word(at, (uint32_t)reference->base - word);
		break;
	case REFERENCE_STEP:
		reference_put_word(at, word + (uint32_t)(reference->expected - reference->base));
		break;
	case REFERENCE_BRANCH:
		reference_put_word(at, put_branch(word, word - (reference->base >> 2)));
		break;
	case REFERENCE_PAGE: {
		uint64_t page = (word >> 5 & UINT32_C(0x7ffff)) << 2 | (word >> 29 & 3);
		reference_put_word(at, put_page(word, page - (reference->base >> 12)));
		break;
	}
	case REFERENCE_LOW:
	case REFERENCE_POINTER:
	case REFERENCE_LINK:
		break;
	}
}

static uint64_t from_word(const struct reference *reference)
{
	uint64_t word = (uint64_t)(int64_t)(int32_t)reference_word(reference->at);
	return reference->form == REFERENCE_BACK ? reference->base - word : reference->base + word;
}

uint64_t reference_meet(const struct reference_walker *walker, struct reference reference)
{
	if (!walker->view->rewritten)
		reference.target = from_word(&reference);
	uint64_t target = reference.target;
	walker->visit(walker->context, &reference);
	return walker->view->rewritten ? from_word(&reference) : target;
}

/* An 8-byte place in memory that a region of pointers keeps in the view; NULL: none. */
static uint8_t *find_place(const struct reference_view *view, uint64_t address)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct reference_region *region = &view->regions[i];
		if (region->kind != REFERENCE_POINTERS)
			continue;
		struct reference_span span = reference_cut(view, region);
		if (span.size >= POINTER_SIZE && address >= span.address &&
		    address - span.address <= span.size - POINTER_SIZE)
			return span.bytes + (address - span.address);
	}
	return NULL;
}

static void visit_link(const struct reference_walker *walker, uint8_t *entry)
{
	uint8_t *at = entry + RELA_SYMBOL;
	uint64_t target = REFERENCE_LINKS + ((uint64_t)reference_word(at) << 32 | reference_word(at + 4));
	walker->visit(walker->context, &(struct reference){.form = REFERENCE_LINK, .at = at, .target = target});
}

/* Linkers sort them by place: the place becomes the step from the last one. Some write an addend to its place also:
 * there it becomes nothing. */
static int walk_relocations(struct reference_walker *walker, const struct reference_region *region)
{
	const struct reference_view *view = walker->view;
	struct reference_span span = reference_cut(view, region);
	uint64_t last = 0;

	for (size_t i = (size_t)((RELA_SIZE - span.skipped % RELA_SIZE) % RELA_SIZE); i + RELA_SIZE <= span.size;
	     i += RELA_SIZE) {
		uint8_t *entry = span.bytes + i;
		uint64_t place = reference_long(entry) + (view->rewritten ? last : 0);
		uint64_t type = reference_long(entry + RELA_INFO);
		reference_put_long(entry, view->rewritten ? place : place - last);
		last = place;
		if (type >> 32 != 0)
			visit_link(walker, entry);
		if (type != RELATIVE_ON_X86 && type != RELATIVE_ON_ARM64)
			continue;
		uint64_t addend = reference_long(entry + RELA_ADDEND);
		uint8_t *pointer = find_place(view, place);
		if (pointer != NULL)
			reference_put_long(pointer, reference_long(pointer) + (view->rewritten ? addend : 0 - addend));
		walker->visit(
			walker->context,
			&(struct reference){.form = REFERENCE_POINTER, .at = entry + RELA_ADDEND, .target = addend});
	}
	return 0;
}

static int walk_symbols(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);

	for (size_t i = (size_t)((SYMBOL_SIZE - span.skipped % SYMBOL_SIZE) % SYMBOL_SIZE);
	     i + SYMBOL_SIZE <= span.size; i += SYMBOL_SIZE) {
		uint8_t *symbol = span.bytes + i;
		uint64_t value = reference_long(symbol + SYMBOL_VALUE);
		walker->visit(walker->context, &(struct reference){.form = REFERENCE_WORD,
								   .at = symbol,
								   .base = region->base,
								   .target = region->base + reference_word(symbol)});
		if (value != 0)
			walker->visit(walker->context, &(struct reference){.form = REFERENCE_POINTER,
									   .at = symbol + SYMBOL_VALUE,
									   .target = value});
	}
	return 0;
}

static int walk_pointers(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);

	for (size_t i = (size_t)((0 - span.skipped) & (POINTER_SIZE - 1)); i + POINTER_SIZE <= span.size;
	     i += POINTER_SIZE) {
		uint64_t value = reference_long(span.bytes + i);
		if (value != 0)
			walker->visit(
				walker->context,
				&(struct reference){.form = REFERENCE_POINTER, .at = span.bytes + i, .target = value});
	}
	return 0;
}

static int (*const walks[REFERENCE_KINDS])(struct reference_walker *, const struct reference_region *) = {
	[REFERENCE_X86_64] = reference_walk_x86,
	[REFERENCE_AARCH64] = reference_walk_aarch64,
	[REFERENCE_JUMPS] = reference_walk_jumps,
	[REFERENCE_FRAMES] = reference_walk_frames,
	[REFERENCE_FRAME_TABLE] = reference_walk_frame_table,
	[REFERENCE_RELOCATIONS] = walk_relocations,
	[REFERENCE_SYMBOLS] = walk_symbols,
	[REFERENCE_OBJECT_SYMBOLS] = reference_walk_object_symbols,
	[REFERENCE_TYPES] = reference_walk_types,
	[REFERENCE_POINTERS] = walk_pointers,
};

static void walker_end(struct reference_walker *walker)
{
	free(walker->tables);
	free(walker->frames);
}

int reference_walk(const struct reference_view *view, reference_visit *visit, void *context, struct error *error)
{
	CLEANUP(walker_end)
	struct reference_walker walker = {.view = view, .visit = visit, .context = context, .error = error};
	int result = reference_add_tables(&walker);

	for (int kind = 0; result == 0 && kind < REFERENCE_KINDS; kind++)
		for (size_t i = 0; result == 0 && i < view->count; i++)
			if ((int)view->regions[i].kind == kind)
				result = walks[kind](&walker, &view->regions[i]);
	return result;
}
