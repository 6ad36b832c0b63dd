#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/link/home.h"
#include "appliance-hook/link/line.h"
#include "appliance-hook/link/link.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "dialogue/stream.h"
#include "keys/sshkey.h"

#define JOIN_MS    60000
#define ANSWER_MS  90000
#define PROOF_TEXT "nightshift-join" /* and its NUL: 16 bytes */
#define PROOF_SIZE (sizeof PROOF_TEXT + 2 * SECRET_ED25519_PUBLIC)

/* One attempt, in its own process. */
struct attempt {
	struct loop *loop;
	struct line *line;
	struct stream *stream;
	struct buffer request;
	uint8_t host_key[SECRET_ED25519_PUBLIC];
	char name[LINK_NAME_MOST];
	bool done; /* joined, or failed for good */
	int status;
	struct error *error;
};

static void settle(struct attempt *attempt, int status)
{
	if (!attempt->done)
		attempt->status = status;
	attempt->done = true;
	loop_stop(attempt->loop);
}

static void on_ready(void *context)
{
	struct attempt *attempt = context;

	memcpy(attempt->host_key, line_host_key(attempt->line), sizeof attempt->host_key);
	int status = line_open(attempt->line, "nightshift-join", attempt->request.data, attempt->request.size, 0,
			       attempt->error);
	if (status < 0)
		settle(attempt, status);
}

static int read_reply(struct attempt *attempt, bool *ret_got)
{
	struct stream_message reply = {0};
	int status = stream_receive(attempt->stream, &reply, ret_got, attempt->error);

	if (status < 0 || !*ret_got)
		return status;
	if (reply.type != MESSAGE_JOIN || !(reply.flags & FRAME_REPLY))
		status = error_set(attempt->error, ERROR_DATA, "dialogue",
				   "the hub answers the join with something else");
	else if (reply.flags & FRAME_ERROR)
		status = packet_to_error(reply.body, attempt->error);
	else
		snprintf(attempt->name, sizeof attempt->name, "%s", jsonio_string(reply.body, "appliance"));
	stream_message_free(&reply);
	return status;
}

static void on_reply(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	struct attempt *attempt = context;
	bool got = false;
	int status = read_reply(attempt, &got);

	if (status < 0 || got)
		settle(attempt, status);
}

static void on_opened(void *context, unsigned tag UNUSED, int fd)
{
	struct attempt *attempt = context;
	int status = stream_new_take(fd, MESSAGE_FROM_HOOK, &attempt->stream, attempt->error);

	if (status == 0)
		status = loop_watch(attempt->loop, fd, EPOLLIN, on_reply, attempt, attempt->error);
	if (status < 0)
		settle(attempt, status);
}

static void on_closed(void *context, unsigned tag UNUSED)
{
	struct attempt *attempt = context;

	/* A stream that had opened tells by itself what happened. */
	if (!attempt->stream)
		settle(attempt, error_set(attempt->error, ERROR_NOT_PERMITTED, "join-code",
					  "the hub does not take this join code; ask your vendor for a new one"));
}

static void on_ended(void *context, const struct error *why)
{
	struct attempt *attempt = context;

	attempt->line = NULL;
	if (attempt->done)
		return;
	if (why->code == ERROR_NOT_PERMITTED)
		settle(attempt,
		       error_set(
			       attempt->error, ERROR_NOT_PERMITTED, "join-code",
			       "the hub does not know this join code: it was used already, or it is too old; ask your "
			       "vendor for a new one"));
	else
		settle(attempt, error_set(attempt->error, why->code, why->name, "%s", why->text));
}

static void on_deadline(void *context)
{
	struct attempt *attempt = context;

	settle(attempt,
	       error_set(attempt->error, ERROR_UNREACHABLE, "timeout", "the hub did not answer the join in time"));
}

static const struct line_events events = {
	.ready = on_ready,
	.opened = on_opened,
	.closed = on_closed,
	.ended = on_ended,
};

/* Both keys sign that the one-time key hands in the new one. */
static int write_request(const uint8_t *once, const uint8_t *seed, const char *product, struct buffer *ret_request,
			 struct error *error)
{
	uint8_t once_public[SECRET_ED25519_PUBLIC], once_secret[SECRET_ED25519_SECRET];
	uint8_t new_public[SECRET_ED25519_PUBLIC], new_secret[SECRET_ED25519_SECRET];
	uint8_t statement[PROOF_SIZE] = PROOF_TEXT, signatures[2 * SECRET_ED25519_SIGNATURE];
	char proof[2 * sizeof signatures + 1], key[2 * SECRET_ED25519_PUBLIC + 1];

	secret_ed25519_from_seed(once, once_public, once_secret);
	secret_ed25519_from_seed(seed, new_public, new_secret);
	memcpy(statement + sizeof PROOF_TEXT, once_public, sizeof once_public);
	memcpy(statement + sizeof PROOF_TEXT + sizeof once_public, new_public, sizeof new_public);
	secret_ed25519_sign(once_secret, statement, sizeof statement, signatures);
	secret_ed25519_sign(new_secret, statement, sizeof statement, signatures + SECRET_ED25519_SIGNATURE);
	secret_wipe(once_secret, sizeof once_secret);
	secret_wipe(new_secret, sizeof new_secret);
	hash_to_hex(signatures, sizeof signatures, proof);
	hash_to_hex(new_public, sizeof new_public, key);
	CLEANUP(jsonio_free)
	json_t *body = json_pack("{s:s, s:s, s:s}", "public_key", key, "proof", proof, "product", product);
	return message_write(ret_request, MESSAGE_FROM_HOOK, MESSAGE_JOIN, 0, 1, body, error);
}

static int reach_hub(const struct joincode *code, const struct link_settings *settings, int *ret_fd,
		     struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer password = BUFFER_INIT(1024);
	CLEANUP(home_free) struct home home = HOME_INIT;
	int status = home_read_password(settings, &password, error);

	if (status == 0)
		status = home_route(settings, code->host, code->port, &home, error);
	if (status < 0)
		return status;
	struct egress_route route = {
		.host = home.host,
		.port_count = home.port_count,
		.proxy = settings->proxy,
		.password = password.size ? (const char *)password.data : NULL,
	};
	memcpy(route.ports, home.ports, sizeof route.ports);
	return egress_connect(&route, clock_ticks_ms() + JOIN_MS, ret_fd, error);
}

static int talk(struct attempt *attempt, const struct joincode *code, const struct link_settings *settings,
		const uint8_t *seed, const char *product, struct error *error)
{
	CLEANUP(buffer_wipe) struct buffer text = BUFFER_INIT(SSHKEY_FILE_MOST);
	uint8_t once[SECRET_ED25519_SEED];
	int fd = -1;

	joincode_seed(code, once);
	int status = sshkey_write(once, "", &text, error);
	if (status == 0)
		status = write_request(once, seed, product, &attempt->request, error);
	secret_wipe(once, sizeof once);
	if (status == 0)
		status = reach_hub(code, settings, &fd, error);
	if (status == 0)
		status = loop_new(&attempt->loop, error);
	if (status < 0) {
		file_close(&fd);
		return status;
	}
	const struct line_identity identity = {.key = (const char *)text.data, .host_key_hash = code->host_key};
	status = line_start_take(attempt->loop, fd, &identity, &events, attempt, &attempt->line, error);
	if (status == 0 && !loop_after(attempt->loop, JOIN_MS, on_deadline, attempt))
		status = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the join");
	if (status == 0)
		status = loop_run(attempt->loop, false, error);
	return status < 0 ? status : attempt->status;
}

static int drop(uid_t uid, gid_t gid, struct error *error)
{
	if (uid != (uid_t)-1 &&
	    (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
		return error_set_errno(error, ERROR_BUG, "user", "the join cannot become its own user");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	secret_protect_process();
	return sandbox_enter(SANDBOX_FILES | SANDBOX_CONNECT, "join", error);
}

static json_t *run(const struct joincode *code, const struct link_settings *settings, uid_t uid, gid_t gid,
		   const uint8_t *seed, const char *product)
{
	struct error error;
	struct attempt attempt = {.error = &error, .request = BUFFER_INIT(LINE_FIRST_MOST)};
	char key[2 * sizeof attempt.host_key + 1];
	int status = drop(uid, gid, &error);

	if (status == 0)
		status = talk(&attempt, code, settings, seed, product, &error);
	if (status < 0)
		return packet_from_error(&error);
	hash_to_hex(attempt.host_key, sizeof attempt.host_key, key);
	return json_pack("{s:s, s:s}", "appliance", attempt.name, "host_key", key);
}

static int read_result(int socket, char *ret_name, uint8_t *ret_host_key, struct error *error)
{
	CLEANUP(jsonio_free) json_t *result = NULL;
	CLEANUP(file_close) int unexpected = -1;
	int status = packet_wait(socket, clock_ticks_ms() + ANSWER_MS, &result, &unexpected, error);

	if (status < 0)
		return error_prefix(error, "joining");
	const char *name = jsonio_string(result, "appliance"), *key = jsonio_string(result, "host_key");
	if (!name || !key || strlen(name) >= LINK_NAME_MOST)
		return packet_to_error(result, error);
	status = hash_from_hex(key, ret_host_key, SECRET_ED25519_PUBLIC, error);
	if (status == 0)
		snprintf(ret_name, LINK_NAME_MOST, "%s", name);
	return status;
}

int link_join(const struct joincode *code, const struct link_settings *settings, uid_t uid, gid_t gid,
	      const uint8_t seed[static SECRET_ED25519_SEED], const char *product, char ret_name[static LINK_NAME_MOST],
	      uint8_t ret_host_key[static SECRET_ED25519_PUBLIC], struct error *error)
{
	int pair[2];
	int status = process_socketpair(false, pair, error);

	if (status < 0)
		return status;
	pid_t child = fork();
	if (child == 0) {
		file_close(&pair[0]);
		_exit(packet_send_take(pair[1], run(code, settings, uid, gid, seed, product), -1, error) < 0 ? 1 : 0);
	}
	if (child < 0)
		status = error_set_errno(error, ERROR_CANNOT_CREATE, "fork", "no process for the join");
	file_close(&pair[1]);
	if (child > 0)
		status = read_result(pair[0], ret_name, ret_host_key, error);
	file_close(&pair[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return status;
}
