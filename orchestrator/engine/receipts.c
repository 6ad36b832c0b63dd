/* Receipts: what an upgrade did, by the appliance's own signature. */
#include <stdio.h>
#include <string.h>

#include "keys/receipt.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_receipt.h"

/* A receipt is kept for ever. */
static const struct pace receipt_pace = {"receipt", 60000, 200};

static int verify(struct engine *engine, const char *appliance, const json_t *receipt, struct buffer *ret_text,
		  json_t **ret_document, struct error *error)
{
	CLEANUP(key_free) struct key *key = NULL;
	struct store_appliance box;
	if (store_appliance_get(engine->store, appliance, &box, error))
		return -(int)error->code;
	if (!box.joined)
		return error_set(error, ERROR_DATA, "not-joined", "%s has no key", appliance);
	if (key_from_ed25519(box.public_key, &key, error) || jsonio_write(receipt, false, ret_text, error))
		return -(int)error->code;
	return receipt_parse(ret_text->data, ret_text->size, key, ret_document, error);
}

int receipts_keep(struct engine *engine, const char *appliance, const char *upgrade, const json_t *receipt,
		  const char *outcome, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECEIPT_MOST);
	CLEANUP(jsonio_free) json_t *document = NULL;
	if (verify(engine, appliance, receipt, &text, &document, error))
		return -(int)error->code;
	if (strcmp(jsonio_string(document, "upgrade"), upgrade) || strcmp(jsonio_string(document, "outcome"), outcome))
		return error_set(error, ERROR_DATA, "receipt", "it is of upgrade %s, %s",
				 jsonio_string(document, "upgrade"), jsonio_string(document, "outcome"));
	return store_upgrade_receipt(engine->store, upgrade, appliance, (const char *)text.data, clock_now(), error);
}

/* Handed in as soon as it had ended, it is the newest word of what runs there, whatever was heard meanwhile. */
static int follow(struct engine *engine, const json_t *document, const struct store_receipt *receipt,
		  struct error *error)
{
	int64_t ended = jsonio_integer(document, "ended"), now = clock_now();
	const char *runs = !strcmp(receipt->outcome, "committed")     ? receipt->to
			   : !strcmp(receipt->outcome, "rolled-back") ? receipt->from
								      : NULL;
	if (!receipt->is_new || !runs || ended > now + ENGINE_SKEW_MOST || ended < now - ENGINE_SKEW_MOST)
		return 0;
	return store_appliance_runs(engine->store, receipt->appliance, runs, error);
}

static int take(struct engine *engine, const char *appliance, const json_t *envelope, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_receipt receipt;
	char actor[STORE_NAME_SIZE + 8];
	if (!pace_allow(&engine->paces, &receipt_pace, appliance, clock_ticks_ms()))
		return error_set(error, ERROR_NOT_NOW, "limit", "%s hands in too many receipts: try again later",
				 appliance);
	snprintf(actor, sizeof actor, "hook:%s", appliance);
	if (store_begin(engine->store, &transaction, error) ||
	    store_receipt_import(engine->store, envelope, actor, clock_now(), &receipt, error))
		return -(int)error->code;
	if (strcmp(receipt.appliance, appliance))
		return error_set(error, ERROR_DATA, "receipt", "%s hands in a receipt of another appliance", appliance);
	if (follow(engine, jsonio_member(envelope, "signed"), &receipt, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

void receipts_request(struct engine *engine, const char *appliance, struct talk *talk,
		      const struct stream_message *message)
{
	struct error error = {0};
	if (take(engine, appliance, jsonio_member(message->body, "receipt"), &error)) {
		log_failure(appliance, &error);
		talk_refuse(talk, message, &error);
	} else {
		talk_reply_take(talk, message, json_object());
	}
}
