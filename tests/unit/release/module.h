/* Modules of a kernel made by hand: objects still to be linked, at two versions. */
#ifndef TEST_RELEASE_MODULE_H
#define TEST_RELEASE_MODULE_H

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum {
	MODULE_FUNCTIONS = 400,
	MODULE_FUNCTION = 48,
	MODULE_LINKS = 2 * MODULE_FUNCTIONS,
	MODULE_SYMBOLS =
		2 + 2 * MODULE_FUNCTIONS, /* none, the code, one that only the new one has, functions, others */
	MODULE_TYPES = 600,
	MODULE_KERNEL_TYPES = 5000,
	MODULE_KERNEL_NAMES = 70000,
	MODULE_SECTIONS = 7,
};

/* Types, and where the bytes of the kernel's own end. Those of the new kernel lie elsewhere. */
struct module {
	uint8_t *bytes;
	size_t size, types;
	uint32_t kernel_types, kernel_names;
};

static UNUSED uint32_t module_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

static UNUSED uint32_t module_kernel_type(uint32_t type, int version)
{
	return version == 0 ? type : type ^ 0x40;
}

static UNUSED uint32_t module_kernel_name(uint32_t name, int version)
{
	return version == 0 ? name : name + (name >> 12) * 6;
}

static UNUSED void module_put(uint8_t *at, uint32_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* A member of the kernel's types, and one of the module's own. */
static UNUSED void module_types(struct module *module, uint8_t *at, int version, uint64_t seed)
{
	for (uint32_t i = 0; i < MODULE_TYPES; i++, at += 36) {
		uint32_t name = module_random(&seed) % MODULE_KERNEL_NAMES + 1;
		uint32_t type = module_random(&seed) % MODULE_KERNEL_TYPES + 1;
		const uint32_t words[9] = {i + module->kernel_names,
					   UINT32_C(4) << 24 | 2,
					   module_random(&seed) % 512,
					   module_kernel_name(name, version),
					   module_kernel_type(type, version),
					   0,
					   module_kernel_name(name % 999 + 1, version),
					   i + module->kernel_types,
					   64};
		memcpy(at, words, sizeof(words));
	}
}

static UNUSED void module_symbol(uint8_t *at, uint32_t name, uint8_t info, uint16_t section, uint64_t value)
{
	const Elf64_Sym symbol = {name, info, 0, section, value, MODULE_FUNCTION};
	memcpy(at, &symbol, sizeof(symbol));
}

/* The new version's first half lies as it did, then stands a function more; a symbol more stands before all others.
 * The caller frees the bytes. */
static UNUSED struct module module_make(int version, uint64_t seed)
{
	struct module module = {.kernel_types = MODULE_KERNEL_TYPES + 100 + 7 * (uint32_t)version,
				.kernel_names = MODULE_KERNEL_NAMES + 1000 + 50 * (uint32_t)version};
	const size_t extra = (size_t)version, symbols = MODULE_SYMBOLS + extra;
	const size_t text = 64, types = text + (MODULE_FUNCTIONS + extra) * MODULE_FUNCTION;
	const size_t strings = types + 24 + MODULE_TYPES * 36, names = strings + MODULE_TYPES + 16;
	const size_t table = (names + 7) & ~(size_t)7, links = table + symbols * 24, end = links + MODULE_LINKS * 24;
	const char titles[] = "\0.text\0.BTF\0.symtab\0.rela.text\0.shstrtab";
	const size_t head_at = (end + sizeof(titles) + 7) & ~(size_t)7;
	uint64_t other = seed ^ 0x5555, code = seed ^ 0x777;

	module.size = head_at + MODULE_SECTIONS * sizeof(Elf64_Shdr);
	module.types = types + 24;
	module.bytes = calloc(1, module.size);
	if (module.bytes == NULL)
		abort();
	const Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
				 .e_type = ET_REL,
				 .e_machine = EM_X86_64,
				 .e_shoff = head_at,
				 .e_shentsize = sizeof(Elf64_Shdr),
				 .e_shnum = MODULE_SECTIONS,
				 .e_shstrndx = 5};
	const Elf64_Shdr sections[MODULE_SECTIONS] = {
		{0},
		{.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = text, .sh_size = types - text},
		{.sh_name = 7, .sh_type = SHT_PROGBITS, .sh_offset = types, .sh_size = names - types},
		{.sh_name = 12, .sh_type = SHT_SYMTAB, .sh_offset = table, .sh_size = symbols * 24, .sh_entsize = 24},
		{.sh_name = 20, .sh_type = SHT_RELA, .sh_offset = links, .sh_size = end - links, .sh_entsize = 24},
		{.sh_name = 31, .sh_type = SHT_STRTAB, .sh_offset = end, .sh_size = sizeof(titles)},
	};
	memcpy(module.bytes, &head, sizeof(head));
	memcpy(module.bytes + head_at, sections, sizeof(sections));
	memcpy(module.bytes + end, titles, sizeof(titles));
	for (size_t i = text; i < types; i++) {
		bool is_extra = version == 1 && (i - text) / MODULE_FUNCTION == 200;
		module.bytes[i] = (uint8_t)module_random(is_extra ? &other : &code);
	}
	const uint32_t types_head[6] = {0x1eb9f, 24, 0, MODULE_TYPES * 36, MODULE_TYPES * 36, MODULE_TYPES + 1};
	memcpy(module.bytes + types, types_head, sizeof(types_head));
	module_types(&module, module.bytes + types + 24, version, seed);
	/* One letter a name. */
	for (size_t i = 0; i < MODULE_TYPES; i++)
		module.bytes[strings + i] = i % 2 == 0 ? 'a' : '\0';
	module_symbol(module.bytes + table + 24, 0, STT_SECTION, 1, 0);
	for (size_t i = 2; i < symbols; i++) {
		size_t index = i - 2 - extra;
		bool is_function = index < MODULE_FUNCTIONS;
		size_t place = index + (index >= 200 ? extra : 0);
		module_symbol(module.bytes + table + 24 * i, 5 + 9 * (uint32_t)i, is_function ? STT_FUNC : 0x10,
			      is_function ? 1 : 0, is_function ? place * MODULE_FUNCTION : 0);
	}
	for (size_t i = 0; i < MODULE_LINKS; i++) {
		size_t from = i / 2 + (i / 2 >= 200 ? extra : 0), to = module_random(&seed) % MODULE_FUNCTIONS;
		uint64_t symbol = i % 2 == 0 ? 1 : 2 + extra + MODULE_FUNCTIONS + to;
		uint64_t addend = i % 2 == 0 ? (to + (to >= 200 ? extra : 0)) * MODULE_FUNCTION - 4 : UINT64_MAX - 3;
		const Elf64_Rela link = {from * MODULE_FUNCTION + 4 + i % 2 * 20, symbol << 32 | R_X86_64_PLT32,
					 (int64_t)addend};
		memcpy(module.bytes + links + 24 * i, &link, sizeof(link));
	}
	return module;
}

#endif
