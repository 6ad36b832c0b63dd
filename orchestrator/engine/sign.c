/* The signer's client. One request, one answer, five seconds at most; a signer that answers late would give its answer
 * to the next question, so the connection is dropped then and the supervisor asked for a new one. */
#include <string.h>

#include "base/packet.h"
#include "orchestrator/engine/engine_inner.h"

#define SIGN_MS 5000

static int ask_take(struct engine *engine, json_t *request, json_t **ret_envelope, struct error *error)
{
	CLEANUP(jsonio_free) json_t *owned = request, *answer = NULL;
	CLEANUP(file_close) int fd = -1;
	if (!owned)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a document");
	if (engine->signer < 0)
		return error_set(error, ERROR_UNREACHABLE, "signer", "the signer is not running");
	if (packet_send(engine->signer, owned, -1, error) ||
	    packet_wait(engine->signer, clock_ticks_ms() + SIGN_MS, &answer, &fd, error)) {
		file_close(&engine->signer);
		return error_prefix(error, "the signer");
	}
	const json_t *refusal = jsonio_member(answer, "error");
	if (refusal) {
		if (message_to_error(refusal, error) == 0)
			return error_set(error, ERROR_BUG, "signer", "the signer refuses without a reason");
		return error_prefix(error, "the signer");
	}
	json_t *envelope = json_object_get(answer, "envelope");
	if (!json_is_object(envelope))
		return error_set(error, ERROR_BUG, "signer", "the signer answers without an envelope");
	*ret_envelope = json_incref(envelope);
	return 0;
}

int sign_document(struct engine *engine, const char *kind, json_t *document, json_t **ret_envelope, struct error *error)
{
	if (!document)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a document");
	return ask_take(engine, json_pack("{s:s, s:o}", "sign", kind, "document", document), ret_envelope, error);
}

int sign_entitlement(struct engine *engine, const char *appliance, json_t **ret_envelope, struct error *error)
{
	struct entitlement entitlement;
	if (store_gate_entitlement(engine->store, appliance, engine->lapsed, clock_now(), &entitlement, error))
		return -(int)error->code;
	return sign_document(engine, "entitlement", entitlement_document(&entitlement), ret_envelope, error);
}

int sign_timestamp_if_due(struct engine *engine, struct error *error)
{
	CLEANUP(jsonio_free) json_t *snapshot = NULL, *envelope = NULL;
	bool due = false;
	int64_t after = 0;
	if (!engine->catalogue)
		return 0;
	if (catalogue_timestamp_due(engine->catalogue, engine->releases, clock_now(), &due, &snapshot, &after, error))
		return -(int)error->code;
	if (!due)
		return 0;
	json_t *request =
		json_pack("{s:s, s:O, s:I}", "sign", "timestamp", "snapshot", snapshot, "after", (json_int_t)after);
	if (ask_take(engine, request, &envelope, error) ||
	    catalogue_put_timestamp(engine->catalogue, engine->releases, envelope, after, error))
		return -(int)error->code;
	log_write(LOG_LEVEL_NOTICE, "the timestamp was renewed");
	return 0;
}
