#include "orchestrator/store/store_appliance.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_upgrade.h"

#define UNKNOWN "there is no appliance %.63s: `nightshift appliance list` shows them"

int store_appliance_add(struct store *store, const struct store_appliance *appliance, const char *actor, int64_t now,
			struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	if (store_begin(store, &transaction, error))
		return -(int)error->code;
	int result = store_change(store, NULL, error,
				  "INSERT INTO appliance (name, contract, product, channel, ha_group, tags, added)"
				  " VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?)",
				  "ssssssi", appliance->name, appliance->contract, appliance->product,
				  appliance->channel[0] ? appliance->channel : "stable", appliance->ha_group,
				  appliance->tags, now);
	if (result && !strcmp(error->name, "exists"))
		return error_set(error, ERROR_CANNOT_CREATE, "exists", "there is an appliance %s already",
				 appliance->name);
	if (result && !strcmp(error->name, "missing"))
		return error_set(error, ERROR_DATA, "unknown-contract",
				 "there is no contract %s: `nightshift contract list` shows them", appliance->contract);
	if (result || store_audit_append(store, actor, "appliance add", appliance->name, appliance->contract, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_appliance_get(struct store *store, const char *name, struct store_appliance *ret_appliance,
			struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(
		    store, &query, error,
		    "SELECT a.name, a.contract, c.customer, a.product, a.channel, coalesce(a.ha_group, ''), a.tags, "
		    "a.added,"
		    " coalesce(a.revoked, 0), a.public_key, coalesce(a.key_id, ''), a.fence, a.generation, a.duplicate,"
		    " a.version, a.hook_state, a.hook_upgrade, coalesce(a.last_seen, 0), a.skew"
		    " FROM appliance a JOIN contract c ON c.id = a.contract WHERE a.name = ?",
		    "s", name) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "unknown-appliance", UNKNOWN, name);
	struct store_appliance found = {0};
	store_query_copy(query, 0, found.name, sizeof found.name);
	store_query_copy(query, 1, found.contract, sizeof found.contract);
	store_query_copy(query, 2, found.customer, sizeof found.customer);
	store_query_copy(query, 3, found.product, sizeof found.product);
	store_query_copy(query, 4, found.channel, sizeof found.channel);
	store_query_copy(query, 5, found.ha_group, sizeof found.ha_group);
	store_query_copy(query, 6, found.tags, sizeof found.tags);
	found.added = store_query_integer(query, 7);
	found.revoked = store_query_integer(query, 8);
	found.joined = !store_query_null(query, 9);
	if (found.joined && store_query_hash(query, 9, found.public_key, error))
		return -(int)error->code;
	store_query_copy(query, 10, found.key_id, sizeof found.key_id);
	found.fence = store_query_integer(query, 11);
	found.generation = store_query_integer(query, 12);
	found.duplicate = store_query_integer(query, 13) != 0;
	store_query_copy(query, 14, found.version, sizeof found.version);
	store_query_copy(query, 15, found.hook_state, sizeof found.hook_state);
	store_query_copy(query, 16, found.hook_upgrade, sizeof found.hook_upgrade);
	found.last_seen = store_query_integer(query, 17);
	found.skew = store_query_integer(query, 18);
	*ret_appliance = found;
	return 0;
}

/* What was booked for it ends; what ran is for a person to resolve, who frees its HA group. */
static int end_upgrade(struct store *store, const char *name, const char *actor, int64_t now, struct error *error)
{
	struct store_upgrade upgrade;
	bool found = false;
	if (store_upgrade_current(store, name, &upgrade, &found, error))
		return -(int)error->code;
	if (!found || upgrade.state == UPGRADE_NEEDS_HUMAN)
		return 0;
	bool ran = upgrade.state == UPGRADE_RUNNING || upgrade.state == UPGRADE_UNKNOWN;
	const struct store_upgrade_step step = {
		.to = ran ? UPGRADE_NEEDS_HUMAN : UPGRADE_CANCELLED,
		.owner = UPGRADE_TECHNICIAN,
		.actor = actor,
		.text = ran ? "the appliance was revoked while it ran: nobody can ask it what stands"
			    : "the appliance was revoked",
		.code = ran ? ERROR_UNREACHABLE : 0,
		.fence = -1,
		.now = now,
	};
	return store_upgrade_step(store, upgrade.id, &step, error);
}

int store_appliance_revoke(struct store *store, const char *name, const char *actor, int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int64_t changed = 0;
	if (store_begin(store, &transaction, error) ||
	    store_change(store, &changed, error, "UPDATE appliance SET revoked = coalesce(revoked, ?2) WHERE name = ?1",
			 "si", name, now))
		return -(int)error->code;
	if (!changed)
		return error_set(error, ERROR_DATA, "unknown-appliance", UNKNOWN, name);
	if (store_change(store, NULL, error, "DELETE FROM join_code WHERE appliance = ? AND used IS NULL", "s", name) ||
	    end_upgrade(store, name, actor, now, error) ||
	    store_audit_append(store, actor, "appliance revoke", name, "", error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

int store_appliance_code(struct store *store, const char *name, const uint8_t public_key[static HASH_SIZE],
			 int64_t expires, const char *actor, int64_t now, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_appliance appliance;
	if (store_begin(store, &transaction, error) || store_appliance_get(store, name, &appliance, error))
		return -(int)error->code;
	if (appliance.revoked)
		return error_set(error, ERROR_NOT_PERMITTED, "revoked",
				 "%s was revoked and gets no join code: add it anew under another name", name);
	if (store_change(store, NULL, error,
			 "DELETE FROM join_code WHERE used IS NULL AND (appliance = ? OR expires <= ?)", "si", name,
			 now) ||
	    store_change(store, NULL, error, "INSERT INTO join_code (public_key, appliance, expires) VALUES (?, ?, ?)",
			 "hsi", public_key, name, expires) ||
	    store_audit_append(store, actor, "appliance code", name, "", error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

/* Marks the code used and tells whose it was. */
static int use_code(struct store *store, const uint8_t code[static HASH_SIZE], int64_t now,
		    char ret_name[static STORE_NAME_SIZE], struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false, more = false;
	if (store_query(
		    store, &query, error,
		    "UPDATE join_code SET used = ?2 WHERE public_key = ?1 AND used IS NULL AND expires > ?2 AND EXISTS"
		    " (SELECT 1 FROM appliance a WHERE a.name = join_code.appliance AND a.revoked IS NULL)"
		    " RETURNING appliance",
		    "hi", code, now) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(
			error, ERROR_NOT_PERMITTED, "join-code",
			"this join code was used or has expired: ask for a new one with `nightshift appliance code`");
	store_query_copy(query, 0, ret_name, STORE_NAME_SIZE);
	return store_query_next(query, &more, error);
}

int store_appliance_join(struct store *store, const uint8_t code[static HASH_SIZE],
			 const uint8_t public_key[static HASH_SIZE], const char *key_id, int64_t now,
			 char ret_name[static STORE_NAME_SIZE], struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	char name[STORE_NAME_SIZE], actor[STORE_NAME_SIZE + 8], detail[96];
	if (store_begin(store, &transaction, error) || use_code(store, code, now, name, error))
		return -(int)error->code;
	int result = store_change(
		store, NULL, error,
		"UPDATE appliance SET public_key = ?2, key_id = ?3, duplicate = 0, generation = 0 WHERE name = ?1",
		"shs", name, public_key, key_id);
	if (result && !strcmp(error->name, "exists"))
		return error_set(error, ERROR_NOT_PERMITTED, "join-code",
				 "the key that %s handed in belongs to another appliance", name);
	snprintf(actor, sizeof actor, "hook:%s", name);
	snprintf(detail, sizeof detail, "key %.64s", key_id);
	if (result || store_audit_append(store, actor, "appliance join", name, detail, error) ||
	    store_commit(&transaction, error))
		return -(int)error->code;
	memcpy(ret_name, name, sizeof name);
	return 0;
}

int store_appliance_hello(struct store *store, const char *name, const struct store_appliance_hello *hello,
			  bool *ret_duplicate, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_appliance before;
	if (store_begin(store, &transaction, error) || store_appliance_get(store, name, &before, error))
		return -(int)error->code;
	bool older = hello->generation < before.generation;
	if (store_change(
		    store, NULL, error,
		    "UPDATE appliance SET version = ?2, hook_state = ?3, hook_upgrade = ?4, fence = max(fence, ?5),"
		    " generation = max(generation, ?6), duplicate = duplicate OR ?7, skew = ?8, last_seen = ?9 WHERE "
		    "name = ?1",
		    "ssssiiiii", name, hello->version, hello->state, hello->upgrade ? hello->upgrade : "", hello->fence,
		    hello->generation, (int64_t)older, hello->skew, hello->now))
		return -(int)error->code;
	if (older && !before.duplicate) {
		char detail[200];
		snprintf(detail, sizeof detail, "reports generation %lld after %lld: a clone or a restored snapshot",
			 (long long)hello->generation, (long long)before.generation);
		if (store_audit_append(store, "engine", "appliance duplicate", name, detail, error))
			return -(int)error->code;
	}
	if (store_commit(&transaction, error))
		return -(int)error->code;
	*ret_duplicate = before.duplicate || older;
	return 0;
}

int store_appliance_runs(struct store *store, const char *name, const char *version, struct error *error)
{
	return store_change(store, NULL, error, "UPDATE appliance SET version = ?2 WHERE name = ?1", "ss", name,
			    version);
}

int store_appliance_seen(struct store *store, const char *name, int64_t now, struct error *error)
{
	return store_change(store, NULL, error, "UPDATE appliance SET last_seen = ?2 WHERE name = ?1", "si", name, now);
}

int store_appliance_keys(struct store *store, int64_t now, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT public_key AS key, 'appliance' AS kind, name, 0 AS expires FROM appliance"
			  " WHERE public_key IS NOT NULL AND revoked IS NULL"
			  " UNION ALL SELECT j.public_key, 'join', j.appliance, j.expires FROM join_code j"
			  " JOIN appliance a ON a.name = j.appliance WHERE j.used IS NULL AND j.expires > ? AND "
			  "a.revoked IS NULL",
			  "i", now);
}

#define SHOW                                                                                                           \
	"SELECT a.name, c.customer, a.contract, c.tier, c.support_until, a.product, a.channel, a.ha_group, a.tags,"    \
	" a.added, a.revoked, a.public_key IS NOT NULL AS joined, a.key_id, a.fence, a.generation, a.duplicate,"       \
	" a.version, a.hook_state, a.hook_upgrade, a.last_seen, a.skew, t.since AS tunnel_since,"                      \
	" t.scope AS tunnel_scope, t.until AS tunnel_until, t.address AS tunnel_address,"                              \
	" t.transport AS tunnel_transport, t.last_seen AS tunnel_last_seen"                                            \
	" FROM appliance a JOIN contract c ON c.id = a.contract LEFT JOIN tunnel t ON t.appliance = a.name"

int store_appliance_list(struct store *store, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error, SHOW " ORDER BY a.name", "");
}

int store_appliance_show(struct store *store, const char *name, json_t **ret_object, struct error *error)
{
	json_t *object = NULL;
	if (store_row(store, &object, error, SHOW " WHERE a.name = ?", "s", name))
		return -(int)error->code;
	if (!object)
		return error_set(error, ERROR_DATA, "unknown-appliance", UNKNOWN, name);
	*ret_object = object;
	return 0;
}
