/* The maps of all executables that changed. */
#ifndef RELEASE_DELTA_SURVEY_H
#define RELEASE_DELTA_SURVEY_H

#include "release/delta_map.h"
#include "release/delta_source.h"

/* `matches` as delta_match gives them. On every core, in at most `memory` bytes; of maps that do not fit into it, or
 * into the limits of delta_map.h, the first ones are made. */
int delta_survey(const struct delta_source *old, const struct delta_source *new, const size_t *matches, size_t memory,
		 struct delta_maps *ret_maps, struct error *error) MUST_CHECK;

#endif
