#include "appliance-hook/check/pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "appliance-hook/check/hubless.h"
#include "appliance-hook/check/ownwindow.h"
#include "appliance-hook/check/plan.h"
#include "appliance-hook/check/run.h"
#include "appliance-hook/check/staging.h"
#include "base/log.h"
#include "base/packet.h"

enum { ANSWER_MS = 60000, RECEIPT_MS = 30000 };
/* Without a window of its own a pull may run for as long as an order lives. */
enum { PULL_LIFE = ORDER_LIFE_MOST };

/* On a pull stream the other end only answers. */
int pull_nothing_else(void *context UNUSED, struct stream_message *message, struct error *error)
{
	return error_set(error, ERROR_DATA, "dialogue",
			 "\"%s\" came on a pull stream, where the orchestrator only answers",
			 message_name(message->type));
}

static int tell(struct session *session, const char *kind, json_t *body, struct error *error)
{
	return packet_send_take(session->broker, json_pack("{s:o}", kind, body), -1, error);
}

static int tell_progress(void *context, const struct unpack_progress *progress, struct error *error)
{
	json_t *body = json_pack("{s:I, s:I, s:I, s:I}", "blobs", (json_int_t)progress->blobs, "blobs_done",
				 (json_int_t)progress->blobs_done, "bytes", (json_int_t)progress->bytes, "bytes_done",
				 (json_int_t)progress->bytes_done);
	return tell(context, "event", body, error);
}

static int tell_step(void *context, const json_t *event, struct error *error)
{
	return tell(context, "event", json_deep_copy(event), error);
}

static int ask_for_updates(struct session *session, const char *running, json_t **ret_reply, struct error *error)
{
	char nonce[2 * ORDER_NONCE_SIZE + 1];
	secret_random(session->nonce, sizeof(session->nonce));
	hash_to_hex(session->nonce, sizeof(session->nonce), nonce);
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:s, s:s, s:s}", "product", session->places->product_name, "version", running,
				 "nonce", nonce);
	if (!body || (session->to[0] && json_object_set_new(body, "to", json_string(session->to)) < 0))
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to ask for updates");
	return stream_ask(session->stream, MESSAGE_UPDATES, body, clock_ticks_ms() + ANSWER_MS, pull_nothing_else, NULL,
			  ret_reply, error);
}

static int read_answer(struct verify *verify, const json_t *reply, struct pull_answer *ret_answer, struct error *error)
{
	struct session *session = verify->session;
	struct pull_question question = {
		.appliance = session->appliance,
		.product = session->places->product_name,
		.nonce = session->nonce,
		.now = verify->now,
	};
	if (pull_answer_check(jsonio_member(reply, "answer"), &verify->authority, &question, ret_answer, error) < 0)
		return -(int)error->code;
	if (session->to[0] && strcmp(session->to, ret_answer->version) != 0 &&
	    strcmp(verify->running, ret_answer->version) != 0)
		return error_set(error, ERROR_DATA, "version", "%s was asked for and %s was offered", session->to,
				 ret_answer->version);
	return 0;
}

static json_t *switch_arguments(const struct verify *verify, const struct ownwindow *own)
{
	char upgrade[48], sha256[HASH_HEX_SIZE];
	int64_t now = clock_now();
	hash_to_hex(verify->release.sha256, HASH_SIZE, sha256);
	snprintf(upgrade, sizeof(upgrade), "local-%" PRId64, now);
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "upgrade", upgrade, "version", verify->release.version,
			 "sha256", sha256, "start", (json_int_t)(own->is_set ? own->start : now), "end",
			 (json_int_t)(own->is_set ? own->end : now + PULL_LIFE), "last_start",
			 (json_int_t)(own->is_set ? own->last_start : now + PULL_LIFE), "finish",
			 (int)(own->is_set ? own->finish : 0));
}

/* The receipt goes to the orchestrator too; where that fails the appliance keeps it and `status` shows it. */
static void hand_in_receipt(struct session *session, const json_t *outcome)
{
	json_t *receipt = json_object_get(outcome, "receipt");
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:O?}", "receipt", receipt);
	CLEANUP(jsonio_free) json_t *reply = NULL;
	struct error error = {0};
	if (!body || !json_is_object(receipt))
		return;
	if (stream_ask(session->stream, MESSAGE_RECEIPT, body, clock_ticks_ms() + RECEIPT_MS, pull_nothing_else, NULL,
		       &reply, &error) < 0)
		log_failure("handing in the receipt", &error);
}

int pull_install(struct verify *verify, json_t **ret_outcome, struct error *error)
{
	struct session *session = verify->session;
	struct staging_wish staging = {.progress = tell_progress, .other = pull_nothing_else, .context = session};
	struct actor_watch watch = {.event = tell_step, .context = session, .fd = -1};
	struct ownwindow own = {0};
	CLEANUP(jsonio_free) json_t *outcome = NULL;
	staging.ticket = "";
	if (staging_run(verify, &staging, error) < 0 ||
	    ownwindow_open(session->places->product, run_need(verify->manifest), verify->release.security, clock_now(),
			   &own, error) < 0 ||
	    actor_ask(&session->actor, "switch", switch_arguments(verify, &own), &watch, NULL, &outcome, error) < 0)
		return -(int)error->code;
	if (session->way == SESSION_BY_HUB)
		hand_in_receipt(session, outcome);
	if (json_object_set_new(outcome, "version", json_string(verify->release.version)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the outcome");
	*ret_outcome = TAKE(outcome);
	return 0;
}

int pull_say_current(const char *version, json_t **ret_outcome, struct error *error)
{
	json_t *outcome = json_pack("{s:s, s:s}", "outcome", "current", "version", version);
	if (!outcome)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the outcome");
	*ret_outcome = outcome;
	return 0;
}

int pull_plan(struct verify *verify, const struct verify_wish *wish, json_t **ret_outcome, struct error *error)
{
	CLEANUP(jsonio_free) json_t *made = NULL;
	if (plan_make(verify, wish, &made, error) < 0)
		return -(int)error->code;
	json_t *outcome = json_pack("{s:s, s:s, s:O}", "outcome", "plan", "version", wish->version, "plan", made);
	if (!outcome)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the outcome");
	*ret_outcome = outcome;
	return 0;
}

static int pull(struct session *session, json_t **ret_outcome, struct error *error)
{
	CLEANUP(verify_end) struct verify verify;
	CLEANUP(jsonio_free) json_t *reply = NULL;
	struct pull_answer answer = {0};
	verify_start(&verify, session, pull_nothing_else, NULL);
	if (verify_standing(&verify, error) < 0 || ask_for_updates(session, verify.running, &reply, error) < 0 ||
	    verify_metadata(&verify, error) < 0 || read_answer(&verify, reply, &answer, error) < 0)
		return -(int)error->code;
	struct verify_wish wish = {.version = answer.version, .entitlement = jsonio_member(reply, "entitlement")};
	if (strcmp(answer.version, verify.running) == 0)
		return pull_say_current(answer.version, ret_outcome, error);
	if (session->dry)
		return pull_plan(&verify, &wish, ret_outcome, error);
	if (verify_manifest(&verify, wish.version, error) < 0 || verify_path(&verify, error) < 0 ||
	    verify_entitlement(&verify, wish.entitlement, wish.managed, error) < 0)
		return -(int)error->code;
	if (!hash_equal(answer.manifest, verify.release.sha256))
		return error_set(error, ERROR_DATA, "hash",
				 "the answer is for another manifest of %s than the signed one", wish.version);
	return pull_install(&verify, ret_outcome, error);
}

static int (*const ways[])(struct session *session, json_t **ret_outcome, struct error *error) = {
	[SESSION_BY_HUB] = pull,
	[SESSION_BY_MIRROR] = hubless_mirror,
	[SESSION_BY_FILE] = hubless_file,
};

int pull_run(struct session *session, struct error *error)
{
	CLEANUP(jsonio_free) json_t *outcome = NULL;
	struct error why = {0};
	if (ways[session->way](session, &outcome, &why) == 0)
		return tell(session, "result", TAKE(outcome), error);
	session_log_refusal(session, "pull", &why);
	return tell(session, "error", packet_from_error(&why), error);
}
