/* Where the bytes of an executable speak of its own addresses, and how they are rewritten so that two versions of it
 * differ no more than the programs do: a distance becomes the address that it leads to, what follows from another part
 * of the file becomes the difference to that. Reversible, the same number of bytes: what is found wrongly is
 * rewritten and restored all the same. Regions that overlap, or a frame that would belong to address 0, may not come
 * back; who makes a delta tries it. */
#ifndef RELEASE_REFERENCE_H
#define RELEASE_REFERENCE_H

#include "base/error.h"

/* In the order in which they are gone through: one draws on those before it. */
enum reference_kind {
	REFERENCE_X86_64, /* instructions */
	REFERENCE_AARCH64,
	REFERENCE_JUMPS,          /* read-only data with jump tables: 32-bit distances from where a LEA points */
	REFERENCE_FRAMES,         /* .eh_frame with 32-bit distances */
	REFERENCE_FRAME_TABLE,    /* the pairs of .eh_frame_hdr; `base` is where it begins */
	REFERENCE_RELOCATIONS,    /* Elf64_Rela */
	REFERENCE_SYMBOLS,        /* Elf64_Sym; `base` is what its names are counted from */
	REFERENCE_OBJECT_SYMBOLS, /* the same where values are counted from sections; not cut */
	REFERENCE_TYPES,    /* BTF; numbers of types below `address` and of names below `base` are shared; not cut */
	REFERENCE_POINTERS, /* aligned 64-bit words: addresses, or what moves like them */
};
#define REFERENCE_KINDS 10
/* What a walk takes at most, whatever it meets. */
#define REFERENCE_MEMORY ((size_t)24 * 1024 * 1024)

/* Numbers that are no addresses of a process, each with a space of its own; what a symbol's number and an addend say
 * together; and what means the same in all files of a release. */
#define REFERENCE_LINKS          (UINT64_C(1) << 61)
#define REFERENCE_NUMBERS(space) (UINT64_C(1) << 62 | (uint64_t)(space) << 40)
#define REFERENCE_SHARED         (UINT64_C(1) << 63)
enum reference_space {
	REFERENCE_TYPE_NUMBERS,
	REFERENCE_TYPE_NAMES,
	REFERENCE_OBJECT_NAMES,
	REFERENCE_TABLE_NAMES, /* and the type of the table */
};

struct reference_region {
	enum reference_kind kind;
	uint64_t offset, size; /* in the file */
	uint64_t address;      /* of its first byte in memory */
	uint64_t base;
};

enum reference_form {
	REFERENCE_DISTANCE, /* 32 bits, counted from `base` */
	REFERENCE_BACK,     /* 32 bits, counted backwards from `base` */
	REFERENCE_STEP,     /* 32 bits from `base`, rewritten as the difference from `expected` */
	REFERENCE_BRANCH,   /* B, BL */
	REFERENCE_PAGE,     /* ADRP */
	REFERENCE_WORD,     /* 32 bits of a number counted from `base` */
	REFERENCE_LOW,      /* the twelve bits that belong to a page, in units of 1 << scale; as it is in a new file */
	REFERENCE_POINTER,  /* 64 bits of an address; as it is in a new file */
	REFERENCE_LINK,     /* 32 bits of a symbol's number, then 32 of an addend; as it is in a new file */
};

struct reference {
	enum reference_form form;
	uint8_t *at;
	uint64_t base, expected;
	uint64_t target; /* the address; not known while a file is restored */
	unsigned scale;
};

/* Some bytes of a file, in either shape. */
struct reference_view {
	uint8_t *bytes;
	size_t size;
	uint64_t offset; /* of the first one in the file */
	const struct reference_region *regions;
	size_t count;
	bool rewritten;
	const uint64_t *tables; /* where jump tables begin that code outside the view speaks of */
	size_t table_count;
};

/* May alter what the reference is made of, by one of the two below. */
typedef void reference_visit(void *context, const struct reference *reference);

/* Every reference in the view, once. What a piece of a file is rewritten to depends on where it begins and ends. */
int reference_walk(const struct reference_view *view, reference_visit *visit, void *context,
		   struct error *error) MUST_CHECK;

/* Where jump tables begin, ascending: of a whole file. Caller frees. */
int reference_tables(const struct reference_view *view, uint64_t **ret_tables, size_t *ret_count,
		     struct error *error) MUST_CHECK;

/* From the file's own shape to the rewritten one, as if the reference led to `target`. */
void reference_write(const struct reference *reference, uint64_t target);
/* And back. */
void reference_restore(const struct reference *reference);

#endif
