#include "appliance-hook/cli/serve.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "appliance-hook/cli/joining.h"
#include "appliance-hook/cli/serve_inside.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"

enum { TICK_MS = 500 };

static void on_packet(void *context, enum part part, const json_t *packet)
{
	struct serve *serve = context;
	const char *connection = json_string_value(json_object_get(packet, "connection"));
	if (part == PART_CHECK)
		serve_pull_check(serve, packet);
	else if (part == PART_LINK && connection && strcmp(connection, "pull") == 0)
		serve_pull_link(serve, packet);
	else if (part == PART_LINK)
		serve_tunnel_link(serve, packet);
}

static void on_started(void *context)
{
	serve_tunnel_resume(context);
}

static void on_lost(void *context)
{
	struct serve *serve = context;
	text_copy(serve->link_state, sizeof serve->link_state, "closed");
	serve_pull_lost(serve);
}

static void on_child(void *context, int signal UNUSED)
{
	struct serve *serve = context;
	tether_reap(serve->tether);
}

static void on_tick(void *context)
{
	struct serve *serve = context;
	serve_tunnel_tick(serve);
	serve_pull_tick(serve);
	serve_calls_tick(serve);
	loop_after(serve->loop, TICK_MS, on_tick, serve);
}

static void end_serve(struct serve *serve)
{
	tether_free(&serve->tether);
	loop_free(&serve->loop);
	file_close(&serve->door);
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		file_close(&serve->callers[i].fd);
	places_close(&serve->places);
}

static void say_how(const struct hook_settings *settings, const struct places_users *users)
{
	if (users->link.uid == (uid_t)-1)
		log_write(LOG_LEVEL_WARNING,
			  "not started as root: link, check and act of %s run as one user and protect each other less",
			  settings->product);
}

/* The directories, and one serve a STATE. */
static int prepare(struct serve *serve, int *ret_lock, struct error *error)
{
	struct places_users users;
	struct error locking = {0};
	if (places_find_users(serve->settings, &users, error) < 0 ||
	    places_open(serve->settings, &users, &serve->places, error) < 0)
		return -(int)error->code;
	if (file_lock_at(serve->places.state, "serve.lock", 0, ret_lock, &locking) < 0) {
		*error = locking;
		return strcmp(locking.name, "busy") == 0
			       ? error_set(error, ERROR_NOT_NOW, "busy", "`appliance-hook serve` runs already for %s",
					   serve->settings->state)
			       : -(int)error->code;
	}
	say_how(serve->settings, &users);
	if (joining_settle_idle(&serve->places, &users, error) < 0)
		return error_prefix(error, "a join that was interrupted");
	return places_next_generation(&serve->places, error);
}

static int listen_for(struct serve *serve, int *ret_hook_listener, struct error *error)
{
	if (grant_load(serve->places.state, clock_now(), &serve->grant, error) < 0 ||
	    door_listen(serve->places.state, HOOK_SOCKET, SOCK_STREAM, ret_hook_listener, error) < 0)
		return -(int)error->code;
	return door_listen(serve->places.state, DOOR_SOCKET, SOCK_SEQPACKET, &serve->door, error);
}

/* The parts, and whatever `begin` adds; until the loop is stopped. */
static int run(struct serve *serve, int hook_listener, int (*begin)(struct serve *serve, struct error *error),
	       struct error *error)
{
	const struct tether_watcher watcher = {on_packet, on_started, on_lost, serve};
	loop_on_signal(serve->loop, SIGCHLD, on_child, serve);
	if (tether_new(serve->loop, serve->settings, &serve->places, hook_listener, &watcher, &serve->tether, error) <
	    0)
		return -(int)error->code;
	int result = tether_start(serve->tether, error);
	if (result == 0)
		result = begin(serve, error);
	if (result == 0) {
		loop_after(serve->loop, TICK_MS, on_tick, serve);
		result = loop_run(serve->loop, true, error);
	}
	tether_stop(serve->tether);
	return result;
}

static void begin_serve(struct serve *serve, const struct hook_settings *settings)
{
	*serve = (struct serve){.settings = settings, .places = PLACES_CLOSED, .door = -1, .link_state = "closed"};
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		serve->callers[i] = (struct serve_caller){.serve = serve, .fd = -1, .passed = -1};
	signal(SIGPIPE, SIG_IGN);
}

static int open_door(struct serve *serve, struct error *error)
{
	log_write(LOG_LEVEL_NOTICE, "serving %s", serve->settings->product);
	return loop_watch(serve->loop, serve->door, EPOLLIN, serve_calls_ready, serve, error);
}

int serve_run(const struct hook_settings *settings, struct error *error)
{
	CLEANUP(end_serve) struct serve serve;
	CLEANUP(file_close) int lock = -1;
	CLEANUP(file_close) int hook_listener = -1;
	begin_serve(&serve, settings);
	log_start("serve", LOG_LEVEL_INFO);
	if (settings->self_service_mode != HOOK_SELF_SERVICE_OFF)
		serve.self_service = clock_ticks_ms() + 1000 * settings->self_service_timer;
	if (loop_new(&serve.loop, error) < 0 || prepare(&serve, &lock, error) < 0 ||
	    listen_for(&serve, &hook_listener, error) < 0)
		return -(int)error->code;
	int result = run(&serve, hook_listener, open_door, error);
	unlinkat(serve.places.state, DOOR_SOCKET, 0);
	unlinkat(serve.places.state, HOOK_SOCKET, 0);
	return result;
}

/* --- one pull --- */

/* The one caller of a serve for one pull: the process itself. */
struct once {
	struct serve serve;
	const struct serve_wish *wish;
	int fd; /* its end; the other is the caller's row */
	door_event *event;
	void *context;
	bool ended;
	json_t *result; /* NULL: refused, with `why` */
	struct error why;
};

static void on_once(void *context, int fd, uint32_t events UNUSED)
{
	struct once *once = context;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int passed = -1;
	if (packet_receive(fd, &packet, &passed, &once->why) == 0 &&
	    door_take(packet, once->event, once->context, &once->result, &once->why) == 0 && !once->result)
		return;
	once->ended = true;
	loop_stop(once->serve.loop);
}

static int begin_once(struct serve *serve, struct error *error)
{
	/* The serve is the first member. */
	struct once *once = (struct once *)serve;
	int pair[2];
	if (process_socketpair(false, pair, error) < 0)
		return -(int)error->code;
	once->fd = pair[0];
	serve->callers[0].fd = pair[1];
	serve->callers[0].wait = SERVE_WAIT_PULL;
	if (loop_watch(serve->loop, once->fd, EPOLLIN, on_once, once, error) < 0)
		return -(int)error->code;
	return serve_pull_begin(serve, once->wish, error);
}

static void end_once(struct once *once)
{
	end_serve(&once->serve);
	file_close(&once->fd);
	jsonio_free(&once->result);
}

int serve_once(const struct hook_settings *settings, const struct serve_wish *wish, door_event *event, void *context,
	       json_t **ret_result, struct error *error)
{
	CLEANUP(end_once) struct once once = {.wish = wish, .fd = -1, .event = event, .context = context};
	CLEANUP(file_close) int lock = -1;
	begin_serve(&once.serve, settings);
	if (loop_new(&once.serve.loop, error) < 0 || prepare(&once.serve, &lock, error) < 0 ||
	    run(&once.serve, -1, begin_once, error) < 0)
		return -(int)error->code;
	if (!once.ended)
		return error_set(error, ERROR_NOT_NOW, "stopped",
				 "stopped before the end; what act has begun it finishes: see `appliance-hook status`");
	if (!once.result) {
		*error = once.why;
		return -(int)error->code;
	}
	*ret_result = TAKE(once.result);
	return 0;
}
