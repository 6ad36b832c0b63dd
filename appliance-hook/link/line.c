#include "appliance-hook/link/line.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "appliance-hook/link/line_inner.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "keys/sshkey.h"

/* The same lists as the hub's; the fastest first. */
#define KEX_ALLOWED     "curve25519-sha256,curve25519-sha256@libssh.org"
#define KEYS_ALLOWED    "ssh-ed25519"
#define CIPHERS_ALLOWED "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
#define MACS_ALLOWED    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256"

#define LOGIN_MS    30000
#define PULSE_MS    30000
#define SILENCE_MS  90000
#define TURN_READS  32
#define TURN_ROUNDS 8

static const struct {
	enum ssh_options_e option;
	const char *value;
} options[] = {
	/* Never resolved or looked up: the socket is ours and the key is pinned. */
	{SSH_OPTIONS_HOST, "hub"},
	/* The hub goes by the key. */
	{SSH_OPTIONS_USER, "appliance"},
	{SSH_OPTIONS_SSH_DIR, "/nonexistent"},
	{SSH_OPTIONS_KNOWNHOSTS, "/nonexistent/known_hosts"},
	{SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/nonexistent/known_hosts"},
	{SSH_OPTIONS_KEY_EXCHANGE, KEX_ALLOWED},
	{SSH_OPTIONS_HOSTKEYS, KEYS_ALLOWED},
	{SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, KEYS_ALLOWED},
	{SSH_OPTIONS_CIPHERS_C_S, CIPHERS_ALLOWED},
	{SSH_OPTIONS_CIPHERS_S_C, CIPHERS_ALLOWED},
	{SSH_OPTIONS_HMAC_C_S, MACS_ALLOWED},
	{SSH_OPTIONS_HMAC_S_C, MACS_ALLOWED},
	{SSH_OPTIONS_COMPRESSION, "no"},
};

/* The first reason stays. */
static void fail(struct line *line, enum error_code code, const char *name, const char *text)
{
	if (!line->ending)
		error_set(&line->why, code, name, "%s", text);
	line->ending = true;
}

static void on_turn(void *context)
{
	struct line *line = context;

	line->turn_timer = 0;
	line_turn(line);
}

void line_kick(struct line *line)
{
	if (!line->turn_timer)
		line->turn_timer = loop_after(line->loop, 0, on_turn, line);
}

void line_end(struct line *line)
{
	fail(line, ERROR_UNREACHABLE, "closed", "the connection was closed here");
	line_kick(line);
}

static void forget_socket(struct line *line)
{
	if (line->watched)
		loop_forget(line->loop, line->fd);
	line->watched = 0;
}

void line_free(struct line **ret_line)
{
	struct line *line = *ret_line;

	if (!line)
		return;
	forget_socket(line);
	loop_cancel(line->loop, line->turn_timer);
	loop_cancel(line->loop, line->pulse_timer);
	for (size_t i = 0; i < LINE_STREAMS_MOST; i++)
		if (line->channels[i])
			line_channel_release(line->channels[i]);
	if (line->event) {
		ssh_event_remove_session(line->event, line->ssh);
		ssh_event_free(line->event);
	}
	/* Not ssh_disconnect: it leaves a socket that was set as an option open. */
	ssh_free(line->ssh);
	ssh_key_free(line->key);
	free(line);
	*ret_line = NULL;
}

static bool is_broken(struct line *line)
{
	if (!(ssh_get_status(line->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) &&
	    (line->phase == LINE_CONNECTING || ssh_is_connected(line->ssh)))
		return false;
	/* libssh has closed the socket; its number may soon be another's. */
	forget_socket(line);
	fail(line, ERROR_UNREACHABLE, "connection", "the connection to the hub is lost");
	return true;
}

static bool read_host_key(struct line *line)
{
	char text[SSHKEY_LINE_MOST];
	char *base64 = NULL;
	ssh_key key = NULL;
	struct error error;
	bool read = false;

	if (ssh_get_server_publickey(line->ssh, &key) == SSH_OK && ssh_key_type(key) == SSH_KEYTYPE_ED25519 &&
	    ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK) {
		int size = snprintf(text, sizeof text, "ssh-ed25519 %s", base64);
		read = size > 0 && (size_t)size < sizeof text && sshkey_public_read(text, line->shown, &error) == 0;
	}
	ssh_string_free_char(base64);
	ssh_key_free(key);
	return read;
}

/* Before this holds nothing of ours is said. */
static bool check_host_key(struct line *line)
{
	uint8_t blob[SSHKEY_BLOB_SIZE], hash[HASH_SIZE];
	char fingerprint[51], text[160];

	if (!read_host_key(line)) {
		fail(line, ERROR_DATA, "host-key", "the hub shows no ed25519 host key");
		return false;
	}
	sshkey_blob(line->shown, blob);
	hash_bytes(HASH_SHA256, blob, sizeof blob, hash);
	if (line->pinned_by_hash ? hash_equal(hash, line->pinned)
				 : secret_equal(line->shown, line->pinned, sizeof line->shown))
		return true;
	sshkey_fingerprint(line->shown, fingerprint);
	snprintf(text, sizeof text,
		 "the hub shows host key %s, which is not the one that is pinned here; ask your vendor before joining "
		 "anew",
		 fingerprint);
	fail(line, ERROR_DATA, "host-key", text);
	return false;
}

static void advance(struct line *line)
{
	int status;

	if (line->phase == LINE_CONNECTING) {
		status = ssh_connect(line->ssh);
		/* libssh makes the socket blocking once it is connected; a full socket would then stop us. */
		fcntl(line->fd, F_SETFL, O_NONBLOCK);
		if (status == SSH_ERROR)
			fail(line, ERROR_UNREACHABLE, "connection", "no SSH connection to the hub comes about");
		if (status != SSH_OK || !check_host_key(line))
			return;
		line->phase = LINE_LOGIN;
	}
	if (line->phase == LINE_LOGIN) {
		status = ssh_userauth_publickey(line->ssh, NULL, line->key);
		if (status == SSH_AUTH_AGAIN || is_broken(line))
			return;
		if (status != SSH_AUTH_SUCCESS) {
			fail(line, ERROR_NOT_PERMITTED, "login",
			     "the hub does not take this appliance's key now: it is starting, or the appliance was "
			     "revoked");
			return;
		}
		line->phase = LINE_UP;
		line->events->ready(line->context);
	}
}

static void on_socket(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	line_turn(context);
}

static void watch(struct line *line)
{
	struct error error;
	uint32_t wanted = EPOLLIN;

	if (ssh_get_poll_flags(line->ssh) & SSH_WRITE_PENDING)
		wanted |= EPOLLOUT;
	if (wanted == line->watched)
		return;
	int status = line->watched ? loop_change(line->loop, line->fd, wanted, &error)
				   : loop_watch(line->loop, line->fd, wanted, on_socket, line, &error);
	if (status < 0)
		fail(line, ERROR_BUG, "loop", error.text);
	else
		line->watched = wanted;
}

static void finish(struct line *line)
{
	const struct line_events *events = line->events;
	void *context = line->context;
	struct error why = line->why;

	line_free(&line);
	events->ended(context, &why);
}

static void note_heard(struct line *line)
{
	if (line->counter.in_bytes != line->heard_bytes) {
		line->heard_bytes = line->counter.in_bytes;
		line->heard_at = clock_ticks_ms();
	}
}

void line_turn(struct line *line)
{
	bool moved = true;

	for (unsigned round = 0; round < TURN_ROUNDS && moved && !line->ending; round++) {
		moved = false;
		for (unsigned i = 0; i < TURN_READS && line->event && ssh_event_dopoll(line->event, 0) == SSH_OK; i++)
			;
		if (!is_broken(line) && line->phase != LINE_UP)
			advance(line);
		for (size_t i = 0; i < LINE_STREAMS_MOST && !line->ending && line->phase == LINE_UP && !is_broken(line);
		     i++)
			if (line->channels[i] && line_channel_pump(line->channels[i]))
				moved = true;
	}
	note_heard(line);
	for (size_t i = 0; i < LINE_STREAMS_MOST && !line->ending && !is_broken(line); i++)
		if (line->channels[i])
			line_channel_settle(line->channels[i]);
	if (!line->ending && !is_broken(line))
		watch(line);
	if (!line->ending && moved)
		line_kick(line);
	if (line->ending)
		finish(line);
}

/* A request that the hub answers: what keeps a quiet connection known to be alive at both ends. */
static void on_pulse(void *context)
{
	struct line *line = context;

	line->pulse_timer = loop_after(line->loop, PULSE_MS, on_pulse, line);
	if (line->phase != LINE_UP)
		fail(line, ERROR_UNREACHABLE, "login", "the hub does not answer in time");
	else if (clock_ticks_ms() - line->heard_at > SILENCE_MS)
		fail(line, ERROR_UNREACHABLE, "silence", "the hub is silent");
	else
		/* Twice: the first call takes the answer to the last one, the second asks. Non-blocking, so neither
		 * waits. */
		for (int i = 0; i < 2; i++)
			ssh_send_keepalive(line->ssh);
	line_turn(line);
}

static int set_up(struct line *line, struct error *error)
{
	const bool no = false;

	line->ssh = ssh_new();
	if (!line->ssh || ssh_options_set(line->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "libssh", "no SSH connection can be made");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (ssh_options_set(line->ssh, options[i].option, options[i].value) < 0)
			return error_set(error, ERROR_BUG, "libssh", "libssh does not take the link's settings");
	if (ssh_options_set(line->ssh, SSH_OPTIONS_FD, &line->fd) < 0)
		return error_set(error, ERROR_BUG, "libssh", "libssh does not take the link's socket");
	ssh_set_counters(line->ssh, &line->counter, NULL);
	ssh_set_blocking(line->ssh, 0);
	return 0;
}

int line_start_take(struct loop *loop, int fd, const struct line_identity *identity, const struct line_events *events,
		    void *context, struct line **ret_line, struct error *error)
{
	struct line *line = calloc(1, sizeof *line);

	if (!line) {
		file_close(&fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a connection");
	}
	*line = (struct line){.loop = loop,
			      .fd = fd,
			      .events = events,
			      .context = context,
			      .heard_at = clock_ticks_ms(),
			      .pinned_by_hash = !identity->host_key};
	memcpy(line->pinned, identity->host_key ? identity->host_key : identity->host_key_hash, sizeof line->pinned);
	int status = set_up(line, error);
	if (status == 0 && (ssh_pki_import_privkey_base64(identity->key, NULL, NULL, NULL, &line->key) != SSH_OK ||
			    ssh_key_type(line->key) != SSH_KEYTYPE_ED25519))
		status = error_set(error, ERROR_DATA, "key", "the appliance's key is not an ed25519 key of OpenSSH");
	if (status < 0) {
		line_free(&line);
		file_close(&fd);
		return status;
	}
	/* The first call takes the socket over and makes the poll context that the event then takes. */
	ssh_connect(line->ssh);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	line->event = ssh_event_new();
	if (!line->event || ssh_event_add_session(line->event, line->ssh) != SSH_OK) {
		line_free(&line);
		return error_set(error, ERROR_UNREACHABLE, "connection", "no SSH connection to the hub comes about");
	}
	line->pulse_timer = loop_after(loop, LOGIN_MS, on_pulse, line);
	line_kick(line);
	*ret_line = line;
	return 0;
}

const uint8_t *line_host_key(const struct line *line)
{
	return line->shown;
}
