/* What a box lies on: file systems, how they are made and examined. */
#ifndef TESTS_POWER_STORAGE_H
#define TESTS_POWER_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power/tape.h"

#define STORAGE_WORDS 12

struct filesystem {
	const char *name;
	uint64_t size;
	size_t sector;       /* that it counts on to be written whole or not at all */
	const char *options; /* of mount */
	const char *make[STORAGE_WORDS], *examine[STORAGE_WORDS];
};

/* The product and its data on the first disk; what the hook knows on the second where there is one: then the log of one
 * file system does not bring the other's order with it. */
struct storage {
	const char *name;
	const struct filesystem *disks[TAPE_DISKS];
	unsigned share; /* one in so many of the cuts that others get */
};

const struct storage *storage_find(const char *name); /* or NULL */
unsigned storage_disks(const struct storage *storage);
/* What is missing here, as a sentence; NULL: nothing. */
const char *storage_lacks(const struct storage *storage);

/* A new, empty one in memory. */
int storage_blank(const struct filesystem *filesystem);
/* Whether the file system's own checker finds nothing; else *ret_found is what it said, to be freed. */
bool storage_examine(const struct filesystem *filesystem, int image, char **ret_found);

#endif
