/* Customers and those of their people who get mail. */
#ifndef STORE_STORE_CUSTOMER_H
#define STORE_STORE_CUSTOMER_H

#include "orchestrator/store/store.h"

/* ERROR_CANNOT_CREATE "exists". */
int store_customer_add(struct store *store, const char *name, const char *actor, int64_t now,
		       struct error *error) MUST_CHECK;
/* 0 when it is there; ERROR_DATA "unknown-customer". */
int store_customer_check(struct store *store, const char *name, struct error *error) MUST_CHECK;
/* `person` may be "". The address is the contact's key; case of the part behind the @ does not matter. */
int store_customer_contact_add(struct store *store, const char *customer, const char *person, const char *email,
			       const char *actor, struct error *error) MUST_CHECK;
/* ERROR_DATA "unknown-contact". */
int store_customer_contact_remove(struct store *store, const char *customer, const char *email, const char *actor,
				  struct error *error) MUST_CHECK;
/* [{name, added, contracts, appliances, contacts}], the last three being counts. */
int store_customer_list(struct store *store, json_t **ret_rows, struct error *error) MUST_CHECK;
/* {name, added, contacts: [{name, email}], contracts: [{id, tier, support_until, …}], appliances: [{name, …}]} */
int store_customer_show(struct store *store, const char *name, json_t **ret_object, struct error *error) MUST_CHECK;

#endif
