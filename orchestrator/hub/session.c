#include "orchestrator/hub/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/secret.h"
#include "dialogue/message.h"
#include "keys/sshkey.h"
#include "orchestrator/hub/ticket.h"

#define LOGIN_DEADLINE_MS 20000
#define IDLE_DEADLINE_MS  30000 /* logged in and opened nothing */
#define JOIN_DEADLINE_MS  60000
#define SILENCE_MOST_MS   90000 /* three heartbeats */
#define ALIVE_EVERY_MS    10000
#define REOPEN_FIRST_MS   1000
#define REOPEN_MOST_MS    30000

enum kind { KIND_NONE, KIND_CONTROL, KIND_BULK, KIND_PULL, KIND_JOIN };

static const struct subsystem {
	const char *name;
	enum kind kind;
	enum roster_kind who;
} subsystems[] = {
	{"nightshift", KIND_CONTROL, ROSTER_APPLIANCE},
	{"nightshift-bulk", KIND_BULK, ROSTER_APPLIANCE},
	{"nightshift-pull", KIND_PULL, ROSTER_APPLIANCE},
	{"nightshift-join", KIND_JOIN, ROSTER_JOIN},
};

/* A stream that is granted: the tag of its channel. */
struct lane {
	enum kind kind;               /* KIND_BULK on a control connection: lent over a forward */
	bool greeted;                 /* control: said HELLO */
	bool attached;                /* the engine has its descriptor */
	char ticket[TICKET_MOST + 1]; /* bulk */
};

struct session {
	struct session *next, **link;
	struct switchboard *board;
	struct wire_session *wire;
	uint64_t number;
	char address[INET6_ADDRSTRLEN], network[INET6_ADDRSTRLEN];
	struct roster_entry who; /* once logged in */
	enum kind kind;
	int64_t since_ms, alive_ms;
	bool half_open; /* counted so */
	bool forward;   /* the control stream is ours to open */
	bool greeted;   /* the engine knows of this connection */
	int64_t reopen_ms;
	int64_t reopen_delay;
	struct wire_channel *control;
	struct wire_channel *channels[WIRE_CHANNELS_MOST]; /* those with a lane */
	struct tickets tickets;
};

static void leave_half_open(struct session *session)
{
	if (session->half_open)
		session->board->half_open--;
	session->half_open = false;
}

static void forget(struct session *session)
{
	leave_half_open(session);
	session->board->total--;
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	free(session);
}

static struct lane *new_lane(enum kind kind)
{
	struct lane *lane = calloc(1, sizeof *lane);

	if (lane)
		lane->kind = kind;
	return lane;
}

/* There is a place for as many as a connection can have. */
static void keep(struct session *session, struct wire_channel *channel)
{
	size_t i = 0;

	while (i < WIRE_CHANNELS_MOST - 1 && session->channels[i])
		i++;
	session->channels[i] = channel;
}

/* A connection takes its kind with its first stream and keeps it. A newer one evicts the older of the same key and
 * kind: after a lost link the new connection is the one that works. */
static bool take_kind(struct session *session, enum kind kind)
{
	if (session->kind != KIND_NONE)
		return session->kind == kind;
	session->kind = kind;
	for (struct session *other = session->board->sessions; other; other = other->next)
		if (other != session && other->kind == kind && session_has_key(other, session->who.key))
			wire_end(other->wire, "a newer connection of the same key took its place");
	return true;
}

static bool on_login(void *context, const uint8_t key[static WIRE_KEY_SIZE], bool proved)
{
	struct session *session = context;
	struct switchboard *board = session->board;
	const struct roster_entry *entry = board->ready ? roster_find(board->roster, key, clock_now()) : NULL;

	if (!entry && board->ready) {
		char fingerprint[51];
		sshkey_fingerprint(key, fingerprint);
		log_write(LOG_LEVEL_INFO, "%s: key %s is not admitted", session->address, fingerprint);
	}
	if (entry && proved) {
		session->who = *entry;
		session->since_ms = clock_ticks_ms();
		leave_half_open(session);
	}
	return entry != NULL;
}

static const struct subsystem *find_subsystem(const struct session *session, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(subsystems); i++)
		if (strcmp(subsystems[i].name, name) == 0 && subsystems[i].who == session->who.kind)
			return &subsystems[i];
	return NULL;
}

/* Once: the key is spent when the stream is granted. */
static bool spend_join_key(struct session *session)
{
	if (!roster_find(session->board->roster, session->who.key, clock_now()))
		return false;
	roster_dismiss(session->board->roster, session->who.key);
	return true;
}

static bool on_subsystem(void *context, struct wire_channel *channel, const char *name)
{
	struct session *session = context;
	const struct subsystem *row = find_subsystem(session, name);

	if (!row || !session->board->ready || !take_kind(session, row->kind))
		return false;
	if (row->kind == KIND_CONTROL && (session->control || session->forward))
		return false;
	if (!roster_spend(session->board->roster, session->who.key, clock_ticks_ms()))
		return false;
	if (row->kind == KIND_JOIN && !spend_join_key(session))
		return false;
	struct lane *lane = new_lane(row->kind);
	if (!lane)
		return false;
	wire_channel_set(channel, lane);
	keep(session, channel);
	if (row->kind == KIND_CONTROL)
		session->control = channel;
	return true;
}

static bool on_forward(void *context)
{
	struct session *session = context;

	if (!session->board->ready || session->who.kind != ROSTER_APPLIANCE || session->control ||
	    !take_kind(session, KIND_CONTROL))
		return false;
	session->forward = true;
	session->reopen_ms = 0;
	return true;
}

/* Over a forward the streams are ours to open. */
static struct wire_channel *open_lane(struct session *session, enum kind kind, const char *ticket)
{
	struct lane *lane = new_lane(kind);
	struct wire_channel *channel;
	struct error error;

	if (!lane)
		return NULL;
	snprintf(lane->ticket, sizeof lane->ticket, "%s", ticket);
	if (wire_open_reverse(session->wire, lane, &channel, &error) < 0) {
		log_failure(session->who.name, &error);
		free(lane);
		return NULL;
	}
	keep(session, channel);
	return channel;
}

static void on_heard(void *context)
{
	struct session *session = context;
	int64_t now = clock_ticks_ms();

	if (session->forward && !session->control && session->board->ready && session->reopen_ms == 0)
		session->control = open_lane(session, KIND_CONTROL, "");
	if (!session->greeted || !session->board->ready || now - session->alive_ms < ALIVE_EVERY_MS)
		return;
	session->alive_ms = now;
	desk_send_take(session->board->desk,
		       json_pack("{s:s, s:s, s:I}", "is", "alive", "appliance", session->who.name, "connection",
				 (json_int_t)session->number),
		       -1);
}

/* Makes the channel's descriptor and sends it along with the message, which is taken. */
static bool hand_over(struct session *session, struct wire_channel *channel, json_t *message)
{
	struct lane *lane = wire_channel_tag(channel);
	struct error error;
	int fd;

	if (wire_channel_attach(channel, &fd, &error) < 0) {
		log_failure("handing a stream to the engine", &error);
		json_decref(message);
		wire_channel_close(channel);
		return false;
	}
	lane->attached = true;
	desk_send_take(session->board->desk, message, fd);
	return true;
}

static json_t *stream_message(const struct session *session, const struct lane *lane)
{
	return json_pack("{s:s, s:s, s:s}", "is", "stream", "appliance", session->who.name, "ticket", lane->ticket);
}

static void on_opened(void *context, struct wire_channel *channel)
{
	struct session *session = context;
	struct lane *lane = wire_channel_tag(channel);
	char key[2 * ROSTER_KEY_SIZE + 1];

	if (lane->kind == KIND_PULL)
		hand_over(session, channel,
			  json_pack("{s:s, s:s, s:s}", "is", "pull", "appliance", session->who.name, "address",
				    session->address));
	if (lane->kind == KIND_JOIN) {
		hash_to_hex(session->who.key, ROSTER_KEY_SIZE, key);
		hand_over(session, channel,
			  json_pack("{s:s, s:s, s:s, s:s}", "is", "join", "key", key, "name", session->who.name,
				    "address", session->address));
	}
	if (lane->kind == KIND_BULK && session->forward)
		hand_over(session, channel, stream_message(session, lane));
}

static int greet(struct session *session, struct wire_channel *channel, const struct frame *frame, struct error *error)
{
	struct lane *lane = wire_channel_tag(channel);
	CLEANUP(jsonio_free) json_t *body = NULL;
	CLEANUP(jsonio_free) json_t *welcome = NULL;
	CLEANUP(buffer_free) struct buffer reply = BUFFER_INIT(FRAME_JSON_MOST);
	int status = message_parse(frame, MESSAGE_FROM_HOOK, &body, error);

	if (status < 0)
		return status;
	if (frame->type != MESSAGE_HELLO || frame->flags != 0)
		return error_set(error, ERROR_DATA, "dialogue", "a control stream begins with hello, not with %s",
				 message_name(frame->type));
	welcome = json_pack("{s:i, s:I}", "protocol", MESSAGE_PROTOCOL, "time", (json_int_t)clock_now());
	status =
		message_write(&reply, MESSAGE_FROM_ORCHESTRATOR, MESSAGE_HELLO, FRAME_REPLY, frame->id, welcome, error);
	if (status == 0)
		status = wire_channel_send(channel, reply.data, reply.size, error);
	if (status < 0)
		return status;
	lane->greeted = session->greeted = true;
	session->reopen_delay = 0;
	session->alive_ms = clock_ticks_ms();
	desk_send_take(session->board->desk,
		       json_pack("{s:s, s:s, s:I, s:s, s:s, s:O}", "is", "hello", "appliance", session->who.name,
				 "connection", (json_int_t)session->number, "address", session->address, "transport",
				 session->forward ? "forward" : "call-home", "body", body),
		       -1);
	return 0;
}

/* On an idle control stream HELLO and then heartbeats are the hub's. At anything else it stops: those bytes are the
 * engine's. */
static int read_control(struct session *session, struct wire_channel *channel, struct error *error)
{
	struct lane *lane = wire_channel_tag(channel);
	struct buffer *head = wire_channel_head(channel);

	for (;;) {
		struct frame frame;
		size_t used = 0;
		int status = frame_read(head, &frame, &used, error);
		if (status < 0 || used == 0)
			return status;
		if (lane->greeted && frame.type == MESSAGE_HELLO) {
			/* Each costs the engine a write. */
			status = error_set(error, ERROR_DATA, "dialogue", "a control stream says hello once");
		} else if (!lane->greeted) {
			status = greet(session, channel, &frame, error);
		} else if (frame.type == MESSAGE_HEARTBEAT) {
			CLEANUP(jsonio_free) json_t *body = NULL;
			status = message_parse(&frame, MESSAGE_FROM_HOOK, &body, error);
		} else {
			return 0;
		}
		if (status < 0)
			return status;
		buffer_consume(head, used);
	}
}

static unsigned count_streams(const struct switchboard *board, const struct session *like, const char *ticket)
{
	unsigned count = 0;

	for (const struct session *session = board->sessions; session; session = session->next)
		for (size_t i = 0; i < WIRE_CHANNELS_MOST && session_has_key(session, like->who.key); i++) {
			const struct lane *lane = session->channels[i] ? wire_channel_tag(session->channels[i]) : NULL;
			if (lane && lane->attached && lane->kind == KIND_BULK && ticket_equal(lane->ticket, ticket))
				count++;
		}
	return count;
}

static bool ticket_fits(const struct session *bulk, const char *text)
{
	unsigned allowed = 0;

	for (const struct session *session = bulk->board->sessions; session; session = session->next)
		if (session->kind == KIND_CONTROL && session_has_key(session, bulk->who.key))
			allowed += tickets_allow(&session->tickets, text);
	return count_streams(bulk->board, bulk, text) < allowed;
}

static int read_bulk(struct session *session, struct wire_channel *channel, struct error *error)
{
	struct lane *lane = wire_channel_tag(channel);
	struct buffer *head = wire_channel_head(channel);
	CLEANUP(jsonio_free) json_t *body = NULL;
	struct frame frame;
	size_t used = 0;
	int status = frame_read(head, &frame, &used, error);

	if (status < 0 || used == 0)
		return status;
	status = message_parse(&frame, MESSAGE_FROM_HOOK, &body, error);
	if (status < 0)
		return status;
	const char *ticket = frame.type == MESSAGE_STREAM ? jsonio_string(body, "ticket") : NULL;
	if (!ticket || strlen(ticket) > TICKET_MOST || !ticket_fits(session, ticket))
		return error_set(error, ERROR_NOT_PERMITTED, "ticket",
				 "a bulk stream of %s shows no ticket that is good now", session->who.name);
	snprintf(lane->ticket, sizeof lane->ticket, "%s", ticket);
	buffer_consume(head, used);
	hand_over(session, channel, stream_message(session, lane));
	return 0;
}

static void on_bytes(void *context, struct wire_channel *channel)
{
	struct session *session = context;
	const struct lane *lane = wire_channel_tag(channel);
	struct error error;
	int status = lane->kind == KIND_CONTROL ? read_control(session, channel, &error)
		     : lane->kind == KIND_BULK  ? read_bulk(session, channel, &error)
						: 0;

	if (status < 0) {
		log_failure(session->who.name, &error);
		wire_channel_close(channel);
	}
}

static void on_closed(void *context, struct wire_channel *channel)
{
	struct session *session = context;

	for (size_t i = 0; i < WIRE_CHANNELS_MOST; i++)
		if (session->channels[i] == channel)
			session->channels[i] = NULL;
	free(wire_channel_tag(channel));
	if (session->control != channel)
		return;
	session->control = NULL;
	session->reopen_ms = clock_ticks_ms() + session->reopen_delay;
	session->reopen_delay = session->reopen_delay ? 2 * session->reopen_delay : REOPEN_FIRST_MS;
	if (session->reopen_delay > REOPEN_MOST_MS)
		session->reopen_delay = REOPEN_MOST_MS;
}

static void on_ended(void *context, const char *why)
{
	struct session *session = context;

	if (session->who.name[0])
		log_write(LOG_LEVEL_INFO, "%s (%s): connection %ju ended: %s", session->who.name, session->address,
			  (uintmax_t)session->number, why);
	if (session->greeted)
		desk_send_take(session->board->desk,
			       json_pack("{s:s, s:s, s:I}", "is", "gone", "appliance", session->who.name, "connection",
					 (json_int_t)session->number),
			       -1);
	forget(session);
}

static const struct wire_policy policy = {
	.login = on_login,
	.subsystem = on_subsystem,
	.forward = on_forward,
	.heard = on_heard,
	.opened = on_opened,
	.bytes = on_bytes,
	.closed = on_closed,
	.ended = on_ended,
};

int session_start_take(struct switchboard *board, int fd, const char *address, const char *network, struct error *error)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session) {
		close(fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a connection");
	}
	session->board = board;
	session->number = ++board->last_number;
	session->since_ms = clock_ticks_ms();
	session->half_open = true;
	snprintf(session->address, sizeof session->address, "%s", address);
	snprintf(session->network, sizeof session->network, "%s", network);
	int status = wire_accept_take(board->wire, board->loop, fd, &policy, session, &session->wire, error);
	if (status < 0) {
		free(session);
		return status;
	}
	session->next = board->sessions;
	session->link = &board->sessions;
	if (session->next)
		session->next->link = &session->next;
	board->sessions = session;
	board->total++;
	board->half_open++;
	return 0;
}

void session_free(struct session *session)
{
	wire_session_free(session->wire);
	forget(session);
}

struct session *session_next(const struct session *session)
{
	return session->next;
}

bool session_is_half_open(const struct session *session)
{
	return session->half_open;
}

const char *session_network(const struct session *session)
{
	return session->network;
}

const char *session_name(const struct session *session)
{
	return session->who.name;
}

bool session_has_key(const struct session *session, const uint8_t key[static ROSTER_KEY_SIZE])
{
	return session->who.name[0] && memcmp(session->who.key, key, ROSTER_KEY_SIZE) == 0;
}

bool session_is_control(const struct session *session, const char *name, uint64_t number)
{
	return session->kind == KIND_CONTROL && session->number == number && strcmp(session->who.name, name) == 0;
}

uint64_t session_number(const struct session *session)
{
	return session->number;
}

void session_tick(struct session *session, int64_t now_ms)
{
	int64_t age = now_ms - session->since_ms;

	if (!wire_is_logged_in(session->wire)) {
		if (age > LOGIN_DEADLINE_MS)
			wire_end(session->wire, "did not log in in time");
	} else if (session->kind == KIND_NONE && age > IDLE_DEADLINE_MS) {
		wire_end(session->wire, "opened nothing");
	} else if (session->kind == KIND_JOIN && age > JOIN_DEADLINE_MS) {
		wire_end(session->wire, "did not join in time");
	} else if (now_ms - wire_heard_at(session->wire) > SILENCE_MOST_MS) {
		wire_end(session->wire, "silent for too long");
	} else if (session->forward && !session->control && session->board->ready && now_ms >= session->reopen_ms) {
		session->control = open_lane(session, KIND_CONTROL, "");
	}
}

void session_end(struct session *session, const char *why)
{
	leave_half_open(session);
	wire_end(session->wire, why);
}

void session_engine_gone(struct session *session)
{
	tickets_forget(&session->tickets);
	session->greeted = false;
	for (size_t i = 0; i < WIRE_CHANNELS_MOST; i++)
		if (session->channels[i])
			wire_channel_close(session->channels[i]);
}

void session_engine_ready(struct session *session)
{
	const struct roster_entry *entry;

	if (!session->who.name[0])
		return;
	entry = roster_find(session->board->roster, session->who.key, clock_now());
	/* A join key is spent by now, and its stream is closed. */
	if (!entry || entry->kind != session->who.kind || strcmp(entry->name, session->who.name) != 0)
		wire_end(session->wire, "no longer admitted");
}

void session_attach(struct session *session)
{
	struct lane *lane = session->control ? wire_channel_tag(session->control) : NULL;

	/* Between two streams: the next HELLO is on its way and the engine will ask again. */
	if (!lane || !lane->greeted || lane->attached)
		return;
	hand_over(session, session->control,
		  json_pack("{s:s, s:s, s:I}", "is", "attached", "appliance", session->who.name, "connection",
			    (json_int_t)session->number));
}

void session_expect(struct session *session, const char *ticket, unsigned count)
{
	tickets_expect(&session->tickets, ticket, count);
	for (unsigned i = 0; session->forward && i < count; i++)
		open_lane(session, KIND_BULK, ticket);
}
