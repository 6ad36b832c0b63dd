/* The supervisor with roles that play a part: this very program, started as `role NAME`. */
#include "tests/unit/fixture.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/packet.h"
#include "keys/sshkey.h"
#include "orchestrator/supervisor/listen.h"
#include "orchestrator/supervisor/supervisor.h"

#define SAID    "said" /* what the roles saw, one line each */
#define WAIT_MS 20000

static void say(const char *role, const char *what, const char *which)
{
	char line[128];
	int size = snprintf(line, sizeof line, "%s %s %s\n", role, what, which);
	int fd = open(SAID, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (write(fd, line, (size_t)size) < 0)
		_exit(1);
	close(fd);
}

static unsigned count_said(const char *line)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(1024 * 1024);
	struct error error;
	unsigned count = 0;

	if (file_read_at(AT_FDCWD, SAID, &text, &error) < 0 || !text.size)
		return 0;
	for (const char *at = (const char *)text.data; (at = strstr(at, line)); at++)
		count++;
	return count;
}

static bool wait_said(const char *line, unsigned times)
{
	for (int64_t end = clock_ticks_ms() + WAIT_MS; clock_ticks_ms() < end; usleep(5000))
		if (count_said(line) >= times)
			return true;
	return false;
}

static void ask(json_t *request)
{
	struct error error;

	if (packet_send_take(3, request, -1, &error) < 0)
		_exit(1);
}

/* What the engine asks for once it has its settings. */
static void play_engine(const char *part)
{
	if (strcmp(part, "imports") == 0) {
		ask(json_pack("{s:i, s:s}", "import", 1, "directory", "."));
		ask(json_pack("{s:i, s:s}", "import", 2, "directory", "."));
		ask(json_pack("{s:i, s:s}", "import", 3, "directory", "not-there"));
	}
	if (strcmp(part, "reunion") == 0)
		ask(json_pack("{s:s}", "introduce", "signer"));
	if (strcmp(part, "nonsense") == 0 && count_said("engine start") == 1)
		ask(json_pack("{s:s}", "import", "everything"));
}

static int play(const char *role)
{
	const char *part = getenv("PART");

	say(role, "start", "");
	if (strcmp(role, "import") == 0)
		for (;;)
			pause();
	if (strcmp(part, "short-lived") == 0 && strcmp(role, "hub") == 0 && count_said("hub start") < 3)
		return 1;
	for (;;) {
		CLEANUP(jsonio_free) json_t *message = NULL;
		CLEANUP(file_close) int fd = -1;
		struct error error;
		if (packet_receive(3, &message, &fd, &error) < 0)
			return 0;
		const json_t *refusal = jsonio_member(message, "error");
		char number[8];
		snprintf(number, sizeof number, "%d", (int)jsonio_integer(message, "import"));
		if (jsonio_string(message, "peer"))
			say(role, "peer", jsonio_string(message, "peer"));
		if (jsonio_integer(message, "import"))
			say(refusal ? jsonio_string(refusal, "name") : fd >= 0 ? "begun" : "nothing", "import", number);
		if (jsonio_member(message, "set")) {
			say(role, "set", "");
			if (strcmp(role, "engine") == 0)
				play_engine(part);
		}
	}
}

static pid_t start(const char *part)
{
	char address[32];
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof name;
	CLEANUP(buffer_wipe) struct buffer key = BUFFER_INIT(SSHKEY_FILE_MOST);
	struct error error;

	unlink(SAID);
	unlink("key");
	int free_port = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(free_port, (struct sockaddr *)&name, sizeof name), 0);
	assert_int_equal(getsockname(free_port, (struct sockaddr *)&name, &size), 0);
	close(free_port);
	snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(name.sin_port));
	const uint8_t seed[SECRET_ED25519_SEED] = {1};
	assert_ok(sshkey_write(seed, "", &key, &error), error);
	assert_ok(file_create_at(AT_FDCWD, "key", key.data, key.size, 0600, &error), error);
	setenv("PART", part, 1);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		const struct settings settings = {
			.hub_listen = address,
			.hub_public = (char *)"",
			.hub_host_key = (char *)"key",
			.hub_user = (char *)"root",
			.api_socket = (char *)"api.sock",
			.api_tls_listen = (char *)"",
			.store_path = (char *)"store.db",
			.exports = (char *)"exports",
			.releases_directory = (char *)".",
			.releases_incoming = (char *)".",
			.signer_keys = (char *)".",
			.signer_limits = (char *)"limits",
			.mail_relay = (char *)"",
		};
		_exit(supervisor_run(&settings, &error) < 0 ? (int)error.code : 0);
	}
	return pid;
}

static void stop(pid_t pid)
{
	int status = 0;

	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void starts_again_what_dies_at_once(void **state)
{
	pid_t pid = start("short-lived");

	(void)state;
	assert_true(wait_said("hub start", 3));
	assert_true(wait_said("engine peer hub", 1));
	assert_true(wait_said("hub peer engine", 1));
	assert_int_equal(count_said("engine start"), 1);
	stop(pid);
}

static void runs_one_import_at_a_time(void **state)
{
	pid_t pid = start("imports");

	(void)state;
	assert_true(wait_said("begun import 1", 1));
	assert_true(wait_said("busy import 2", 1));
	assert_true(wait_said("import 3", 1));
	assert_true(wait_said("import start", 1));
	assert_int_equal(count_said("import start"), 1);
	assert_int_equal(count_said("engine start"), 1);
	stop(pid);
}

static void introduces_again_on_request(void **state)
{
	pid_t pid = start("reunion");

	(void)state;
	assert_true(wait_said("engine peer signer", 2));
	assert_true(wait_said("signer peer engine", 2));
	stop(pid);
}

static void starts_anew_who_speaks_nonsense(void **state)
{
	pid_t pid = start("nonsense");

	(void)state;
	assert_true(wait_said("engine set", 2));
	assert_true(wait_said("hub peer engine", 2));
	stop(pid);
}

static void keeps_a_socket_to_one_service(void **state)
{
	struct error error;
	int fd = -1, lock = -1, other = -1, other_lock = -1;

	(void)state;
	assert_ok(listen_unix("one.sock", &fd, &lock, &error), error);
	/* As if the first were between bind and listen: nobody answers, and yet it is taken. */
	file_close(&fd);
	assert_refused(listen_unix("one.sock", &other, &other_lock, &error), error, ERROR_CONFIG, "running");
	file_close(&lock);
	assert_ok(listen_unix("one.sock", &other, &other_lock, &error), error);
	file_close(&other);
	file_close(&other_lock);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_again_what_dies_at_once), cmocka_unit_test(runs_one_import_at_a_time),
		cmocka_unit_test(introduces_again_on_request),    cmocka_unit_test(starts_anew_who_speaks_nonsense),
		cmocka_unit_test(keeps_a_socket_to_one_service),
	};

	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return play(argv[2]);
	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
