/* Who may ask the API, and for what: a login at its socket, a role. */
#ifndef STORE_STORE_TECHNICIAN_H
#define STORE_STORE_TECHNICIAN_H

#include "orchestrator/store/store.h"

struct store_technician {
	char name[STORE_NAME_SIZE], login[STORE_NAME_SIZE];
	char public_key[512]; /* OpenSSH line; "" */
	char role[16];        /* admin, accounts, technician, approver, auditor */
	int64_t added;
};

/* Takes all but added. ERROR_CANNOT_CREATE "exists" for a name or a login that is taken. */
int store_technician_add(struct store *store, const struct store_technician *technician, const char *actor, int64_t now,
			 struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-technician", here and below. */
int store_technician_by_login(struct store *store, const char *login, struct store_technician *ret_technician,
			      struct error *error) MUST_CHECK;
/* The last admin stays: ERROR_NOT_PERMITTED "last-admin". */
int store_technician_remove(struct store *store, const char *name, const char *actor, struct error *error) MUST_CHECK;
/* [{name, login, role, public_key, added}] */
int store_technician_list(struct store *store, json_t **ret_rows, struct error *error) MUST_CHECK;

#endif
