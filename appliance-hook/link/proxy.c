#include "appliance-hook/link/proxy.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"

#define REPLY_MOST    8192
#define PASSWORD_MOST 255

static const struct {
	const char *scheme;
	enum proxy_kind kind;
	uint16_t port;
} schemes[] = {{"http://", PROXY_HTTP, 3128}, {"socks5://", PROXY_SOCKS5, 1080}};

static bool copy(char *to, size_t capacity, const char *from, size_t size)
{
	if (size >= capacity)
		return false;
	memcpy(to, from, size);
	to[size] = 0;
	/* No control character gets into a header line. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)to[i] <= ' ' || to[i] == 127)
			return false;
	return true;
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
	char *end;

	errno = 0;
	unsigned long port = strtoul(text, &end, 10);
	if (errno || end == text || *end || port == 0 || port > UINT16_MAX || text[0] < '0' || text[0] > '9')
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT */
static bool parse_place(const char *place, struct proxy *proxy)
{
	bool bracketed = place[0] == '[';
	const char *end = bracketed ? strchr(place, ']') : strchr(place, ':');

	if (bracketed && !end)
		return false;
	if (!end)
		end = place + strlen(place);
	if (!copy(proxy->host, sizeof proxy->host, place + bracketed, (size_t)(end - place) - bracketed) ||
	    !proxy->host[0])
		return false;
	end += bracketed;
	if (strcmp(end, "/") == 0 || !*end)
		return true;
	return *end == ':' && parse_port(end + 1, &proxy->port);
}

int proxy_parse(const char *url, struct proxy *ret_proxy, struct error *error)
{
	struct proxy proxy = {0};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t size = strlen(schemes[i].scheme);
		if (strncmp(url, schemes[i].scheme, size) != 0)
			continue;
		const char *place = url + size;
		const char *at = strrchr(place, '@');
		proxy.kind = schemes[i].kind;
		proxy.port = schemes[i].port;
		if ((at && !copy(proxy.user, sizeof proxy.user, place, (size_t)(at - place))) ||
		    (at && strchr(proxy.user, ':')) || !parse_place(at ? at + 1 : place, &proxy))
			break;
		*ret_proxy = proxy;
		return 0;
	}
	return error_set(
		error, ERROR_CONFIG, "proxy",
		"the proxy is written http://[USER@]HOST:PORT or socks5://[USER@]HOST:PORT; a password goes into "
		"proxy_password_file");
}

static int wait_for(int fd, short events, int64_t deadline, struct error *error)
{
	struct pollfd wait = {.fd = fd, .events = events};
	int64_t left = deadline - clock_ticks_ms();

	if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
		return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy does not answer");
	return 0;
}

static int send_all(int fd, const void *bytes, size_t size, int64_t deadline, struct error *error)
{
	for (size_t sent = 0; sent < size;) {
		int status = wait_for(fd, POLLOUT, deadline, error);
		if (status < 0)
			return status;
		if (fault_point("proxy.send") < 0)
			return error_set_errno(error, ERROR_UNREACHABLE, "proxy", "the proxy closed");
		ssize_t count = send(fd, (const uint8_t *)bytes + sent, size - sent, MSG_NOSIGNAL);
		if (count < 0 && errno != EAGAIN && errno != EINTR)
			return error_set_errno(error, ERROR_UNREACHABLE, "proxy", "the proxy closed");
		sent += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

/* Exactly `size` bytes and not one more: what follows is the hub's. */
static int receive_exactly(int fd, void *bytes, size_t size, int64_t deadline, struct error *error)
{
	for (size_t got = 0; got < size;) {
		int status = wait_for(fd, POLLIN, deadline, error);
		if (status < 0)
			return status;
		ssize_t count = recv(fd, (uint8_t *)bytes + got, size - got, 0);
		if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
			return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy closed the connection");
		got += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

static int append_base64(struct buffer *text, const uint8_t *bytes, size_t size, struct error *error)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int status = 0;

	for (size_t i = 0; i < size && status == 0; i += 3) {
		size_t left = size - i;
		uint32_t word = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				(left > 2 ? bytes[i + 2] : 0);
		char group[4] = {digits[word >> 18], digits[word >> 12 & 63], left > 1 ? digits[word >> 6 & 63] : '=',
				 left > 2 ? digits[word & 63] : '='};
		status = buffer_append(text, group, sizeof group, error);
	}
	return status;
}

static int write_request(const struct proxy *proxy, const char *host, uint16_t port, const char *password,
			 struct buffer *request, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer pair = BUFFER_INIT(sizeof proxy->user + PASSWORD_MOST + 1);
	bool bare_v6 = strchr(host, ':') != NULL;
	int status =
		buffer_printf(request, error, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", bare_v6 ? "[" : "",
			      host, bare_v6 ? "]" : "", port, bare_v6 ? "[" : "", host, bare_v6 ? "]" : "", port);

	if (status == 0 && proxy->user[0]) {
		status = buffer_printf(&pair, error, "%s:%s", proxy->user, password ? password : "");
		if (status == 0)
			status = buffer_append_string(request, "Proxy-Authorization: Basic ", error);
		if (status == 0)
			status = append_base64(request, pair.data, pair.size, error);
		if (status == 0)
			status = buffer_append_string(request, "\r\n", error);
	}
	return status < 0 ? status : buffer_append_string(request, "\r\n", error);
}

static int ask_http(const struct proxy *proxy, int fd, const char *host, uint16_t port, const char *password,
		    int64_t deadline, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer request = BUFFER_INIT(REPLY_MOST);
	char reply[REPLY_MOST + 1];
	size_t size = 0;
	int status = write_request(proxy, host, port, password, &request, error);

	if (status == 0)
		status = send_all(fd, request.data, request.size, deadline, error);
	while (status == 0 && (size < 4 || memcmp(reply + size - 4, "\r\n\r\n", 4) != 0)) {
		if (size == REPLY_MOST)
			return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy's answer has no end");
		status = receive_exactly(fd, reply + size, 1, deadline, error);
		size++;
	}
	if (status < 0)
		return status;
	reply[size] = 0;
	if (strncmp(reply, "HTTP/1.", 7) == 0 && strncmp(reply + 8, " 200", 4) == 0)
		return 0;
	reply[strcspn(reply, "\r\n")] = 0;
	for (char *at = reply; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy refuses %s port %u: %.80s", host, port, reply);
}

static int socks_login(const struct proxy *proxy, int fd, const char *password, int64_t deadline, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer request = BUFFER_INIT(1024);
	uint8_t reply[2];
	size_t user_size = strlen(proxy->user), password_size = password ? strlen(password) : 0;

	if (password_size > PASSWORD_MOST)
		return error_set(error, ERROR_CONFIG, "proxy", "the proxy's password is longer than %d bytes",
				 PASSWORD_MOST);
	const uint8_t head[] = {1, (uint8_t)user_size}, middle[] = {(uint8_t)password_size};
	int status = buffer_append(&request, head, sizeof head, error);
	if (status == 0)
		status = buffer_append(&request, proxy->user, user_size, error);
	if (status == 0)
		status = buffer_append(&request, middle, sizeof middle, error);
	if (status == 0)
		status = buffer_append(&request, password ? password : "", password_size, error);
	if (status == 0)
		status = send_all(fd, request.data, request.size, deadline, error);
	if (status == 0)
		status = receive_exactly(fd, reply, sizeof reply, deadline, error);
	if (status == 0 && reply[1] != 0)
		return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy refuses the user name or the password");
	return status;
}

static int ask_socks(const struct proxy *proxy, int fd, const char *host, uint16_t port, const char *password,
		     int64_t deadline, struct error *error)
{
	const uint8_t greeting[] = {5, 1, proxy->user[0] ? 2 : 0};
	size_t host_size = strlen(host);
	uint8_t request[4 + 1 + 255 + 2] = {5, 1, 0, 3};
	uint8_t reply[255 + 2];

	if (host_size > 255)
		return error_set(error, ERROR_CONFIG, "address", "the hub's name is longer than a SOCKS5 proxy takes");
	int status = send_all(fd, greeting, sizeof greeting, deadline, error);
	if (status == 0)
		status = receive_exactly(fd, reply, 2, deadline, error);
	if (status == 0 && (reply[0] != 5 || reply[1] != greeting[2]))
		return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy %s",
				 reply[0] != 5      ? "does not speak SOCKS5"
				 : greeting[2] == 0 ? "wants a user name"
						    : "does not take a user name and a password");
	if (status == 0 && proxy->user[0])
		status = socks_login(proxy, fd, password, deadline, error);
	if (status < 0)
		return status;
	request[4] = (uint8_t)host_size;
	memcpy(request + 5, host, host_size);
	request[5 + host_size] = (uint8_t)(port >> 8);
	request[6 + host_size] = (uint8_t)port;
	status = send_all(fd, request, 7 + host_size, deadline, error);
	if (status == 0)
		status = receive_exactly(fd, reply, 4, deadline, error);
	if (status < 0)
		return status;
	if (reply[1] != 0)
		return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy refuses %s port %u (SOCKS5 reply %u)",
				 host, port, reply[1]);
	/* The bound address, which nobody needs: 4 bytes, 16, or counted. */
	uint8_t kind = reply[3], size = kind == 1 ? 4 : 16;
	if (kind == 3)
		status = receive_exactly(fd, &size, 1, deadline, error);
	else if (kind != 1 && kind != 4)
		return error_set(error, ERROR_UNREACHABLE, "proxy", "the proxy's answer is not SOCKS5");
	return status < 0 ? status : receive_exactly(fd, reply, (size_t)size + 2, deadline, error);
}

int proxy_ask(const struct proxy *proxy, int fd, const char *host, uint16_t port, const char *password,
	      int64_t deadline, struct error *error)
{
	return proxy->kind == PROXY_HTTP ? ask_http(proxy, fd, host, port, password, deadline, error)
					 : ask_socks(proxy, fd, host, port, password, deadline, error);
}
