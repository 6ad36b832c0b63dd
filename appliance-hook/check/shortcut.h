/* The delta from the release that runs, in place of a whole manifest and of blobs. Never needed: where there is none,
 * or it is damaged, or was made from something else, that is logged and the usual way is taken. Errors are those that
 * end the session anyway: the stream is gone, the disk is full, the other end aborts. */
#ifndef CHECK_SHORTCUT_H
#define CHECK_SHORTCUT_H

#include "appliance-hook/check/staging.h"

/* The manifest of `release` as a patch of the running one's bytes, compared with the signed length and hash; *ret_made
 * false: fetch it whole. The head of the delta is kept in `ret_head` for shortcut_stage. */
int shortcut_manifest(const struct verify *verify, const struct library_release *release, struct buffer *ret_manifest,
		      struct buffer *ret_head, bool *ret_made, struct error *error) MUST_CHECK;

/* After unpack_begin: fetches the delta into the staging directory, going on where an earlier try ended, compares
 * length and SHA-256, and makes what it can. Skipped where the blobs that are missing are fewer bytes. */
int shortcut_stage(const struct verify *verify, const struct staging_wish *wish, struct unpack *unpack, int staging,
		   int base, const struct manifest *base_manifest, struct error *error) MUST_CHECK;

#endif
