/* The files of a release while it is being built: made, written, checked and shared beneath the staging directory's
 * descriptors, never through a path that a link could bend. */
#ifndef RELEASE_STAGING_H
#define RELEASE_STAGING_H

#include "release/manifest.h"
#include "release/unpack.h"

struct staging {
	int directory;                   /* owned, as are the roots */
	int roots[2];                    /* by enum manifest_root: staging/tree, staging/hooks */
	const struct manifest *manifest; /* borrowed */
};

void staging_close(struct staging *staging);

/* Makes roots, directories and links. `fresh`: whatever an earlier try left of them is removed first; otherwise only
 * what the manifest does not have is. */
int staging_open(int directory, const struct manifest *manifest, bool fresh, struct staging *ret_staging,
		 struct error *error) MUST_CHECK;

/* The file of an entry is there, whole and of the right content. */
bool staging_holds(const struct staging *staging, const struct manifest_entry *entry);

/* A whole file at once, replacing what stands there. */
int staging_write(const struct staging *staging, const struct manifest_entry *entry, const void *bytes, size_t size,
		  struct error *error) MUST_CHECK;
/* A stretch of a file that several blobs carry; the file is made when missing. */
int staging_write_at(const struct staging *staging, const struct manifest_entry *entry, uint64_t offset,
		     const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* Reads such a stretch back; false when it is not there. */
bool staging_read_at(const struct staging *staging, const struct manifest_entry *entry, uint64_t offset, void *bytes,
		     size_t size);

/* What an earlier try began may be written on: our own file, under one name, not longer than it will be. */
bool staging_may_continue(const struct staging *staging, const struct manifest_entry *entry);
int staging_remove(const struct staging *staging, const struct manifest_entry *entry, struct error *error) MUST_CHECK;

/* The entry's file from another file of the same content: `entry` of this staging, or of a `base` tree. Re-hashed on
 * the way: *ret_taken false when the source is missing or is not what its manifest says; then nothing is left under the
 * name. */
int staging_copy(const struct staging *staging, const struct manifest_entry *from, const struct manifest_entry *entry,
		 bool *ret_taken, struct error *error) MUST_CHECK;
int staging_share(const struct staging *staging, int base, const struct manifest_entry *from,
		  const struct manifest_entry *entry, enum unpack_share share, bool *ret_taken,
		  struct error *error) MUST_CHECK;

/* The final permission bits; set-id bits wait for tree_own. */
int staging_finish_file(const struct staging *staging, const struct manifest_entry *entry,
			struct error *error) MUST_CHECK;
int staging_finish_directories(const struct staging *staging, struct error *error) MUST_CHECK;

#endif
