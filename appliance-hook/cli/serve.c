#include "appliance-hook/cli/serve.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "appliance-hook/cli/serve_inside.h"
#include "base/file.h"
#include "base/log.h"

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
	strcpy(serve->link_state, "closed");
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

/* The directories, the sockets, the number of this start; one serve a STATE. */
static int prepare(struct serve *serve, int *ret_lock, int *ret_hook_listener, struct places_users *ret_users,
		   struct error *error)
{
	if (places_find_users(serve->settings, ret_users, error) < 0 ||
	    places_open(serve->settings, ret_users, &serve->places, error) < 0)
		return -(int)error->code;
	if (file_lock_at(serve->places.state, "serve.lock", 0, ret_lock, error) < 0)
		return strcmp(error->name, "busy") == 0
			       ? error_set(error, ERROR_NOT_NOW, "busy", "`appliance-hook serve` runs already for %s",
					   serve->settings->state)
			       : -(int)error->code;
	if (places_next_generation(&serve->places, error) < 0 ||
	    grant_load(serve->places.state, clock_now(), &serve->grant, error) < 0 ||
	    door_listen(serve->places.state, HOOK_SOCKET, SOCK_STREAM, ret_hook_listener, error) < 0 ||
	    door_listen(serve->places.state, DOOR_SOCKET, SOCK_SEQPACKET, &serve->door, error) < 0)
		return -(int)error->code;
	return 0;
}

static int run(struct serve *serve, int hook_listener, struct error *error)
{
	const struct tether_watcher watcher = {on_packet, on_started, on_lost, serve};
	if (loop_new(&serve->loop, error) < 0)
		return -(int)error->code;
	loop_on_signal(serve->loop, SIGCHLD, on_child, serve);
	if (loop_watch(serve->loop, serve->door, EPOLLIN, serve_calls_ready, serve, error) < 0 ||
	    tether_new(serve->loop, serve->settings, &serve->places, hook_listener, &watcher, &serve->tether, error) <
		    0)
		return -(int)error->code;
	int result = tether_start(serve->tether, error);
	if (result == 0) {
		log_write(LOG_LEVEL_NOTICE, "serving %s", serve->settings->product);
		loop_after(serve->loop, TICK_MS, on_tick, serve);
		result = loop_run(serve->loop, true, error);
	}
	tether_stop(serve->tether);
	return result;
}

int serve_run(const struct hook_settings *settings, struct error *error)
{
	CLEANUP(end_serve)
	struct serve serve = {.settings = settings, .places = PLACES_CLOSED, .door = -1, .link_state = "closed"};
	CLEANUP(file_close) int lock = -1;
	CLEANUP(file_close) int hook_listener = -1;
	struct places_users users;
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		serve.callers[i] = (struct serve_caller){.serve = &serve, .fd = -1};
	if (settings->self_service_mode != HOOK_SELF_SERVICE_OFF)
		serve.self_service = clock_ticks_ms() + 1000 * settings->self_service_timer;
	log_start("serve", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (prepare(&serve, &lock, &hook_listener, &users, error) < 0)
		return -(int)error->code;
	say_how(settings, &users);
	int result = run(&serve, hook_listener, error);
	unlinkat(serve.places.state, DOOR_SOCKET, 0);
	unlinkat(serve.places.state, HOOK_SOCKET, 0);
	return result;
}
