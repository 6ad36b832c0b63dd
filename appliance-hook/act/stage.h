/* From a staging directory that check fills to a sealed release: owned by root, hashed again, in its place. */
#ifndef ACT_STAGE_H
#define ACT_STAGE_H

#include <sys/types.h>

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

/* What `stage-dir` gives. Close both descriptors. */
struct stage_ground {
	int staging;                       /* releases/.staging-V, owned by the one who fills it */
	char current[LAYOUT_VERSION_SIZE]; /* "" and -1: nothing runs yet */
	int tree;
};
/* Takes the lock for a moment. What an earlier try left is there again; what an interrupted seal left is not. */
int stage_open(const struct layout *layout, const char *version, uid_t uid, gid_t gid, struct stage_ground *ret_ground,
	       struct error *error) MUST_CHECK;
void stage_ground_close(struct stage_ground *ground); /* also the CLEANUP function */

/* Owns the tree and the hooks, compares them with the manifest (staging/manifest.json, whose SHA-256 must be `sha256`),
 * and puts them in place. Bytes that differ are removed: ERROR_DATA. Sealing what stands sealed already is no error.
 * Takes the lock. */
int stage_seal(const struct layout *layout, const char *version, const char *sha256, struct error *error) MUST_CHECK;
/* As above for a caller that holds the lock and the journal. */
int stage_seal_locked(const struct layout *layout, struct journal *journal, const char *version, const char *sha256,
		      struct error *error) MUST_CHECK;

/* V is not staged any more, as the journal says it; nothing is removed. For a caller that holds the lock. */
int stage_forget(struct journal *journal, const char *version, struct error *error) MUST_CHECK;

/* Removes what was staged of V, sealed or not; never what runs or is the fallback. Takes the lock. */
int stage_discard(const struct layout *layout, const char *version, struct error *error) MUST_CHECK;

#endif
