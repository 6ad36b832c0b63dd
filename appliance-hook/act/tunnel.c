#include "appliance-hook/act/tunnel.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/packet.h"

#define TUNNEL_SOCKET    "control.sock"
#define TUNNEL_ANSWER_MS 5000
#define TUNNEL_LOOK_MS   500
/* link calls a line dead after 90 s without a byte. */
#define TUNNEL_SILENCE_MS (100 * 1000)

/* By the directory's descriptor: STATE may be longer than an address of a socket. */
static int connect_serve(const struct hook_settings *settings, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int directory = -1;
	CLEANUP(file_close) int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int status = file_open_directory(settings->state, &directory, error);

	if (status < 0)
		return status;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, TUNNEL_SOCKET);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || fault_point("act.tunnel.ask") < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "serve", "serve cannot be asked");
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int ask_status(const struct hook_settings *settings, json_t **ret_answer, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	CLEANUP(file_close) int passed = -1;
	int status = connect_serve(settings, &fd, error);

	if (status == 0)
		status = packet_send_take(fd, json_pack("{s:s}", "do", "tunnel-status"), -1, error);
	return status == 0 ? packet_wait(fd, clock_ticks_ms() + TUNNEL_ANSWER_MS, ret_answer, &passed, error) : status;
}

struct tunnel tunnel_ask(const struct hook_settings *settings)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	struct error ignored;
	int64_t asked = clock_ticks_ms();

	if (ask_status(settings, &answer, &ignored) < 0)
		return (struct tunnel){.standing = TUNNEL_UNKNOWN};
	const json_t *ok = json_object_get(answer, "ok");
	const char *state = json_string_value(json_object_get(ok, "state"));
	const json_t *up = json_object_get(ok, "up_ms");
	if (!state)
		return (struct tunnel){.standing = TUNNEL_UNKNOWN};
	return (struct tunnel){.standing = !json_is_true(json_object_get(ok, "open")) ? TUNNEL_CLOSED
					   : strcmp(state, "connected") == 0          ? TUNNEL_UP
										      : TUNNEL_WAITING,
			       .permanent = json_is_true(json_object_get(ok, "permanent")),
			       .since = json_is_integer(up) ? asked - json_integer_value(up) : INT64_MIN};
}

int tunnel_wait(const struct hook_settings *settings, int64_t since, int64_t until, bool *ret_up, struct error *error)
{
	int64_t now = clock_ticks_ms(), longest = 1000 * settings->hub_back_within, deadline = now + longest;
	int64_t outlived = now + (longest < TUNNEL_SILENCE_MS ? longest : TUNNEL_SILENCE_MS);
	struct timespec pause = {.tv_nsec = TUNNEL_LOOK_MS * 1000000};

	for (;;) {
		struct tunnel tunnel = tunnel_ask(settings);
		now = clock_ticks_ms();
		bool up = tunnel.standing == TUNNEL_UP && (tunnel.since >= since || now >= outlived);
		if (tunnel.standing == TUNNEL_CLOSED || up) {
			*ret_up = up;
			return 0;
		}
		if (now >= until)
			return error_set(error, ERROR_NOT_NOW, "window", "the window ended before the tunnel was back");
		if (now >= deadline)
			return error_set(error, ERROR_NOT_NOW, "tunnel",
					 "the tunnel, which was up before, was not back within %lld s%s",
					 (long long)settings->hub_back_within,
					 tunnel.standing == TUNNEL_UNKNOWN ? "; serve does not answer" : "");
		nanosleep(&pause, NULL);
	}
}
