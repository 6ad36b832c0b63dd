#include "appliance-hook/link/egress.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "appliance-hook/link/proxy.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"

#define TRY_MS        10000
#define UNANSWERED_MS 90000

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* 0 once it is connected. */
static int try_address(const struct addrinfo *address, int64_t deadline, int *ret_fd)
{
	CLEANUP(file_close) int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int failure = 0;
	socklen_t size = sizeof failure;

	if (fd < 0)
		return errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		int64_t left = deadline - clock_ticks_ms();
		if (errno != EINPROGRESS)
			return errno;
		if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
			return ETIMEDOUT;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 || failure)
			return failure ? failure : errno;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int connect_to(const char *host, uint16_t port, int64_t deadline, int *ret_fd, struct error *error)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char service[8];
	int failure = ETIMEDOUT;

	snprintf(service, sizeof service, "%u", port);
	int status = getaddrinfo(host, service, &hints, &list);
	if (status != 0)
		return error_set(error, ERROR_UNREACHABLE, "resolve", "%s cannot be found: %s", host,
				 gai_strerror(status));
	for (const struct addrinfo *address = list; address && failure && clock_ticks_ms() < deadline;
	     address = address->ai_next)
		failure = try_address(address, earlier(deadline, clock_ticks_ms() + TRY_MS), ret_fd);
	freeaddrinfo(list);
	if (failure)
		return error_set(error, ERROR_UNREACHABLE, "connect", "%s port %u cannot be reached: %s", host, port,
				 strerror(failure));
	return 0;
}

int egress_check_proxy(const char *proxy, struct error *error)
{
	struct proxy parsed;

	return proxy && proxy[0] ? proxy_parse(proxy, &parsed, error) : 0;
}

static int reach(const struct egress_route *route, const struct proxy *proxy, uint16_t port, int64_t deadline,
		 int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int fd = -1;
	int status = proxy ? connect_to(proxy->host, proxy->port, deadline, &fd, error)
			   : connect_to(route->host, port, deadline, &fd, error);

	if (status == 0 && proxy)
		status = proxy_ask(proxy, fd, route->host, port, route->password, deadline, error);
	if (status < 0)
		return status;
	const int on = 1;
	const unsigned unanswered = UNANSWERED_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof unanswered);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int egress_connect(const struct egress_route *route, int64_t deadline, int *ret_fd, struct error *error)
{
	struct proxy proxy;
	bool proxied = route->proxy && route->proxy[0];
	int status = proxied ? proxy_parse(route->proxy, &proxy, error) : 0;

	if (status < 0)
		return status;
	if (!route->port_count)
		return error_set(error, ERROR_CONFIG, "ports", "no port of the hub %s is configured", route->host);
	for (size_t i = 0; i < route->port_count; i++) {
		status = reach(route, proxied ? &proxy : NULL, route->ports[i], deadline, ret_fd, error);
		if (status == 0 || clock_ticks_ms() >= deadline)
			break;
	}
	return status;
}

static void answer(int socket, const struct egress_route *route, int64_t deadline)
{
	struct error error, unsent;
	CLEANUP(file_close) int fd = -1;
	json_t *packet;

	if (egress_connect(route, deadline, &fd, &error) == 0)
		packet = json_pack("{s:b}", "connected", 1);
	else
		packet = packet_from_error(&error);
	if (packet_send_take(socket, packet, fd, &unsent) < 0)
		_exit(1);
}

int egress_start(const struct egress_route *route, int64_t deadline, int *ret_answer, struct error *error)
{
	int pair[2];
	int status = process_socketpair(false, pair, error);

	if (status < 0)
		return status;
	pid_t child = fork();
	if (child < 0) {
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "fork", "no process for a connection");
		file_close(&pair[0]);
		file_close(&pair[1]);
		return status;
	}
	if (child == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* Or the child would hold connections open that link has closed. */
		if (pair[1] > 3)
			close_range(3, (unsigned)pair[1] - 1, 0);
		close_range((unsigned)pair[1] + 1, ~0U, 0);
		answer(pair[1], route, deadline);
		_exit(0);
	}
	file_close(&pair[1]);
	*ret_answer = pair[0];
	return 0;
}

int egress_finish_take(int answer_socket, int *ret_fd, struct error *error)
{
	CLEANUP(file_close) int socket = answer_socket;
	CLEANUP(jsonio_free) json_t *packet = NULL;
	int fd = -1;
	int status = packet_receive(socket, &packet, &fd, error);

	if (status < 0)
		return error_prefix(error, "connecting");
	if (fd < 0)
		return packet_to_error(packet, error);
	*ret_fd = fd;
	return 0;
}
