/* What makes a manifest a closed set that can be unpacked and cannot reach outside. Read and made manifests pass the
 * same rules. */
#ifndef RELEASE_RULES_H
#define RELEASE_RULES_H

#include "release/manifest.h"

/* Owners that an entry may name. Fixed ids, so that neither packing nor sealing asks a user database. */
struct rules_owner {
	const char *name;
	unsigned id; /* uid and gid */
};
/* NULL when the name is not on the list. */
const struct rules_owner *rules_owner(const char *name);

/* Names of the hooks root. */
bool rules_hook_is_known(const char *name);

/* Checks every rule that manifest_parse promises and fills what the struct calls derived. ERROR_DATA "manifest" names
 * the entry and the rule. */
int rules_check(struct manifest *manifest, struct error *error) MUST_CHECK;
/* Of these, the rules of the head and of the entries alone: known before anything is compressed. */
int rules_check_entries(const struct manifest *manifest, struct error *error) MUST_CHECK;

#endif
