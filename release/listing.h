/* What lies in a release tree and does not belong there. */
#ifndef RELEASE_LISTING_H
#define RELEASE_LISTING_H

#include "release/manifest.h"

/* Called for each name that the manifest does not have, or has with another type; `parent` is the open directory that
 * holds `name`, `path` is relative to the root. From several threads at once, each with another directory. A negative
 * return ends the walk. */
typedef int listing_stranger(void *context, int parent, const char *name, const char *path, struct error *error);

/* Lists the root and every directory of the manifest that is there (a missing one is left to the caller to miss). */
int listing_strangers(int directory, const struct manifest *manifest, enum manifest_root root,
		      listing_stranger *stranger, void *context, struct error *error) MUST_CHECK;

#endif
