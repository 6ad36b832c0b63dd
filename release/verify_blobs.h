/* The stored bytes of every blob of a release against its manifest, on every core. */
#ifndef RELEASE_VERIFY_BLOBS_H
#define RELEASE_VERIFY_BLOBS_H

#include "release/bundle.h"

/* Of `bundle`, or of blobs/ beneath `directory` when that is NULL. ERROR_DATA "hash" names the first blob, in the
 * manifest's order, that is not what the manifest says. */
int verify_blobs(int directory, struct bundle *bundle, const struct manifest *manifest, struct error *error) MUST_CHECK;

#endif
