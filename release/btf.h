/* The types that a kernel and its modules carry: where in them types and names are spoken of. Linux,
 * Documentation/bpf/btf.rst. */
#ifndef RELEASE_BTF_H
#define RELEASE_BTF_H

#include "base/compiler.h"

enum btf_word { BTF_TYPE, BTF_NAME };

/* Each word of 32 bits that is the number of a type or the place of a name and not 0, through types until they end or
 * one makes no sense; the words may be altered. Returns how many types there are. */
size_t btf_walk(uint8_t *types, size_t size, void (*visit)(void *context, enum btf_word kind, uint8_t *at),
		void *context);

#endif
