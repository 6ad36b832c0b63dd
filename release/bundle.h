/* P-V.bundle: a pax tar of manifest.json and blobs/HASH, and of the metadata chain in an offline one (metadata/…,
 * entitlement.json, offline.json). `bsdtar tf` lists it. libarchive's one door is bundle.c with bundle_writer.c, and
 * input.c for the inputs of pack. */
#ifndef RELEASE_BUNDLE_H
#define RELEASE_BUNDLE_H

#include "release/manifest.h"

struct bundle; /* open for reading */

/* The manifest's bytes are read (bounded) but not trusted: the caller verifies their hash, then calls manifest_parse.
 */
int bundle_open(const char *path, struct bundle **ret_bundle, struct error *error) MUST_CHECK;
/* The same of an open file, which is taken; `name` is for messages. The manifest is not read, only found: whoever opens
 * one so has it by bundle_read or bundle_send. */
int bundle_open_fd_take(int fd, const char *name, struct bundle **ret_bundle, struct error *error) MUST_CHECK;
void bundle_free(struct bundle **bundle);
const struct buffer *bundle_manifest(const struct bundle *bundle); /* borrowed */
/* A member by name ("blobs/HASH", "metadata/timestamp.json"), at most `most` bytes. ERROR_DATA "missing". Several
 * threads may read one bundle at once. */
int bundle_read(struct bundle *bundle, const char *name, size_t most, struct buffer *ret_bytes,
		struct error *error) MUST_CHECK;
/* The same, without ever holding all of it: piece by piece, until one is refused. */
struct bundle_sink {
	int (*write)(void *context, const void *bytes, size_t size, struct error *error);
	void *context;
};
int bundle_send(struct bundle *bundle, const char *name, size_t most, struct bundle_sink sink,
		struct error *error) MUST_CHECK;
bool bundle_has(const struct bundle *bundle, const char *name);
/* A bundle is a closed set: its manifest, the documents and blobs that this (its own, parsed) names, and, where it
 * carries a chain, that. Anything else: ERROR_DATA "closed". */
int bundle_check_closed(const struct bundle *bundle, const struct manifest *manifest, struct error *error) MUST_CHECK;

/* Writing: members in the order given, times and owners fixed, so that the same input gives the same bytes. */
struct bundle_writer;
int bundle_create(const char *path, struct bundle_writer **ret_writer, struct error *error) MUST_CHECK;
int bundle_add(struct bundle_writer *writer, const char *name, const void *bytes, size_t size,
	       struct error *error) MUST_CHECK;
/* Ends the archive, fsync, rename to its name. Without it bundle_writer_free removes what was begun. */
int bundle_close(struct bundle_writer *writer, struct error *error) MUST_CHECK;
void bundle_writer_free(struct bundle_writer **writer);

#endif
