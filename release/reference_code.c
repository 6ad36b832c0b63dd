#include <stdlib.h>

#include "base/list.h"
#include "release/reference_walk.h"
#include "release/x86.h"

/* How often what ends a table is looked at; and all that end one, of which a program of 130 MB needs a hundred. */
#define TABLE_STEPS 1024
#define STEPS_MOST  ((size_t)1 << 20)
#define ENTRY_SIZE  4
#define TABLES_MOST ((size_t)1 << 20)
#define WORD_SIZE   4
/* How far behind an ADRP its low bits are looked for, in instructions. */
#define LOW_WITHIN 12
#define REGISTERS  32

static const struct reference_region *region_at(const struct reference_view *view, uint64_t address,
						enum reference_kind kind)
{
	for (size_t i = 0; i < view->count; i++)
		if (view->regions[i].kind == kind && address - view->regions[i].address < view->regions[i].size)
			return &view->regions[i];
	return NULL;
}

static int add_table(struct reference_walker *walker, uint64_t address)
{
	if (address % ENTRY_SIZE != 0 || region_at(walker->view, address, REFERENCE_JUMPS) == NULL ||
	    walker->table_count == TABLES_MOST)
		return 0;
	uint64_t *tables = list_grow(walker->tables, walker->table_count, &walker->table_room, sizeof(*tables));
	if (tables == NULL)
		return error_set(walker->error, ERROR_CANNOT_CREATE, "memory", "no memory to rewrite code");
	walker->tables = tables;
	walker->tables[walker->table_count++] = address;
	return 0;
}

int reference_add_tables(struct reference_walker *walker)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < walker->view->table_count; i++)
		result = add_table(walker, walker->view->tables[i]);
	return result;
}

int reference_walk_x86(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);
	struct x86_instruction instruction;
	int result = 0;

	for (size_t i = 0; result == 0 && i < span.size; i += instruction.size) {
		if (!x86_decode(span.bytes + i, span.size - i, &instruction)) {
			instruction.size = 1;
			continue;
		}
		if (instruction.operand == 0)
			continue;
		uint64_t target = reference_meet(walker, (struct reference){
								 .form = REFERENCE_DISTANCE,
								 .at = span.bytes + i + instruction.operand,
								 .base = span.address + i + instruction.size,
							 });
		if (instruction.is_address)
			result = add_table(walker, target);
	}
	return result;
}

/* ADD (immediate, 64 bits) and the loads and stores with an unsigned offset; *ret_scale is its unit. */
static bool takes_low(uint32_t word, unsigned *ret_scale)
{
	if ((word & UINT32_C(0xffc00000)) == UINT32_C(0x91000000)) {
		*ret_scale = 0;
		return true;
	}
	if ((word & UINT32_C(0x3b000000)) != UINT32_C(0x39000000))
		return false;
	bool vector = (word & UINT32_C(0x04800000)) == UINT32_C(0x04800000) && word >> 30 == 0;
	*ret_scale = vector ? 4 : word >> 30;
	return true;
}

static bool is_page(uint32_t word)
{
	return (word & UINT32_C(0x9f000000)) == UINT32_C(0x90000000);
}

static uint64_t low_bits(uint32_t word, unsigned scale)
{
	return (uint64_t)(word >> 10 & 0xfff) << scale;
}

/* What the first instruction that uses the page adds to it. */
static uint64_t find_low(const uint8_t *at, size_t size, unsigned page)
{
	for (size_t i = WORD_SIZE; i + WORD_SIZE <= size && i <= LOW_WITHIN * WORD_SIZE; i += WORD_SIZE) {
		uint32_t word = reference_word(at + i);
		unsigned scale = 0;
		if (is_page(word) && (word & 31) == page)
			return 0;
		if ((word >> 5 & 31) == page && takes_low(word, &scale))
			return low_bits(word, scale) & 0xfff;
	}
	return 0;
}

static uint64_t page_of(uint32_t word, uint64_t base)
{
	uint32_t page = (word >> 5 & UINT32_C(0x7ffff)) << 2 | (word >> 29 & 3);
	uint64_t distance = (page & UINT32_C(0x100000)) != 0 ? page | ~UINT64_C(0x1fffff) : page;
	return (base >> 12) + distance;
}

static uint64_t branch_target(uint32_t word, uint64_t base)
{
	uint64_t distance = word & UINT32_C(0x03ffffff);
	if ((distance & UINT32_C(0x02000000)) != 0)
		distance |= ~UINT64_C(0x03ffffff);
	return base + (distance << 2);
}

/* Pages are known as an instruction's low bits are met while a file is as it is; what restores needs none of it. */
int reference_walk_aarch64(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);
	uint64_t pages[REGISTERS] = {0}; /* + 1; 0: not known */

	for (size_t i = (size_t)((0 - span.skipped) & (WORD_SIZE - 1)); i + WORD_SIZE <= span.size; i += WORD_SIZE) {
		uint8_t *at = span.bytes + i;
		uint32_t word = reference_word(at);
		struct reference reference = {.at = at, .base = span.address + i};
		if ((word & UINT32_C(0x7c000000)) == UINT32_C(0x14000000)) {
			reference.form = REFERENCE_BRANCH;
			reference.target = branch_target(word, reference.base);
		} else if (is_page(word)) {
			reference.form = REFERENCE_PAGE;
			pages[word & 31] = page_of(word, reference.base) + 1;
			reference.target = (pages[word & 31] - 1) << 12 | find_low(at, span.size - i, word & 31);
		} else if (takes_low(word, &reference.scale) && pages[word >> 5 & 31] != 0) {
			reference.form = REFERENCE_LOW;
			reference.target = ((pages[word >> 5 & 31] - 1) << 12) + low_bits(word, reference.scale);
			if ((word & 31) == (word >> 5 & 31))
				pages[word & 31] = 0;
		} else {
			continue;
		}
		walker->visit(walker->context, &reference);
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool is_code(const struct reference_view *view, uint32_t address)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct reference_region *region = &view->regions[i];
		if (region->kind == REFERENCE_X86_64 && address - (uint32_t)region->address < region->size)
			return true;
	}
	return false;
}

/* What stands behind the last entry leads to no code, and must not look as if it did once the entries are addresses: it
 * goes down by the table's address until it does not. Nothing else goes there, so it can be told again. */
static void end_table(struct reference_walker *walker, uint8_t *entry, uint32_t table)
{
	const struct reference_view *view = walker->view;
	uint32_t word = reference_word(entry);
	for (int i = 0;
	     i < TABLE_STEPS && walker->steps < STEPS_MOST && is_code(view, view->rewritten ? word + table : word);
	     i++, walker->steps++)
		word = view->rewritten ? word + table : word - table;
	reference_put_word(entry, word);
}

/* A table goes on as long as its entries lead to code and nothing else begins. */
static void walk_table(struct reference_walker *walker, uint8_t *bytes, size_t size, uint64_t table)
{
	const struct reference_view *view = walker->view;

	for (size_t at = 0; at + ENTRY_SIZE <= size; at += ENTRY_SIZE) {
		uint32_t word = reference_word(bytes + at);
		if (!is_code(view, view->rewritten ? word : word + (uint32_t)table)) {
			end_table(walker, bytes + at, (uint32_t)table);
			return;
		}
		reference_meet(walker, (struct reference){.form = REFERENCE_DISTANCE, .at = bytes + at, .base = table});
	}
}

int reference_walk_jumps(struct reference_walker *walker, const struct reference_region *region)
{
	struct reference_span span = reference_cut(walker->view, region);

	if (walker->table_count > 0)
		qsort(walker->tables, walker->table_count, sizeof(*walker->tables), by_address);
	for (size_t i = 0, next = 0; i < walker->table_count; i = next) {
		uint64_t table = walker->tables[i];
		while (next < walker->table_count && walker->tables[next] == table)
			next++;
		if (table < span.address || table - span.address >= span.size)
			continue;
		size_t size = span.size - (size_t)(table - span.address);
		if (next < walker->table_count && walker->tables[next] - table < size)
			size = (size_t)(walker->tables[next] - table);
		walk_table(walker, span.bytes + (table - span.address), size, table);
	}
	return 0;
}

static void visit_nothing(void *context, const struct reference *reference)
{
	(void)context, (void)reference;
}

/* It has an entry. */
static bool is_table(const struct reference_view *view, uint64_t table)
{
	for (size_t i = 0; i < view->count; i++) {
		struct reference_span span = reference_cut(view, &view->regions[i]);
		if (view->regions[i].kind == REFERENCE_JUMPS && table >= span.address &&
		    table - span.address + ENTRY_SIZE <= span.size)
			return is_code(view, reference_word(span.bytes + (table - span.address)) + (uint32_t)table);
	}
	return false;
}

int reference_tables(const struct reference_view *view, uint64_t **ret_tables, size_t *ret_count, struct error *error)
{
	struct reference_walker walker = {.view = view, .visit = visit_nothing, .error = error};
	size_t count = 0;
	int result = 0;

	for (size_t i = 0; result == 0 && i < view->count; i++)
		if (view->regions[i].kind == REFERENCE_X86_64)
			result = reference_walk_x86(&walker, &view->regions[i]);
	if (result < 0) {
		free(walker.tables);
		return result;
	}
	if (walker.table_count > 0)
		qsort(walker.tables, walker.table_count, sizeof(*walker.tables), by_address);
	for (size_t i = 0; i < walker.table_count; i++)
		if ((i == 0 || walker.tables[i] != walker.tables[i - 1]) && is_table(view, walker.tables[i]))
			walker.tables[count++] = walker.tables[i];
	*ret_tables = walker.tables;
	*ret_count = count;
	return 0;
}
