/* STATE/PRODUCT/quarantine.json: manifests that this appliance rolled back, by SHA-256. They are refused until somebody
 * takes them off. {"quarantine":[{"sha256","version","reason","time"}]} */
#ifndef ACT_QUARANTINE_H
#define ACT_QUARANTINE_H

#include "appliance-hook/act/layout.h"

#define QUARANTINE_MOST 1000

/* A list that cannot be read is an error, never an empty list. */
int quarantine_has(const struct layout *layout, const char *sha256, bool *ret_has, struct error *error) MUST_CHECK;
/* The caller holds the lock. Adding what is there replaces it; past QUARANTINE_MOST the oldest goes. */
int quarantine_add(const struct layout *layout, const char *sha256, const char *version, const char *reason,
		   struct error *error) MUST_CHECK;
/* By hash or by version; ERROR_DATA "missing" when nothing is. Takes the lock. */
int quarantine_remove(const struct layout *layout, const char *what, struct error *error) MUST_CHECK;
/* The array of entries. Caller owns *ret_list. */
int quarantine_list(const struct layout *layout, json_t **ret_list, struct error *error) MUST_CHECK;

#endif
