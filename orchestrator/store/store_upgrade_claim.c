/* Claims: one conditional update that takes an upgrade under a new fence, so that of two workers one wins and the
 * other's later writes are refused, here and at the hook. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_upgrade_row.h"

/* The fence belongs to the appliance: its column is raised with the upgrade's, in one transaction. */
#define NEXT_FENCE "max((SELECT fence FROM appliance WHERE name = upgrade.appliance), ?3) + 1"

#define CLAIM                                                                                                          \
	"UPDATE upgrade SET state = 'running', owner = ?2, fence = " NEXT_FENCE ", lease_until = ?4, changed = ?5,"    \
	" step = '', code = 0, why = 'the appliance is being told'"                                                    \
	" WHERE id = ?1 AND state = 'due' AND abort = 0 AND starts <= ?5 AND last_start >= ?5 RETURNING fence"
#define RECLAIM                                                                                                        \
	"UPDATE upgrade SET owner = ?2, fence = " NEXT_FENCE ", lease_until = ?4, changed = ?5"                        \
	" WHERE id = ?1 AND state IN ('running','unknown') AND (owner = ?2 OR owner = '' OR lease_until <= ?5)"        \
	" RETURNING fence"

static int take(struct store *store, const char *sql, const struct store_upgrade *upgrade, const char *owner,
		int64_t reported, int64_t lease_until, int64_t now, bool *ret_taken, int64_t *ret_fence,
		struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	int64_t fence = 0;
	if (store_query(store, &query, error, sql, "ssiii", upgrade->id, owner, reported, lease_until, now) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (row) {
		bool more = false;
		fence = store_query_integer(query, 0);
		if (store_query_next(query, &more, error) ||
		    store_change(store, NULL, error, "UPDATE appliance SET fence = ? WHERE name = ?", "is", fence,
				 upgrade->appliance))
			return -(int)error->code;
	}
	*ret_taken = row;
	*ret_fence = fence;
	return 0;
}

static int refuse_claim(const struct store_upgrade *upgrade, int64_t now, struct error *error)
{
	if (upgrade->state == UPGRADE_DUE && (now < upgrade->starts || now > upgrade->last_start))
		return error_set(error, ERROR_NOT_NOW, "window",
				 "upgrade %s of %s may not start now: its window is another hour", upgrade->id,
				 upgrade->appliance);
	return error_set(error, ERROR_NOT_NOW, "claimed", "upgrade %s of %s is %s and cannot be claimed", upgrade->id,
			 upgrade->appliance, upgrade_state_name(upgrade->state));
}

int store_upgrade_claim(struct store *store, const char *id, const char *owner, int64_t reported, int64_t lease_until,
			int64_t now, int64_t *ret_fence, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	bool taken = false;
	int64_t fence = 0;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error))
		return -(int)error->code;
	if (take(store, CLAIM, &upgrade, owner, reported, lease_until, now, &taken, &fence, error)) {
		if (!strcmp(error->name, "exists"))
			return error_set(error, ERROR_NOT_NOW, "ha-group",
					 "another node of group %s is being upgraded or waits for a person",
					 upgrade.ha_group);
		return -(int)error->code;
	}
	if (!taken)
		return refuse_claim(&upgrade, now, error);
	char text[96];
	snprintf(text, sizeof text, "claimed with fence %lld", (long long)fence);
	struct store_upgrade_event event = {.id = upgrade.id,
					    .appliance = upgrade.appliance,
					    .from = UPGRADE_DUE,
					    .to = UPGRADE_RUNNING,
					    .actor = "engine",
					    .verb = "claim",
					    .text = text,
					    .fence = fence,
					    .now = now};
	if (store_upgrade_event(store, &event, error) || store_commit(&transaction, error))
		return -(int)error->code;
	*ret_fence = fence;
	return 0;
}

int store_upgrade_reclaim(struct store *store, const char *id, const char *owner, int64_t reported, int64_t lease_until,
			  int64_t now, int64_t *ret_fence, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_upgrade upgrade;
	bool taken = false;
	int64_t fence = 0;
	if (store_begin(store, &transaction, error) || store_upgrade_get(store, id, &upgrade, error) ||
	    take(store, RECLAIM, &upgrade, owner, reported, lease_until, now, &taken, &fence, error))
		return -(int)error->code;
	if (!taken)
		return error_set(error, ERROR_NOT_NOW, "claimed", "upgrade %s of %s is %s and held by another worker",
				 upgrade.id, upgrade.appliance, upgrade_state_name(upgrade.state));
	struct store_upgrade_event event = {.id = upgrade.id,
					    .appliance = upgrade.appliance,
					    .from = upgrade.state,
					    .to = upgrade.state,
					    .actor = "engine",
					    .verb = "reclaim",
					    .text = "asks the appliance what stands, under a new fence",
					    .fence = fence,
					    .now = now};
	if (store_upgrade_event(store, &event, error) || store_commit(&transaction, error))
		return -(int)error->code;
	*ret_fence = fence;
	return 0;
}

int store_upgrade_renew(struct store *store, const char *id, const char *owner, int64_t fence, int64_t lease_until,
			struct error *error)
{
	int64_t changed = 0;
	if (store_change(store, &changed, error,
			 "UPDATE upgrade SET lease_until = ?4 WHERE id = ?1 AND owner = ?2 AND fence = ?3"
			 " AND state IN ('running','unknown')",
			 "ssii", id, owner, fence, lease_until))
		return -(int)error->code;
	if (changed != 1)
		return error_set(error, ERROR_NOT_NOW, "fence", "upgrade %s is no longer this worker's", id);
	return 0;
}

int store_upgrade_slot_taken(struct store *store, const struct store_upgrade *upgrade, bool *ret_taken,
			     struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(store, &query, error,
			"SELECT 1 FROM upgrade WHERE ha_group = ? AND fence > 0 AND id <> ?"
			" AND state IN ('running','unknown','needs-human')",
			"ss", upgrade->ha_group, upgrade->id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	*ret_taken = row;
	return 0;
}

int store_upgrade_receipt(struct store *store, const char *id, const char *appliance, const char *document, int64_t now,
			  struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	int64_t changed = 0;
	char actor[STORE_NAME_SIZE + 8];
	snprintf(actor, sizeof actor, "hook:%s", appliance);
	if (store_begin(store, &transaction, error) ||
	    store_change(store, &changed, error,
			 "INSERT INTO receipt (upgrade, appliance, document, received) VALUES (?, ?, ?, ?)"
			 " ON CONFLICT (upgrade) DO NOTHING",
			 "sssi", id, appliance, document, now) ||
	    (changed && store_audit_append(store, actor, "receipt", id, "a signed receipt came", error)))
		return -(int)error->code;
	return store_commit(&transaction, error);
}
