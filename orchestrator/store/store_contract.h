/* Contracts: what support a customer bought, until when. A tier is a row of the table here; 2,000 users or more raise
 * the lowest tiers. */
#ifndef STORE_STORE_CONTRACT_H
#define STORE_STORE_CONTRACT_H

#include "orchestrator/store/store.h"

struct store_contract {
	char id[STORE_NAME_SIZE], customer[STORE_NAME_SIZE];
	char kind[16]; /* on-premise, cloud */
	char tier[32];
	char support_until[11]; /* YYYY-MM-DD, inclusive, in `zone` */
	char zone[STORE_NAME_SIZE];
	int64_t ends; /* first instant after support_until */
	int64_t users;
	int64_t added;
};

/* Takes all but ends and added. The tier is raised where the number of users asks for it: *ret_tier (may be NULL) says
 * which it became, a constant. ERROR_DATA "tier" | "zone" | "date"; ERROR_CANNOT_CREATE "exists". */
int store_contract_add(struct store *store, const struct store_contract *contract, const char *actor, int64_t now,
		       const char **ret_tier, struct error *error) MUST_CHECK;
/* A later date, and where given another tier ("" keeps) and number of users (-1 keeps). An earlier date is refused:
 * ERROR_DATA "date". */
int store_contract_renew(struct store *store, const char *id, const char *until, const char *tier, int64_t users,
			 const char *actor, int64_t now, struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-contract". */
int store_contract_get(struct store *store, const char *id, struct store_contract *ret_contract,
		       struct error *error) MUST_CHECK;
/* Every column by its name; `customer` may be NULL. */
int store_contract_list(struct store *store, const char *customer, json_t **ret_rows, struct error *error) MUST_CHECK;
/* The row with its appliances [{name, product, version}]. */
int store_contract_show(struct store *store, const char *id, json_t **ret_object, struct error *error) MUST_CHECK;
/* Those that end before `before`, lapsed ones too, by end; with contacts: [{name, email}]. */
int store_contract_renewals(struct store *store, int64_t before, json_t **ret_rows, struct error *error) MUST_CHECK;

#endif
