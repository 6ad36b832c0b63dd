#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/process.h"
#include "orchestrator/hub/hub.h"

static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* Moves the descriptors to 3, 4 … and closes all others, as process_start_role does. */
static void arrange(const int *fds, int count)
{
	int kept[8];

	for (int i = 0; i < count; i++)
		kept[i] = fcntl(fds[i], F_DUPFD, 100);
	for (int i = 0; i < count; i++)
		dup2(kept[i], 3 + i);
	close_range((unsigned)(3 + count), ~0U, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void rig_say(int socket, json_t *message)
{
	struct error error;

	assert_non_null(message);
	if (packet_send_take(socket, message, -1, &error) < 0)
		fail_msg("%s", error.text);
}

json_t *rig_expect(int socket, const char *member, const char *text, int *ret_fd)
{
	int64_t deadline = clock_ticks_ms() + RIG_WAIT_MS;
	struct error error;

	for (;;) {
		json_t *message = NULL;
		int fd = -1;
		if (packet_wait(socket, deadline, &message, &fd, &error) < 0)
			fail_msg("waiting for %s=%s: %s", member, text, error.text);
		const char *got = jsonio_string(message, member);
		if (got && strcmp(got, text) == 0) {
			if (ret_fd)
				*ret_fd = fd;
			else
				assert_int_equal(fd, -1);
			return message;
		}
		file_close(&fd);
		json_decref(message);
	}
}

static void start_hub(struct rig *rig)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	uint8_t seed[32], secret[64];
	struct error error;
	int pair[2];

	secret_random(seed, sizeof seed);
	secret_ed25519_from_seed(seed, rig->host_key, secret);
	assert_int_equal(sshkey_write(seed, "hub", &text, &error), 0);
	assert_int_equal(process_socketpair(false, pair, &error), 0);
	int listener = listen_anywhere(&rig->port);
	rig->hub = fork();
	if (rig->hub == 0) {
		arrange((const int[]){pair[1], listener}, 2);
		_exit(hub_main(3));
	}
	close(pair[1]);
	close(listener);
	rig->supervisor = pair[0];
	rig_say(rig->supervisor, json_pack("{s:{s:s, s:i}}", "set", "host_key", (const char *)text.data, "listen", 1));
}

static void write_file(const struct rig *rig, const char *name, const void *bytes, size_t size)
{
	CLEANUP(file_close) int directory = -1;
	struct error error;

	assert_int_equal(file_open_directory(rig->directory, &directory, &error), 0);
	assert_int_equal(file_replace_at(directory, name, bytes, size, 0600, &error), 0);
}

void rig_write_key(struct rig *rig, const uint8_t seed[static 32], const char *name, char path[static 128])
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	struct error error;

	assert_int_equal(sshkey_write(seed, name, &text, &error), 0);
	write_file(rig, name, text.data, text.size);
	snprintf(path, 128, "%s/%s", rig->directory, name);
}

int rig_set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);
	struct error error;
	uint8_t secret[64];
	char path[128], hub[512], host_key[65], line[SSHKEY_LINE_MOST];

	signal(SIGPIPE, SIG_IGN);
	log_start("test", LOG_LEVEL_WARNING);
	assert_int_equal(secret_start(&error), 0);
	*rig = (struct rig){.directory = "/tmp/test-hub-XXXXXX", .engine = -1, .parent = -1, .check = -1};
	assert_non_null(mkdtemp(rig->directory));
	start_hub(rig);
	secret_random(rig->seed, sizeof rig->seed);
	secret_ed25519_from_seed(rig->seed, rig->key, secret);
	hash_to_hex(rig->key, sizeof rig->key, rig->key_hex);
	hash_to_hex(rig->host_key, sizeof rig->host_key, host_key);
	rig_write_key(rig, rig->seed, "appliance_key", path);
	snprintf(hub, sizeof hub, "{\"host\":\"127.0.0.1\",\"port\":%u,\"host_key\":\"%s\",\"appliance\":\"box\"}",
		 rig->port, host_key);
	write_file(rig, "hub.json", hub, strlen(hub));
	assert_int_equal(sshkey_public_line(rig->host_key, "", line, &error), 0);
	snprintf(hub, sizeof hub, "[127.0.0.1]:%u %s\n", rig->port, line);
	write_file(rig, "known_hosts", hub, strlen(hub));
	*state = rig;
	return 0;
}

static void end(pid_t *child)
{
	if (*child > 0) {
		kill(*child, SIGTERM);
		rig_wait(*child);
	}
	*child = 0;
}

void rig_end_link(struct rig *rig)
{
	end(&rig->link);
	file_close(&rig->parent);
	file_close(&rig->check);
}

int rig_tear_down(void **state)
{
	struct rig *rig = *state;
	struct error error;

	rig_end_link(rig);
	file_close(&rig->engine);
	/* The hub ends by itself when its supervisor does. */
	file_close(&rig->supervisor);
	int status = rig_wait(rig->hub);
	int removed = file_remove_tree_at(AT_FDCWD, rig->directory, &error);
	free(rig);
	return status == 0 && removed == 0 ? 0 : -1;
}

int rig_wait(pid_t child)
{
	int64_t deadline = clock_ticks_ms() + RIG_WAIT_MS;
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (clock_ticks_ms() > deadline) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return -1;
		}
		poll(NULL, 0, 5);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void rig_engine(struct rig *rig)
{
	struct error error;
	int pair[2];

	file_close(&rig->engine);
	assert_int_equal(process_socketpair(false, pair, &error), 0);
	assert_int_equal(packet_send_take(rig->supervisor, json_pack("{s:s}", "peer", "engine"), pair[1], &error), 0);
	close(pair[1]);
	rig->engine = pair[0];
	rig_say(rig->engine, json_pack("{s:s, s:s, s:s, s:s, s:i}", "do", "admit", "key", rig->key_hex, "kind",
				       "appliance", "name", "box", "expires", 0));
	rig_say(rig->engine, json_pack("{s:s}", "do", "ready"));
}

static struct sockaddr_un unix_address(const struct rig *rig, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", rig->directory, name);
	return address;
}

int rig_listen_unix(const struct rig *rig, const char *name)
{
	struct sockaddr_un address = unix_address(rig, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int rig_connect_unix(const struct rig *rig, const char *name)
{
	struct sockaddr_un address = unix_address(rig, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

const struct link_settings rig_plain = {.address = NULL};

void rig_link(struct rig *rig, const struct link_settings *settings)
{
	struct error error;
	int parent[2], check[2];

	rig_end_link(rig);
	assert_int_equal(process_socketpair(false, parent, &error), 0);
	assert_int_equal(process_socketpair(false, check, &error), 0);
	int directory = open(rig->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int listener = rig_listen_unix(rig, "hook.sock");
	rig->link = fork();
	if (rig->link == 0) {
		arrange((const int[]){parent[1], check[1], directory, listener}, 4);
		_exit(link_main(3, 4, 5, 6, settings));
	}
	close(listener);
	close(parent[1]);
	close(check[1]);
	close(directory);
	rig->parent = parent[0];
	rig->check = check[0];
}

void rig_open_tunnel(struct rig *rig)
{
	rig_say(rig->parent, json_pack("{s:s, s:s, s:i, s:b}", "tunnel", "open", "scope", "status,upgrade", "until", 0,
				       "permanent", 0));
}

struct stream *rig_greet(int fd)
{
	struct stream *stream;
	struct error error;
	json_t *reply = NULL;
	json_t *hello =
		json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:s, s:i, s:b, s:i}", "protocol", 1, "hook",
			  "0", "product", "p", "version", "1", "state", "idle", "fence", 0, "generation", 1, "boot",
			  "b", "time", 1000, "scope", "status,upgrade", "until", 0, "permanent", 0, "root", 1);

	assert_int_equal(stream_new_take(fd, MESSAGE_FROM_HOOK, &stream, &error), 0);
	if (stream_ask(stream, MESSAGE_HELLO, hello, clock_ticks_ms() + RIG_WAIT_MS, NULL, NULL, &reply, &error) < 0)
		fail_msg("hello: %s", error.text);
	assert_int_equal(jsonio_integer(reply, "protocol"), MESSAGE_PROTOCOL);
	json_decref(reply);
	json_decref(hello);
	return stream;
}

struct stream *rig_hello(struct rig *rig, json_t **ret_packet)
{
	int fd = -1;

	json_decref(rig_expect(rig->check, "stream", "control", &fd));
	assert_true(fd >= 0);
	struct stream *stream = rig_greet(fd);
	*ret_packet = rig_expect(rig->engine, "is", "hello", NULL);
	return stream;
}

void rig_ask_attach(struct rig *rig, const json_t *hello)
{
	rig_say(rig->engine, json_pack("{s:s, s:s, s:I}", "do", "attach", "appliance", "box", "connection",
				       (json_int_t)jsonio_integer(hello, "connection")));
}

int rig_attach(struct rig *rig, const json_t *hello)
{
	int fd = -1;

	rig_ask_attach(rig, hello);
	json_decref(rig_expect(rig->engine, "is", "attached", &fd));
	assert_true(fd >= 0);
	return fd;
}

int rig_attached(struct rig *rig, struct stream **ret_hook, json_t **ret_hello)
{
	rig_engine(rig);
	rig_link(rig, &rig_plain);
	rig_open_tunnel(rig);
	*ret_hook = rig_hello(rig, ret_hello);
	return rig_attach(rig, *ret_hello);
}

void rig_ask_streams(struct rig *rig, const json_t *hello, const char *ticket, int count)
{
	rig_say(rig->engine,
		json_pack("{s:s, s:s, s:I, s:s, s:i}", "do", "streams", "appliance", "box", "connection",
			  (json_int_t)jsonio_integer(hello, "connection"), "ticket", ticket, "count", count));
}

void rig_pass(int from, int to, size_t size)
{
	static uint8_t chunk[65536], got[65536];
	size_t sent = 0, received = 0;
	int64_t deadline = clock_ticks_ms() + 3 * RIG_WAIT_MS;

	while (received < size) {
		struct pollfd wait[2] = {{.fd = from, .events = sent < size ? POLLOUT : 0},
					 {.fd = to, .events = POLLIN}};
		assert_true(clock_ticks_ms() < deadline);
		poll(wait, 2, 1000);
		if (wait[0].revents & POLLOUT) {
			size_t count = size - sent < sizeof chunk ? size - sent : sizeof chunk;
			for (size_t i = 0; i < count; i++)
				chunk[i] = (uint8_t)((sent + i) * 2654435761U >> 13);
			ssize_t written = send(from, chunk, count, MSG_DONTWAIT | MSG_NOSIGNAL);
			assert_true(written > 0 || errno == EAGAIN);
			sent += written > 0 ? (size_t)written : 0;
		}
		if (wait[1].revents) {
			ssize_t count = recv(to, got, sizeof got, MSG_DONTWAIT);
			assert_true(count > 0 || (count < 0 && errno == EAGAIN));
			for (ssize_t i = 0; i < count; i++)
				if (got[i] != (uint8_t)((received + (size_t)i) * 2654435761U >> 13))
					fail_msg("byte %zu differs", received + (size_t)i);
			received += count > 0 ? (size_t)count : 0;
		}
	}
}

bool rig_is_closed(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char byte;

	while (poll(&wait, 1, RIG_WAIT_MS) > 0) {
		ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return true;
	}
	return false;
}

pid_t rig_ssh(struct rig *rig, const char *key_file, int *ret_fd, const char *const *arguments)
{
	char port[8], identity[160], known[160];
	const char *line[48] = {"ssh",  "-F",
				"none", "-T",
				"-p",   port,
				"-o",   identity,
				"-o",   known,
				"-o",   "IdentitiesOnly=yes",
				"-o",   "BatchMode=yes",
				"-o",   "IdentityAgent=none",
				"-o",   "StrictHostKeyChecking=yes",
				"-o",   "GlobalKnownHostsFile=none",
				"-o",   "LogLevel=ERROR",
				"-o",   "ExitOnForwardFailure=yes"};
	size_t count = 0;
	int pair[2];
	struct error error;

	snprintf(port, sizeof port, "%u", rig->port);
	snprintf(identity, sizeof identity, "IdentityFile=%s", key_file);
	snprintf(known, sizeof known, "UserKnownHostsFile=%s/known_hosts", rig->directory);
	while (line[count])
		count++;
	for (size_t i = 0; arguments[i]; i++)
		line[count++] = arguments[i];
	assert_int_equal(process_socketpair(true, pair, &error), 0);
	pid_t child = fork();
	if (child == 0) {
		int quiet = open("/dev/null", O_WRONLY);
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		if (!getenv("TEST_HUB_LOUD"))
			dup2(quiet, 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp("ssh", (char *const *)(uintptr_t)line);
		_exit(127);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return child;
}
