/* The signer's client. One request, one answer, five seconds at most; a signer that answers late would give its answer
 * to the next question, so the connection is dropped then and the supervisor asked for a new one. */
#include <string.h>

#include "base/packet.h"
#include "orchestrator/engine/engine_inner.h"

#define SIGN_MS           5000
#define ENTITLEMENT_AGAIN 3600

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
		if (packet_to_error(refusal, error) == 0)
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

/* All that it says but its dates. */
static json_t *entitlement_gist(const struct entitlement *entitlement)
{
	struct entitlement gist = *entitlement;
	gist.issued = gist.expires = 0;
	return entitlement_document(&gist);
}

static const json_t *signed_of_late(struct engine *engine, const char *appliance, const json_t *gist, int64_t now)
{
	const json_t *kept = json_object_get(engine->entitlements, appliance);
	int64_t at = jsonio_integer(kept, "at");
	return kept && at <= now && now - at < ENTITLEMENT_AGAIN && json_equal(json_object_get(kept, "gist"), gist)
		       ? json_object_get(kept, "envelope")
		       : NULL;
}

int sign_entitlement(struct engine *engine, const char *appliance, json_t **ret_envelope, struct error *error)
{
	struct entitlement entitlement;
	json_t *envelope = NULL;
	int64_t now = clock_now();
	if (store_gate_entitlement(engine->store, appliance, engine->lapsed, now, &entitlement, error))
		return -(int)error->code;
	CLEANUP(jsonio_free) json_t *gist = entitlement_gist(&entitlement);
	const json_t *kept = signed_of_late(engine, appliance, gist, now);
	if (kept) {
		*ret_envelope = json_incref((json_t *)kept);
		return 0;
	}
	if (sign_document(engine, "entitlement", entitlement_document(&entitlement), &envelope, error))
		return -(int)error->code;
	if (!engine->entitlements)
		engine->entitlements = json_object();
	/* Without memory it is signed again the next time. */
	json_object_set_new(engine->entitlements, appliance,
			    json_pack("{s:O, s:I, s:O}", "gist", gist, "at", (json_int_t)now, "envelope", envelope));
	*ret_envelope = envelope;
	return 0;
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
