/* Long stretches of the new release that stand in the old one word for word, wherever: these are copied, so that the
 * search for matches need not go over them, on neither side. */
#ifndef RELEASE_DELTA_COPY_H
#define RELEASE_DELTA_COPY_H

#include "release/delta_plan.h"
#include "release/delta_source.h"

/* Of both releases; of what was matched alone. */
struct delta_copies {
	struct delta_stretch *copies; /* by new content, then offset; they do not overlap */
	size_t count, room;
	size_t *first; /* by new content, and one more: its first in `copies` */
};
void delta_copies_free(struct delta_copies *copies);

/* `matches` as delta_match gives them. Executables are left whole: their code is alike once it is rewritten. */
int delta_copies_find(const struct delta_source *old, const struct delta_source *new, const size_t *matches,
		      struct delta_copies *ret_copies, struct error *error) MUST_CHECK;

#endif
