#include "orchestrator/supervisor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "orchestrator/settings.h"

#define LISTEN_BACKLOG 512
/* The roles of a service that was killed die with it, but not in the same instant: an address that is taken is asked
 * for again before it counts as somebody's. */
#define LISTEN_AGAIN    100
#define LISTEN_AGAIN_US 20000

static int listen_at(const struct addrinfo *address, int *ret_fd)
{
	CLEANUP(file_close)
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	if (address->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
		return -1;
	int bound = bind(fd, address->ai_addr, address->ai_addrlen);
	for (int again = 0; bound < 0 && errno == EADDRINUSE && again < LISTEN_AGAIN; again++) {
		usleep(LISTEN_AGAIN_US);
		bound = bind(fd, address->ai_addr, address->ai_addrlen);
	}
	if (bound < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -1;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int listen_tcp(const char *text, int ret_fds[static LISTEN_MOST], size_t *ret_count, struct error *error)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char host[256], service[8];
	uint16_t port = 0;
	size_t count = 0;
	int status = settings_split_address(text, host, sizeof host, &port, error);

	if (status < 0)
		return status;
	snprintf(service, sizeof service, "%u", port);
	int result = getaddrinfo(host, service, &hints, &found);
	if (result != 0)
		return error_set(error, ERROR_CONFIG, "address", "[hub] listen = %s: %s", text, gai_strerror(result));
	for (const struct addrinfo *one = found; status == 0 && one && count < LISTEN_MOST; one = one->ai_next) {
		if (listen_at(one, &ret_fds[count]) == 0)
			count++;
		else
			status = error_set_errno(error, ERROR_CONFIG, "address", "the hub cannot listen at %s", text);
	}
	freeaddrinfo(found);
	if (status < 0)
		while (count > 0)
			file_close(&ret_fds[--count]);
	else
		*ret_count = count;
	return status;
}

/* errno says why nobody does. */
static bool somebody_answers(const struct sockaddr_un *address)
{
	CLEANUP(file_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
}

/* A socket that is bound and does not listen yet looks like one that nobody answers at. Whoever holds the lock may tell
 * the two apart. */
static int lock_beside(const char *path, int *ret_lock, struct error *error)
{
	CLEANUP(free_pointer) char *name = NULL;

	if (asprintf(&name, "%s.lock", path) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	int status = file_lock_at(AT_FDCWD, name, LISTEN_AGAIN * LISTEN_AGAIN_US / 1000, ret_lock, error);
	if (status == -ERROR_NOT_NOW)
		return error_set(error, ERROR_CONFIG, "running", "another nightshiftd serves %s", path);
	return status;
}

int listen_unix(const char *path, int *ret_fd, int *ret_lock, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP(file_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CLEANUP(file_close) int lock = -1;

	if (!text_copy(address.sun_path, sizeof address.sun_path, path))
		return error_set(error, ERROR_CONFIG, "path", "[api] socket = %s is longer than %zu bytes", path,
				 sizeof address.sun_path - 1);
	if (fd < 0)
		return error_set_errno(error, ERROR_CANNOT_CREATE, "socket", "a socket cannot be made");
	int status = lock_beside(path, &lock, error);
	if (status < 0)
		return status;
	for (int again = 0; somebody_answers(&address); again++) {
		if (again == LISTEN_AGAIN)
			return error_set(error, ERROR_CONFIG, "running", "another nightshiftd answers at %s", path);
		usleep(LISTEN_AGAIN_US);
	}
	if (errno == ECONNREFUSED)
		unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return error_set_errno(error, ERROR_CONFIG, "path", "the API cannot listen at %s", path);
	*ret_fd = fd;
	*ret_lock = lock;
	fd = lock = -1;
	return 0;
}
