/* Delegations of a targets role (TUF §4.5): who else may speak for which paths. Internal to keys/. */
#ifndef KEYS_DELEGATION_H
#define KEYS_DELEGATION_H

#include "keys/role.h"

#define DELEGATION_ROLES_MOST 16384
#define DELEGATION_FILE_MOST  256 /* "QUOTED-NAME.json" and the NUL */

/* Every delegation of a targets file, at once: names are unique, not empty and none of the four; each has keys and a
 * threshold, and `paths` or `path_hash_prefixes` but not both. No delegations: 0. */
int delegation_check(const json_t *signed_part, const char *what, struct error *error) MUST_CHECK;

/* Of a file that was checked, in order of appearance. Borrowed; NULL past the end. */
const json_t *delegation_at(const json_t *signed_part, size_t index);
const char *delegation_name(const json_t *delegation);
bool delegation_is_terminating(const json_t *delegation);
/* Whether the delegation speaks for this path. */
bool delegation_covers(const json_t *delegation, const char *path);
int delegation_keys(const json_t *signed_part, const json_t *delegation, struct key_set *ret_set,
		    struct error *error) MUST_CHECK;

/* The role's file name, percent-quoted (RFC 3986 §2.3: only unreserved characters stay), so that a name is never a
 * path. */
int delegation_file(const char *name, char ret_file[static DELEGATION_FILE_MOST], struct error *error) MUST_CHECK;

#endif
