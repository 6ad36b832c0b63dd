#include "orchestrator/api/api_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "orchestrator/api/api_route.h"
#include "orchestrator/store/store_technician.h"

#define USER_MOST         32 /* connections of one user, so that nobody takes them all */
#define CONNECTIONS_MOST  128
#define TIMEOUT_SECONDS   15
#define CONNECTION_MEMORY (32 * 1024)
#define ANSWER_MOST       (64 * 1024 * 1024)

struct api_server {
	struct loop *loop; /* borrowed, as the next two */
	struct store *store;
	const struct api_settings *settings;
	struct MHD_Daemon *daemon;
	int epoll_fd;
	uint64_t timer;
	struct peer *peers; /* CONNECTIONS_MOST rows */
};

/* Who is connected how often; a row without connections is free. */
struct peer {
	uid_t uid;
	unsigned connections;
};

/* What is kept of a request while its body arrives. */
struct incoming {
	struct buffer body;
	struct error refusal; /* code 0: none so far */
};

/* The class of the answer for those who read only HTTP; the sysexits code stands in the body. */
static const struct {
	enum error_code code;
	unsigned status;
} statuses[] = {
	{ERROR_USAGE, MHD_HTTP_BAD_REQUEST},
	{ERROR_DATA, MHD_HTTP_UNPROCESSABLE_CONTENT},
	{ERROR_UNREACHABLE, MHD_HTTP_SERVICE_UNAVAILABLE},
	{ERROR_CANNOT_CREATE, MHD_HTTP_INSUFFICIENT_STORAGE},
	{ERROR_NOT_NOW, MHD_HTTP_CONFLICT},
	{ERROR_NOT_PERMITTED, MHD_HTTP_FORBIDDEN},
};

static unsigned status_of(enum error_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].code == code)
			return statuses[i].status;
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static int find_user(struct MHD_Connection *connection, int *ret_fd, uid_t *ret_uid)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -1;
	*ret_fd = info->connect_fd;
	*ret_uid = peer.uid;
	return 0;
}

/* The row of the user, or a free one; there are as many rows as connections. */
static struct peer *find_peer(struct api_server *server, uid_t uid)
{
	struct peer *vacant = NULL;

	for (size_t i = 0; i < CONNECTIONS_MOST; i++) {
		struct peer *peer = &server->peers[i];
		if (peer->connections && peer->uid == uid)
			return peer;
		if (!peer->connections && !vacant)
			vacant = peer;
	}
	if (vacant)
		vacant->uid = uid;
	return vacant;
}

/* libmicrohttpd counts all connections; this counts each user's. What is too many is shut before it is read. */
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct peer *peer = *state;
	int fd = -1;
	uid_t uid;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (peer)
			peer->connections--;
		*state = NULL;
		return;
	}
	if (find_user(connection, &fd, &uid) < 0)
		return;
	peer = find_peer(context, uid);
	if (!peer || peer->connections >= USER_MOST) {
		shutdown(fd, SHUT_RDWR);
		return;
	}
	peer->connections++;
	*state = peer;
}

/* Gives it away. */
static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response,
				     const char *type)
{
	enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);

	if (result == MHD_YES)
		result = MHD_add_response_header(response, "Cache-Control", "no-store");
	if (result == MHD_YES)
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, struct buffer *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(text->size, text->data, MHD_RESPMEM_MUST_COPY);

	return response ? send_response(connection, status, response, "application/json") : MHD_NO;
}

/* A file as it is; libmicrohttpd closes it. */
static enum MHD_Result send_file(struct MHD_Connection *connection, int file)
{
	struct stat status;
	struct MHD_Response *response =
		fstat(file, &status) < 0 ? NULL : MHD_create_response_from_fd64((uint64_t)status.st_size, file);

	if (!response) {
		close(file);
		return MHD_NO;
	}
	return send_response(connection, MHD_HTTP_OK, response, "application/octet-stream");
}

static enum MHD_Result send_error(struct MHD_Connection *connection, const struct error *failure)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(ANSWER_MOST);
	CLEANUP(jsonio_free) json_t *answer = packet_refusal(failure);
	struct error error;

	if (!answer || jsonio_write(answer, false, &text, &error) < 0 || buffer_append(&text, "\n", 1, &error) < 0)
		return MHD_NO;
	return send_text(connection, status_of(failure->code), &text);
}

/* The technician whose login the peer's user is. The kernel says who that is, and nothing in the request can. */
static int find_caller(struct api_server *server, struct MHD_Connection *connection, struct api_caller *ret_caller,
		       struct error *error)
{
	struct passwd entry, *found = NULL;
	char names[16384];
	int fd = -1;
	uid_t uid;

	if (find_user(connection, &fd, &uid) < 0)
		return error_set_errno(error, ERROR_NOT_PERMITTED, "caller", "the caller's user is not known");
	if (getpwuid_r(uid, &entry, names, sizeof(names), &found) != 0 || !found)
		return error_set(error, ERROR_NOT_PERMITTED, "caller",
				 "uid %u has no user name here, so it is no technician", (unsigned)uid);

	struct store_technician technician = {0};
	int result = store_technician_by_login(server->store, found->pw_name, &technician, error);
	if (result < 0 && strcmp(error->name, "unknown-technician") == 0)
		return error_set(
			error, ERROR_NOT_PERMITTED, "caller",
			"user \"%.64s\" is no technician: an admin adds one with `nightshift technician add NAME "
			"--login %.64s …`",
			found->pw_name, found->pw_name);
	if (result < 0)
		return result;
	struct api_caller caller = {.role = api_role_from_word(technician.role)};
	snprintf(caller.name, sizeof(caller.name), "%s", technician.name);
	snprintf(caller.actor, sizeof(caller.actor), "technician:%s", technician.name);
	*ret_caller = caller;
	return 0;
}

static const char *query_value(const struct api_call *call, const char *name)
{
	const char *value = MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);

	return value ? value : "";
}

static int answer(struct api_server *server, struct MHD_Connection *connection, const char *method, const char *path,
		  const struct buffer *bytes, struct buffer *ret_text, int *ret_file, struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = NULL, *result = NULL;
	const struct api_route *route = NULL;
	struct api_caller caller = {0};
	char storage[API_PATH_MOST];
	struct api_call call = {.store = server->store,
				.settings = server->settings,
				.caller = &caller,
				.now = clock_now(),
				.query = query_value,
				.connection = connection,
				.file = -1};
	int code = find_caller(server, connection, &caller, error);

	if (code == 0)
		code = api_route_find(method, path, storage, call.parameters, &route, error);
	if (code == 0 && bytes->size)
		code = jsonio_parse(bytes->data, bytes->size, "the request's body", &body, error);
	if (code == 0)
		code = api_route_run(route, &call, body, &result, error);
	if (code == 0)
		code = jsonio_write(result, false, ret_text, error);
	if (code == 0)
		code = buffer_append(ret_text, "\n", 1, error);
	if (code < 0)
		log_write(error_class(error->code) == ERROR_CLASS_BUG ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
			  "%s %s by %s: refused with %d (%s): %s", method, path,
			  caller.name[0] ? caller.name : "unknown", error->code, error->name, error->text);
	if (code < 0)
		file_close(&call.file);
	*ret_file = call.file;
	return code;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version UNUSED, const char *upload, size_t *size,
				  void **state)
{
	struct incoming *incoming = *state;

	if (!incoming) {
		incoming = calloc(1, sizeof(*incoming));
		if (!incoming)
			return MHD_NO;
		incoming->body = BUFFER_INIT(API_BODY_MOST);
		*state = incoming;
		return MHD_YES;
	}
	if (*size) {
		/* What is too long is read to its end and dropped, so that the refusal reaches the caller. */
		if (!incoming->refusal.code && buffer_append(&incoming->body, upload, *size, &incoming->refusal) < 0)
			error_prefix(&incoming->refusal, "the request's body");
		*size = 0;
		return MHD_YES;
	}
	if (incoming->refusal.code)
		return send_error(connection, &incoming->refusal);

	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(ANSWER_MOST);
	struct error error = {0};
	int file = -1;
	if (answer(context, connection, method, path, &incoming->body, &text, &file, &error) < 0)
		return send_error(connection, &error);
	if (file >= 0)
		return send_file(connection, file);
	return send_text(connection, MHD_HTTP_OK, &text);
}

static void on_completed(void *context UNUSED, struct MHD_Connection *connection UNUSED, void **state,
			 enum MHD_RequestTerminationCode code UNUSED)
{
	struct incoming *incoming = *state;

	if (!incoming)
		return;
	buffer_free(&incoming->body);
	free(incoming);
	*state = NULL;
}

static void run_daemon(struct api_server *server);

static void on_ready(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	run_daemon(context);
}

static void on_timer(void *context)
{
	struct api_server *server = context;

	server->timer = 0;
	run_daemon(server);
}

/* One turn, and the timer for idle connections that libmicrohttpd asks for. */
static void run_daemon(struct api_server *server)
{
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;

	if (MHD_run(server->daemon) != MHD_YES)
		log_write(LOG_LEVEL_ERROR, "libmicrohttpd failed to run");
	if (server->timer)
		loop_cancel(server->loop, server->timer);
	server->timer = 0;
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
		server->timer = loop_after(server->loop, wait_ms > 1000 ? 1000 : (int64_t)wait_ms, on_timer, server);
}

static void log_daemon(void *context UNUSED, const char *format, va_list arguments)
	__attribute__((__format__(__printf__, 2, 0)));

static void log_daemon(void *context UNUSED, const char *format, va_list arguments)
{
	char line[256];

	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	log_write(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", line);
}

int api_server_new(struct loop *loop, int listener, struct store *store, const struct api_settings *settings,
		   struct api_server **ret_server, struct error *error)
{
	CLEANUP(api_server_free) struct api_server *server = calloc(1, sizeof(*server));

	if (!server)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the API's server");
	*server = (struct api_server){.loop = loop, .store = store, .settings = settings, .epoll_fd = -1};
	server->peers = calloc(CONNECTIONS_MOST, sizeof(*server->peers));
	if (!server->peers)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the API's server");
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
		log_daemon, NULL, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS_MOST, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!server->daemon)
		return error_set(error, ERROR_BUG, "http", "the API's server does not start");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return error_set(error, ERROR_BUG, "http", "libmicrohttpd has no epoll descriptor");
	if (loop_watch(loop, info->epoll_fd, EPOLLIN, on_ready, server, error) < 0)
		return -(int)error->code;
	server->epoll_fd = info->epoll_fd;
	run_daemon(server);
	*ret_server = TAKE(server);
	return 0;
}

void api_server_free(struct api_server **server)
{
	struct api_server *gone = *server;

	*server = NULL;
	if (!gone)
		return;
	if (gone->epoll_fd >= 0)
		loop_forget(gone->loop, gone->epoll_fd);
	if (gone->timer)
		loop_cancel(gone->loop, gone->timer);
	if (gone->daemon)
		MHD_stop_daemon(gone->daemon);
	free(gone->peers);
	free(gone);
}
