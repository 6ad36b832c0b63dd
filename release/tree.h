/* Release trees on disk: compared with their manifest, built content by content. All work is beneath descriptors. */
#ifndef RELEASE_TREE_H
#define RELEASE_TREE_H

#include "release/manifest.h"

/* Every entry of `root` is there with its type, size, hash, mode and link target, and nothing else is. `owners`: owner
 * and group are checked too. ERROR_DATA "tree" names the first difference. With `sealed`, each file must have no open
 * writer (a read lease is taken and given back), and nothing an access list or a capability, so that what is hashed is
 * what will run. */
enum tree_check { TREE_CONTENT = 0, TREE_OWNERS = 1 << 0, TREE_SEALED = 1 << 1 };
int tree_verify(int directory, const struct manifest *manifest, enum manifest_root root, unsigned flags,
		struct error *error) MUST_CHECK;

/* Gives every file its owner and final mode (root of `act` only; without root the owners stay), and takes access lists
 * and capabilities away. */
int tree_own(int directory, const struct manifest *manifest, enum manifest_root root, struct error *error) MUST_CHECK;

#endif
