/* What the releases directory publishes: the newest targets metadata, verified under the newest root, and the snapshot
 * that names it. The importer verified the chain before it put a file there; this looks again, but asks for no
 * freshness: that is the hook's question. */
#ifndef ENGINE_CATALOGUE_H
#define ENGINE_CATALOGUE_H

#include "keys/offline.h"
#include "release/library.h"

struct catalogue;

/* ERROR_DATA "missing" before the first import. */
int catalogue_load(int releases, struct catalogue **ret_catalogue, struct error *error) MUST_CHECK;
void catalogue_free(struct catalogue **catalogue);

const json_t *catalogue_targets(const struct catalogue *catalogue); /* the signed part; borrowed */
/* The hash of root 1, which appliances were given and join codes pin. */
const uint8_t *catalogue_root_hash(const struct catalogue *catalogue);

/* The timestamp that would be needed: *ret_due, with {version, length, sha256} of the newest snapshot (caller owns) and
 * the version of the timestamp that stands (0: none). Due when it is missing, of an older snapshot, or past its first
 * day. */
int catalogue_timestamp_due(const struct catalogue *catalogue, int releases, int64_t now, bool *ret_due,
			    json_t **ret_snapshot, int64_t *ret_after, struct error *error) MUST_CHECK;
/* Puts a new timestamp in its place, durably, when the root's timestamp role signed it and it goes forward. */
int catalogue_put_timestamp(const struct catalogue *catalogue, int releases, const json_t *envelope, int64_t after,
			    struct error *error) MUST_CHECK;

/* Which set that is, for an offline grant: its snapshot; *ret_expires is when the first of root, snapshot and targets
 * does. */
void catalogue_describe(const struct catalogue *catalogue, struct offline *offline, int64_t *ret_expires);

/* Version and expiry of what is served; false when there is no such file that can be believed. */
bool catalogue_head(const struct catalogue *catalogue, int releases, enum role_kind kind, struct role_head *ret_head);

/* The verified manifest of a release. */
int catalogue_manifest(int releases, const struct library_release *release, struct manifest **ret_manifest,
		       struct error *error) MUST_CHECK;

#endif
