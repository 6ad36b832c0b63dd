/* Executables made by hand: functions that call one another and speak of data, laid out in two ways. */
#ifndef TEST_RELEASE_PROGRAM_H
#define TEST_RELEASE_PROGRAM_H

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum { PROGRAM_FUNCTIONS = 2000, PROGRAM_FUNCTION = 48, PROGRAM_TEXT = 4096, PROGRAM_ADDRESS = 0x400000 };

struct program {
	uint8_t *bytes;
	size_t size;
};

/* Before every `every`th function (0: none) stands one that nothing else has. */
static UNUSED size_t program_function(size_t index, size_t every)
{
	return PROGRAM_TEXT + PROGRAM_FUNCTION * (index + (every == 0 ? 0 : index / every));
}

static UNUSED uint32_t program_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* mov eax, imm32 four times, call twice, lea rax, [rip + data], ret. */
static UNUSED void program_x86(uint8_t *at, size_t place, const size_t calls[2], size_t data, uint64_t *seed)
{
	uint8_t *begin = at;
	for (int i = 0; i < 4; i++, at += 5) {
		uint32_t value = program_random(seed);
		*at = 0xb8;
		memcpy(at + 1, &value, 4);
	}
	for (int i = 0; i < 2; i++, at += 5) {
		uint32_t distance = (uint32_t)(calls[i] - (place + (size_t)(at - begin) + 5));
		*at = 0xe8;
		memcpy(at + 1, &distance, 4);
	}
	uint32_t distance = (uint32_t)(data - (place + (size_t)(at - begin) + 7));
	memcpy(at, "\x48\x8d\x05", 3);
	memcpy(at + 3, &distance, 4);
	at[7] = 0xc3;
	memset(at + 8, 0xcc, (size_t)(begin + PROGRAM_FUNCTION - at - 8));
}

/* movz four times, bl twice, adrp x0, add x0, x0, ret. */
static UNUSED void program_arm64(uint8_t *at, size_t place, const size_t calls[2], size_t data, uint64_t *seed)
{
	uint32_t words[PROGRAM_FUNCTION / 4] = {0};
	size_t n = 0;
	for (; n < 4; n++)
		words[n] = UINT32_C(0x52800001) | (program_random(seed) & 0xffff) << 5;
	for (int i = 0; i < 2; i++, n++)
		words[n] = UINT32_C(0x94000000) | ((uint32_t)((calls[i] - (place + 4 * n)) >> 2) & 0x03ffffff);
	uint32_t pages = (uint32_t)((data >> 12) - ((place + 4 * n) >> 12));
	words[n++] = UINT32_C(0x90000000) | (pages & 3) << 29 | (pages >> 2 & 0x7ffff) << 5;
	words[n++] = UINT32_C(0x91000000) | (uint32_t)(data & 0xfff) << 10;
	words[n++] = UINT32_C(0xd65f03c0);
	memcpy(at, words, sizeof(words));
}

/* The same program for the same `seed`, whatever `every` is. The caller frees the bytes. */
static UNUSED struct program program_make(uint16_t machine, size_t every, uint64_t seed)
{
	size_t count = PROGRAM_FUNCTIONS, extra = every == 0 ? 0 : count / every;
	size_t text = PROGRAM_FUNCTION * (count + extra), data = PROGRAM_TEXT + text;
	struct program program = {.size = data + 8 * count + 3 * sizeof(Elf64_Shdr)};
	uint64_t other = seed ^ 0x5555;

	program.bytes = calloc(1, program.size);
	if (program.bytes == NULL)
		abort();
	Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_machine = machine,
			   .e_shoff = data + 8 * count,
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 3};
	const Elf64_Shdr sections[3] = {{0},
					{.sh_type = SHT_PROGBITS,
					 .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
					 .sh_addr = PROGRAM_ADDRESS + PROGRAM_TEXT,
					 .sh_offset = PROGRAM_TEXT,
					 .sh_size = text},
					{.sh_type = SHT_PROGBITS,
					 .sh_flags = SHF_ALLOC | SHF_WRITE,
					 .sh_addr = PROGRAM_ADDRESS + data,
					 .sh_offset = data,
					 .sh_size = 8 * count}};
	memcpy(program.bytes, &head, sizeof(head));
	memcpy(program.bytes + head.e_shoff, sections, sizeof(sections));
	for (size_t i = 0; i < text; i++)
		program.bytes[PROGRAM_TEXT + i] = (uint8_t)program_random(&other);
	for (size_t i = 0; i < count; i++) {
		size_t place = program_function(i, every);
		const size_t calls[2] = {PROGRAM_ADDRESS + program_function(program_random(&seed) % count, every),
					 PROGRAM_ADDRESS + program_function(program_random(&seed) % count, every)};
		size_t item = PROGRAM_ADDRESS + data + 8 * (program_random(&seed) % count);
		uint64_t pointer = PROGRAM_ADDRESS + place;
		(machine == EM_X86_64 ? program_x86 : program_arm64)(program.bytes + place, PROGRAM_ADDRESS + place,
								     calls, item, &seed);
		memcpy(program.bytes + data + 8 * i, &pointer, sizeof(pointer));
	}
	return program;
}

#endif
