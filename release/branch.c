#include "release/branch.h"

#include <string.h>

/* ELF, gABI chapter 4: e_ident[EI_DATA] little-endian, e_machine. */
#define ELF_HEAD          20
#define ELF_DATA          5
#define ELF_LITTLE        1
#define ELF_MACHINE       18
#define ELF_MACHINE_X86   62
#define ELF_MACHINE_ARM64 183

enum branch branch_suits(const uint8_t *head, size_t size)
{
	if (size < ELF_HEAD || memcmp(head, "\177ELF", 4) != 0 || head[ELF_DATA] != ELF_LITTLE)
		return BRANCH_NONE;
	switch (head[ELF_MACHINE] | head[ELF_MACHINE + 1] << 8) {
	case ELF_MACHINE_X86:
		return BRANCH_X86_64;
	case ELF_MACHINE_ARM64:
		return BRANCH_AARCH64;
	default:
		return BRANCH_NONE;
	}
}

static uint32_t read_word(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void write_word(uint8_t *at, uint32_t word)
{
	at[0] = (uint8_t)word;
	at[1] = (uint8_t)(word >> 8);
	at[2] = (uint8_t)(word >> 16);
	at[3] = (uint8_t)(word >> 24);
}

/* The opcode bytes in front of a 32-bit operand: call, jmp, and the long conditional jumps. */
static size_t x86_opcode(const uint8_t *at)
{
	if ((at[0] & 0xfe) == 0xe8)
		return 1;
	return at[0] == 0x0f && (at[1] & 0xf0) == 0x80 ? 2 : 0;
}

/* Distances below 16 MiB either way count, modulo 2^25: they stay such under the sum. What looks like an operand but is
 * too far is stepped over all the same, so that both directions decide by bytes that neither changes. */
static void x86_filter(uint8_t *bytes, size_t size, uint64_t position, bool encode)
{
	for (size_t i = 0; i + 6 <= size;) {
		size_t opcode = x86_opcode(bytes + i);
		uint8_t *operand = bytes + i + opcode;
		i += opcode == 0 ? 1 : opcode + 4;
		if (opcode == 0 || (operand[3] != 0x00 && operand[3] != 0xff))
			continue;
		uint32_t next = (uint32_t)(position + i);
		uint32_t word = read_word(operand) + (encode ? next : 0 - next);
		word &= UINT32_C(0x1ffffff);
		write_word(operand, (word & UINT32_C(0x1000000)) != 0 ? word | UINT32_C(0xff000000) : word);
	}
}

/* BL (imm26 in words) and ADRP (immhi:immlo in pages). */
static uint32_t aarch64_word(uint32_t word, uint32_t position, bool encode)
{
	if ((word & UINT32_C(0xfc000000)) == UINT32_C(0x94000000)) {
		uint32_t step = position >> 2;
		uint32_t distance = word + (encode ? step : 0 - step);
		return (word & UINT32_C(0xfc000000)) | (distance & UINT32_C(0x03ffffff));
	}
	if ((word & UINT32_C(0x9f000000)) == UINT32_C(0x90000000)) {
		uint32_t page = (word >> 5 & UINT32_C(0x7ffff)) << 2 | (word >> 29 & 3), step = position >> 12;
		page = (page + (encode ? step : 0 - step)) & UINT32_C(0x1fffff);
		return (word & UINT32_C(0x9f00001f)) | (page & 3) << 29 | page >> 2 << 5;
	}
	return word;
}

static void aarch64_filter(uint8_t *bytes, size_t size, uint64_t position, bool encode)
{
	for (size_t i = 0; i + 4 <= size; i += 4)
		write_word(bytes + i, aarch64_word(read_word(bytes + i), (uint32_t)(position + i), encode));
}

static void filter(enum branch branch, uint8_t *bytes, size_t size, uint64_t position, bool encode)
{
	if (branch == BRANCH_X86_64)
		x86_filter(bytes, size, position, encode);
	else if (branch == BRANCH_AARCH64)
		aarch64_filter(bytes, size, position, encode);
}

void branch_encode(enum branch branch, uint8_t *bytes, size_t size, uint64_t position)
{
	filter(branch, bytes, size, position, true);
}

void branch_decode(enum branch branch, uint8_t *bytes, size_t size, uint64_t position)
{
	filter(branch, bytes, size, position, false);
}
