#include "release/executable.h"

#include <elf.h>
#include <string.h>

#include "release/relocatable.h"

/* The head of .eh_frame_hdr: its version, how the three that follow are encoded, then where .eh_frame is. LSB core
 * 10.6.2; DW_EH_PE_pcrel | sdata4, udata4, datarel | sdata4. */
static const uint8_t table_head[] = {1, 0x1b, 0x03, 0x3b};
#define TABLE_LEAST 12

/* A JVM's archive of classes: its magic number (a second one for archives over another archive), where what is mapped
 * begins, and the address that it is laid out for. OpenJDK, cds.h and arguments.cpp. */
static const uint8_t archive_magics[][4] = {{0xa2, 0xab, 0x0b, 0xf0}, {0xa8, 0xab, 0x0b, 0xf0}};
#define ARCHIVE_HEAD    4096
#define ARCHIVE_ADDRESS UINT64_C(0x800000000)

struct headers {
	const uint8_t *bytes;
	size_t size;
	Elf64_Ehdr head;
	uint64_t table, frames; /* addresses of .eh_frame_hdr and of .eh_frame; 0: none */
};

static bool is_archive(const uint8_t *bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(archive_magics); i++)
		if (memcmp(bytes, archive_magics[i], sizeof(archive_magics[i])) == 0)
			return true;
	return false;
}

bool executable_suits(const uint8_t *bytes, size_t size)
{
	Elf64_Ehdr head;

	if (size < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	if (is_archive(bytes))
		return true;
	return memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == ELFCLASS64 &&
	       head.e_ident[EI_DATA] == ELFDATA2LSB &&
	       (head.e_type == ET_EXEC || head.e_type == ET_DYN || head.e_type == ET_REL) &&
	       (head.e_machine == EM_X86_64 || head.e_machine == EM_AARCH64);
}

static bool within(const struct headers *headers, uint64_t offset, uint64_t size)
{
	return offset <= headers->size && size <= headers->size - offset;
}

static void find_frames(struct headers *headers, const Elf64_Phdr *segment)
{
	const uint8_t *table = headers->bytes + segment->p_offset;
	int32_t distance = 0;

	if (segment->p_filesz < TABLE_LEAST || !within(headers, segment->p_offset, segment->p_filesz) ||
	    memcmp(table, table_head, sizeof(table_head)) != 0)
		return;
	memcpy(&distance, table + 4, sizeof(distance));
	headers->table = segment->p_vaddr;
	headers->frames = segment->p_vaddr + 4 + (uint64_t)(int64_t)distance;
}

static void read_segments(struct headers *headers)
{
	const Elf64_Ehdr *head = &headers->head;

	if (head->e_phentsize != sizeof(Elf64_Phdr) ||
	    !within(headers, head->e_phoff, (uint64_t)head->e_phnum * sizeof(Elf64_Phdr)))
		return;
	for (size_t i = 0; i < head->e_phnum; i++) {
		Elf64_Phdr segment;
		memcpy(&segment, headers->bytes + head->e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type == PT_GNU_EH_FRAME)
			find_frames(headers, &segment);
	}
}

static bool kind_of(const struct headers *headers, const Elf64_Shdr *section, enum reference_kind *ret_kind)
{
	bool loaded = (section->sh_flags & SHF_ALLOC) != 0;

	switch (section->sh_type) {
	case SHT_RELA:
		*ret_kind = REFERENCE_RELOCATIONS;
		return loaded && section->sh_entsize == sizeof(Elf64_Rela);
	case SHT_SYMTAB:
	case SHT_DYNSYM:
		*ret_kind = REFERENCE_SYMBOLS;
		return section->sh_entsize == sizeof(Elf64_Sym);
	case SHT_INIT_ARRAY:
	case SHT_FINI_ARRAY:
		*ret_kind = REFERENCE_POINTERS;
		return loaded;
	case SHT_PROGBITS:
	case SHT_X86_64_UNWIND:
		break;
	default:
		return false;
	}
	bool x86 = headers->head.e_machine == EM_X86_64;
	if ((section->sh_flags & SHF_EXECINSTR) != 0)
		*ret_kind = x86 ? REFERENCE_X86_64 : REFERENCE_AARCH64;
	else if (headers->table != 0 && section->sh_addr == headers->table)
		*ret_kind = REFERENCE_FRAME_TABLE;
	else if (headers->frames != 0 && section->sh_addr == headers->frames)
		*ret_kind = REFERENCE_FRAMES;
	else
		*ret_kind = (section->sh_flags & SHF_WRITE) != 0 ? REFERENCE_POINTERS : REFERENCE_JUMPS;
	return loaded && (*ret_kind != REFERENCE_JUMPS || x86);
}

static uint64_t base_of(enum reference_kind kind, const Elf64_Shdr *section)
{
	switch (kind) {
	case REFERENCE_SYMBOLS:
		return REFERENCE_NUMBERS(REFERENCE_TABLE_NAMES + section->sh_type);
	case REFERENCE_FRAME_TABLE:
		return section->sh_addr;
	default:
		return 0;
	}
}

static size_t archive_regions(size_t size, struct reference_region *ret_regions, size_t most)
{
	if (size <= ARCHIVE_HEAD || most == 0)
		return 0;
	*ret_regions = (struct reference_region){
		.kind = REFERENCE_POINTERS,
		.offset = ARCHIVE_HEAD,
		.size = size - ARCHIVE_HEAD,
		.address = ARCHIVE_ADDRESS,
	};
	return 1;
}

size_t executable_regions(const uint8_t *bytes, size_t size, struct reference_region *ret_regions, size_t most)
{
	struct headers headers = {.bytes = bytes, .size = size};
	size_t count = 0;

	if (!executable_suits(bytes, size))
		return 0;
	if (is_archive(bytes))
		return archive_regions(size, ret_regions, most);
	memcpy(&headers.head, bytes, sizeof(headers.head));
	const Elf64_Ehdr *head = &headers.head;
	if (head->e_type == ET_REL)
		return relocatable_regions(bytes, size, ret_regions, most);
	if (head->e_shentsize != sizeof(Elf64_Shdr) ||
	    !within(&headers, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr)))
		return 0;
	read_segments(&headers);
	for (size_t i = 0; i < head->e_shnum && count < most; i++) {
		Elf64_Shdr section;
		enum reference_kind kind;
		memcpy(&section, bytes + head->e_shoff + i * sizeof(section), sizeof(section));
		if (section.sh_size == 0 || !within(&headers, section.sh_offset, section.sh_size) ||
		    !kind_of(&headers, &section, &kind))
			continue;
		ret_regions[count++] = (struct reference_region){.kind = kind,
								 .offset = section.sh_offset,
								 .size = section.sh_size,
								 .address = section.sh_addr,
								 .base = base_of(kind, &section)};
	}
	return count;
}
