#include "appliance-hook/act/act.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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

/* The session hears why: its first question is answered before it was asked. */
static int refuse(int session, struct error *error)
{
	struct error why = {0};

	error_set(error, ERROR_NOT_NOW, "busy", "%d sessions are served already; try again when one has ended",
		  ACT_HANDLERS_MOST);
	if (packet_send_take(session, packet_refusal(error), -1, &why) < 0)
		log_failure("session", &why);
	return -ERROR_NOT_NOW;
}

static int take_session(int check_fd, int parent_fd, const struct hook_settings *settings, unsigned *handlers,
			struct error *error)
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
	if (*handlers >= ACT_HANDLERS_MOST)
		return refuse(session, error);
	struct handler_peer peer = peer_of(packet);
	pid_t pid = fork();
	if (pid == 0) {
		close(check_fd);
		close(parent_fd);
		handle(session, &peer, settings);
	}
	if (pid < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "session", "a handler cannot be started");
	++*handlers;
	return 0;
}

/* Only that poll ends: who has died is found below. */
static void on_child(int number UNUSED)
{
}

static void reap(unsigned *handlers)
{
	int why = errno;

	while (*handlers > 0 && waitpid(-1, NULL, WNOHANG) > 0)
		--*handlers;
	errno = why;
}

int act_main(int parent_fd, int check_fd, const struct hook_settings *settings)
{
	const struct sigaction child = {.sa_handler = on_child};
	struct error error = {0};
	unsigned handlers = 0;

	sigaction(SIGCHLD, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct pollfd watched[2] = {{.fd = check_fd, .events = POLLIN}, {.fd = parent_fd, .events = POLLIN}};
		int ready = poll(watched, 2, -1);
		reap(&handlers);
		if (ready < 0) {
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
		if (take_session(check_fd, parent_fd, settings, &handlers, &error) == 0)
			continue;
		if (strcmp(error.name, "closed") == 0)
			return 0;
		log_failure("act", &error);
	}
}
