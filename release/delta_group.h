/* From matches to parts: like files stand together under one prefix, large ones are cut. */
#ifndef RELEASE_DELTA_GROUP_H
#define RELEASE_DELTA_GROUP_H

#include "release/delta_plan.h"

/* `matches` as delta_match gives them. */
int delta_group(const struct manifest *old, const struct manifest *new, const size_t *matches,
		struct delta_plan *ret_plan, struct error *error) MUST_CHECK;

#endif
