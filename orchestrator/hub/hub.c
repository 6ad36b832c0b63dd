#include "orchestrator/hub/hub.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "keys/sshkey.h"
#include "orchestrator/hub/switchboard.h"

#define LISTEN_MOST 16
#define SET_WAIT_MS 30000

struct hub {
	struct loop *loop;
	struct switchboard *board;
};

static const struct jsonio_field settings_fields[] = {{"host_key", JSONIO_STRING, true, SSHKEY_FILE_MOST, false},
						      {"listen", JSONIO_INTEGER, true, LISTEN_MOST, false},
						      {.name = NULL}};

static void on_supervisor(void *context, int fd, uint32_t events UNUSED)
{
	struct hub *hub = context;
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int peer = -1;
	struct error error;
	int status = packet_receive(fd, &message, &peer, &error);

	if (status == -ERROR_UNREACHABLE) {
		loop_stop(hub->loop);
		return;
	}
	if (status == 0 && peer >= 0 && jsonio_string(message, "peer") &&
	    strcmp(jsonio_string(message, "peer"), "engine") == 0) {
		int engine = peer;
		peer = -1; /* taken */
		status = switchboard_engine_take(hub->board, engine, &error);
	}
	if (status < 0)
		log_failure("a message from the supervisor", &error);
}

/* The host key's text is wiped as soon as libssh has it. */
static int receive_settings(int supervisor_fd, struct wire **ret_wire, size_t *ret_count, struct error *error)
{
	CLEANUP(jsonio_free) json_t *message = NULL;
	CLEANUP(file_close) int unexpected = -1;
	int status = packet_wait(supervisor_fd, clock_ticks_ms() + SET_WAIT_MS, &message, &unexpected, error);

	if (status < 0)
		return error_prefix(error, "the hub's settings");
	const json_t *settings = jsonio_member(message, "set");
	if (!settings)
		return error_set(error, ERROR_BUG, "settings", "the hub's first message holds no settings");
	status = jsonio_check_open(settings, settings_fields, "the hub's settings", error);
	if (status < 0)
		return status;
	const char *text = jsonio_string(settings, "host_key");
	status = wire_new(text, ret_wire, error);
	/* The object is ours alone and dies here. */
	secret_wipe((char *)(uintptr_t)text, strlen(text));
	if (status == 0)
		*ret_count = (size_t)jsonio_integer(settings, "listen");
	return status;
}

static int make_non_blocking(const int *fds, size_t count, struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		int flags = fcntl(fds[i], F_GETFL);
		if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0)
			return error_set_errno(error, ERROR_BUG, "listen", "the hub's listening socket %d is not there",
					       fds[i]);
	}
	return 0;
}

static int serve(int supervisor_fd, struct error *error)
{
	struct hub hub = {0};
	struct wire *wire = NULL;
	int listeners[LISTEN_MOST];
	size_t count = 0;
	int status = receive_settings(supervisor_fd, &wire, &count, error);

	for (size_t i = 0; i < count; i++)
		listeners[i] = supervisor_fd + 1 + (int)i;
	if (status == 0)
		status = make_non_blocking(listeners, count, error);
	if (status == 0)
		status = loop_new(&hub.loop, error);
	if (status == 0)
		status = switchboard_new(hub.loop, &wire, &hub.board, error);
	if (status == 0)
		status = switchboard_listen(hub.board, listeners, count, error);
	if (status == 0)
		status = loop_watch(hub.loop, supervisor_fd, EPOLLIN, on_supervisor, &hub, error);
	if (status == 0)
		status = sandbox_enter(SANDBOX_ACCEPT, "hub", error);
	if (status == 0)
		status = loop_run(hub.loop, true, error);
	switchboard_free(&hub.board);
	wire_free(&wire);
	loop_free(&hub.loop);
	return status;
}

/* One connection is one descriptor; what the administrator's hard limit gives is taken. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int hub_main(int supervisor_fd)
{
	struct error error;

	log_start("hub", LOG_LEVEL_INFO);
	secret_protect_process();
	raise_limit();
	if (secret_start(&error) < 0 || serve(supervisor_fd, &error) < 0) {
		log_failure("the hub ends", &error);
		return (int)error.code;
	}
	return 0;
}
