#include "appliance-hook/check/check.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/check/broker.h"
#include "appliance-hook/check/reader.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "base/text.h"

/* A stream that came in by hook.sock without an open grant: whoever may connect there is the appliance's own root, and
 * holding `ssh -R` open is the opening. */
#define ACCEPTED_SCOPE "status,upgrade"
enum { ACCEPTED_LIFE = 8 * 60 * 60 };

struct check {
	struct loop *loop;
	int parent, link, act;
	const struct check_places *places;
	struct broker broker;
	int64_t sessions; /* ever started: their numbers at act */
	/* The parent's job that waits for its pull stream. */
	bool job;
	enum session_way way;
	bool dry;
	char to[SESSION_VERSION_MOST];
};

static void tell_parent(struct check *check, json_t *packet)
{
	struct error error = {0};
	if (packet_send_take(check->parent, packet, -1, &error) < 0)
		log_failure("telling serve", &error);
}

static void refuse_job(struct check *check, enum error_code code, const char *name, const char *text)
{
	struct error why = {0};
	error_set(&why, code, name, "%s", text);
	tell_parent(check, packet_refusal(&why));
}

/* Everything but these is closed: a session has no door of check's main or of another session. */
static void keep_only(const int *kept, size_t count)
{
	unsigned from = 3;
	for (;;) {
		unsigned next = ~0U;
		for (size_t i = 0; i < count; i++)
			if (kept[i] >= (int)from && (unsigned)kept[i] < next)
				next = (unsigned)kept[i];
		if (next == ~0U) {
			syscall(SYS_close_range, from, ~0U, 0);
			return;
		}
		if (next > from)
			syscall(SYS_close_range, from, next - 1, 0);
		from = next + 1;
	}
}

/* What every child begins with: no mask of signals, of all descriptors only its own, and an end with its parent. */
static void begin_child(const int *kept, size_t count, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	keep_only(kept, count);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(ERROR_BUG);
}

/* The child. Never returns: check's main has nothing that it may go on with. */
static _Noreturn void be_session(const struct session_start *start, const struct check_places *places, pid_t parent)
{
	const int kept[] = {start->stream,    start->broker,   start->act,       places->trust,
			    places->metadata, places->product, places->releases, places->zones};
	struct error error = {0};

	begin_child(kept, ARRAY_SIZE(kept), parent);
	if (session_run(start, places, &error) < 0) {
		if (strcmp(error.name, "closed") != 0)
			log_failure("session", &error);
		_exit((int)error.code);
	}
	_exit(0);
}

static void on_session(void *context, int fd, uint32_t events);

struct sockets {
	int broker[2], act[2];
};

static void close_sockets(struct sockets *sockets)
{
	for (int i = 0; i < 2; i++) {
		file_close(&sockets->broker[i]);
		file_close(&sockets->act[i]);
	}
}

/* act forks a handler for the session's socket; what is staged belongs to this process's user. */
static int announce(struct check *check, int fd, struct error *error)
{
	return packet_send_take(check->act,
				json_pack("{s:I, s:I, s:I}", "session", (json_int_t)++check->sessions, "uid",
					  (json_int_t)getuid(), "gid", (json_int_t)getgid()),
				fd, error);
}

/* `start` without its sockets; the stream is taken. */
static int start_session(struct check *check, struct session_start start, struct error *error)
{
	CLEANUP(file_close) UNUSED int stream = start.stream;
	CLEANUP(close_sockets) struct sockets sockets = {{-1, -1}, {-1, -1}};
	if (!broker_find(&check->broker, -1))
		return error_set(error, ERROR_NOT_NOW, "busy", "too many sessions are open already");
	if (process_socketpair(false, sockets.broker, error) < 0 || process_socketpair(false, sockets.act, error) < 0 ||
	    announce(check, sockets.act[1], error) < 0)
		return -(int)error->code;
	start.broker = sockets.broker[1];
	start.act = sockets.act[0];
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "a session cannot be started");
	if (pid == 0)
		be_session(&start, check->places, parent);
	if (broker_add_take(&check->broker, sockets.broker[0], pid, start.kind, error) < 0 ||
	    loop_watch(check->loop, sockets.broker[0], EPOLLIN, on_session, check, error) < 0)
		return -(int)error->code;
	sockets.broker[0] = -1;
	return 0;
}

/* --- what a session says --- */

static void end_session(struct check *check, struct broker_session *session)
{
	if (session->kind == SESSION_PULL && !session->ended)
		refuse_job(check, ERROR_UNREACHABLE, "closed",
			   "the pull ended without a result; `appliance-hook status` says "
			   "what stands");
	loop_forget(check->loop, session->socket);
	broker_remove(session);
}

static int from_session(struct check *check, struct broker_session *session, json_t *packet, struct error *error)
{
	const char *ticket = json_string_value(json_object_get(packet, "bulk"));
	if (ticket) {
		if (broker_set_ticket(&check->broker, session, ticket, error) < 0)
			return -(int)error->code;
		return packet_send(check->link, packet, -1, error);
	}
	if (session->kind != SESSION_PULL || session->ended)
		return error_set(error, ERROR_DATA, "broker", "a session said what it may not");
	if (json_object_get(packet, "result") || json_object_get(packet, "error"))
		session->ended = true;
	return packet_send(check->parent, packet, -1, error);
}

static void on_session(void *context, int fd, uint32_t events UNUSED)
{
	struct check *check = context;
	struct broker_session *session = broker_find(&check->broker, fd);
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error = {0};
	if (!session)
		return;
	if (packet_receive(fd, &packet, &passed, &error) < 0 || from_session(check, session, packet, &error) < 0) {
		if (strcmp(error.name, "closed") != 0)
			log_failure("a session", &error);
		end_session(check, session);
	}
}

/* --- what link says --- */

static const struct jsonio_field stream_fields[] = {
	{"stream", JSONIO_STRING, true, 16, false},
	{"ticket", JSONIO_STRING, false, BROKER_TICKET_MOST - 1, false},
	{"scope", JSONIO_STRING, false, SESSION_SCOPE_MOST - 1, false},
	{"until", JSONIO_INTEGER, false, INT64_C(253402300799), false},
	{"permanent", JSONIO_BOOLEAN, false, 0, false},
	{0},
};

static struct session_grant read_grant(const json_t *packet)
{
	struct session_grant grant = {
		.until = jsonio_integer(packet, "until"),
		.permanent = jsonio_boolean(packet, "permanent"),
	};
	text_copy(grant.scope, sizeof grant.scope, jsonio_string(packet, "scope"));
	return grant;
}

static int start_control(struct check *check, const json_t *packet, int fd, struct error *error)
{
	struct session_start start = SESSION_START_NONE;
	start.kind = SESSION_CONTROL;
	start.stream = fd;
	start.grant = read_grant(packet);
	return start_session(check, start, error);
}

static int start_accepted(struct check *check, const json_t *packet, int fd, struct error *error)
{
	struct session_start start = SESSION_START_NONE;
	start.kind = SESSION_CONTROL;
	start.stream = fd;
	start.grant = read_grant(packet);
	if (!start.grant.scope[0]) {
		text_copy(start.grant.scope, sizeof start.grant.scope, ACCEPTED_SCOPE);
		start.grant.until = clock_now() + ACCEPTED_LIFE;
	}
	return start_session(check, start, error);
}

static int start_pull(struct check *check, const json_t *packet UNUSED, int fd, struct error *error)
{
	struct session_start start = SESSION_START_NONE;
	if (!check->job) {
		close(fd);
		return error_set(error, ERROR_NOT_NOW, "job", "a pull stream came that nobody waits for");
	}
	check->job = false;
	start.kind = SESSION_PULL;
	start.stream = fd;
	start.way = check->way;
	start.dry = check->dry;
	memcpy(start.to, check->to, sizeof(start.to));
	if (start_session(check, start, error) == 0)
		return 0;
	refuse_job(check, error->code, error->name, error->text);
	return -(int)error->code;
}

static int pass_bulk(struct check *check, const json_t *packet, int fd, struct error *error)
{
	CLEANUP(file_close) int stream = fd;
	const char *ticket = jsonio_string(packet, "ticket");
	struct broker_session *session = ticket ? broker_by_ticket(&check->broker, ticket) : NULL;
	if (!session)
		return error_set(error, ERROR_DATA, "ticket",
				 "a bulk stream came with a ticket that no session awaits");
	return packet_send_take(session->socket, json_pack("{s:s}", "bulk", ticket), stream, error);
}

static const struct {
	const char *name;
	int (*start)(struct check *check, const json_t *packet, int fd, struct error *error);
} streams[] = {
	{"control", start_control},
	{"accepted", start_accepted},
	{"pull", start_pull},
	{"bulk", pass_bulk},
};

static int from_link(struct check *check, const json_t *packet, int fd, struct error *error)
{
	CLEANUP(file_close) int stream = fd;
	if (jsonio_check(packet, stream_fields, "link's packet", error) < 0)
		return -(int)error->code;
	const char *name = jsonio_string(packet, "stream");
	/* Only bulk streams may come without: they could not be had, and the session need not wait for them. */
	if (stream < 0 && strcmp(name, "bulk") != 0)
		return error_set(error, ERROR_DATA, "stream", "link names a stream and brings none");
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		if (strcmp(streams[i].name, name) == 0) {
			int taken = stream;
			stream = -1;
			return streams[i].start(check, packet, taken, error);
		}
	return error_set(error, ERROR_DATA, "stream", "link brought a stream of an unknown kind");
}

static void on_link(void *context, int fd, uint32_t events UNUSED)
{
	struct check *check = context;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	struct error error = {0};
	int stream = -1;
	if (packet_receive(fd, &packet, &stream, &error) < 0) {
		log_failure("link", &error);
		/* serve starts link and check anew together. */
		if (error.code == ERROR_UNREACHABLE)
			loop_stop(check->loop);
		return;
	}
	if (from_link(check, packet, stream, &error) < 0)
		log_failure("a stream from link", &error);
}

/* --- what the parent says --- */

static const struct jsonio_field job_fields[] = {
	{"job", JSONIO_STRING, true, 16, false},
	{"to", JSONIO_STRING, false, SESSION_VERSION_MOST - 1, false},
	{"dry", JSONIO_BOOLEAN, false, 0, false},
	{"mirror", JSONIO_BOOLEAN, false, 0, false},
	{0},
};

/* The child that reads the file: of everything else it keeps nothing. */
static _Noreturn void be_reader(int file, int stream, pid_t parent)
{
	const int kept[] = {file, stream};
	struct error error = {0};

	begin_child(kept, ARRAY_SIZE(kept), parent);
	if (reader_run_take(file, stream, &error) < 0) {
		log_failure("reading the offline file", &error);
		_exit((int)error.code);
	}
	_exit(0);
}

static int start_apply(struct check *check, int file, struct error *error)
{
	struct session_start start = SESSION_START_NONE;
	int pair[2];
	if (file < 0)
		return error_set(error, ERROR_BUG, "job", "serve brings no file to apply");
	if (process_socketpair(true, pair, error) < 0)
		return -(int)error->code;
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		be_reader(file, pair[1], parent);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return error_set_errno(error, ERROR_CANNOT_CREATE, "process", "a reader cannot be started");
	}
	start.kind = SESSION_PULL;
	start.way = SESSION_BY_FILE;
	start.stream = pair[0];
	return start_session(check, start, error);
}

static int from_parent(struct check *check, const json_t *packet, int file, struct error *error)
{
	if (jsonio_check(packet, job_fields, "serve's packet", error) < 0)
		return -(int)error->code;
	const char *to = jsonio_string(packet, "to"), *job = jsonio_string(packet, "job");
	if (strcmp(job, "cancel") == 0) {
		check->job = false;
		return 0;
	}
	if (strcmp(job, "pull") != 0 && strcmp(job, "apply") != 0)
		return error_set(error, ERROR_BUG, "job", "serve asks for an unknown job");
	if (check->job || broker_pull(&check->broker)) {
		refuse_job(check, ERROR_NOT_NOW, "busy", "a pull is under way already");
		return 0;
	}
	if (strcmp(job, "apply") == 0) {
		if (start_apply(check, file, error) < 0)
			refuse_job(check, error->code, error->name, error->text);
		return 0;
	}
	check->job = true;
	check->way = jsonio_boolean(packet, "mirror") ? SESSION_BY_MIRROR : SESSION_BY_HUB;
	check->dry = jsonio_boolean(packet, "dry");
	text_copy(check->to, sizeof(check->to), to);
	return 0;
}

static void on_parent(void *context, int fd, uint32_t events UNUSED)
{
	struct check *check = context;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error = {0};
	if (packet_receive(fd, &packet, &passed, &error) < 0) {
		if (error.code == ERROR_UNREACHABLE)
			loop_stop(check->loop);
		else
			log_failure("serve", &error);
		return;
	}
	if (from_parent(check, packet, passed, &error) < 0)
		log_failure("serve", &error);
}

static void on_act(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	struct check *check = context;
	log_write(LOG_LEVEL_ERROR, "act has gone: check ends, serve starts both anew");
	loop_stop(check->loop);
}

static void on_child(void *context UNUSED, int signal UNUSED)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int check_main(int parent_fd, int link_fd, int act_fd, const struct check_places *places, struct error *error)
{
	CLEANUP(loop_free) struct loop *loop = NULL;
	struct check check = {.parent = parent_fd, .link = link_fd, .act = act_fd, .places = places};
	broker_init(&check.broker);
	if (loop_new(&loop, error) < 0)
		return -(int)error->code;
	check.loop = loop;
	loop_on_signal(loop, SIGCHLD, on_child, &check);
	if (loop_watch(loop, parent_fd, EPOLLIN, on_parent, &check, error) < 0 ||
	    loop_watch(loop, link_fd, EPOLLIN, on_link, &check, error) < 0 ||
	    loop_watch(loop, act_fd, EPOLLIN, on_act, &check, error) < 0 || session_confine(places, error) < 0 ||
	    sandbox_enter(SANDBOX_FORK | SANDBOX_FILES, "check", error) < 0 || loop_run(loop, true, error) < 0)
		return -(int)error->code;
	return 0;
}
