/* Bytes from a repository folder into the releases directory, each checked on the way. */
#ifndef IMPORT_COPY_H
#define IMPORT_COPY_H

#include "base/buffer.h"
#include "keys/role.h"
#include "release/manifest.h"

/* metadata/, targets/, blobs/ and trust/ beneath `releases`. */
int copy_prepare(int releases, struct error *error) MUST_CHECK;

/* blobs/HASH: hashed while it is copied; one that stands already is kept when it still has its hash. */
int copy_blob(int source, int releases, const struct manifest_blob *blob, struct error *error) MUST_CHECK;
/* targets/DIRECTORY/SHA256.NAME, from bytes that were verified. */
int copy_target(int releases, const char *path, const uint8_t sha256[static HASH_SIZE], const struct buffer *bytes,
		struct error *error) MUST_CHECK;
/* A delta, of any length: streamed rather than held. What stands under its hash is kept when it still has it. */
int copy_delta(int source, int releases, const char *path, const struct role_target *target,
	       struct error *error) MUST_CHECK;
/* `file` beneath `source` to `name` beneath `releases`, byte for byte; versioned ones that stand are not overwritten,
 * unless those who hold the role now never signed them: its keys were rotated since. `holders` NULL: never. */
int copy_metadata(int source, const char *file, int releases, const char *name, size_t most,
		  const struct key_set *holders, struct error *error) MUST_CHECK;

/* The trusted set is brought forward beside the one that stands (*ret_directory, beneath `releases`), and takes its
 * place in one step when everything else is there: a refused import leaves what was trusted before. */
int copy_trust_begin(int releases, int *ret_directory, struct error *error) MUST_CHECK;
int copy_trust_commit(int releases, struct error *error) MUST_CHECK;

#endif
