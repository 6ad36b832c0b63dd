/* The TUF client workflow (TUF 1.0 §5): a trusted set of metadata in a directory, refreshed from a source of bytes.
 *
 * Trusted files lie in `directory` under unversioned names (root.json, timestamp.json, snapshot.json, targets.json),
 * byte for byte as they came, and are verified again on every load. A refusal leaves the last valid set as it was. */
#ifndef KEYS_TRUST_H
#define KEYS_TRUST_H

#include "keys/role.h"

/* Bytes by name, from a folder, the tunnel or HTTPS: "metadata/3.root.json", "metadata/timestamp.json",
 * "metadata/7.snapshot.json", "metadata/2.targets.json", "metadata/2.QUOTED-ROLE.json" (without the number where the
 * root has no consistent snapshots), and for targets "targets/DIR/SHA256.NAME" ("targets/DIR/NAME" without them).
 * `ret_bytes` comes empty; at most `most` bytes are read, and more than that is ERROR_DATA "length". A name that is not
 * there: ERROR_DATA "missing". Any other error ends the refresh. */
struct trust_source {
	int (*fetch)(void *context, const char *name, size_t most, struct buffer *ret_bytes, struct error *error);
	void *context;
};
/* A source over a repository folder, which holds these same names. Borrows the descriptor in context. */
struct trust_source trust_source_folder(int *directory);

struct trust;

/* Starts from the installed root (the bytes of `trust_root`) and walks the roots that were accepted since
 * (root_history/N.root.json); the stored root.json is never an anchor by itself. Writes nothing. Borrows `directory`,
 * which should hold nothing else: delegated roles are stored under their own, URL-quoted names. */
int trust_open(int directory, const void *root, size_t root_size, struct trust **ret_trust,
	       struct error *error) MUST_CHECK;
void trust_free(struct trust **trust);

enum trust_refresh {
	TRUST_ALL = 0,
	/* import at an orchestrator whose signer issues the timestamp: the newest snapshot that is there stands
	 * in, found by counting up from the trusted version; everything else is checked as ever. */
	TRUST_NO_TIMESTAMP = 1 << 0,
};
/* root chain → timestamp → snapshot → targets, each persisted once it is verified. `now` is fixed for the whole
 * refresh. Refusals: "signature", "version" (rollback), "freeze" (expired), "mix", "length", "hash", "format". */
int trust_refresh(struct trust *trust, struct trust_source source, unsigned flags, int64_t now,
		  struct error *error) MUST_CHECK;
/* As trust_refresh where there is no network: `snapshot`, which somebody else vouches for, stands in for the timestamp,
 * which is left as it is. Nothing but roots is stored: trust_keep does that, once it is known who vouched. A snapshot
 * below the trusted one is "version". */
int trust_refresh_at(struct trust *trust, struct trust_source source, const struct role_meta *snapshot, int64_t now,
		     struct error *error) MUST_CHECK;
int trust_keep(struct trust *trust, struct error *error) MUST_CHECK;

/* Loads the last valid set without a source (for status and offline use), verified again under the chain of roots. A
 * timestamp need not be there; a file that lags behind what the one above it states (a refresh ended there) is still
 * the last valid one, and so is a snapshot ahead of the timestamp, which came without one. Expiry is checked against `now` last of all: after "freeze" the set is loaded all the same. */
int trust_load(struct trust *trust, int64_t now, struct error *error) MUST_CHECK;

/* After a refresh or load. Searches delegations as §5.6.7, at most 32 roles. *ret_named false: no such target. A role
 * on the way that cannot be had or verified ends the search with its error. `custom` is good until the next search. A
 * source without `fetch` looks only at what is stored. */
int trust_target(struct trust *trust, struct trust_source source, const char *path, int64_t now,
		 struct role_target *ret_target, bool *ret_named, struct error *error) MUST_CHECK;
/* Length and hash checked. Paths that lead outside ("..", a leading slash) are refused: "path". */
int trust_fetch_target(struct trust *trust, struct trust_source source, const char *path,
		       const struct role_target *target, struct buffer *ret_bytes, struct error *error) MUST_CHECK;

int64_t trust_version(const struct trust *trust, enum role_kind kind); /* 0: none yet */
int64_t trust_expires(const struct trust *trust, enum role_kind kind);
/* The top-level targets' signed part: borrowed, NULL before a refresh. Our releases are read from it. */
const json_t *trust_targets(const struct trust *trust);
/* SHA-256 of the canonical form of a root's signed part, for the join code: signatures added later do not change it. */
void trust_root_hash(const void *root, size_t root_size, uint8_t ret_hash[static HASH_SIZE]);

#endif
