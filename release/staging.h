/* The files of a release while it is being built: made, written, checked and shared beneath the staging directory's
 * descriptors, never through a path that a link could bend. */
#ifndef RELEASE_STAGING_H
#define RELEASE_STAGING_H

#include <stdatomic.h>

#include "base/folder.h"
#include "release/manifest.h"
#include "release/unpack.h"

struct staging {
	int directory;                   /* owned, as are the roots */
	int roots[2];                    /* by enum manifest_root: staging/tree, staging/hooks */
	const struct manifest *manifest; /* borrowed */
	unsigned masked;                 /* permission bits that a new file may not get by being made */
	atomic_bool no_extents;          /* this file system shares none */
};

/* What one thread keeps between files. */
#define STAGING_ROOM ((size_t)1024 * 1024)
struct staging_hand {
	struct folder to, from;
	uint8_t *room; /* STAGING_ROOM bytes, NULL before they were needed */
	bool holds;    /* a whole content lies there, of this hash: its other files need not be read again */
	uint8_t hash[HASH_SIZE];
};
#define STAGING_HAND_EMPTY ((struct staging_hand){.to = FOLDER_CLOSED, .from = FOLDER_CLOSED})
void staging_hand_free(struct staging_hand *hand); /* also the CLEANUP function */

void staging_close(struct staging *staging);

/* Makes roots, directories and links. `fresh`: whatever an earlier try left of them is removed first; otherwise only
 * what the manifest does not have is. */
int staging_open(int directory, const struct manifest *manifest, bool fresh, struct staging *ret_staging,
		 struct error *error) MUST_CHECK;

/* The final permission bits of the directories. */
int staging_finish_directories(const struct staging *staging, struct error *error) MUST_CHECK;

/* staging_file.c. What follows may be called by several threads, each with its own hand. */

/* The file of an entry is there, whole and of the right content. */
bool staging_holds(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry);

/* A whole file at once, replacing what stands there, with its final permission bits; set-id bits wait for tree_seal. */
int staging_write(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		  const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* A stretch of a file that several blobs carry; the file is made when missing. */
int staging_write_at(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		     uint64_t offset, const void *bytes, size_t size, struct error *error) MUST_CHECK;
/* Hands such a stretch back piece by piece; false when it is not there. */
typedef void staging_piece(void *context, const void *bytes, size_t size);
bool staging_read_at(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
		     uint64_t offset, uint64_t size, staging_piece *piece, void *context);
/* Its permission bits, once all of it is there. */
int staging_finish_file(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry,
			struct error *error) MUST_CHECK;

/* What an earlier try began may be written on, and can be: our own file, under one name, not longer than it will be. */
bool staging_may_continue(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *entry);
int staging_remove(const struct staging *staging, const struct manifest_entry *entry, struct error *error) MUST_CHECK;

/* The entry's file from another file of the same content: `from` of this staging, or of a `base` tree. Re-hashed on the
 * way: *ret_taken false when the source is missing or is not what its manifest says; then nothing is left under the
 * name. */
int staging_copy(const struct staging *staging, struct staging_hand *hand, const struct manifest_entry *from,
		 const struct manifest_entry *entry, bool *ret_taken, struct error *error) MUST_CHECK;
int staging_share(struct staging *staging, struct staging_hand *hand, int base, const struct manifest_entry *from,
		  const struct manifest_entry *entry, enum unpack_share share, bool *ret_taken,
		  struct error *error) MUST_CHECK;

#endif
