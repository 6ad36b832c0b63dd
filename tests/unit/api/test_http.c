/* The role itself in a process of its own, asked by the command line's own client over a real socket. */
#include "api_fixture.h"

#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/packet.h"
#include "base/process.h"
#include "orchestrator/api/api.h"
#include "orchestrator/cli/cli_call.h"
#include "orchestrator/store/store_technician.h"

#define ROLE_FD 40

struct served {
	struct world *world;
	char socket[108];
	int supervisor;
	pid_t pid;
	struct error error;
};

static int serve(void **state)
{
	struct served *served = calloc(1, sizeof(*served));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct error *error = &served->error;
	int pair[2], listener = socket(AF_UNIX, SOCK_STREAM, 0);

	world_setup((void **)&served->world);
	store_free(&served->world->store);
	snprintf(served->socket, sizeof(served->socket), "%s/api.sock", served->world->directory);
	memcpy(address.sun_path, served->socket, sizeof(served->socket));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_ok(process_socketpair(false, pair, error), *error);
	served->pid = fork();
	if (served->pid == 0) {
		close(pair[0]);
		dup2(pair[1], ROLE_FD);
		dup2(listener, ROLE_FD + 1);
		close(pair[1]);
		close(listener);
		_exit(api_main(ROLE_FD));
	}
	close(pair[1]);
	close(listener);
	served->supervisor = pair[0];
	assert_ok(packet_send_take(pair[0],
				   json_pack("{s:{s:s,s:s,s:s,s:s}}", "set", "store", served->world->path, "public",
					     "hub.example:2022", "host_key", HOST_HEX, "lapsed", "blocked"),
				   -1, error),
		  *error);
	*state = served;
	return 0;
}

/* The supervisor's end closes; the role must end by itself, with 0. */
static int unserve(void **state)
{
	struct served *served = *state;
	int status = -1;

	close(served->supervisor);
	waitpid(served->pid, &status, 0);
	world_teardown((void **)&served->world);
	free(served);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int call(struct served *served, const char *method, const char *path, const char *body, json_t **ret_answer)
{
	CLEANUP(jsonio_free) json_t *parsed = body ? json_loads(body, 0, NULL) : NULL;

	served->error = (struct error){0};
	return -cli_call(served->socket, method, path, parsed, ret_answer, &served->error);
}

static void make_admin(struct served *served)
{
	struct store_technician me = {.name = "me", .role = "admin"};
	const struct passwd *entry = getpwuid(getuid());
	struct store *store = NULL;

	assert_non_null(entry);
	snprintf(me.login, sizeof(me.login), "%s", entry->pw_name);
	assert_ok(store_open(served->world->path, &store, &served->error), served->error);
	assert_ok(store_technician_add(store, &me, ACTOR, NOW, &served->error), served->error);
	store_free(&store);
}

/* The kernel says who calls; until that user is a technician, nothing is answered. */
static void test_caller(void **state)
{
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL;

	assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 77);
	assert_string_equal(served->error.name, "caller");
	make_admin(served);
	assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 0);
	assert_string_equal(jsonio_string(answer, "technician"), "me");
}

static void test_errors(void **state)
{
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL;

	make_admin(served);
	assert_int_equal(call(served, "GET", "/v1/customers/no%2Fbody", NULL, &answer), 64);
	assert_int_equal(call(served, "GET", "/v1/customers/../customers", NULL, &answer), 64);
	assert_int_equal(call(served, "GET", "/v1/customers/%00", NULL, &answer), 64);
	assert_int_equal(call(served, "POST", "/v1/customers", "{\"name\":\"acme\"}", &answer), 73);
	assert_int_equal(call(served, "GET", "/v1/renewals?within=soon", NULL, &answer), 64);
	assert_null(answer);
	assert_int_equal(call(served, "GET", "/v1/renewals?within=400d", NULL, &answer), 0);
	assert_int_equal(json_array_size(answer), 1);
}

/* A body over the cap is read to its end and refused; the next call is answered. */
static void test_body_cap(void **state)
{
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL, *body = NULL;
	CLEANUP(free_pointer) char *large = malloc(API_BODY_MOST + 2);

	make_admin(served);
	memset(large, 'x', API_BODY_MOST + 1);
	large[API_BODY_MOST + 1] = '\0';
	body = json_pack("{s:s}", "name", large);
	served->error = (struct error){0};
	assert_int_equal(cli_call(served->socket, "POST", "/v1/customers", body, &answer, &served->error), -65);
	assert_string_equal(served->error.name, "length");
	assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 0);
}

static int connect_raw(const struct served *served)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, served->socket, sizeof(served->socket));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What is not HTTP, not JSON or never finished harms nobody else. */
static void test_garbage(void **state)
{
	static const char *const garbage[] = {
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"GET\r\n\r\n",
		"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\r\n{",
		"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{{{{{",
		"POST /v1/customers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /v1/status HTTP/1.1\r\nX: ",
	};
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL;
	int fds[ARRAY_SIZE(garbage)];

	make_admin(served);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		fds[i] = connect_raw(served);
		assert_true(send(fds[i], garbage[i], strlen(garbage[i]), MSG_NOSIGNAL) > 0);
	}
	assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 0);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		close(fds[i]);
	jsonio_free(&answer);
	assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 0);
}

/* Reads the end of file of a connection that was shut, or times out. */
static bool is_shut(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&poller, 1, 200) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* One user who takes all that he gets leaves enough for the others, and gets it back when he lets go. */
static void test_greedy_user(void **state)
{
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL;
	int fds[40];
	bool other = geteuid() == 0;

	make_admin(served);
	assert_int_equal(chmod(served->world->directory, 0711), 0);
	assert_int_equal(chmod(served->socket, 0666), 0);
	if (other)
		assert_int_equal(seteuid(65534), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_raw(served);
	if (other)
		assert_int_equal(seteuid(0), 0);
	assert_true(is_shut(fds[ARRAY_SIZE(fds) - 1]));
	assert_false(is_shut(fds[0]));
	if (other)
		assert_int_equal(call(served, "GET", "/v1/status", NULL, &answer), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	jsonio_free(&answer);
	/* The ends of file reach the other side in their own time. */
	int code = ERROR_UNREACHABLE;
	for (int tries = 0; tries < 100 && code == ERROR_UNREACHABLE; tries++, usleep(10000))
		code = call(served, "GET", "/v1/status", NULL, &answer);
	assert_int_equal(code, 0);
}

static void test_nobody_there(void **state)
{
	struct served *served = *state;
	CLEANUP(jsonio_free) json_t *answer = NULL;
	struct error error = {0};

	assert_refused(cli_call("/nonexistent/api.sock", "GET", "/v1/status", NULL, &answer, &error), error,
		       ERROR_UNREACHABLE, "daemon");
	assert_non_null(strstr(error.text, "/nonexistent/api.sock"));
	assert_true(served->pid > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_caller, serve, unserve),
		cmocka_unit_test_setup_teardown(test_errors, serve, unserve),
		cmocka_unit_test_setup_teardown(test_body_cap, serve, unserve),
		cmocka_unit_test_setup_teardown(test_garbage, serve, unserve),
		cmocka_unit_test_setup_teardown(test_greedy_user, serve, unserve),
		cmocka_unit_test_setup_teardown(test_nobody_there, serve, unserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
