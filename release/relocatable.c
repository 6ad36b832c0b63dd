#include "release/relocatable.h"

#include <elf.h>
#include <string.h>

#include "release/btf.h"

/* What stands before the types of a module: magic number and version, flags, its own length, then where types and
 * strings lie behind it and how long they are. Linux, Documentation/bpf/btf.rst. */
struct types_head {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t size, types, types_size, strings, strings_size;
};
#define TYPES_MAGIC   0xeb9f
#define TYPES_SECTION ".BTF"

struct object {
	const uint8_t *bytes;
	size_t size;
	Elf64_Ehdr head;
	Elf64_Shdr names; /* of sections */
	struct reference_region *regions;
	size_t count, most;
};

static bool within(size_t size, uint64_t offset, uint64_t length)
{
	return offset <= size && length <= size - offset;
}

static Elf64_Shdr section_at(const struct object *object, size_t index)
{
	Elf64_Shdr section;
	memcpy(&section, object->bytes + object->head.e_shoff + index * sizeof(section), sizeof(section));
	return section;
}

static bool is_named(const struct object *object, const Elf64_Shdr *section, const char *name)
{
	size_t size = strlen(name) + 1;
	return within(object->names.sh_size, section->sh_name, size) &&
	       memcmp(object->bytes + object->names.sh_offset + section->sh_name, name, size) == 0;
}

static void add(struct object *object, struct reference_region region)
{
	struct reference_region *last = object->count > 0 ? &object->regions[object->count - 1] : NULL;

	if (last != NULL && last->kind == region.kind && last->offset + last->size == region.offset)
		last->size += region.size;
	else if (object->count < object->most)
		object->regions[object->count++] = region;
}

/* The largest numbers that types speak of. */
struct largest {
	uint64_t numbers[2];
};

static void see(void *context, enum btf_word kind, uint8_t *at)
{
	struct largest *largest = context;
	uint32_t number;
	memcpy(&number, at, sizeof(number));
	if (number > largest->numbers[kind])
		largest->numbers[kind] = number;
}

static size_t last_string(const char *strings, size_t size)
{
	size_t at = size > 0 ? size - 1 : 0;
	while (at > 0 && strings[at - 1] != '\0')
		at--;
	return at;
}

/* A module's types go on where the kernel's end, and so do its strings: the last of them has the largest number. */
static void add_types(struct object *object, const Elf64_Shdr *section)
{
	const uint8_t *bytes = object->bytes + section->sh_offset;
	struct types_head head;
	struct largest largest = {{0}};

	if (section->sh_size < sizeof(head))
		return;
	memcpy(&head, bytes, sizeof(head));
	size_t size = (size_t)section->sh_size;
	if (head.magic != TYPES_MAGIC || head.size > size || !within(size - head.size, head.types, head.types_size) ||
	    !within(size - head.size, head.strings, head.strings_size))
		return;
	const uint8_t *types = bytes + head.size + head.types;
	size_t count = btf_walk((uint8_t *)(uintptr_t)types, head.types_size, see, &largest);
	uint64_t last = last_string((const char *)bytes + head.size + head.strings, head.strings_size);
	uint64_t number = largest.numbers[BTF_TYPE], name = largest.numbers[BTF_NAME];
	add(object, (struct reference_region){.kind = REFERENCE_TYPES,
					      .offset = (uint64_t)(types - object->bytes),
					      .size = head.types_size,
					      .address = number > count ? number + 1 - count : 0,
					      .base = name > last ? name - last : 0});
}

static void add_section(struct object *object, const Elf64_Shdr *section)
{
	struct reference_region region = {.offset = section->sh_offset, .size = section->sh_size};

	if (section->sh_type == SHT_RELA && section->sh_entsize == sizeof(Elf64_Rela)) {
		region.kind = REFERENCE_RELOCATIONS;
		add(object, region);
	} else if (section->sh_type == SHT_SYMTAB && section->sh_entsize == sizeof(Elf64_Sym)) {
		region.kind = REFERENCE_OBJECT_SYMBOLS;
		add(object, region);
	} else if (section->sh_type == SHT_PROGBITS && is_named(object, section, TYPES_SECTION)) {
		add_types(object, section);
	}
}

size_t relocatable_regions(const uint8_t *bytes, size_t size, struct reference_region *ret_regions, size_t most)
{
	struct object object = {.bytes = bytes, .size = size, .regions = ret_regions, .most = most};
	Elf64_Ehdr *head = &object.head;

	if (size < sizeof(*head))
		return 0;
	memcpy(head, bytes, sizeof(*head));
	if (head->e_shentsize != sizeof(Elf64_Shdr) || head->e_shstrndx >= head->e_shnum ||
	    !within(size, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr)))
		return 0;
	object.names = section_at(&object, head->e_shstrndx);
	if (!within(size, object.names.sh_offset, object.names.sh_size))
		return 0;
	for (size_t i = 0; i < head->e_shnum; i++) {
		Elf64_Shdr section = section_at(&object, i);
		if (section.sh_size > 0 && within(size, section.sh_offset, section.sh_size))
			add_section(&object, &section);
	}
	return object.count;
}
