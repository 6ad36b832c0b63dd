#include "appliance-hook/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "appliance-hook/link/reflect.h"
#include "appliance-hook/link/trunk.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"

#define SCOPE_MOST    32
#define BULK_MOST     4
#define STREAMS_MOST  8
#define TIMER_MOST_MS 60000

struct link {
	struct loop *loop;
	int parent_fd, check_fd, listen_fd;
	struct trunk_world world;
	struct buffer password;
	bool open; /* the tunnel */
	char scope[SCOPE_MOST + 1];
	int64_t until; /* UTC; 0: none */
	bool permanent;
	uint64_t until_timer;
	struct trunk *control, *pull, *bulk[BULK_MOST];
	int code;
};

static void tell_parent(struct link *link, enum trunk_kind kind, const char *state, const struct error *why)
{
	struct error error;
	json_t *packet = json_pack("{s:s, s:s, s:i, s:s}", "state", state, "text", why ? why->text : "", "code",
				   why ? (int)why->code : 0, "connection", kind == TRUNK_PULL ? "pull" : "control");

	if (packet_send_take(link->parent_fd, packet, -1, &error) < 0)
		log_failure("telling serve", &error);
}

static void tell_check(struct link *link, json_t *packet, int fd)
{
	struct error error;

	/* What check does not take is closed; the hub or the session sees that and asks again. */
	if (packet_send_take(link->check_fd, packet, fd, &error) < 0)
		log_failure("handing a stream to check", &error);
	file_close(&fd);
}

static json_t *grant_packet(const struct link *link, const char *stream)
{
	if (!link->open)
		return json_pack("{s:s}", "stream", stream);
	return json_pack("{s:s, s:s, s:I, s:b}", "stream", stream, "scope", link->scope, "until",
			 (json_int_t)link->until, "permanent", link->permanent);
}

static json_t *bulk_packet(const char *ticket)
{
	return json_pack("{s:s, s:s}", "stream", "bulk", "ticket", ticket);
}

static void on_state(void *context, enum trunk_kind kind, const char *state, const struct error *why)
{
	tell_parent(context, kind, state, why);
}

static void on_stream(void *context, enum trunk_kind kind, const char *ticket, int fd)
{
	struct link *link = context;

	tell_check(link,
		   kind == TRUNK_BULK   ? bulk_packet(ticket)
		   : kind == TRUNK_PULL ? json_pack("{s:s}", "stream", "pull")
					: grant_packet(link, "control"),
		   fd);
}

static void on_done(void *context, struct trunk *trunk)
{
	struct link *link = context;

	if (link->control == trunk)
		link->control = NULL;
	if (link->pull == trunk)
		link->pull = NULL;
	for (size_t i = 0; i < BULK_MOST; i++)
		if (link->bulk[i] == trunk) {
			link->bulk[i] = NULL;
			tell_check(link, bulk_packet(trunk_ticket(trunk)), -1);
		}
}

static const struct trunk_events trunk_events = {.state = on_state, .stream = on_stream, .done = on_done};

/* Everything that the tunnel stands for ends at once; a pull is another matter. */
static void close_tunnel(struct link *link, const char *text)
{
	struct error why;

	if (!link->open)
		return;
	error_set(&why, ERROR_UNREACHABLE, "closed", "%s", text);
	why.code = ERROR_NONE;
	link->open = false;
	loop_cancel(link->loop, link->until_timer);
	trunk_free(&link->control);
	for (size_t i = 0; i < BULK_MOST; i++)
		trunk_free(&link->bulk[i]);
	tell_parent(link, TRUNK_CONTROL, "closed", &why);
}

static void watch_until(void *context)
{
	struct link *link = context;
	int64_t left = (link->until - clock_now()) * 1000;

	link->until_timer = 0;
	if (!link->until)
		return;
	if (left <= 0)
		close_tunnel(link, "the time for which the tunnel was opened is over");
	else /* The clock may be set meanwhile: looked at again each minute. */
		link->until_timer =
			loop_after(link->loop, left < TIMER_MOST_MS ? left : TIMER_MOST_MS, watch_until, link);
}

static int open_tunnel(struct link *link, const json_t *message, struct error *error)
{
	const char *scope = jsonio_string(message, "scope");
	const struct trunk_wish wish = {.kind = TRUNK_CONTROL, .lasting = jsonio_boolean(message, "permanent")};

	/* Opened again: a new grant goes out with a new HELLO. */
	trunk_free(&link->control);
	loop_cancel(link->loop, link->until_timer);
	link->open = true;
	snprintf(link->scope, sizeof link->scope, "%s", scope ? scope : "");
	link->until = jsonio_integer(message, "until");
	link->permanent = wish.lasting;
	int status = trunk_new(&link->world, &wish, &link->control, error);
	watch_until(link);
	return status;
}

static const struct jsonio_field open_fields[] = {{"tunnel", JSONIO_STRING, true, 8, false},
						  {"scope", JSONIO_STRING, false, SCOPE_MOST, false},
						  {"until", JSONIO_INTEGER, false, INT64_MAX / 1000, false},
						  {"permanent", JSONIO_BOOLEAN, false, 0, false},
						  {.name = NULL}};

static const struct jsonio_field mirror_fields[] = {{"connect", JSONIO_STRING, true, 8, false},
						    {"url", JSONIO_STRING, true, REFLECT_URL_MOST, false},
						    {.name = NULL}};

/* Whether the mirror is there its first fetch tells. */
static int open_mirror(struct link *link, const json_t *message, struct error *error)
{
	int stream = -1, status = jsonio_check(message, mirror_fields, "serve's message", error);

	if (status == 0)
		status = reflect_start(jsonio_string(message, "url"), &stream, error);
	if (status < 0) {
		tell_parent(link, TRUNK_PULL, "closed", error);
		return status;
	}
	tell_parent(link, TRUNK_PULL, "connected", NULL);
	tell_check(link, json_pack("{s:s}", "stream", "pull"), stream);
	return 0;
}

static int obey(struct link *link, const json_t *message, struct error *error)
{
	const char *tunnel = jsonio_string(message, "tunnel"), *connect = jsonio_string(message, "connect");
	const struct trunk_wish pull = {.kind = TRUNK_PULL};

	if (tunnel && strcmp(tunnel, "open") == 0) {
		int status = jsonio_check(message, open_fields, "serve's message", error);
		return status < 0 ? status : open_tunnel(link, message, error);
	}
	if (tunnel && strcmp(tunnel, "close") == 0) {
		close_tunnel(link, "closed at the appliance");
		return 0;
	}
	if (connect && strcmp(connect, "pull") == 0) {
		trunk_free(&link->pull);
		return trunk_new(&link->world, &pull, &link->pull, error);
	}
	if (connect && strcmp(connect, "mirror") == 0)
		return open_mirror(link, message, error);
	return error_set(error, ERROR_BUG, "serve", "serve asks link for something unknown");
}

static void on_parent(void *context, int fd, uint32_t events UNUSED)
{
	struct link *link = context;
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int unexpected = -1;
	struct error error;
	int status = packet_receive(fd, &message, &unexpected, &error);

	if (status == -ERROR_NOT_NOW)
		return;
	if (status == -ERROR_UNREACHABLE) {
		loop_stop(link->loop);
		return;
	}
	if (status < 0 || obey(link, message, &error) < 0)
		log_failure("a message from serve", &error);
}

static const struct jsonio_field bulk_fields[] = {{"bulk", JSONIO_STRING, true, TRUNK_TICKET_MOST, false},
						  {"count", JSONIO_INTEGER, true, STREAMS_MOST, false},
						  {.name = NULL}};

static int open_bulk(struct link *link, const json_t *message, struct error *error)
{
	struct trunk **place = NULL;
	int status = jsonio_check(message, bulk_fields, "check's message", error);

	if (status < 0)
		return status;
	const struct trunk_wish wish = {
		.kind = TRUNK_BULK,
		.ticket = jsonio_string(message, "bulk"),
		.count = (unsigned)jsonio_integer(message, "count"),
	};
	/* Asked for again: the hub would evict the older one anyway. */
	for (size_t i = 0; i < BULK_MOST; i++)
		if (link->bulk[i] && strcmp(trunk_ticket(link->bulk[i]), wish.ticket) == 0)
			trunk_free(&link->bulk[i]);
	for (size_t i = 0; i < BULK_MOST && !place; i++)
		if (!link->bulk[i])
			place = &link->bulk[i];
	if (link->open && place && wish.count)
		return trunk_new(&link->world, &wish, place, error);
	tell_check(link, bulk_packet(wish.ticket), -1);
	return 0;
}

static void on_check(void *context, int fd, uint32_t events UNUSED)
{
	struct link *link = context;
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int unexpected = -1;
	struct error error;
	int status = packet_receive(fd, &message, &unexpected, &error);

	if (status == -ERROR_NOT_NOW)
		return;
	if (status == -ERROR_UNREACHABLE) {
		link->code = ERROR_UNREACHABLE;
		loop_stop(link->loop);
		return;
	}
	if (status < 0 || open_bulk(link, message, &error) < 0)
		log_failure("a message from check", &error);
}

/* hook.sock: the end of a tunnel that a stock `ssh -R` holds. */
static void on_accept(void *context, int listener, uint32_t events UNUSED)
{
	struct link *link = context;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		tell_check(link, grant_packet(link, "accepted"), fd);
}

static int make_non_blocking(int fd, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(error, ERROR_BUG, "descriptor", "descriptor %d of link is not there", fd);
	return 0;
}

/* What name resolution reads, and its own directory. Where a path is missing the machine does not need it. */
static int confine(int link_dir_fd, struct error *error)
{
	static const char *const places[] = {"/etc", "/lib", "/lib64", "/usr/lib", "/run/systemd/resolve"};
	struct sandbox_path paths[ARRAY_SIZE(places) + 1] = {{.fd = link_dir_fd}};
	size_t count = 1;
	bool enforced = false;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int fd = open(places[i], O_PATH | O_CLOEXEC);
		if (fd >= 0)
			paths[count++].fd = fd;
	}
	int status = sandbox_confine(paths, count, &enforced, error);
	for (size_t i = 1; i < count; i++)
		file_close(&paths[i].fd);
	return status < 0
		       ? status
		       : sandbox_enter(SANDBOX_FILES | SANDBOX_CONNECT | SANDBOX_ACCEPT | SANDBOX_FORK, "link", error);
}

static int watch_all(struct link *link, struct error *error)
{
	int status = make_non_blocking(link->parent_fd, error);

	if (status == 0)
		status = make_non_blocking(link->check_fd, error);
	if (status == 0)
		status = loop_watch(link->loop, link->parent_fd, EPOLLIN, on_parent, link, error);
	if (status == 0)
		status = loop_watch(link->loop, link->check_fd, EPOLLIN, on_check, link, error);
	if (status == 0 && link->listen_fd >= 0)
		status = make_non_blocking(link->listen_fd, error);
	if (status == 0 && link->listen_fd >= 0)
		status = loop_watch(link->loop, link->listen_fd, EPOLLIN, on_accept, link, error);
	return status;
}

static int serve(struct link *link, struct error *error)
{
	const struct link_settings *settings = link->world.settings;
	int status = egress_check_proxy(settings->proxy, error);

	if (status == 0)
		status = home_read_password(settings, &link->password, error);
	if (status == 0)
		status = loop_new(&link->loop, error);
	if (status == 0)
		status = watch_all(link, error);
	if (status == 0)
		status = confine(link->world.directory, error);
	if (status < 0)
		return status;
	link->world.loop = link->loop;
	link->world.proxy_password = link->password.size ? (const char *)link->password.data : NULL;
	return loop_run(link->loop, true, error);
}

int link_main(int parent_fd, int check_fd, int link_dir_fd, int listen_fd, const struct link_settings *settings)
{
	struct link link = {
		.parent_fd = parent_fd,
		.check_fd = check_fd,
		.listen_fd = listen_fd,
		.password = BUFFER_INIT(1024),
		.world = {.directory = link_dir_fd, .settings = settings, .events = &trunk_events},
	};
	struct error error;

	link.world.context = &link;
	secret_protect_process();
	/* The children that find the way out are nobody's to wait for. */
	signal(SIGCHLD, SIG_IGN);
	int status = serve(&link, &error);
	if (status < 0) {
		log_failure("link ends", &error);
		link.code = (int)error.code;
	}
	trunk_free(&link.control);
	trunk_free(&link.pull);
	for (size_t i = 0; i < BULK_MOST; i++)
		trunk_free(&link.bulk[i]);
	buffer_wipe(&link.password);
	loop_free(&link.loop);
	return link.code;
}
