/* Factory use, once: the version that the box came with becomes releases/V and current. */
#ifndef ACT_ADOPT_H
#define ACT_ADOPT_H

#include "appliance-hook/act/layout.h"
#include "release/bundle.h"

/* The bundle's manifest is taken as it is: whoever adopts vouches for it. With `tree` (-1: none), an open directory,
 * that tree must equal the manifest and its bytes are taken; hooks come from the bundle. ERROR_CANNOT_CREATE "exists"
 * when a version stands already. Takes the lock; interrupted, it is called again. */
int adopt_bundle(const struct layout *layout, struct bundle *bundle, int tree,
		 char ret_version[static LAYOUT_VERSION_SIZE], struct error *error) MUST_CHECK;

#endif
