/* The old release's tree, from which the parts of a delta draw. Each thread has its own; the file that was read last
 * stays open, for a part draws on one file many times in a row. */
#ifndef RELEASE_DELTA_BASE_H
#define RELEASE_DELTA_BASE_H

#include "release/manifest.h"

struct delta_base {
	const struct manifest *manifest; /* of the old release; borrowed */
	int tree;                        /* its directory; borrowed */
	size_t content;                  /* whose file `fd` is; SIZE_MAX: none was asked for yet */
	int fd;                          /* owned; -1 where the content's file is missing or has another size */
};
#define DELTA_BASE(old, directory)                                                                                     \
	((struct delta_base){.manifest = (old), .tree = (directory), .content = SIZE_MAX, .fd = -1})
void delta_base_close(struct delta_base *base); /* also the CLEANUP function */

/* Bytes of old content `content`. What cannot be read counts as zeros: what is made of them is wrong, and its hash says
 * so. */
void delta_base_read(struct delta_base *base, size_t content, uint64_t offset, void *bytes, size_t size);
/* The content's file is what the manifest says. */
bool delta_base_holds(struct delta_base *base, size_t content);

#endif
