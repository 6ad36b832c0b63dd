/* Which old content a new one is most like: the one at its path; where there is none, the one that shares the most with
 * it by its sketch; else one of its name, in the place most like its own and of a size like its own. */
#ifndef RELEASE_DELTA_MATCH_H
#define RELEASE_DELTA_MATCH_H

#include "release/delta_source.h"

#define DELTA_MATCH_NONE SIZE_MAX       /* nothing like it */
#define DELTA_MATCH_SAME (SIZE_MAX - 1) /* the old tree has this very content, or it is empty: nothing to make */

/* By new content: the old one's index, or one of the two above. Caller frees. */
int delta_match(const struct delta_source *old, const struct delta_source *new, size_t **ret_matches,
		struct error *error) MUST_CHECK;

#endif
