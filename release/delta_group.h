/* From matches to parts: like files stand together under one prefix, large ones are cut. */
#ifndef RELEASE_DELTA_GROUP_H
#define RELEASE_DELTA_GROUP_H

#include "release/delta_copy.h"

/* `matches` as delta_match gives them, `copies` as delta_copies_find does. What is copied from an old content is in no
 * prefix. */
int delta_group(const struct manifest *old, const struct manifest *new, const size_t *matches,
		const struct delta_copies *copies, struct delta_plan *ret_plan, struct error *error) MUST_CHECK;

#endif
