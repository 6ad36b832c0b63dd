#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "orchestrator/engine/engine_inner.h"
#include "orchestrator/store/store_tunnel.h"

#define ATTACH_MS 15000
/* No fence and no generation ever comes there by counting. */
#define COUNT_MOST (INT64_C(1) << 53)

/* A HELLO follows every work; a tunnel that flaps, or a key in wrong hands, says it again and again. */
static const struct pace hello_pace = {"hello", 2000, 60};

static const struct {
	const char *name;
	void (*begin)(struct session *session);
	void (*lost)(struct session *session, const struct error *why);
	unsigned serves; /* what FETCH may read meanwhile */
} works[SESSION_WORKS] = {
	[SESSION_STAGE] = {"staging", staging_begin, staging_lost, SERVE_FETCH_METADATA | SERVE_FETCH_BLOBS},
	[SESSION_RUN] = {"an upgrade", run_begin, run_lost, SERVE_FETCH_METADATA},
	[SESSION_RECONCILE] = {"asking what stands", reconcile_begin, reconcile_lost, SERVE_FETCH_NOTHING},
	[SESSION_PLAN] = {"a dry run", plan_begin, plan_lost, SERVE_FETCH_METADATA},
};

struct session *session_find(struct engine *engine, const char *appliance)
{
	for (struct session *session = engine->sessions; session; session = session->next)
		if (!strcmp(session->appliance, appliance))
			return session;
	return NULL;
}

/* Streams and timers; the work is forgotten without a word. */
static void reset(struct session *session)
{
	talk_free(&session->talk);
	for (size_t i = 0; i < ENGINE_STREAMS; i++)
		talk_free(&session->bulk[i]);
	if (session->timer)
		loop_cancel(session->engine->loop, session->timer);
	session->timer = 0;
	session->work = SESSION_IDLE;
	session->upgrade[0] = session->ticket[0] = '\0';
	session->claimed = session->task = 0;
	session->abort_asked = false;
}

/* The stream is gone under the work. */
static void lose(struct session *session, const struct error *why)
{
	enum session_work work = session->work;
	if (work != SESSION_IDLE)
		works[work].lost(session, why);
	reset(session);
	engine_wake(session->engine);
}

static void forget(struct engine *engine, struct session *gone)
{
	for (struct session **at = &engine->sessions; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	reset(gone);
	free(gone);
}

void session_drop_all(struct engine *engine)
{
	struct error why = {0};
	error_set(&why, ERROR_UNREACHABLE, "closed", "the hub went away");
	while (engine->sessions) {
		struct session *session = engine->sessions;
		lose(session, &why);
		forget(engine, session);
	}
}

static bool scope_has(const char *scope, const char *word)
{
	size_t length = strlen(word);
	for (const char *at = scope; *at;) {
		const char *end = strchrnul(at, ',');
		if ((size_t)(end - at) == length && !memcmp(at, word, length))
			return true;
		at = *end ? end + 1 : end;
	}
	return false;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = jsonio_string(object, name);
	return text ? text : "";
}

/* The tunnel's row and the appliance's, in one transaction. */
static int store_hello(struct engine *engine, struct session *session, const json_t *message, const json_t *body,
		       struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	struct store_tunnel tunnel = {.since = clock_now(), .last_seen = clock_now()};
	struct store_tunnel standing;
	bool found = false;
	struct store_appliance_hello hello = {
		.version = text_of(body, "version"),
		.state = text_of(body, "state"),
		.upgrade = text_of(body, "upgrade"),
		.fence = jsonio_integer(body, "fence"),
		.generation = jsonio_integer(body, "generation"),
		.skew = session->skew,
		.now = clock_now(),
	};
	if (store_begin(engine->store, &transaction, error) ||
	    store_tunnel_get(engine->store, session->appliance, &standing, &found, error))
		return -(int)error->code;
	/* A HELLO on a connection that stood before is no new tunnel. */
	if (found && session->connection == jsonio_integer(message, "connection"))
		tunnel.since = standing.since;
	snprintf(tunnel.appliance, sizeof tunnel.appliance, "%s", session->appliance);
	snprintf(tunnel.address, sizeof tunnel.address, "%s", text_of(message, "address"));
	snprintf(tunnel.transport, sizeof tunnel.transport, "%s", text_of(message, "transport"));
	snprintf(tunnel.scope, sizeof tunnel.scope, "%s", text_of(body, "scope"));
	tunnel.until = jsonio_boolean(body, "permanent") ? 0 : jsonio_integer(body, "until");
	if (store_tunnel_put(engine->store, &tunnel, error) ||
	    store_appliance_hello(engine->store, session->appliance, &hello, &session->duplicate, error))
		return -(int)error->code;
	return store_commit(&transaction, error);
}

static bool believe_hello(struct engine *engine, const char *appliance, const json_t *body)
{
	if (jsonio_integer(body, "fence") > COUNT_MOST || jsonio_integer(body, "generation") > COUNT_MOST) {
		log_write(LOG_LEVEL_WARNING, "%s: reports a fence or generation that nobody gave: its tunnel is closed",
			  appliance);
		return false;
	}
	if (!pace_allow(&engine->paces, &hello_pace, appliance, clock_ticks_ms())) {
		log_write(LOG_LEVEL_WARNING, "%s: says HELLO too often: its tunnel is closed", appliance);
		return false;
	}
	return true;
}

void session_hello(struct engine *engine, const json_t *message)
{
	const char *appliance = jsonio_string(message, "appliance");
	const json_t *body = jsonio_member(message, "body");
	struct session *session = session_find(engine, appliance);
	struct error error = {0};
	if (!believe_hello(engine, appliance, body)) {
		hub_link_close(engine, appliance);
		return;
	}
	if (session && session->work != SESSION_IDLE) {
		error_set(&error, ERROR_UNREACHABLE, "closed", "the appliance connected anew");
		lose(session, &error);
	}
	if (!session) {
		session = calloc(1, sizeof *session);
		if (!session)
			return;
		session->engine = engine;
		snprintf(session->appliance, sizeof session->appliance, "%s", appliance);
		session->next = engine->sessions;
		engine->sessions = session;
	}
	session->fence = jsonio_integer(body, "fence");
	session->skew = jsonio_integer(body, "time") - clock_now();
	session->may_upgrade = scope_has(text_of(body, "scope"), "upgrade");
	session->forward = !strcmp(text_of(message, "transport"), "forward");
	if (store_hello(engine, session, message, body, &error)) {
		log_failure(appliance, &error);
		forget(engine, session);
		return;
	}
	session->connection = jsonio_integer(message, "connection");
	session->waiting = true;
	log_write(LOG_LEVEL_INFO, "%s: tunnel open, runs %s", appliance, text_of(body, "version"));
	engine_wake(engine);
}

void session_alive(struct engine *engine, const char *appliance)
{
	struct session *session = session_find(engine, appliance);
	if (session)
		session->seen = clock_now();
}

static int store_seen(struct engine *engine, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	if (store_begin(engine->store, &transaction, error))
		return -(int)error->code;
	for (struct session *session = engine->sessions; session; session = session->next)
		if (session->seen && (store_tunnel_seen(engine->store, session->appliance, session->seen, error) ||
				      store_appliance_seen(engine->store, session->appliance, session->seen, error)))
			return -(int)error->code;
	return store_commit(&transaction, error);
}

void session_store_seen(struct engine *engine)
{
	struct error error = {0};
	bool any = false;
	for (struct session *session = engine->sessions; session && !any; session = session->next)
		any = session->seen != 0;
	if (!any)
		return;
	if (store_seen(engine, &error)) {
		log_failure("the signs of life", &error);
		return;
	}
	for (struct session *session = engine->sessions; session; session = session->next)
		session->seen = 0;
}

void session_gone(struct engine *engine, const char *appliance, int64_t connection)
{
	struct session *session = session_find(engine, appliance);
	struct error error = {0}, why = {0};
	if (!session || session->connection != connection)
		return;
	error_set(&why, ERROR_UNREACHABLE, "closed", "the tunnel of %s was lost", appliance);
	lose(session, &why);
	forget(engine, session);
	if (store_tunnel_remove(engine->store, appliance, &error))
		log_failure(appliance, &error);
	log_write(LOG_LEVEL_INFO, "%s: tunnel closed", appliance);
}

bool session_free_for(const struct session *session, const char **ret_why)
{
	if (!session || (!session->waiting && session->work == SESSION_IDLE))
		*ret_why = "tunnel";
	else if (session->work != SESSION_IDLE)
		*ret_why = works[session->work].name;
	else
		return true;
	return false;
}

static void attach_late(void *context)
{
	struct session *session = context;
	struct error why = {0};
	session->timer = 0;
	error_set(&why, ERROR_UNREACHABLE, "timeout", "the hub did not lend the stream of %s", session->appliance);
	lose(session, &why);
}

bool session_begin(struct session *session, enum session_work work, const char *upgrade)
{
	const char *why;
	if (!session_free_for(session, &why))
		return false;
	session->work = work;
	session->waiting = false;
	session->began_at = clock_ticks_ms();
	snprintf(session->upgrade, sizeof session->upgrade, "%s", upgrade);
	session->timer = loop_after(session->engine->loop, ATTACH_MS, attach_late, session);
	peer_send_take(session->engine->hub,
		       json_pack("{s:s, s:s, s:I}", "do", "attach", "appliance", session->appliance, "connection",
				 (json_int_t)session->connection));
	return true;
}

void session_finish(struct session *session)
{
	reset(session);
	engine_wake(session->engine);
}

static void control_request(void *context, struct talk *talk, const struct stream_message *message)
{
	struct session *session = context;
	struct error why = {0};
	if (message->type == MESSAGE_RECEIPT) {
		receipts_request(session->engine, session->appliance, talk, message);
		return;
	}
	error_set(&why, ERROR_NOT_PERMITTED, "request", "\"%s\" has no place on a control stream",
		  message_name(message->type));
	talk_refuse(talk, message, &why);
}

static void control_closed(void *context, struct talk *talk UNUSED, const struct error *why)
{
	struct session *session = context;
	session->talk = NULL;
	lose(session, why);
}

void session_attached_take(struct engine *engine, const char *appliance, int64_t connection, int fd)
{
	static const struct talk_events events = {control_request, control_closed};
	struct session *session = session_find(engine, appliance);
	struct error error = {0};
	if (!session || session->connection != connection || session->work == SESSION_IDLE || session->talk) {
		file_close(&fd); /* nobody waits for it any more */
		return;
	}
	loop_cancel(engine->loop, session->timer);
	session->timer = 0;
	if (talk_new_take(engine->loop, fd, engine->releases, &events, session, &session->talk, &error)) {
		lose(session, &error);
		return;
	}
	talk_serve(session->talk, works[session->work].serves);
	works[session->work].begin(session);
}

static void bulk_closed(void *context, struct talk *talk, const struct error *why UNUSED)
{
	struct session *session = context;
	for (size_t i = 0; i < ENGINE_STREAMS; i++)
		if (session->bulk[i] == talk)
			session->bulk[i] = NULL;
}

void session_stream_take(struct engine *engine, const char *appliance, const char *ticket, int fd)
{
	static const struct talk_events events = {NULL, bulk_closed};
	struct session *session = session_find(engine, appliance);
	struct error error = {0};
	size_t slot = 0;
	while (session && slot < ENGINE_STREAMS && session->bulk[slot])
		slot++;
	if (!session || session->work != SESSION_STAGE || slot == ENGINE_STREAMS ||
	    strlen(ticket) != ENGINE_TICKET_SIZE - 1 || !session->ticket[0] ||
	    !secret_equal(ticket, session->ticket, ENGINE_TICKET_SIZE - 1)) {
		file_close(&fd);
		return;
	}
	if (talk_new_take(engine->loop, fd, engine->releases, &events, session, &session->bulk[slot], &error)) {
		log_failure(appliance, &error);
		return;
	}
	talk_serve(session->bulk[slot], SERVE_FETCH_METADATA | SERVE_FETCH_BLOBS);
	if (session->forward)
		talk_event_take(session->bulk[slot], MESSAGE_STREAM, json_pack("{s:s}", "ticket", ticket));
}

void session_ask_take(struct session *session, enum message_type type, int64_t timeout_ms, talk_progress *progress,
		      talk_answer *answer, json_t *body)
{
	struct talk_question question = {
		.type = type, .timeout_ms = timeout_ms, .progress = progress, .answer = answer, .context = session};
	talk_ask_take(session->talk, &question, body);
}
