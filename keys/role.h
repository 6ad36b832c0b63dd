/* The four TUF roles and delegated targets as data (TUF 1.0 §4.3 to §4.6), read from verified envelopes and written for
 * the repository. */
#ifndef KEYS_ROLE_H
#define KEYS_ROLE_H

#include "keys/envelope.h"

enum role_kind { ROLE_ROOT, ROLE_TIMESTAMP, ROLE_SNAPSHOT, ROLE_TARGETS };
#define ROLE_KINDS 4
extern const char *const role_names[ROLE_KINDS]; /* "root", "timestamp", … */

/* Caps while reading (bytes); ours are python-tuf's. */
#define ROLE_ROOT_MOST      512000
#define ROLE_TIMESTAMP_MOST 16384
#define ROLE_SNAPSHOT_MOST  2000000
#define ROLE_TARGETS_MOST   5000000

/* Checks of every file: `_type` is the kind, spec_version of major 1, version >= 1, expires. */
struct role_head {
	int64_t version;
	int64_t expires; /* UTC seconds */
};
int role_head(const json_t *signed_part, enum role_kind kind, const char *what, struct role_head *ret_head,
	      struct error *error) MUST_CHECK;

/* The keys and threshold of a role: `keys` is the file's key list, `role` has "keyids" and "threshold". An id twice in
 * "keyids" counts once, an id without a key is passed over, a threshold below 1 is an error. */
int role_keys(const json_t *keys, const json_t *role, const char *what, struct key_set *ret_set,
	      struct error *error) MUST_CHECK;

/* The head and every line of `meta` (timestamp, snapshot) or `targets`; root by role_root_read, delegations by
 * delegation_check. What passed can be read line by line later without surprises. */
int role_check(const json_t *signed_part, enum role_kind kind, const char *what, struct role_head *ret_head,
	       struct error *error) MUST_CHECK;

struct role_root {
	struct role_head head;
	bool consistent_snapshot;
	struct key_set roles[ROLE_KINDS];
};
int role_root_read(const json_t *signed_part, struct role_root **ret_root, struct error *error) MUST_CHECK;
void role_root_free(struct role_root **root);

/* A line of `meta`: what timestamp says of snapshot, and snapshot of targets files. */
struct role_meta {
	int64_t version;
	bool has_length, has_sha256, has_sha512;
	int64_t length;
	uint8_t sha256[HASH_SIZE];
	uint8_t sha512[HASH_SHA512_SIZE];
};
/* Whether these bytes are what the line states, as far as it states anything: "length", "hash". */
int role_meta_check(const struct role_meta *meta, const char *what, const void *bytes, size_t size,
		    struct error *error) MUST_CHECK;
/* "snapshot.json", "targets.json", "ROLE.json"; false when not named. Malformed lines are errors at read time. */
int role_meta_read(const json_t *signed_part, const char *name, struct role_meta *ret_meta, bool *ret_named,
		   struct error *error) MUST_CHECK;

/* A target as targets metadata describes it. Others may state SHA-512 alone, or kinds that nobody knows; ours state
 * SHA-256, and whoever names a file by it finds zeros where it is lacking. */
struct role_target {
	int64_t length;
	uint8_t sha256[HASH_SIZE];
	uint8_t sha512[HASH_SHA512_SIZE];
	bool lacks_sha256, has_sha512;
	const json_t *custom; /* borrowed from the signed part; NULL when absent */
};
int role_target_read(const json_t *signed_part, const char *path, struct role_target *ret_target, bool *ret_named,
		     struct error *error) MUST_CHECK;

/* Length and every known hash that is stated, at least one: "length", "hash". */
int role_target_check(const struct role_target *target, const char *path, const void *bytes, size_t size,
		      struct error *error) MUST_CHECK;

#endif
