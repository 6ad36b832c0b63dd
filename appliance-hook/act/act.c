#include "appliance-hook/act/act.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "appliance-hook/act/handler.h"
#include "base/file.h"
#include "base/log.h"
#include "base/packet.h"

static const struct jsonio_field session_fields[] = {
	{"session", JSONIO_INTEGER, true, INT64_MAX, false},
	{"uid", JSONIO_INTEGER, false, UINT32_MAX, false},
	{"gid", JSONIO_INTEGER, false, UINT32_MAX, false},
	{.name = NULL},
};

static struct handler_peer peer_of(const json_t *packet)
{
	const json_t *uid = jsonio_member(packet, "uid"), *gid = jsonio_member(packet, "gid");

	return (struct handler_peer){.uid = uid ? (uid_t)json_integer_value(uid) : geteuid(),
				     .gid = gid ? (gid_t)json_integer_value(gid) : getegid()};
}

/* Nothing that ends act, serve or their terminal may end a switch half-way. */
static void handle(int session, const struct handler_peer *peer, const struct hook_settings *settings)
{
	struct error error = {0};

	prctl(PR_SET_PDEATHSIG, 0);
	setsid();
	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int status = handler_run(session, peer, settings, &error);
	if (status < 0)
		log_failure("session", &error);
	_exit(-status);
}

static int take_session(int check_fd, int parent_fd, const struct hook_settings *settings, struct error *error)
{
	CLEANUP(jsonio_free) json_t *packet = NULL;
	CLEANUP(file_close) int session = -1;
	int status = packet_receive(check_fd, &packet, &session, error);

	if (status == 0)
		status = jsonio_check(packet, session_fields, "session", error);
	if (status < 0)
		return status;
	if (session < 0)
		return error_set(error, ERROR_DATA, "session", "a session came without its descriptor");
	struct handler_peer peer = peer_of(packet);
	pid_t pid = fork();
	if (pid == 0) {
		close(check_fd);
		close(parent_fd);
		handle(session, &peer, settings);
	}
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "session", "a handler cannot be started");
	return 0;
}

int act_main(int parent_fd, int check_fd, const struct hook_settings *settings)
{
	struct error error = {0};

	/* Handlers are nobody's to wait for: their sessions hear from them. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct pollfd watched[2] = {{.fd = check_fd, .events = POLLIN}, {.fd = parent_fd, .events = POLLIN}};
		if (poll(watched, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			error_set_errno(&error, ERROR_BUG, "poll", "act cannot wait");
			log_failure("act", &error);
			return ERROR_BUG;
		}
		if (watched[1].revents)
			return 0;
		if (!watched[0].revents)
			continue;
		if (take_session(check_fd, parent_fd, settings, &error) == 0)
			continue;
		if (strcmp(error.name, "closed") == 0)
			return 0;
		log_failure("act", &error);
	}
}
