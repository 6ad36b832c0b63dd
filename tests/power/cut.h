/* The moments at which the power may go, and what each disk then holds: all that was written before its last flush, and
 * of what was written since whatever a disk with a cache may have kept. */
#ifndef TESTS_POWER_CUT_H
#define TESTS_POWER_CUT_H

#include <stdbool.h>

#include "tests/power/tape.h"

enum cut_kind {
	CUT_FLUSHED, /* nothing of it */
	CUT_PREFIX,  /* the first of it, in order */
	CUT_TORN,    /* the same, and a part of the one behind */
	CUT_WRITES,  /* any of it */
	CUT_SECTORS, /* any sectors of it, as if it had come in any order */
	CUT_KINDS
};

struct cut {
	enum cut_kind kind;
	size_t since[TAPE_DISKS]; /* entries before this one are durable on that disk */
	size_t until;             /* the next flush, or the end: what was promised before it holds */
	uint64_t seed;
};

const char *cut_name(enum cut_kind kind);

/* The cuts from entry `first` on, in order: before each flush that had writes to make durable one that keeps nothing of
 * them and one that keeps something, of each kind in turn. Returns how many; *ret_cuts is to be freed. */
size_t cut_plan(const struct tape *tape, size_t first, struct cut **ret_cuts);

/* The entries [from, to) of that disk onto `file`. */
void cut_play(const struct tape *tape, unsigned disk, size_t from, size_t to, int file);
/* Onto `file`, which holds what is durable, what else the cut kept; `sector` is what is written whole or not at all. */
void cut_make(const struct tape *tape, const struct cut *cut, unsigned disk, size_t sector, int file);

/* A new file in memory, of `size` bytes or as large and with the same bytes as `image`. */
int cut_blank(uint64_t size);
int cut_copy(int image);

#endif
