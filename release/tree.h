/* Release trees on disk: compared with their manifest, content by content, on up to four cores. All work is beneath
 * descriptors. */
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

/* Gives everything its owner and final mode (root of `act` only; without root the owners stay), takes access lists and
 * capabilities away, and compares it with the manifest as tree_verify does with TREE_SEALED and, as root, TREE_OWNERS.
 * Directories first: once they are root's nobody else can put another file under a name. Then each file is taken,
 * found without a writer and hashed, in that order and through one descriptor. */
int tree_seal(int directory, const struct manifest *manifest, enum manifest_root root, struct error *error) MUST_CHECK;

#endif
