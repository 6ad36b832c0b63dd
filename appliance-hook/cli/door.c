#include "appliance-hook/cli/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/packet.h"

enum { BACKLOG = 16, DOOR_WAIT_MS = 1500 };

/* sun_path holds 107 bytes and STATE may be longer: the directory is named by its descriptor. */
static int make_address(int directory, const char *name, struct sockaddr_un *ret_address, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return error_set(error, ERROR_CONFIG, "socket", "the name %s is too long for a socket", name);
	*ret_address = address;
	return 0;
}

int door_listen(int directory, const char *name, int type, int *ret_fd, struct error *error)
{
	struct sockaddr_un address;
	if (make_address(directory, name, &address, error) < 0)
		return -(int)error->code;
	CLEANUP(file_close) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "socket", "%s", name);
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "socket", "an old %s cannot be removed", name);
	/* The mode stands before anybody can connect. */
	mode_t old = umask(0177);
	int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	int why = errno;
	umask(old);
	errno = why;
	if (bound < 0 || listen(fd, BACKLOG) < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "socket", "nobody can listen on %s", name);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int door_accept(int listener, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	if (fd < 0)
		return error_set_errno(error, ERROR_UNREACHABLE, "socket", "a caller has gone");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || (peer.uid != 0 && peer.uid != geteuid()))
		return error_set(error, ERROR_NOT_PERMITTED, "caller", "only root may command this appliance-hook");
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int door_connect(const char *state, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int directory = -1;
	struct sockaddr_un address;
	if (file_open_directory(state, &directory, error) < 0 ||
	    make_address(directory, DOOR_SOCKET, &address, error) < 0)
		return -(int)error->code;
	CLEANUP(file_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "socket", "a socket");
	/* `serve` may have been started a moment ago. */
	int64_t deadline = clock_ticks_ms() + DOOR_WAIT_MS;
	int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	while (result < 0 && (errno == ENOENT || errno == ECONNREFUSED) && clock_ticks_ms() < deadline) {
		usleep(20000);
		result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	}
	if (result < 0)
		return errno == EACCES || errno == EPERM
			       ? error_set(error, ERROR_NOT_PERMITTED, "caller",
					   "only root may command this appliance-hook")
			       : error_set(error, ERROR_UNREACHABLE, "serve",
					   "`appliance-hook serve` does not run here: start it first");
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int door_take(const json_t *packet, door_event *event, void *context, json_t **ret_ok, struct error *error)
{
	const json_t *told = json_object_get(packet, "event"), *refusal = json_object_get(packet, "error");
	json_t *ok = json_object_get(packet, "ok");
	if (refusal)
		return packet_to_error(refusal, error);
	if (ok)
		*ret_ok = json_incref(ok);
	else if (told && event)
		event(context, told);
	return 0;
}

int door_ask(const char *state, json_t *request, door_event *event, void *context, json_t **ret_ok, struct error *error)
{
	return door_ask_with(state, request, -1, event, context, ret_ok, error);
}

int door_ask_with(const char *state, json_t *request, int beside, door_event *event, void *context, json_t **ret_ok,
		  struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = request;
	CLEANUP(file_close) int fd = -1;
	if (!body)
		return error_set(error, ERROR_USAGE, "text", "what was given is no text");
	if (door_connect(state, &fd, error) < 0 || packet_send(fd, body, beside, error) < 0)
		return -(int)error->code;
	for (json_t *ok = NULL;;) {
		CLEANUP(jsonio_free) json_t *packet = NULL;
		CLEANUP(file_close) int passed = -1;
		if (packet_receive(fd, &packet, &passed, error) < 0)
			return error_set(error, ERROR_UNREACHABLE, "serve",
					 "`appliance-hook serve` ended before it answered");
		if (door_take(packet, event, context, &ok, error) < 0)
			return -(int)error->code;
		if (ok) {
			*ret_ok = ok;
			return 0;
		}
	}
}
