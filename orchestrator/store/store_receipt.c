#include "orchestrator/store/store_receipt.h"

#include <stdio.h>
#include <string.h>

#include "keys/receipt.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_upgrade.h"

#define LOCAL "local-"

static int find_appliance(struct store *store, const char *key_id, struct store_appliance *ret_box, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	char name[STORE_NAME_SIZE];
	bool row = false;
	if (store_query(store, &query, error, "SELECT name FROM appliance WHERE key_id = ? AND public_key IS NOT NULL",
			"s", key_id) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	if (!row)
		return error_set(error, ERROR_DATA, "appliance",
				 "the receipt is of an appliance with key %.16s…, and none here has that key", key_id);
	store_query_copy(query, 0, name, sizeof name);
	return store_appliance_get(store, name, ret_box, error);
}

/* Verified; *ret_text is what will be kept. */
static int verify(struct store *store, const json_t *envelope, struct store_appliance *ret_box, struct buffer *ret_text,
		  json_t **ret_document, struct error *error)
{
	CLEANUP(key_free) struct key *key = NULL;
	const char *key_id = jsonio_string(jsonio_member(envelope, "signed"), "appliance");
	if (!key_id || !key_id[0] || strlen(key_id) >= KEY_ID_MOST)
		return error_set(error, ERROR_DATA, "format", "the receipt names no appliance");
	if (find_appliance(store, key_id, ret_box, error) || key_from_ed25519(ret_box->public_key, &key, error) ||
	    jsonio_write(envelope, false, ret_text, error))
		return -(int)error->code;
	return receipt_parse(ret_text->data, ret_text->size, key, ret_document, error);
}

/* What the appliance did by itself has a name of its own there; here it is told apart by the appliance. */
static int name_upgrade(struct store *store, const char *appliance, const char *id, struct store_receipt *receipt,
			struct error *error)
{
	struct store_upgrade upgrade;
	if (!strncmp(id, LOCAL, strlen(LOCAL))) {
		snprintf(receipt->upgrade, sizeof receipt->upgrade, "%s/%.64s", appliance, id);
		return 0;
	}
	if (store_upgrade_get(store, id, &upgrade, error))
		return -(int)error->code;
	if (strcmp(upgrade.id, id) || strcmp(upgrade.appliance, appliance))
		return error_set(error, ERROR_DATA, "receipt", "upgrade %s is not one of %s", id, appliance);
	snprintf(receipt->upgrade, sizeof receipt->upgrade, "%s", upgrade.id);
	return 0;
}

/* When the last thing ended that is known of this appliance: a receipt, or the HELLO that told its version. */
static int newest_word(struct store *store, const struct store_appliance *box, int64_t *ret_time, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	bool row = false;
	if (store_query(
		    store, &query, error,
		    "SELECT ifnull(max(json_extract(document, '$.signed.ended')), 0) FROM receipt WHERE appliance = ?",
		    "s", box->name) ||
	    store_query_next(query, &row, error))
		return -(int)error->code;
	int64_t ended = row ? store_query_integer(query, 0) : 0;
	*ret_time = ended > box->last_seen ? ended : box->last_seen;
	return 0;
}

static int is_kept(struct store *store, const char *upgrade, bool *ret_kept, struct error *error)
{
	CLEANUP(store_query_free) struct store_query *query = NULL;
	if (store_query(store, &query, error, "SELECT 1 FROM receipt WHERE upgrade = ?", "s", upgrade))
		return -(int)error->code;
	return store_query_next(query, ret_kept, error);
}

/* What runs there after it; NULL where the receipt cannot tell. */
static const char *left_running(const struct store_receipt *receipt)
{
	if (!strcmp(receipt->outcome, "committed"))
		return receipt->to;
	return !strcmp(receipt->outcome, "rolled-back") ? receipt->from : NULL;
}

static int keep(struct store *store, const struct store_appliance *box, const struct buffer *text, int64_t ended,
		const char *actor, int64_t now, struct store_receipt *receipt, struct error *error)
{
	const char *running = left_running(receipt);
	char detail[STORE_TEXT_SIZE];
	int64_t newest = 0;
	if (newest_word(store, box, &newest, error))
		return -(int)error->code;
	receipt->is_new = true;
	receipt->changed = running && ended > newest;
	snprintf(detail, sizeof detail, "%s, %s to %s: %s", receipt->upgrade, receipt->from, receipt->to,
		 receipt->outcome);
	if (store_upgrade_receipt(store, receipt->upgrade, box->name, (const char *)text->data, now, error) ||
	    (receipt->changed && store_appliance_runs(store, box->name, running, error)))
		return -(int)error->code;
	return store_audit_append(store, actor, "receipt import", box->name, detail, error);
}

int store_receipt_import(struct store *store, const json_t *envelope, const char *actor, int64_t now,
			 struct store_receipt *ret_receipt, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECEIPT_MOST);
	CLEANUP(jsonio_free) json_t *document = NULL;
	struct store_receipt receipt = {0};
	struct store_appliance box;
	bool kept = false;
	if (store_begin(store, &transaction, error) || verify(store, envelope, &box, &text, &document, error) ||
	    name_upgrade(store, box.name, jsonio_string(document, "upgrade"), &receipt, error) ||
	    is_kept(store, receipt.upgrade, &kept, error))
		return -(int)error->code;
	snprintf(receipt.appliance, sizeof receipt.appliance, "%s", box.name);
	snprintf(receipt.from, sizeof receipt.from, "%s", jsonio_string(document, "from"));
	snprintf(receipt.to, sizeof receipt.to, "%s", jsonio_string(document, "to"));
	snprintf(receipt.outcome, sizeof receipt.outcome, "%s", jsonio_string(document, "outcome"));
	if ((!kept && keep(store, &box, &text, jsonio_integer(document, "ended"), actor, now, &receipt, error)) ||
	    store_commit(&transaction, error))
		return -(int)error->code;
	*ret_receipt = receipt;
	return 0;
}

int store_receipt_list(struct store *store, const char *appliance, json_t **ret_rows, struct error *error)
{
	return store_rows(store, ret_rows, error,
			  "SELECT appliance, upgrade, json_extract(document, '$.signed.from') AS \"from\","
			  " json_extract(document, '$.signed.to') AS \"to\","
			  " json_extract(document, '$.signed.outcome') AS outcome,"
			  " json_extract(document, '$.signed.ended') AS ended, received FROM receipt"
			  " WHERE ?1 IS NULL OR appliance = ?1 ORDER BY received DESC, upgrade LIMIT 1000",
			  "s", appliance);
}
