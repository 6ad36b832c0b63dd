#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "appliance-hook/cli/serve_inside.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"

static void end_call(struct serve_caller *caller)
{
	loop_forget(caller->serve->loop, caller->fd);
	file_close(&caller->fd);
	caller->wait = SERVE_WAIT_REQUEST;
	caller->deadline = 0;
}

/* A caller who does not read hears nothing: serve waits for nobody. */
static void send(struct serve_caller *caller, json_t *packet)
{
	struct error error = {0};
	if (packet_send_take(caller->fd, packet, -1, &error) < 0 && error.code != ERROR_UNREACHABLE)
		log_failure("a caller", &error);
}

static void answer(struct serve_caller *caller, json_t *ok)
{
	send(caller, json_pack("{s:o}", "ok", ok));
	end_call(caller);
}

static void refuse(struct serve_caller *caller, const struct error *why)
{
	send(caller, packet_refusal(why));
	end_call(caller);
}

void serve_calls_tell(struct serve *serve, enum serve_wait wait, const json_t *packet)
{
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		if (serve->callers[i].fd >= 0 && serve->callers[i].wait == wait)
			send(&serve->callers[i], json_deep_copy(packet));
}

void serve_calls_answer(struct serve *serve, enum serve_wait wait, json_t *ok)
{
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		if (serve->callers[i].fd >= 0 && serve->callers[i].wait == wait)
			answer(&serve->callers[i], json_incref(ok));
	json_decref(ok);
}

void serve_calls_refuse(struct serve *serve, enum serve_wait wait, const struct error *why)
{
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		if (serve->callers[i].fd >= 0 && serve->callers[i].wait == wait)
			refuse(&serve->callers[i], why);
}

bool serve_calls_wait(const struct serve *serve, enum serve_wait wait)
{
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		if (serve->callers[i].fd >= 0 && serve->callers[i].wait == wait)
			return true;
	return false;
}

void serve_calls_tick(struct serve *serve)
{
	int64_t ticks = clock_ticks_ms();
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++) {
		struct serve_caller *caller = &serve->callers[i];
		struct error why = serve->link_why;
		if (caller->fd < 0 || caller->deadline == 0 || ticks < caller->deadline)
			continue;
		if (why.code == 0)
			error_set(&why, ERROR_UNREACHABLE, "tunnel",
				  "the tunnel is open here, but the hub did not answer within %d s; it goes on trying",
				  SERVE_CONNECT_MS / 1000);
		refuse(caller, &why);
	}
}

/* --- the requests --- */

static int ask_open(struct serve_caller *caller, const json_t *request, struct error *error)
{
	if (serve_tunnel_open(caller->serve, request, error) < 0)
		return -(int)error->code;
	caller->wait = SERVE_WAIT_TUNNEL;
	caller->deadline = clock_ticks_ms() + SERVE_CONNECT_MS;
	return 0;
}

static int ask_close(struct serve_caller *caller, const json_t *request UNUSED, struct error *error)
{
	if (serve_tunnel_close(caller->serve, "asked for at this appliance", error) < 0)
		return -(int)error->code;
	answer(caller, serve_tunnel_status(caller->serve));
	return 0;
}

static int ask_permanent(struct serve_caller *caller, const json_t *request, struct error *error)
{
	if (serve_tunnel_permanent(caller->serve, json_is_true(json_object_get(request, "on")), error) < 0)
		return -(int)error->code;
	answer(caller, serve_tunnel_status(caller->serve));
	return 0;
}

static int ask_status(struct serve_caller *caller, const json_t *request UNUSED, struct error *error UNUSED)
{
	answer(caller, serve_tunnel_status(caller->serve));
	return 0;
}

static int ask_pull(struct serve_caller *caller, const json_t *request, struct error *error)
{
	const struct serve_wish wish = {
		.to = json_string_value(json_object_get(request, "to")),
		.mirror = json_string_value(json_object_get(request, "from")),
		.file = -1,
		.dry = json_is_true(json_object_get(request, "dry")),
	};
	if (serve_pull_begin(caller->serve, &wish, error) < 0)
		return -(int)error->code;
	caller->wait = SERVE_WAIT_PULL;
	return 0;
}

static int ask_apply(struct serve_caller *caller, const json_t *request UNUSED, struct error *error)
{
	const struct serve_wish wish = {.file = caller->passed};
	if (wish.file < 0)
		return error_set(error, ERROR_USAGE, "request", "no file came with the request to apply one");
	if (serve_pull_begin(caller->serve, &wish, error) < 0)
		return -(int)error->code;
	caller->wait = SERVE_WAIT_PULL;
	return 0;
}

static const struct {
	const char *name;
	int (*ask)(struct serve_caller *caller, const json_t *request, struct error *error);
} requests[] = {
	{"tunnel-open", ask_open},     {"tunnel-close", ask_close}, {"tunnel-permanent", ask_permanent},
	{"tunnel-status", ask_status}, {"pull", ask_pull},          {"apply", ask_apply},
};

static int take_request(struct serve_caller *caller, const json_t *request, struct error *error)
{
	const char *name = json_string_value(json_object_get(request, "do"));
	for (size_t i = 0; name && i < ARRAY_SIZE(requests); i++)
		if (strcmp(requests[i].name, name) == 0)
			return requests[i].ask(caller, request, error);
	return error_set(error, ERROR_USAGE, "request", "this serve knows no such request: is it an older version?");
}

static void on_caller(void *context, int fd, uint32_t events UNUSED)
{
	struct serve_caller *caller = context;
	CLEANUP(jsonio_free) json_t *request = NULL;
	CLEANUP(file_close) int passed = -1;
	struct error error = {0};
	/* After its request a caller only hangs up. */
	if (packet_receive(fd, &request, &passed, &error) < 0 || caller->wait != SERVE_WAIT_REQUEST) {
		end_call(caller);
		return;
	}
	caller->passed = passed;
	if (take_request(caller, request, &error) < 0)
		refuse(caller, &error);
	caller->passed = -1;
}

static struct serve_caller *free_row(struct serve *serve)
{
	for (size_t i = 0; i < SERVE_CALLERS_MOST; i++)
		if (serve->callers[i].fd < 0)
			return &serve->callers[i];
	return NULL;
}

void serve_calls_ready(void *context, int fd, uint32_t events UNUSED)
{
	struct serve *serve = context;
	CLEANUP(file_close) int accepted = -1;
	struct error error = {0};
	if (door_accept(fd, &accepted, &error) < 0) {
		log_failure("a caller", &error);
		return;
	}
	struct serve_caller *caller = free_row(serve);
	if (!caller || loop_watch(serve->loop, accepted, EPOLLIN, on_caller, caller, &error) < 0)
		return;
	caller->fd = accepted;
	accepted = -1;
}
