#include "appliance-hook/check/run.h"

#include <inttypes.h>
#include <string.h>

#include "appliance-hook/check/control.h"
#include "appliance-hook/check/ownwindow.h"

/* An order that was verified, with the key that signed it and its bytes' owner. */
struct ordered {
	struct order order;
	char key_id[KEY_ID_MOST];
};

int64_t run_need(const struct manifest *manifest)
{
	return manifest->apply_seconds + manifest->rollback_seconds;
}

/* A nonce serves one order, ten minutes long, whatever becomes of that order. */
static int take_nonce(struct session *session, uint8_t ret_nonce[static ORDER_NONCE_SIZE], int64_t *ret_age_s,
		      struct error *error)
{
	int64_t age = clock_ticks_ms() - session->nonce_ticks;
	bool fresh = session->nonce_ticks != 0 && age <= CONTROL_NONCE_LIFE_MS;
	memcpy(ret_nonce, session->nonce, ORDER_NONCE_SIZE);
	secret_wipe(session->nonce, ORDER_NONCE_SIZE);
	session->nonce_ticks = 0;
	*ret_age_s = age / 1000;
	if (fresh)
		return 0;
	return error_set(
		error, ERROR_DATA, "nonce",
		"no nonce of the last ten minutes awaits an order: ask for one, sign, and send the order again");
}

/* The version that an order names, before anything of it is believed: which release to check first. */
static int peek_version(const json_t *order, const char **ret_version, struct error *error)
{
	const char *version = json_string_value(json_object_get(json_object_get(order, "signed"), "version"));
	if (!version || strlen(version) > MANIFEST_NAME_MOST)
		return error_set(error, ERROR_DATA, "format", "the order names no version");
	*ret_version = version;
	return 0;
}

static int read_order(const json_t *envelope, const struct authority *authority, int64_t now,
		      struct ordered *ret_ordered, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(ORDER_MOST);
	if (jsonio_write(envelope, false, &bytes, error) < 0)
		return -(int)error->code;
	return order_parse(bytes.data, bytes.size, authority, now, &ret_ordered->order, ret_ordered->key_id, error);
}

static int highest_fence(struct session *session, const char *key_id, int64_t *ret_fence, struct error *error)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	if (actor_ask(&session->actor, "fence", json_pack("{s:s}", "order_key", key_id), NULL, NULL, &answer, error) <
	    0)
		return -(int)error->code;
	const json_t *fence = json_object_get(answer, "fence");
	if (!json_is_integer(fence))
		return error_set(error, ERROR_BUG, "fence", "act names no fence");
	*ret_fence = json_integer_value(fence);
	return 0;
}

/* For whom, what, how fresh, in which order, and when. */
static int check_order(struct session *session, const struct ordered *ordered, enum order_action action,
		       const char *upgrade, const uint8_t *nonce, int64_t now, struct error *error)
{
	int64_t fence = 0;
	if (ordered->order.action != action)
		return error_set(error, ERROR_DATA, "action", "the order for %s is for something else than was asked",
				 upgrade);
	if (strcmp(ordered->order.upgrade, upgrade) != 0)
		return error_set(error, ERROR_DATA, "upgrade", "the order is for upgrade %s, not for %s",
				 ordered->order.upgrade, upgrade);
	if (highest_fence(session, ordered->key_id, &fence, error) < 0)
		return -(int)error->code;
	struct order_expectation expectation = {
		.appliance = session->appliance,
		.product = session->places->product_name,
		.nonce = nonce,
		.highest_fence = fence,
		.now = now,
	};
	return order_check(&ordered->order, &expectation, error);
}

/* The order answers a nonce of that age, so its date is what the orchestrator's clock said between then and now. */
static int check_skew(int64_t issued, int64_t nonce_age_s, int64_t now, struct error *error)
{
	int64_t skew = now - issued;
	if (skew <= CONTROL_SKEW_MOST + nonce_age_s && skew >= -CONTROL_SKEW_MOST)
		return 0;
	return error_set(error, ERROR_DATA, "clock",
			 "this appliance's clock is %" PRId64
			 " s from the orchestrator's: set the clock, then order again",
			 skew);
}

static int relay_event(void *context, const json_t *event, struct error *error)
{
	const struct control_busy *busy = context;
	struct stream *stream = busy->session->stream;
	bool pending = false;
	if (stream_send(stream, busy->message->type, FRAME_EVENT, busy->message->id, event, error) < 0)
		return -(int)error->code;
	return stream_flush(stream, &pending, error);
}

static int listen_meanwhile(void *context, struct error *error)
{
	struct control_busy *busy = context;
	struct session *session = busy->session;
	for (bool got = true, pending = false; got;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		if (stream_flush(session->stream, &pending, error) < 0 ||
		    stream_receive(session->stream, &message, &got, error) < 0 ||
		    (got && control_meanwhile(busy, &message, error) < 0))
			return -(int)error->code;
	}
	return control_beat(session, error);
}

/* Hands it to act and relays what act says. When the stream ends meanwhile the session ends; act goes on by itself. */
static int hand_to_act(struct control_busy *busy, const char *request, json_t *arguments, json_t **ret_reply,
		       struct error *error)
{
	struct actor_watch watch = {
		.event = relay_event,
		.idle = listen_meanwhile,
		.context = busy,
		.fd = stream_fd(busy->session->stream),
	};
	busy->abortable = false;
	busy->act_is_busy = true;
	return actor_ask(&busy->session->actor, request, arguments, &watch, NULL, ret_reply, error);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static json_t *switch_arguments(const struct verify *verify, const struct ordered *ordered, const struct ownwindow *own)
{
	const struct order *order = &ordered->order;
	char sha256[HASH_HEX_SIZE], head[HASH_HEX_SIZE];
	hash_to_hex(verify->release.sha256, HASH_SIZE, sha256);
	hash_to_hex(order->audit_head, HASH_SIZE, head);
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:I, s:s, s:s}", "upgrade", order->upgrade, "version",
			 verify->release.version, "sha256", sha256, "start",
			 (json_int_t)(own->is_set && own->start > order->start ? own->start : order->start), "end",
			 (json_int_t)(own->is_set ? earlier(own->end, order->end) : order->end), "last_start",
			 (json_int_t)(own->is_set ? earlier(own->last_start, order->last_start) : order->last_start),
			 "finish", (int)(order->finish_overrun && (!own->is_set || own->finish)), "fence",
			 (json_int_t)order->fence, "order_key", ordered->key_id, "audit_head", head);
}

int run_upgrade(struct session *session, const struct stream_message *message, json_t **ret_reply, struct error *error)
{
	const json_t *envelope = jsonio_member(message->body, "order");
	const char *upgrade = jsonio_string(message->body, "upgrade");
	struct control_busy busy = {.session = session, .message = message, .upgrade = upgrade, .abortable = true};
	struct verify_wish wish = {.entitlement = jsonio_member(message->body, "entitlement"), .managed = true};
	uint8_t nonce[ORDER_NONCE_SIZE];
	struct ordered ordered = {0};
	struct ownwindow own = {0};
	CLEANUP(verify_end) struct verify verify;
	struct error no_nonce = {0};
	int64_t nonce_age_s = 0;
	verify_start(&verify, session, control_meanwhile, &busy);
	int nonce_result = take_nonce(session, nonce, &nonce_age_s, &no_nonce);
	if (peek_version(envelope, &wish.version, error) < 0 || verify_all(&verify, &wish, error) < 0 ||
	    read_order(envelope, &verify.authority, verify.now, &ordered, error) < 0)
		return -(int)error->code;
	if (nonce_result < 0) {
		*error = no_nonce;
		return nonce_result;
	}
	if (check_skew(ordered.order.issued, nonce_age_s, verify.now, error) < 0 ||
	    check_order(session, &ordered, ORDER_UPGRADE, upgrade, nonce, verify.now, error) < 0)
		return -(int)error->code;
	/* The peeked version is the signed one, or the signature would not stand; the manifest is compared for itself.
	 */
	if (!hash_equal(ordered.order.manifest, verify.release.sha256))
		return error_set(error, ERROR_DATA, "hash",
				 "the order is for another manifest of %s than the signed one", verify.release.version);
	if (ownwindow_open(session->places->product, run_need(verify.manifest), verify.release.security, verify.now,
			   &own, error) < 0 ||
	    verify_preflight(&verify, NULL, error) < 0)
		return -(int)error->code;
	return hand_to_act(&busy, "switch", switch_arguments(&verify, &ordered, &own), ret_reply, error);
}

/* The newest set where it can be had; where time or tunnel stand in the way, the last that was accepted. */
static int refresh_or_load(struct verify *verify, struct error *error)
{
	struct error refused = {0};
	if (verify_standing(verify, error) < 0)
		return -(int)error->code;
	if (verify_metadata(verify, &refused) == 0)
		return 0;
	if (strcmp(refused.name, "closed") == 0 || strcmp(refused.name, "aborted") == 0) {
		*error = refused;
		return -(int)refused.code;
	}
	session_log_refusal(verify->session, "the newest metadata, for a rollback", &refused);
	return verify_metadata_stored(verify, error);
}

/* A wrong clock never stops a rollback: the order answers a fresh nonce, so its own date stands in for now. */
static int64_t rollback_now(const json_t *envelope, int64_t nonce_age_s, int64_t now)
{
	const char *text = json_string_value(json_object_get(json_object_get(envelope, "signed"), "issued"));
	struct error ignored = {0};
	int64_t issued = 0;
	if (text && clock_parse_utc(text, &issued, &ignored) == 0 && check_skew(issued, nonce_age_s, now, &ignored) < 0)
		return issued;
	return now;
}

static json_t *rollback_arguments(const struct ordered *ordered, const char *data)
{
	const struct order *order = &ordered->order;
	char head[HASH_HEX_SIZE];
	hash_to_hex(order->audit_head, HASH_SIZE, head);
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s*}", "upgrade", order->upgrade, "version", order->version,
			 "fence", (json_int_t)order->fence, "order_key", ordered->key_id, "audit_head", head, "data",
			 data);
}

int run_rollback(struct session *session, const struct stream_message *message, json_t **ret_reply, struct error *error)
{
	const json_t *envelope = jsonio_member(message->body, "order");
	const char *upgrade = jsonio_string(message->body, "upgrade");
	const char *data = jsonio_string(message->body, "data");
	struct control_busy busy = {.session = session, .message = message, .upgrade = upgrade, .abortable = true};
	uint8_t nonce[ORDER_NONCE_SIZE];
	struct ordered ordered = {0};
	struct ownwindow own = {0};
	CLEANUP(verify_end) struct verify verify;
	int64_t nonce_age_s = 0, now = 0;
	verify_start(&verify, session, control_meanwhile, &busy);
	if (take_nonce(session, nonce, &nonce_age_s, error) < 0 || refresh_or_load(&verify, error) < 0)
		return -(int)error->code;
	now = rollback_now(envelope, nonce_age_s, verify.now);
	if (read_order(envelope, &verify.authority, now, &ordered, error) < 0 ||
	    check_order(session, &ordered, ORDER_ROLLBACK, upgrade, nonce, now, error) < 0 ||
	    /* The customer's window goes by the customer's clock: an order could else date itself into it. */
	    ownwindow_open(session->places->product, 0, true, verify.now, &own, error) < 0)
		return -(int)error->code;
	return hand_to_act(&busy, "rollback", rollback_arguments(&ordered, data), ret_reply, error);
}
