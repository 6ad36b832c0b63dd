/* The way out through proxies, against small ones that follow the RFCs to the letter. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance-hook/link/egress.h"
#include "appliance-hook/link/proxy.h"
#include "base/clock.h"
#include "base/file.h"

#define WAIT_MS 20000

static void test_urls_are_read_or_refused(void **state UNUSED)
{
	static const struct {
		const char *url;
		bool good;
		enum proxy_kind kind;
		const char *user, *host;
		uint16_t port;
	} rows[] = {
		{"http://proxy.example:8080", true, PROXY_HTTP, "", "proxy.example", 8080},
		{"http://proxy.example", true, PROXY_HTTP, "", "proxy.example", 3128},
		{"http://proxy.example:8080/", false, 0, "", "", 0},
		{"http://joe@proxy.example:8080", true, PROXY_HTTP, "joe", "proxy.example", 8080},
		{"socks5://10.0.0.1", true, PROXY_SOCKS5, "", "10.0.0.1", 1080},
		{"socks5://[2001:db8::1]:99", true, PROXY_SOCKS5, "", "2001:db8::1", 99},
		{"socks5://[2001:db8::1", false, 0, "", "", 0},
		{"http://joe:secret@proxy.example", false, 0, "", "", 0},
		{"https://proxy.example", false, 0, "", "", 0},
		{"http://", false, 0, "", "", 0},
		{"http://proxy:0", false, 0, "", "", 0},
		{"http://proxy:65536", false, 0, "", "", 0},
		{"http://proxy:-1", false, 0, "", "", 0},
		{"http://pro\r\nxy", false, 0, "", "", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy proxy;
		struct error error;
		int status = proxy_parse(rows[i].url, &proxy, &error);
		if ((status == 0) != rows[i].good)
			fail_msg("%s", rows[i].url);
		if (!rows[i].good) {
			assert_int_equal(status, -ERROR_CONFIG);
			continue;
		}
		assert_int_equal(proxy.kind, rows[i].kind);
		assert_string_equal(proxy.user, rows[i].user);
		assert_string_equal(proxy.host, rows[i].host);
		assert_int_equal(proxy.port, rows[i].port);
	}
}

static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* One exchange after another: what must come, then what is answered. A piece of NULL ends it. */
struct piece {
	const char *expected;
	size_t expected_size;
	const char *answer;
	size_t answer_size;
};
#define PIECE(expected, answer)                                                                                        \
	{                                                                                                              \
		expected, sizeof(expected) - 1, answer, sizeof(answer) - 1                                             \
	}

/* A proxy in a process of its own, playing one connection; exits 0 when all came as expected. */
static pid_t play(const struct piece *pieces, uint16_t *ret_port)
{
	int listener = listen_anywhere(ret_port);
	pid_t child = fork();

	if (child == 0) {
		int fd = accept(listener, NULL, NULL);
		for (const struct piece *piece = pieces; piece->expected; piece++) {
			char got[1024];
			if (recv(fd, got, piece->expected_size, MSG_WAITALL) != (ssize_t)piece->expected_size ||
			    memcmp(got, piece->expected, piece->expected_size) != 0)
				_exit(1);
			if (send(fd, piece->answer, piece->answer_size, MSG_NOSIGNAL) != (ssize_t)piece->answer_size)
				_exit(2);
		}
		char rest;
		/* An end of file, or a reset where an answer was not read to its end. */
		_exit(recv(fd, &rest, 1, 0) <= 0 ? 0 : 3);
	}
	close(listener);
	return child;
}

static int way_out(const char *scheme, uint16_t port, const char *password, int *ret_fd, struct error *error)
{
	char url[64];

	snprintf(url, sizeof url, "%s127.0.0.1:%u", scheme, port);
	struct egress_route route = {
		.host = "hub.example", .ports = {22, 443}, .port_count = 1, .proxy = url, .password = password};
	return egress_connect(&route, clock_ticks_ms() + WAIT_MS, ret_fd, error);
}

static void check_way(const char *scheme, const char *password, const struct piece *pieces, int expected)
{
	struct error error;
	uint16_t port;
	int fd = -1, status;
	pid_t child = play(pieces, &port);
	char banner[4];

	assert_int_equal(way_out(scheme, port, password, &fd, &error), expected);
	if (expected == 0) {
		/* What the proxy sent behind its answer is the hub's, to the last byte. */
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		assert_true(poll(&wait, 1, WAIT_MS) > 0);
		assert_int_equal(recv(fd, banner, sizeof banner, 0), 4);
		assert_memory_equal(banner, "SSH-", 4);
		close(fd);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_http_connect(void **state UNUSED)
{
	const struct piece open[] = {PIECE("CONNECT hub.example:22 HTTP/1.1\r\nHost: hub.example:22\r\n\r\n",
					   "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-"),
				     {0}};
	const struct piece login[] = {PIECE("CONNECT hub.example:22 HTTP/1.1\r\nHost: hub.example:22\r\n"
					    "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
					    "HTTP/1.0 200 OK\r\n\r\nSSH-"),
				      {0}};
	const struct piece refused[] = {PIECE("CONNECT hub.example:22 HTTP/1.1\r\nHost: hub.example:22\r\n\r\n",
					      "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
					{0}};

	check_way("http://", NULL, open, 0);
	/* RFC 7617's own example. */
	check_way("http://Aladdin@", "open sesame", login, 0);
	check_way("http://", NULL, refused, -ERROR_UNREACHABLE);
}

static void test_socks5(void **state UNUSED)
{
	const struct piece open[] = {
		PIECE("\5\1\0", "\5\0"), PIECE("\5\1\0\3\x0bhub.example\0\x16", "\5\0\0\1\1\2\3\4\0\x16SSH-"), {0}};
	const struct piece login[] = {PIECE("\5\1\2", "\5\2"),
				      PIECE("\1\3joe\6secret", "\1\0"),
				      PIECE("\5\1\0\3\x0bhub.example\0\x16", "\5\0\0\3\2ab\0\x16SSH-"),
				      {0}};
	const struct piece wrong[] = {PIECE("\5\1\2", "\5\2"), PIECE("\1\3joe\6secret", "\1\1"), {0}};
	const struct piece refused[] = {
		PIECE("\5\1\0", "\5\0"), PIECE("\5\1\0\3\x0bhub.example\0\x16", "\5\5\0\1\0\0\0\0\0\0"), {0}};
	const struct piece wants_login[] = {PIECE("\5\1\0", "\5\xff"), {0}};

	check_way("socks5://", NULL, open, 0);
	check_way("socks5://joe@", "secret", login, 0);
	check_way("socks5://joe@", "secret", wrong, -ERROR_UNREACHABLE);
	check_way("socks5://", NULL, refused, -ERROR_UNREACHABLE);
	check_way("socks5://", NULL, wants_login, -ERROR_UNREACHABLE);
}

static void test_ports_are_tried_in_order(void **state UNUSED)
{
	struct error error;
	uint16_t port, closed;
	int listener = listen_anywhere(&port), fd = -1, answer = -1;

	close(listen_anywhere(&closed));
	struct egress_route route = {.host = "127.0.0.1", .ports = {closed, port}, .port_count = 2};
	assert_int_equal(egress_connect(&route, clock_ticks_ms() + WAIT_MS, &fd, &error), 0);
	file_close(&fd);
	/* The same in a child. */
	assert_int_equal(egress_start(&route, clock_ticks_ms() + WAIT_MS, &answer, &error), 0);
	struct pollfd wait = {.fd = answer, .events = POLLIN};
	assert_true(poll(&wait, 1, WAIT_MS) > 0);
	assert_int_equal(egress_finish_take(answer, &fd, &error), 0);
	file_close(&fd);
	route.port_count = 1;
	assert_int_equal(egress_start(&route, clock_ticks_ms() + WAIT_MS, &answer, &error), 0);
	wait.fd = answer;
	assert_true(poll(&wait, 1, WAIT_MS) > 0);
	assert_int_equal(egress_finish_take(answer, &fd, &error), -ERROR_UNREACHABLE);
	assert_non_null(strstr(error.text, "refused"));
	file_close(&listener);
	while (wait3(NULL, 0, NULL) > 0)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls_are_read_or_refused),
		cmocka_unit_test(test_http_connect),
		cmocka_unit_test(test_socks5),
		cmocka_unit_test(test_ports_are_tried_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
