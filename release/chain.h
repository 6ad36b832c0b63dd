/* The metadata chain inside a bundle, for machines without a network: every root and snapshot, the targets, the
 * timestamp where there is one, and the targets that are no releases (authority.json). Verified like a repository. */
#ifndef RELEASE_CHAIN_H
#define RELEASE_CHAIN_H

#include "keys/trust.h"
#include "release/bundle.h"

/* From a repository folder (repository, or an orchestrator's releases directory) into a bundle that holds manifest.json
 * already. */
int chain_write(int directory, struct bundle_writer *writer, struct error *error) MUST_CHECK;
/* All of it: manifest.json of the release that `targets` names, the chain, the blobs. The caller adds what is its own
 * and closes. */
int chain_write_release(int directory, const json_t *targets, const char *product, const char *version,
			struct bundle_writer *writer, struct error *error) MUST_CHECK;

/* The same for one set alone, wherever its numbers begin: all roots, that snapshot, that targets, no timestamp. */
struct chain_set {
	const json_t *targets; /* its signed part */
	int64_t snapshot_version, targets_version;
};
int chain_write_set(int directory, const struct chain_set *set, const char *product, const char *version,
		    struct bundle_writer *writer, struct error *error) MUST_CHECK;

/* By which name a bundle has what a repository has by this one: "targets/P/V/HASH.manifest.json" is its manifest.
 * Whether it is that one the caller's hash check tells. */
const char *chain_member(const char *name);
/* A source over such a bundle; borrows it. */
struct trust_source chain_source(struct bundle *bundle);

#endif
