/* Receipts: what an upgrade did, by the appliance's own signature. */
#include <stdio.h>
#include <string.h>

#include "keys/receipt.h"
#include "orchestrator/engine/engine_inner.h"

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

static int take(struct engine *engine, const char *appliance, const json_t *receipt, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(RECEIPT_MOST);
	CLEANUP(jsonio_free) json_t *document = NULL;
	struct store_upgrade upgrade;
	if (!pace_allow(&engine->paces, &receipt_pace, appliance, clock_ticks_ms()))
		return error_set(error, ERROR_NOT_NOW, "limit", "%s hands in too many receipts: try again later",
				 appliance);
	if (verify(engine, appliance, receipt, &text, &document, error))
		return -(int)error->code;
	const char *id = jsonio_string(document, "upgrade");
	/* What the appliance did by itself has a name of its own there; here it is told apart by the appliance. */
	char name[2 * STORE_NAME_SIZE + 2];
	if (!strncmp(id, "local-", strlen("local-"))) {
		snprintf(name, sizeof name, "%s/%.64s", appliance, id);
		return store_upgrade_receipt(engine->store, name, appliance, (const char *)text.data, clock_now(),
					     error);
	}
	if (store_upgrade_get(engine->store, id, &upgrade, error))
		return -(int)error->code;
	if (strcmp(upgrade.id, id) || strcmp(upgrade.appliance, appliance))
		return error_set(error, ERROR_DATA, "receipt", "upgrade %s is not one of %s", id, appliance);
	return store_upgrade_receipt(engine->store, upgrade.id, appliance, (const char *)text.data, clock_now(), error);
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
