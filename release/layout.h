/* How a release's contents lie in its blobs: the same entries give the same layout. */
#ifndef RELEASE_LAYOUT_H
#define RELEASE_LAYOUT_H

#include "release/manifest.h"

#define LAYOUT_BLOB_SIZE (4 * 1024 * 1024)

/* Sorts the entries and fills contents (distinct, like beside like) and the plain sizes of the blobs; what stood there
 * before is freed. Hashes and stored sizes of the blobs are the compressor's. */
int layout_plan(struct manifest *manifest, struct error *error) MUST_CHECK;

/* Marks blobs whose bytes an earlier one has too: long runs of the same byte make such. They are stored once. The array
 * has manifest->blob_count places. */
int layout_mark_repeated(const struct manifest *manifest, bool *ret_repeated, struct error *error) MUST_CHECK;

#endif
