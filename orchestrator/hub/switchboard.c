#include "orchestrator/hub/switchboard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "orchestrator/hub/session.h"
#include "orchestrator/hub/ticket.h"

#define TOTAL_MOST             30000
#define HALF_OPEN_MOST         512
#define NETWORK_MOST           1024
#define NETWORK_HALF_OPEN_MOST 32
#define ACCEPT_ROUND           64
#define TICK_MS                1000
/* Out of descriptors: waiting beats spinning. */
#define PAUSE_MS 1000

static void set_ready(struct switchboard *board, const json_t *message UNUSED)
{
	board->ready = true;
	for (struct session *session = board->sessions; session; session = session_next(session))
		session_engine_ready(session);
}

static bool read_key(const json_t *message, uint8_t ret_key[static ROSTER_KEY_SIZE])
{
	struct error error;

	return hash_from_hex(jsonio_string(message, "key"), ret_key, ROSTER_KEY_SIZE, &error) == 0;
}

static void admit(struct switchboard *board, const json_t *message)
{
	struct roster_entry entry = {.expires = jsonio_integer(message, "expires")};
	const char *kind = jsonio_string(message, "kind");
	struct error error;

	if (!read_key(message, entry.key) || (strcmp(kind, "appliance") != 0 && strcmp(kind, "join") != 0)) {
		log_write(LOG_LEVEL_ERROR, "the engine admits something that is no key");
		return;
	}
	entry.kind = strcmp(kind, "join") == 0 ? ROSTER_JOIN : ROSTER_APPLIANCE;
	snprintf(entry.name, sizeof entry.name, "%s", jsonio_string(message, "name"));
	if (roster_admit(board->roster, &entry, &error) < 0)
		log_failure("admitting a key", &error);
}

static void dismiss(struct switchboard *board, const json_t *message)
{
	uint8_t key[ROSTER_KEY_SIZE];

	if (!read_key(message, key))
		return;
	roster_dismiss(board->roster, key);
	for (struct session *session = board->sessions; session; session = session_next(session))
		if (session_has_key(session, key))
			session_end(session, "no longer admitted");
}

static struct session *find_control(struct switchboard *board, const json_t *message)
{
	const char *name = jsonio_string(message, "appliance");
	int64_t number = jsonio_integer(message, "connection");

	for (struct session *session = board->sessions; session; session = session_next(session))
		if (session_is_control(session, name, (uint64_t)number))
			return session;
	/* It ended while the engine's message was under way. */
	desk_send_take(board->desk, json_pack("{s:s, s:s, s:I}", "is", "gone", "appliance", name, "connection", number),
		       -1);
	return NULL;
}

static void attach(struct switchboard *board, const json_t *message)
{
	struct session *session = find_control(board, message);

	if (session)
		session_attach(session);
}

static void expect_streams(struct switchboard *board, const json_t *message)
{
	struct session *session = find_control(board, message);

	if (session)
		session_expect(session, jsonio_string(message, "ticket"), (unsigned)jsonio_integer(message, "count"));
}

static void close_appliance(struct switchboard *board, const json_t *message)
{
	const char *name = jsonio_string(message, "appliance");
	uint64_t number = (uint64_t)jsonio_integer(message, "connection");

	for (struct session *session = board->sessions; session; session = session_next(session))
		if (strcmp(session_name(session), name) == 0 && (!number || session_number(session) == number))
			session_end(session, "closed by the orchestrator");
}

#define END                                                                                                            \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}
#define DO                                                                                                             \
	{                                                                                                              \
		"do", JSONIO_STRING, true, 16, false                                                                   \
	}
#define KEY                                                                                                            \
	{                                                                                                              \
		"key", JSONIO_STRING, true, 2L * ROSTER_KEY_SIZE, false                                                \
	}
#define APPLIANCE                                                                                                      \
	{                                                                                                              \
		"appliance", JSONIO_STRING, true, ROSTER_NAME_MOST - 1, false                                          \
	}
#define CONNECTION(required)                                                                                           \
	{                                                                                                              \
		"connection", JSONIO_INTEGER, required, INT64_MAX, false                                               \
	}

static const struct jsonio_field admit_fields[] = {DO,
						   KEY,
						   {"kind", JSONIO_STRING, true, 16, false},
						   {"name", JSONIO_STRING, true, ROSTER_NAME_MOST - 1, false},
						   {"expires", JSONIO_INTEGER, false, INT64_MAX, false},
						   END};
static const struct jsonio_field dismiss_fields[] = {DO, KEY, END};
static const struct jsonio_field ready_fields[] = {DO, END};
static const struct jsonio_field attach_fields[] = {DO, APPLIANCE, CONNECTION(true), END};
static const struct jsonio_field streams_fields[] = {DO,
						     APPLIANCE,
						     CONNECTION(true),
						     {"ticket", JSONIO_STRING, true, TICKET_MOST, false},
						     {"count", JSONIO_INTEGER, true, WIRE_ASKED_MOST, false},
						     END};
static const struct jsonio_field close_fields[] = {DO, APPLIANCE, CONNECTION(false), END};

static const struct command {
	const char *name;
	const struct jsonio_field *fields;
	void (*run)(struct switchboard *board, const json_t *message);
} commands[] = {
	{"admit", admit_fields, admit},
	{"dismiss", dismiss_fields, dismiss},
	{"ready", ready_fields, set_ready},
	{"attach", attach_fields, attach},
	{"streams", streams_fields, expect_streams},
	{"close", close_fields, close_appliance},
};

static void on_message(void *context, const json_t *message)
{
	const char *name = jsonio_string(message, "do");
	struct error error;

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (jsonio_check(message, commands[i].fields, name, &error) < 0)
			log_failure("a message from the engine", &error);
		else
			commands[i].run(context, message);
		return;
	}
	log_write(LOG_LEVEL_ERROR, "the engine asks for what the hub does not know");
}

static void on_engine_gone(void *context)
{
	struct switchboard *board = context;

	board->ready = false;
	roster_clear(board->roster);
	for (struct session *session = board->sessions; session; session = session_next(session))
		session_engine_gone(session);
}

int switchboard_engine_take(struct switchboard *board, int fd, struct error *error)
{
	on_engine_gone(board);
	return desk_connect_take(board->desk, fd, error);
}

static void on_tick(void *context)
{
	struct switchboard *board = context;
	int64_t now = clock_ticks_ms();

	for (struct session *session = board->sessions; session; session = session_next(session))
		session_tick(session, now);
	board->tick_timer = loop_after(board->loop, TICK_MS, on_tick, board);
}

/* Of one network so many and no more. When too many strangers are here the one that has not logged in for longest makes
 * room: to keep others out somebody would have to come faster than they log in. */
static bool make_room(struct switchboard *board, const char *network)
{
	struct session *oldest = NULL;
	size_t here = 0, half_open_here = 0;

	for (struct session *session = board->sessions; session; session = session_next(session)) {
		bool half_open = session_is_half_open(session);
		if (half_open)
			oldest = session; /* the list begins with the newest */
		if (strcmp(session_network(session), network) != 0)
			continue;
		here++;
		half_open_here += half_open;
	}
	if (board->total >= TOTAL_MOST || here >= NETWORK_MOST || half_open_here >= NETWORK_HALF_OPEN_MOST)
		return false;
	if (board->half_open >= HALF_OPEN_MOST && oldest)
		session_end(oldest, "made room for a newer stranger");
	return true;
}

/* One IPv6 customer has a /64 to call from. */
static void name_address(struct sockaddr_storage *peer, char address[static INET6_ADDRSTRLEN],
			 char network[static INET6_ADDRSTRLEN])
{
	bool is_v6 = peer->ss_family == AF_INET6;
	void *bytes = is_v6 ? (void *)&((struct sockaddr_in6 *)peer)->sin6_addr
			    : (void *)&((struct sockaddr_in *)peer)->sin_addr;

	if (!inet_ntop(peer->ss_family, bytes, address, INET6_ADDRSTRLEN))
		snprintf(address, INET6_ADDRSTRLEN, "unknown");
	if (is_v6)
		memset((uint8_t *)bytes + 8, 0, 8);
	if (!inet_ntop(peer->ss_family, bytes, network, INET6_ADDRSTRLEN))
		snprintf(network, INET6_ADDRSTRLEN, "unknown");
}

static void on_connection(void *context, int fd, uint32_t events);

static void watch_listeners(void *context)
{
	struct switchboard *board = context;
	struct error error;

	board->pause_timer = 0;
	for (size_t i = 0; i < board->listener_count; i++)
		if (loop_watch(board->loop, board->listeners[i], EPOLLIN, on_connection, board, &error) < 0)
			log_failure("listening", &error);
}

static void pause_listening(struct switchboard *board)
{
	if (board->pause_timer)
		return;
	log_write(LOG_LEVEL_ERROR, "the hub has no descriptors left; new connections wait");
	for (size_t i = 0; i < board->listener_count; i++)
		loop_forget(board->loop, board->listeners[i]);
	board->pause_timer = loop_after(board->loop, PAUSE_MS, watch_listeners, board);
	if (!board->pause_timer)
		watch_listeners(board);
}

static void on_connection(void *context, int listener, uint32_t events UNUSED)
{
	struct switchboard *board = context;
	struct error error;

	for (unsigned i = 0; i < ACCEPT_ROUND; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof peer;
		char address[INET6_ADDRSTRLEN], network[INET6_ADDRSTRLEN];
		const int on = 1;
		int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
			pause_listening(board);
		if (fd < 0)
			return;
		name_address(&peer, address, network);
		if (!make_room(board, network)) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (session_start_take(board, fd, address, network, &error) < 0)
			log_failure("a new connection", &error);
	}
}

int switchboard_new(struct loop *loop, struct wire **wire, struct switchboard **ret_board, struct error *error)
{
	static const struct desk_events events = {.message = on_message, .gone = on_engine_gone};
	struct switchboard *board = calloc(1, sizeof *board);

	if (!board)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the hub");
	board->loop = loop;
	int status = roster_new(&board->roster, error);
	if (status == 0)
		status = desk_new(loop, &events, board, &board->desk, error);
	if (status < 0) {
		switchboard_free(&board);
		return status;
	}
	board->wire = TAKE(*wire);
	board->tick_timer = loop_after(loop, TICK_MS, on_tick, board);
	*ret_board = board;
	return 0;
}

void switchboard_free(struct switchboard **board)
{
	struct switchboard *old = *board;

	if (!old)
		return;
	loop_cancel(old->loop, old->tick_timer);
	loop_cancel(old->loop, old->pause_timer);
	for (size_t i = 0; i < old->listener_count; i++)
		loop_forget(old->loop, old->listeners[i]);
	while (old->sessions)
		session_free(old->sessions);
	desk_free(&old->desk);
	roster_free(&old->roster);
	wire_free(&old->wire);
	free(old->listeners);
	free(old);
	*board = NULL;
}

int switchboard_listen(struct switchboard *board, const int *listeners, size_t count, struct error *error)
{
	board->listeners = calloc(count ? count : 1, sizeof *listeners);
	if (!board->listeners)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the hub's ports");
	memcpy(board->listeners, listeners, count * sizeof *listeners);
	board->listener_count = count;
	watch_listeners(board);
	return 0;
}
