#include "orchestrator/store/store_contract.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_customer.h"
#include "schedules/zone.h"

#define MANY_USERS     2000
#define CONTRACT_USERS 100000000

/* By kind, the lowest first. `many`: the least that MANY_USERS or more may have. */
static const struct tier {
	const char *kind, *name;
	bool many;
} tiers[] = {
	{"on-premise", "standard", false}, {"on-premise", "advanced", true}, {"on-premise", "premium", false},
	{"cloud", "standard", false},      {"cloud", "priority", true},
};

/* The tier's row for that many users. */
static int find_tier(const char *kind, const char *name, int64_t users, const struct tier **ret_tier,
		     struct error *error)
{
	const struct tier *asked = NULL, *least = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
		if (strcmp(tiers[i].kind, kind) != 0)
			continue;
		if (strcmp(tiers[i].name, name) == 0)
			asked = &tiers[i];
		if (tiers[i].many)
			least = &tiers[i];
	}
	if (!least)
		return error_set(error, ERROR_DATA, "kind", "kind \"%.32s\" must be on-premise or cloud", kind);
	if (!asked)
		return error_set(
			error, ERROR_DATA, "tier", "tier \"%.32s\" is none of kind %s, which has %s", name, kind,
			strcmp(kind, "cloud") == 0 ? "standard and priority" : "standard, advanced and premium");
	if (users < 0 || users > CONTRACT_USERS)
		return error_set(error, ERROR_DATA, "users", "the number of users must be 0 to %d", CONTRACT_USERS);
	*ret_tier = users >= MANY_USERS && asked < least ? least : asked;
	return 0;
}

static int find_end(const char *zone_word, const char *date, int64_t *ret_ends, struct error *error)
{
	CLEANUP(zone_free) struct zone *zone = NULL;
	int result = zone_load(zone_word, &zone, error);

	return result < 0 ? result : zone_date_end(zone, date, ret_ends, error);
}

int store_contract_add(struct store *store, const struct store_contract *contract, const char *actor, int64_t now,
		       const char **ret_tier, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	const struct tier *tier = NULL;
	int64_t ends = 0;
	char detail[256];
	int result = find_tier(contract->kind, contract->tier, contract->users, &tier, error);

	if (result == 0)
		result = find_end(contract->zone, contract->support_until, &ends, error);
	if (result == 0)
		result = store_begin(store, &transaction, error);
	if (result == 0)
		result = store_customer_check(store, contract->customer, error);
	if (result < 0)
		return result;
	result = store_change(store, NULL, error,
			      "INSERT INTO contract (id, customer, kind, tier, support_until, zone, ends, users, added)"
			      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			      "ssssssiii", contract->id, contract->customer, contract->kind, tier->name,
			      contract->support_until, contract->zone, ends, contract->users, now);
	if (result < 0 && strcmp(error->name, "exists") == 0)
		return error_set(error, ERROR_CANNOT_CREATE, "exists", "contract %s is there already", contract->id);
	snprintf(detail, sizeof(detail), "%s %s %s until %s %s, %lld users", contract->customer, contract->kind,
		 tier->name, contract->support_until, contract->zone, (long long)contract->users);
	if (result == 0)
		result = store_audit_append(store, actor, "contract add", contract->id, detail, error);
	if (result == 0)
		result = store_commit(&transaction, error);
	if (result == 0 && ret_tier)
		*ret_tier = tier->name;
	return result;
}

int store_contract_renew(struct store *store, const char *id, const char *until, const char *tier_word, int64_t users,
			 const char *actor, int64_t now UNUSED, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_contract contract = {0};
	const struct tier *tier = NULL;
	int64_t ends = 0;
	char detail[256];
	int result = store_begin(store, &transaction, error);

	if (result == 0)
		result = store_contract_get(store, id, &contract, error);
	if (result < 0)
		return result;
	if (users < 0)
		users = contract.users;
	result = find_tier(contract.kind, tier_word[0] ? tier_word : contract.tier, users, &tier, error);
	if (result == 0)
		result = find_end(contract.zone, until, &ends, error);
	if (result == 0 && ends < contract.ends)
		return error_set(error, ERROR_DATA, "date",
				 "contract %s: support until %s is before %s, which stands: a renewal never shortens",
				 id, until, contract.support_until);
	if (result == 0)
		result = store_change(
			store, NULL, error,
			"UPDATE contract SET support_until = ?, ends = ?, tier = ?, users = ? WHERE id = ?", "sisis",
			until, ends, tier->name, users, id);
	if (result < 0)
		return result;
	snprintf(detail, sizeof(detail), "until %s (was %s), %s (was %s), %lld users", until, contract.support_until,
		 tier->name, contract.tier, (long long)users);
	result = store_audit_append(store, actor, "contract renew", id, detail, error);
	return result < 0 ? result : store_commit(&transaction, error);
}

int store_contract_get(struct store *store, const char *id, struct store_contract *ret_contract, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	struct store_contract contract = {0};
	bool found = false;
	int result = store_query(store, &query, error,
				 "SELECT id, customer, kind, tier, support_until, zone, ends, users, added"
				 " FROM contract WHERE id = ?",
				 "s", id);

	if (result == 0)
		result = store_query_next(query, &found, error);
	if (result < 0)
		return result;
	if (!found)
		return error_set(error, ERROR_DATA, "unknown-contract",
				 "contract %s is not known: `nightshift contract list` shows those that are", id);
	store_query_copy(query, 0, contract.id, sizeof(contract.id));
	store_query_copy(query, 1, contract.customer, sizeof(contract.customer));
	store_query_copy(query, 2, contract.kind, sizeof(contract.kind));
	store_query_copy(query, 3, contract.tier, sizeof(contract.tier));
	store_query_copy(query, 4, contract.support_until, sizeof(contract.support_until));
	store_query_copy(query, 5, contract.zone, sizeof(contract.zone));
	contract.ends = store_query_integer(query, 6);
	contract.users = store_query_integer(query, 7);
	contract.added = store_query_integer(query, 8);
	*ret_contract = contract;
	return 0;
}

#define CONTRACT_COLUMNS "id, customer, kind, tier, support_until, zone, ends, users, added"

int store_contract_list(struct store *store, const char *customer, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT " CONTRACT_COLUMNS " FROM contract WHERE ?1 IS NULL OR customer = ?1 ORDER BY id",
			  "s", customer);
}

int store_contract_show(struct store *store, const char *id, json_t **ret_object, struct error *error)
{
	CLEANUP(jsonio_free) json_t *contract = NULL;
	struct store_contract known;
	json_t *appliances = NULL;
	int result = store_contract_get(store, id, &known, error);

	if (result == 0)
		result = store_row(store, &contract, error, "SELECT " CONTRACT_COLUMNS " FROM contract WHERE id = ?",
				   "s", id);
	if (result == 0)
		result =
			store_rows(store, &appliances, error,
				   "SELECT name, product, version FROM appliance WHERE contract = ? AND revoked IS NULL"
				   " ORDER BY name",
				   "s", id);
	if (result == 0 && json_object_set_new(contract, "appliances", appliances) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for contract %s", id);
	if (result == 0)
		*ret_object = TAKE(contract);
	return result;
}

int store_contract_renewals(struct store *store, int64_t before, json_t **ret_rows, struct error *error)
{
	CLEANUP(jsonio_free) json_t *rows = NULL;
	size_t index;
	json_t *row;
	int result =
		store_rows(store, &rows, error,
			   "SELECT " CONTRACT_COLUMNS " FROM contract WHERE ends < ? ORDER BY ends, id", "i", before);

	if (result < 0)
		return result;
	json_array_foreach(rows, index, row)
	{
		json_t *contacts = NULL;
		result = store_rows(store, &contacts, error,
				    "SELECT name, email FROM contact WHERE customer = ? ORDER BY email", "s",
				    jsonio_string(row, "customer"));
		if (result == 0 && json_object_set_new(row, "contacts", contacts) < 0)
			result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the renewals");
		if (result < 0)
			return result;
	}
	*ret_rows = TAKE(rows);
	return 0;
}
