/* The hub against OpenSSH's own client: what it offers, and what it does not. */
#include "rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

#define KEY(rig) key_path(rig, (char[128]){0})

static const char *key_path(const struct rig *rig, char path[static 128])
{
	snprintf(path, 128, "%s/appliance_key", rig->directory);
	return path;
}

/* ssh that must be refused: it ends by itself, not with 0, and the engine hears of nothing. */
static void assert_refused(struct rig *rig, const char *const *arguments)
{
	struct pollfd wait = {.fd = rig->engine, .events = POLLIN};
	int fd = -1;
	char path[128];
	pid_t child = rig_ssh(rig, key_path(rig, path), &fd, arguments);

	assert_int_equal(rig_wait(child), 255);
	assert_int_equal(poll(&wait, 1, 0), 0);
	close(fd);
}

static void test_subsystem_through_stock_ssh(void **state)
{
	struct rig *rig = *state;
	int fd = -1, engine = -1;

	rig_engine(rig);
	pid_t child = rig_ssh(rig, KEY(rig), &fd, (const char *const[]){"-s", "anyone@127.0.0.1", "nightshift", NULL});
	struct stream *hook = rig_greet(fd);
	json_t *hello = rig_expect(rig->engine, "is", "hello", NULL);
	assert_string_equal(jsonio_string(hello, "appliance"), "box");
	engine = rig_attach(rig, hello);
	rig_pass(engine, fd, 16 * 1024 * 1024);
	rig_pass(fd, engine, 16 * 1024 * 1024);
	/* The channel has to be closed by us, or ssh hangs. */
	close(engine);
	assert_true(rig_is_closed(fd));
	assert_true(rig_wait(child) >= 0);
	stream_free(&hook);
	json_decref(hello);
}

static int accept_one(int listener)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};

	assert_true(poll(&wait, 1, RIG_WAIT_MS) > 0);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void test_reverse_forward_is_a_tunnel(void **state)
{
	struct rig *rig = *state;
	char forward[160];
	int listener = rig_listen_unix(rig, "stock.sock"), unused = -1, engine = -1, bulk[3];

	rig_engine(rig);
	snprintf(forward, sizeof forward, "1:%s/stock.sock", rig->directory);
	pid_t child =
		rig_ssh(rig, KEY(rig), &unused, (const char *const[]){"-N", "-R", forward, "box@127.0.0.1", NULL});
	int control = accept_one(listener);
	struct stream *hook = rig_greet(control);
	json_t *hello = rig_expect(rig->engine, "is", "hello", NULL);
	assert_string_equal(jsonio_string(hello, "transport"), "forward");
	json_int_t connection = jsonio_integer(hello, "connection");
	engine = rig_attach(rig, hello);
	rig_pass(engine, control, 1024 * 1024);
	/* Bulk streams are the hub's to open here; their STREAM frame is the engine's to send. */
	rig_ask_streams(rig, hello, "bb22", 3);
	for (int i = 0; i < 3; i++) {
		json_t *message = rig_expect(rig->engine, "is", "stream", &bulk[i]);
		assert_string_equal(jsonio_string(message, "ticket"), "bb22");
		json_decref(message);
	}
	for (int i = 0; i < 3; i++) {
		uint8_t mark = (uint8_t)i;
		assert_int_equal(send(bulk[i], &mark, 1, 0), 1);
	}
	for (int i = 0; i < 3; i++) {
		uint8_t mark = 9;
		int end = accept_one(listener);
		assert_int_equal(recv(end, &mark, 1, 0), 1);
		assert_true(mark < 3);
		rig_pass(bulk[mark], end, 2 * 1024 * 1024);
		rig_pass(end, bulk[mark], 2 * 1024 * 1024);
		close(bulk[mark]);
		assert_true(rig_is_closed(end));
		close(end);
	}
	/* When the engine lets go, the hub opens the next control stream. */
	close(engine);
	assert_true(rig_is_closed(control));
	stream_free(&hook);
	hook = rig_greet(accept_one(listener));
	json_decref(hello);
	hello = rig_expect(rig->engine, "is", "hello", NULL);
	assert_int_equal(jsonio_integer(hello, "connection"), connection);
	kill(child, SIGTERM);
	rig_wait(child);
	json_decref(rig_expect(rig->engine, "is", "gone", NULL));
	stream_free(&hook);
	json_decref(hello);
	close(listener);
	close(unused);
}

static void test_everything_else_is_refused(void **state)
{
	struct rig *rig = *state;

	rig_engine(rig);
	assert_refused(rig, (const char *const[]){"127.0.0.1", "id", NULL});
	assert_refused(rig, (const char *const[]){"127.0.0.1", NULL});
	assert_refused(rig, (const char *const[]){"-tt", "127.0.0.1", NULL});
	assert_refused(rig, (const char *const[]){"-s", "127.0.0.1", "sftp", NULL});
	assert_refused(rig, (const char *const[]){"-s", "127.0.0.1", "nightshift-join", NULL});
	assert_refused(rig, (const char *const[]){"-N", "-R", "2:/tmp/none", "127.0.0.1", NULL});
	assert_refused(rig, (const char *const[]){"-N", "-R", "/tmp/path.sock:/tmp/none", "127.0.0.1", NULL});
	assert_refused(rig, (const char *const[]){"-W", "localhost:22", "127.0.0.1", NULL});
}

static void test_weak_algorithms_are_not_there(void **state)
{
	struct rig *rig = *state;

	rig_engine(rig);
	assert_refused(rig, (const char *const[]){
				    "-oKexAlgorithms=diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,"
				    "ecdh-sha2-nistp256,diffie-hellman-group-exchange-sha256",
				    "-s", "127.0.0.1", "nightshift", NULL});
	assert_refused(rig, (const char *const[]){"-oCiphers=aes128-ctr,aes256-ctr,aes256-cbc", "-s", "127.0.0.1",
						  "nightshift", NULL});
	assert_refused(rig, (const char *const[]){"-oHostKeyAlgorithms=ecdsa-sha2-nistp256,rsa-sha2-512", "-s",
						  "127.0.0.1", "nightshift", NULL});
	assert_refused(rig, (const char *const[]){"-oPubkeyAuthentication=no", "-s", "127.0.0.1", "nightshift", NULL});
}

static void test_every_allowed_cipher_carries(void **state)
{
	struct rig *rig = *state;
	static const char *const ciphers[] = {"-caes128-gcm@openssh.com", "-caes256-gcm@openssh.com",
					      "-cchacha20-poly1305@openssh.com"};

	rig_engine(rig);
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		int fd = -1, engine = -1;
		/* Compression asked for is not had, and a small limit makes the keys change on the way, both directions
		 * at work. */
		pid_t child = rig_ssh(rig, KEY(rig), &fd,
				      (const char *const[]){ciphers[i], "-C", "-oRekeyLimit=1M", "-s", "127.0.0.1",
							    "nightshift-pull", NULL});
		json_decref(rig_expect(rig->engine, "is", "pull", &engine));
		rig_pass(engine, fd, 12 * 1024 * 1024);
		rig_pass(fd, engine, 12 * 1024 * 1024);
		close(engine);
		assert_true(rig_is_closed(fd));
		rig_wait(child);
		close(fd);
	}
}

static void test_a_stranger_is_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t seed[32];
	char path[128];
	int fd = -1;

	rig_engine(rig);
	secret_random(seed, sizeof seed);
	rig_write_key(rig, seed, "stranger", path);
	pid_t child = rig_ssh(rig, path, &fd, (const char *const[]){"-s", "box@127.0.0.1", "nightshift", NULL});
	assert_int_equal(rig_wait(child), 255);
	close(fd);
}

static void test_a_join_key_joins_once_and_nothing_else(void **state)
{
	struct rig *rig = *state;
	uint8_t seed[32], public_key[32], secret[64];
	char path[128], key[65];
	int fd = -1, engine = -1;

	rig_engine(rig);
	secret_random(seed, sizeof seed);
	secret_ed25519_from_seed(seed, public_key, secret);
	hash_to_hex(public_key, sizeof public_key, key);
	rig_write_key(rig, seed, "once", path);
	rig_say(rig->engine, json_pack("{s:s, s:s, s:s, s:s, s:I}", "do", "admit", "key", key, "kind", "join", "name",
				       "new-box", "expires", (json_int_t)clock_now() + 3600));
	static const char *const others[] = {"nightshift", "nightshift-bulk", "nightshift-pull"};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		pid_t child = rig_ssh(rig, path, &fd, (const char *const[]){"-s", "127.0.0.1", others[i], NULL});
		assert_int_equal(rig_wait(child), 255);
		close(fd);
	}
	pid_t child = rig_ssh(rig, path, &fd, (const char *const[]){"-s", "127.0.0.1", "nightshift-join", NULL});
	json_t *message = rig_expect(rig->engine, "is", "join", &engine);
	assert_string_equal(jsonio_string(message, "key"), key);
	assert_string_equal(jsonio_string(message, "name"), "new-box");
	json_decref(message);
	close(engine);
	assert_true(rig_is_closed(fd));
	rig_wait(child);
	close(fd);
	child = rig_ssh(rig, path, &fd, (const char *const[]){"-s", "127.0.0.1", "nightshift-join", NULL});
	assert_int_equal(rig_wait(child), 255);
	close(fd);
}

static void test_garbage_closes_the_stream(void **state)
{
	struct rig *rig = *state;
	static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\xff\xff\xff\xff\0\1\0\0\0\0\0\0\0\0\0\1"};
	CLEANUP(jsonio_free) json_t *time = json_pack("{s:i}", "time", 5);

	rig_engine(rig);
	for (size_t i = 0; i < ARRAY_SIZE(garbage) + 2; i++) {
		CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(1 << 20);
		struct error error;
		int fd = -1;
		pid_t child = rig_ssh(rig, KEY(rig), &fd, (const char *const[]){"-s", "127.0.0.1", "nightshift", NULL});
		if (i < ARRAY_SIZE(garbage))
			assert_int_equal(buffer_append(&text, garbage[i], 16, &error), 0);
		else if (i == ARRAY_SIZE(garbage)) /* not HELLO */
			assert_int_equal(message_write(&text, MESSAGE_FROM_HOOK, MESSAGE_HEARTBEAT, FRAME_EVENT, 1,
						       time, &error),
					 0);
		else /* a HELLO of another body */
			assert_int_equal(frame_write(&text, MESSAGE_HELLO, 0, 1, "{\"protocol\":1}", 14, &error), 0);
		assert_int_equal(send(fd, text.data, text.size, 0), (ssize_t)text.size);
		assert_true(rig_is_closed(fd));
		rig_wait(child);
		close(fd);
	}
	struct pollfd wait = {.fd = rig->engine, .events = POLLIN};
	assert_int_equal(poll(&wait, 1, 0), 0);
}

/* Connections that say nothing must not keep others out. */
static void test_silent_strangers_are_bounded(void **state)
{
	struct rig *rig = *state;
	int silent[40], fd = -1, open = 0;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	rig_engine(rig);
	address.sin_port = htons(rig->port);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(silent[i], (struct sockaddr *)&address, sizeof address), 0);
	}
	/* The banner comes to those that were taken, the end to the others. */
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		char byte;
		struct pollfd wait = {.fd = silent[i], .events = POLLIN};
		assert_true(poll(&wait, 1, RIG_WAIT_MS) > 0);
		if (recv(silent[i], &byte, 1, 0) == 1)
			open++;
	}
	assert_int_equal(open, 32);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	pid_t child;
	do { /* until the hub has seen them go */
		child = rig_ssh(rig, KEY(rig), &fd, (const char *const[]){"-s", "127.0.0.1", "nightshift-pull", NULL});
		struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = rig->engine, .events = POLLIN}};
		poll(wait, 2, RIG_WAIT_MS);
		if (wait[1].revents)
			break;
		rig_wait(child);
		close(fd);
	} while (true);
	kill(child, SIGTERM);
	rig_wait(child);
	close(fd);
}

static void test_a_flood_before_the_login_is_cut(void **state)
{
	struct rig *rig = *state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static uint8_t flood[200000];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t sent = 0;

	rig_engine(rig);
	address.sin_port = htons(rig->port);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	/* A banner, then a packet that claims 256 KiB and never ends: libssh would keep all of it. */
	memcpy(flood, "SSH-2.0-flood\r\n\0\3\xff\xf8\4", 20);
	while (sent < sizeof flood) {
		ssize_t count = send(fd, flood + sent, sizeof flood - sent, MSG_NOSIGNAL);
		if (count < 0)
			break;
		sent += (size_t)count;
	}
	assert_true(rig_is_closed(fd));
	close(fd);
}

/* A ticket that somebody else was given opens nothing. */
static void test_a_ticket_is_its_appliances_alone(void **state)
{
	struct rig *rig = *state;
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:s}", "ticket", "cc33");
	CLEANUP(buffer_free) struct buffer frame = BUFFER_INIT(4096);
	uint8_t seed[32], public_key[32], secret[64];
	char path[128], key[65];
	struct error error;
	int control = -1, bulk = -1, engine = -1;

	rig_engine(rig);
	secret_random(seed, sizeof seed);
	secret_ed25519_from_seed(seed, public_key, secret);
	hash_to_hex(public_key, sizeof public_key, key);
	rig_write_key(rig, seed, "other", path);
	rig_say(rig->engine, json_pack("{s:s, s:s, s:s, s:s, s:i}", "do", "admit", "key", key, "kind", "appliance",
				       "name", "other", "expires", 0));
	pid_t first = rig_ssh(rig, KEY(rig), &control, (const char *const[]){"-s", "127.0.0.1", "nightshift", NULL});
	struct stream *hook = rig_greet(control);
	json_t *hello = rig_expect(rig->engine, "is", "hello", NULL);
	rig_ask_streams(rig, hello, "cc33", 8);
	assert_int_equal(message_write(&frame, MESSAGE_FROM_HOOK, MESSAGE_STREAM, FRAME_EVENT, 1, body, &error), 0);
	for (int i = 0; i < 2; i++) {
		bool own = i == 1;
		pid_t child = rig_ssh(rig, own ? KEY(rig) : path, &bulk,
				      (const char *const[]){"-s", "127.0.0.1", "nightshift-bulk", NULL});
		assert_int_equal(send(bulk, frame.data, frame.size, 0), (ssize_t)frame.size);
		if (own) {
			json_decref(rig_expect(rig->engine, "is", "stream", &engine));
			close(engine);
		}
		assert_true(rig_is_closed(bulk));
		struct pollfd wait = {.fd = rig->engine, .events = POLLIN};
		if (!own)
			assert_int_equal(poll(&wait, 1, 0), 0);
		close(bulk);
		rig_wait(child);
	}
	stream_free(&hook);
	rig_wait(first);
	json_decref(hello);
}

/* Sockets above standard error; anything that is neither a socket nor of epoll and signalfd fails. */
static int count_sockets(pid_t process)
{
	char path[64], link[64];
	int sockets = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", process);
	DIR *directory = opendir(path);
	assert_non_null(directory);
	for (struct dirent *entry; (entry = readdir(directory));) {
		ssize_t size = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
		if (size < 0 || atoi(entry->d_name) < 3)
			continue;
		link[size] = 0;
		if (strncmp(link, "socket:", 7) == 0)
			sockets++;
		else if (strncmp(link, "anon_inode:", 11) != 0)
			fail_msg("the hub holds %s open", link);
	}
	closedir(directory);
	return sockets;
}

static void test_the_hub_holds_nothing_but_sockets(void **state)
{
	struct rig *rig = *state;
	int fd = -1, engine = -1;
	int64_t deadline = clock_ticks_ms() + RIG_WAIT_MS;

	rig_engine(rig);
	pid_t child = rig_ssh(rig, KEY(rig), &fd, (const char *const[]){"-s", "127.0.0.1", "nightshift-pull", NULL});
	json_decref(rig_expect(rig->engine, "is", "pull", &engine));
	/* Supervisor, port, engine, the connection, and its end of the stream; the end that was handed over closes at
	 * once, but after it was sent. */
	while (count_sockets(rig->hub) != 5)
		assert_true(clock_ticks_ms() < deadline);
	close(engine);
	rig_wait(child);
	close(fd);
	/* And nothing of it stays. */
	while (count_sockets(rig->hub) != 3)
		assert_true(clock_ticks_ms() < deadline);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_subsystem_through_stock_ssh),
		TEST(test_reverse_forward_is_a_tunnel),
		TEST(test_everything_else_is_refused),
		TEST(test_weak_algorithms_are_not_there),
		TEST(test_every_allowed_cipher_carries),
		TEST(test_a_stranger_is_refused),
		TEST(test_a_join_key_joins_once_and_nothing_else),
		TEST(test_garbage_closes_the_stream),
		TEST(test_silent_strangers_are_bounded),
		TEST(test_a_flood_before_the_login_is_cut),
		TEST(test_a_ticket_is_its_appliances_alone),
		TEST(test_the_hub_holds_nothing_but_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
