#include "appliance-hook/check/control.h"

#include <inttypes.h>
#include <string.h>

#include "appliance-hook/check/plan.h"
#include "appliance-hook/check/run.h"
#include "appliance-hook/check/staging.h"
#include "appliance-hook/check/standing.h"
#include "base/log.h"

/* Bytes of given-up fetches that may still flow in before the stream is ended. */
#define IGNORED_MOST (UINT64_C(256) * 1024 * 1024)

/* A request of the orchestrator: what it needs and who answers it. */
struct request {
	enum message_type type;
	unsigned permit;
	int (*answer)(struct session *session, const struct stream_message *message, json_t **ret_reply,
		      struct error *error);
};

int control_beat(struct session *session, struct error *error)
{
	int64_t ticks = clock_ticks_ms();
	bool pending = false;
	if (session->kind != SESSION_CONTROL || ticks - session->beat_ticks < CONTROL_HEARTBEAT_MS)
		return 0;
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:I}", "time", (json_int_t)clock_now());
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a heartbeat");
	session->beat_ticks = ticks;
	if (stream_send(session->stream, MESSAGE_HEARTBEAT, FRAME_EVENT, stream_next_id(session->stream), body, error) <
	    0)
		return -(int)error->code;
	return stream_flush(session->stream, &pending, error);
}

static int reply(struct session *session, const struct stream_message *message, const json_t *body, struct error *error)
{
	bool pending = false;
	if (stream_send(session->stream, message->type, FRAME_REPLY, message->id, body, error) < 0)
		return -(int)error->code;
	return stream_flush(session->stream, &pending, error);
}

static int refuse(struct session *session, const struct stream_message *message, const struct error *why,
		  struct error *error)
{
	bool pending = false;
	session_log_refusal(session, message_name(message->type), why);
	if (stream_send_error(session->stream, message->type, message->id, why, error) < 0)
		return -(int)error->code;
	return stream_flush(session->stream, &pending, error);
}

static bool is_request(const struct stream_message *message)
{
	return (message->flags & (FRAME_REPLY | FRAME_EVENT | FRAME_ERROR | FRAME_DATA)) == 0;
}

/* The answer to HELLO, and what still flows in of a fetch that was given up. */
static int take_answer(struct session *session, const struct stream_message *message, struct error *error)
{
	if (message->type == MESSAGE_FETCH) {
		session->ignored += message->size;
		if (session->ignored <= IGNORED_MOST)
			return 0;
		return error_set(error, ERROR_DATA, "length",
				 "the orchestrator does not stop sending what nobody asked for");
	}
	if (message->type != MESSAGE_HELLO || !(message->flags & FRAME_REPLY))
		return error_set(error, ERROR_DATA, "dialogue", "an answer to %s came that nobody waits for",
				 message_name(message->type));
	if (message->flags & FRAME_ERROR) {
		if (packet_to_error(message->body, error) < 0)
			return -(int)error->code;
		return error_prefix(error, "the orchestrator refuses this appliance");
	}
	if (jsonio_integer(message->body, "protocol") != MESSAGE_PROTOCOL)
		return error_set(error, ERROR_DATA, "protocol",
				 "the orchestrator speaks another version of the dialogue");
	int64_t skew = clock_now() - jsonio_integer(message->body, "time");
	if (skew > CONTROL_SKEW_MOST || skew < -CONTROL_SKEW_MOST)
		log_write(LOG_LEVEL_WARNING,
			  "this clock is %" PRId64 " s from the orchestrator's: orders are refused until it is set",
			  skew);
	return 0;
}

static int answer_status(struct session *session, const struct stream_message *message UNUSED, json_t **ret_reply,
			 struct error *error)
{
	return standing_read(session, STANDING_STATUS, ret_reply, error);
}

static int answer_nonce(struct session *session, const struct stream_message *message UNUSED, json_t **ret_reply,
			struct error *error)
{
	char hex[2 * ORDER_NONCE_SIZE + 1];
	secret_random(session->nonce, sizeof(session->nonce));
	session->nonce_ticks = clock_ticks_ms();
	hash_to_hex(session->nonce, sizeof(session->nonce), hex);
	json_t *body = json_pack("{s:s, s:I}", "nonce", hex, "time", (json_int_t)clock_now());
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a nonce");
	*ret_reply = body;
	return 0;
}

/* Nothing runs when this is asked here: control_meanwhile answers while something does. */
static int answer_abort(struct session *session UNUSED, const struct stream_message *message UNUSED, json_t **ret_reply,
			struct error *error)
{
	json_t *body = json_pack("{s:b}", "aborted", 0);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an answer");
	*ret_reply = body;
	return 0;
}

static int send_event(const struct control_busy *busy, const json_t *body, struct error *error)
{
	struct session *session = busy->session;
	bool pending = false;
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to tell the progress");
	if (stream_send(session->stream, busy->message->type, FRAME_EVENT, busy->message->id, body, error) < 0 ||
	    stream_flush(session->stream, &pending, error) < 0)
		return -(int)error->code;
	return control_beat(session, error);
}

static int stage_progress(void *context, const struct unpack_progress *progress, struct error *error)
{
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:I, s:I, s:I, s:I}", "blobs", (json_int_t)progress->blobs, "blobs_done",
				 (json_int_t)progress->blobs_done, "bytes", (json_int_t)progress->bytes, "bytes_done",
				 (json_int_t)progress->bytes_done);
	return send_event(context, body, error);
}

/* An aborted staging is not wanted again; one that broke is kept, and the next `stage` goes on from it. */
static void discard(struct session *session, const char *version)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	struct error error = {0};
	if (actor_ask(&session->actor, "discard", json_pack("{s:s}", "version", version), NULL, NULL, &answer, &error) <
	    0)
		log_failure("discarding the aborted staging", &error);
}

static int answer_stage(struct session *session, const struct stream_message *message, json_t **ret_reply,
			struct error *error)
{
	struct control_busy busy = {
		.session = session,
		.message = message,
		.upgrade = jsonio_string(message->body, "upgrade"),
		.abortable = true,
	};
	struct verify_wish wish = {
		.version = jsonio_string(message->body, "version"),
		.entitlement = jsonio_member(message->body, "entitlement"),
		.managed = true,
	};
	struct staging_wish staging = {
		.ticket = jsonio_string(message->body, "ticket"),
		.streams = jsonio_integer(message->body, "streams"),
		.progress = stage_progress,
		.other = control_meanwhile,
		.context = &busy,
	};
	CLEANUP(verify_end) struct verify verify;
	char hex[HASH_HEX_SIZE];
	verify_start(&verify, session, control_meanwhile, &busy);
	if (verify_all(&verify, &wish, error) < 0)
		return -(int)error->code;
	if (staging_run(&verify, &staging, error) < 0) {
		if (strcmp(error->name, "aborted") == 0)
			discard(session, verify.release.version);
		return -(int)error->code;
	}
	hash_to_hex(verify.release.sha256, HASH_SIZE, hex);
	json_t *body = json_pack("{s:s, s:s}", "version", verify.release.version, "sha256", hex);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an answer");
	*ret_reply = body;
	return 0;
}

/* Everything that an orchestrator may ask. What is not here is refused by the dialogue's table or by name. */
static const struct request requests[] = {
	{MESSAGE_STATUS, SESSION_MAY_STATUS, answer_status}, {MESSAGE_PLAN, SESSION_MAY_STATUS, plan_answer},
	{MESSAGE_STAGE, SESSION_MAY_UPGRADE, answer_stage},  {MESSAGE_NONCE, SESSION_MAY_UPGRADE, answer_nonce},
	{MESSAGE_RUN, SESSION_MAY_UPGRADE, run_upgrade},     {MESSAGE_ROLLBACK, SESSION_MAY_UPGRADE, run_rollback},
	{MESSAGE_ABORT, SESSION_MAY_UPGRADE, answer_abort},
};

static const struct request *find_request(enum message_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].type == type)
			return &requests[i];
	return NULL;
}

static int check_permit(const struct session *session, const struct stream_message *message,
			const struct request *request, struct error *error)
{
	const char *name = message_name(message->type);
	if (!request)
		return error_set(error, ERROR_NOT_PERMITTED, "request",
				 "\"%s\" is nothing that an orchestrator may ask", name);
	if ((session_permits(session->grant.scope) & request->permit) == request->permit)
		return 0;
	return error_set(
		error, ERROR_NOT_PERMITTED, "scope",
		"the tunnel is open for \"%s\" only, \"%s\" needs more: the customer opens it with `appliance-hook "
		"tunnel open --scope status,upgrade`",
		session->grant.scope, name);
}

static int serve(struct session *session, const struct stream_message *message, struct error *error)
{
	const struct request *request = find_request(message->type);
	CLEANUP(jsonio_free) json_t *body = NULL;
	struct error why = {0};
	if (!is_request(message))
		return take_answer(session, message, error);
	if (check_permit(session, message, request, &why) == 0 && request->answer(session, message, &body, &why) == 0)
		return reply(session, message, body, error);
	/* Bytes that are no dialogue and a stream that ended leave nothing to answer to. */
	if (strcmp(why.name, "closed") == 0 || strcmp(why.name, "frame") == 0 || strcmp(why.name, "dialogue") == 0) {
		*error = why;
		return -(int)why.code;
	}
	return refuse(session, message, &why, error);
}

int control_meanwhile(void *context, struct stream_message *message, struct error *error)
{
	const struct control_busy *busy = context;
	struct session *session = busy->session;
	if (!is_request(message))
		return take_answer(session, message, error);
	if (message->type == MESSAGE_STATUS && !busy->act_is_busy)
		return serve(session, message, error);
	if (message->type != MESSAGE_ABORT) {
		struct error why = {0};
		error_set(&why, ERROR_NOT_NOW, "busy", "\"%s\" is under way on this stream: ask again when it is over",
			  message_name(busy->message->type));
		return refuse(session, message, &why, error);
	}
	const char *named = jsonio_string(message->body, "upgrade");
	bool obeyed = busy->abortable && named && strcmp(named, busy->upgrade) == 0;
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:b}", "aborted", (int)obeyed);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an answer");
	if (reply(session, message, body, error) < 0)
		return -(int)error->code;
	return obeyed ? error_set(error, ERROR_NOT_NOW, "aborted", "upgrade %s was aborted by the orchestrator", named)
		      : 0;
}

static int say_hello(struct session *session, struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = NULL;
	bool pending = false;
	if (standing_read(session, STANDING_HELLO, &body, error) < 0)
		return -(int)error->code;
	session->beat_ticks = clock_ticks_ms();
	if (stream_send(session->stream, MESSAGE_HELLO, 0, stream_next_id(session->stream), body, error) < 0)
		return -(int)error->code;
	return stream_flush(session->stream, &pending, error);
}

static bool is_over(const struct session *session)
{
	return session->grant.until > 0 && clock_now() >= session->grant.until;
}

int control_run(struct session *session, struct error *error)
{
	if (say_hello(session, error) < 0)
		return -(int)error->code;
	while (!is_over(session)) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		int64_t deadline = session->beat_ticks + CONTROL_HEARTBEAT_MS;
		if (stream_wait(session->stream, deadline, &message, error) == 0) {
			if (serve(session, &message, error) < 0)
				return -(int)error->code;
		} else if (strcmp(error->name, "timeout") != 0) {
			return -(int)error->code;
		}
		if (control_beat(session, error) < 0)
			return -(int)error->code;
	}
	log_write(LOG_LEVEL_NOTICE, "the tunnel's time is over: the session ends");
	return 0;
}
