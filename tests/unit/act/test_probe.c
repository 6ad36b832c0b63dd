#include "tests/unit/act/fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/probe.h"
#include "base/file.h"
#include "base/secret.h"

/* A server that gives one fixed answer to everybody, in a child. */
struct server {
	pid_t pid;
	int port;
};

static int listen_somewhere(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void serve(struct server *server, const char *answer)
{
	CLEANUP(file_close) int listener = listen_somewhere(&server->port);

	server->pid = fork();
	assert_true(server->pid >= 0);
	for (; server->pid == 0;) {
		char request[1024];
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			_exit(0);
		if (read(fd, request, sizeof request) > 0 && write(fd, answer, strlen(answer)) < 0)
			_exit(1);
		close(fd);
	}
}

static void stop(struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}

static int ask(int type, const char *target, const char *expect, struct error *error)
{
	struct hook_settings settings = {.units_backend = HOOK_UNITS_COMMAND};
	struct hook_probe probe = {
		.name = (char *)"p", .type = type, .target = (char *)target, .expect = (char *)expect};

	return probe_try(&settings, &probe, "1.5", 3000, error);
}

static void test_http(void **state UNUSED)
{
	struct server server;
	struct error error = {0};
	char url[64], port[64];

	serve(&server, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nversion 1.5 well");
	snprintf(url, sizeof url, "http://127.0.0.1:%d/health", server.port);
	snprintf(port, sizeof port, "127.0.0.1:%d", server.port);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "", &error), 0);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "200", &error), 0);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "200 version {version}", &error), 0);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "well", &error), 0);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "204", &error), -ERROR_NOT_NOW);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "200 version 1.6", &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "health");
	assert_int_equal(ask(HOOK_PROBE_TCP, port, "", &error), 0);
	stop(&server);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "", &error), -ERROR_NOT_NOW);
	assert_int_equal(ask(HOOK_PROBE_TCP, port, "", &error), -ERROR_NOT_NOW);
	serve(&server, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n");
	snprintf(url, sizeof url, "http://localhost:%d/", server.port);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "", &error), -ERROR_NOT_NOW);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "302", &error), 0);
	stop(&server);
	serve(&server, "no http at all");
	snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
	assert_int_equal(ask(HOOK_PROBE_HTTP, url, "", &error), -ERROR_NOT_NOW);
	stop(&server);
}

static void test_command(void **state UNUSED)
{
	struct error error = {0};

	assert_int_equal(ask(HOOK_PROBE_COMMAND, "/bin/echo shop {version}", "shop 1.5", &error), 0);
	assert_int_equal(ask(HOOK_PROBE_COMMAND, "/bin/echo shop", "1.5", &error), -ERROR_NOT_NOW);
	assert_int_equal(ask(HOOK_PROBE_COMMAND, "/bin/false", "", &error), -ERROR_NOT_NOW);
	assert_int_equal(ask(HOOK_PROBE_COMMAND, "/nowhere/at/all", "", &error), -ERROR_NOT_NOW);
	/* Words, not a shell. */
	assert_int_equal(ask(HOOK_PROBE_COMMAND, "/bin/echo $HOME;false", "$HOME;false", &error), 0);
	assert_string_equal(error.name, "health");
	/* A backend that knows no units cannot call one well. */
	assert_int_equal(ask(HOOK_PROBE_UNIT, "shop.service", "", &error), -ERROR_NOT_NOW);
}

/* Good twice, then bad, then good: only three in a row count. */
static void test_times_in_a_row(void **state UNUSED)
{
	char directory[] = "/tmp/probe-XXXXXX", script[512], path[64];
	struct hook_probe probe = {.name = (char *)"p",
				   .type = HOOK_PROBE_COMMAND,
				   .target = path,
				   .expect = (char *)"",
				   .times = 3,
				   .interval = 0,
				   .deadline = 20};
	struct hook_settings settings = {.units_backend = HOOK_UNITS_COMMAND, .probes = {&probe}, .probe_count = 1};
	struct error error = {0};

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/probe", directory);
	snprintf(script, sizeof script, "#!/bin/sh\necho x >> %s/n\n[ $(wc -l < %s/n) -ne 3 ]\n", directory, directory);
	assert_int_equal(file_replace_at(AT_FDCWD, path, script, strlen(script), 0755, &error), 0);
	assert_int_equal(probe_wait(&settings, "1.5", INT64_MAX, &error), 0);
	CLEANUP(buffer_free) struct buffer count = BUFFER_INIT(1024);
	snprintf(script, sizeof script, "%s/n", directory);
	assert_int_equal(file_read_at(AT_FDCWD, script, &count, &error), 0);
	assert_int_equal(count.size, 2 * 6);
	/* A deadline that comes before that many can be good. */
	probe.deadline = 1;
	probe.interval = 1;
	probe.times = 30;
	assert_int_equal(probe_wait(&settings, "1.5", INT64_MAX, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "health");
	assert_int_equal(probe_wait(&settings, "1.5", 1, &error), -ERROR_NOT_NOW);
	assert_string_equal(error.name, "window");
	assert_int_equal(file_remove_tree_at(AT_FDCWD, directory, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_times_in_a_row),
	};
	struct error error = {0};

	assert_int_equal(secret_start(&error), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
