#include "orchestrator/hub/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/file.h"
#include "keys/sshkey.h"
#include "orchestrator/hub/wire_inner.h"

#define KEX_ALLOWED     "curve25519-sha256,curve25519-sha256@libssh.org"
#define KEYS_ALLOWED    "ssh-ed25519"
#define CIPHERS_ALLOWED "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
/* Negotiated, never used: the ciphers above carry their own. */
#define MACS_ALLOWED "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256"

#define ATTEMPTS_MOST 3
#define REFUSALS_MOST 64
/* libssh loses a string with each. */
#define GLOBAL_REQUESTS_MOST 16
/* Bad signatures get no reply and no callback, so they are counted by what they cost: packets and bytes before the
 * login. */
#define STRANGER_PACKETS_MOST 48
#define STRANGER_BYTES_MOST   (64 * 1024)
/* One session's share of a round of the loop. */
#define TURN_READS  32
#define TURN_ROUNDS 8

struct wire {
	ssh_bind bind;
};

static const struct {
	enum ssh_bind_options_e option;
	const char *value;
} bind_lists[] = {
	{SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX_ALLOWED},
	{SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, KEYS_ALLOWED},
	{SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS_ALLOWED},
	{SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS_ALLOWED},
	{SSH_BIND_OPTIONS_HMAC_C_S, MACS_ALLOWED},
	{SSH_BIND_OPTIONS_HMAC_S_C, MACS_ALLOWED},
	{SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, KEYS_ALLOWED},
	{SSH_BIND_OPTIONS_BANNER, "nightshift"},
};

int wire_new(const char *host_key, struct wire **ret_wire, struct error *error)
{
	const bool no = false;
	ssh_key key = NULL;
	struct wire *wire = calloc(1, sizeof *wire);

	if (!wire)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the SSH server");
	wire->bind = ssh_bind_new();
	/* First of all: nothing on this machine's disk says how the hub behaves. */
	if (!wire->bind || ssh_bind_options_set(wire->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) < 0)
		goto refused;
	for (size_t i = 0; i < ARRAY_SIZE(bind_lists); i++)
		if (ssh_bind_options_set(wire->bind, bind_lists[i].option, bind_lists[i].value) < 0)
			goto refused;
	if (ssh_pki_import_privkey_base64(host_key, NULL, NULL, NULL, &key) != SSH_OK ||
	    ssh_key_type(key) != SSH_KEYTYPE_ED25519) {
		ssh_key_free(key);
		wire_free(&wire);
		return error_set(error, ERROR_CONFIG, "host-key",
				 "the hub's host key is not an ed25519 key of OpenSSH");
	}
	/* The bind takes the key. */
	if (ssh_bind_options_set(wire->bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) < 0) {
		ssh_key_free(key);
		goto refused;
	}
	*ret_wire = wire;
	return 0;
refused:
	wire_free(&wire);
	return error_set(error, ERROR_BUG, "libssh", "libssh does not take the hub's settings");
}

void wire_free(struct wire **wire)
{
	struct wire *old = *wire;

	if (!old)
		return;
	ssh_bind_free(old->bind);
	free(old);
	*wire = NULL;
}

/* The 32 bytes of an ed25519 key; false for any other. */
static bool read_key(ssh_key key, uint8_t ret_key[static WIRE_KEY_SIZE])
{
	char line[SSHKEY_LINE_MOST];
	char *base64 = NULL;
	struct error error;
	bool read = false;

	if (ssh_key_type(key) != SSH_KEYTYPE_ED25519 || ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return false;
	int size = snprintf(line, sizeof line, "ssh-ed25519 %s", base64);
	if (size > 0 && (size_t)size < sizeof line)
		read = sshkey_public_read(line, ret_key, &error) == 0;
	ssh_string_free_char(base64);
	return read;
}

static void refuse(struct wire_session *session)
{
	if (++session->refusals > REFUSALS_MOST)
		wire_end(session, "asked for too many things that are refused");
}

static int on_key(ssh_session ssh UNUSED, const char *user UNUSED, struct ssh_key_struct *offered, char state,
		  void *context)
{
	struct wire_session *session = context;
	uint8_t key[WIRE_KEY_SIZE];
	/* The state arrives as a char; libssh calls with VALID only after it has verified the signature. */
	bool proved = state == SSH_PUBLICKEY_STATE_VALID;

	if (!session->ending && !session->logged_in && (proved || state == SSH_PUBLICKEY_STATE_NONE) &&
	    read_key(offered, key) && session->policy->login(session->context, key, proved)) {
		session->logged_in = proved;
		return SSH_AUTH_SUCCESS;
	}
	if (++session->attempts >= ATTEMPTS_MOST)
		wire_end(session, "too many login attempts");
	return SSH_AUTH_DENIED;
}

static int on_none(ssh_session ssh UNUSED, const char *user UNUSED, void *context)
{
	/* How clients ask for the methods; it costs no attempt, but it is counted. */
	refuse(context);
	return SSH_AUTH_DENIED;
}

/* Without this libssh would look for the system's Kerberos keys. */
static ssh_string on_gssapi(ssh_session ssh UNUSED, const char *user UNUSED, int count UNUSED, ssh_string *oids UNUSED,
			    void *context)
{
	refuse(context);
	return NULL;
}

/* Everything that has no callback of its own: passwords, direct-tcpip, shells, terminals. 1: the default, a refusal. */
static int on_message(ssh_session ssh UNUSED, ssh_message message, void *context)
{
	if (ssh_message_type(message) != SSH_REQUEST_SERVICE)
		refuse(context);
	return 1;
}

static ssh_channel on_channel(ssh_session ssh UNUSED, void *context)
{
	struct wire_session *session = context;
	struct wire_channel *channel = NULL;
	unsigned asked = 0;

	for (size_t i = 0; i < WIRE_CHANNELS_MOST; i++)
		if (session->channels[i] && !session->channels[i]->reverse)
			asked++;
	if (session->logged_in && !session->ending && asked < WIRE_ASKED_MOST)
		channel = wire_channel_new(session);
	if (channel)
		return channel->ssh;
	refuse(session);
	return NULL;
}

static bool take_forward(struct wire_session *session, ssh_message message)
{
	const char *address = ssh_message_global_request_address(message);

	if (!session->logged_in || session->ending || session->forwards >= WIRE_FORWARDS_MOST ||
	    ssh_message_global_request_port(message) != WIRE_PORT || !address ||
	    strlen(address) >= sizeof session->address || !session->policy->forward(session->context))
		return false;
	session->forwards++;
	snprintf(session->address, sizeof session->address, "%s", address);
	return true;
}

static void on_global_request(ssh_session ssh UNUSED, ssh_message message, void *context)
{
	struct wire_session *session = context;
	int kind = ssh_message_subtype(message);

	if (kind == SSH_GLOBAL_REQUEST_KEEPALIVE) {
		ssh_message_global_request_reply_success(message, 0);
		return;
	}
	if (++session->global_requests > GLOBAL_REQUESTS_MOST)
		wire_end(session, "asked for too many forwards");
	if (kind == SSH_GLOBAL_REQUEST_TCPIP_FORWARD && take_forward(session, message))
		ssh_message_global_request_reply_success(message, WIRE_PORT);
	else
		ssh_message_reply_default(message);
}

static void forget_socket(struct wire_session *session)
{
	if (session->watched)
		loop_forget(session->loop, session->fd);
	session->watched = 0;
}

static void release(struct wire_session *session)
{
	forget_socket(session);
	loop_cancel(session->loop, session->timer);
	for (size_t i = 0; i < WIRE_CHANNELS_MOST; i++)
		if (session->channels[i])
			wire_channel_release(session->channels[i]);
	if (session->event) {
		ssh_event_remove_session(session->event, session->ssh);
		ssh_event_free(session->event);
	}
	if (session->ssh) {
		ssh_disconnect(session->ssh);
		ssh_free(session->ssh);
	}
	free(session);
}

void wire_session_free(struct wire_session *session)
{
	release(session);
}

static void finish(struct wire_session *session)
{
	const struct wire_policy *policy = session->policy;
	void *context = session->context;
	const char *why = session->ending;

	release(session);
	policy->ended(context, why);
}

static void on_timer(void *context)
{
	struct wire_session *session = context;

	session->timer = 0;
	wire_session_turn(session);
}

void wire_session_kick(struct wire_session *session)
{
	if (!session->timer)
		session->timer = loop_after(session->loop, 0, on_timer, session);
}

void wire_end(struct wire_session *session, const char *why)
{
	if (!session->ending)
		session->ending = why;
	wire_session_kick(session);
}

static void on_socket(void *context, int fd UNUSED, uint32_t events UNUSED)
{
	wire_session_turn(context);
}

/* After each use of libssh: it may have closed the socket by itself, and the descriptor's number may be another's by
 * now. */
static bool is_broken(struct wire_session *session)
{
	if (ssh_is_connected(session->ssh) && !(ssh_get_status(session->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)))
		return false;
	forget_socket(session);
	if (!session->ending)
		session->ending = "connection lost";
	return true;
}

static bool is_flood(const struct wire_session *session)
{
	return !session->logged_in && (session->raw_counter.in_packets > STRANGER_PACKETS_MOST ||
				       session->socket_counter.in_bytes > STRANGER_BYTES_MOST);
}

static void listen_to_peer(struct wire_session *session)
{
	for (unsigned i = 0; i < TURN_READS && ssh_event_dopoll(session->event, 0) == SSH_OK && !is_flood(session); i++)
		;
}

static bool watch(struct wire_session *session)
{
	struct error error;
	uint32_t wanted = EPOLLIN;

	if (ssh_get_poll_flags(session->ssh) & SSH_WRITE_PENDING)
		wanted |= EPOLLOUT;
	if (wanted == session->watched)
		return true;
	int status = session->watched ? loop_change(session->loop, session->fd, wanted, &error)
				      : loop_watch(session->loop, session->fd, wanted, on_socket, session, &error);
	if (status == 0)
		session->watched = wanted;
	return status == 0;
}

void wire_session_turn(struct wire_session *session)
{
	bool moved = true;

	for (unsigned round = 0; round < TURN_ROUNDS && moved && !session->ending; round++) {
		moved = false;
		listen_to_peer(session);
		for (size_t i = 0; i < WIRE_CHANNELS_MOST && !is_broken(session); i++)
			if (session->channels[i] && wire_channel_pump(session->channels[i]))
				moved = true;
		is_broken(session);
	}
	if (is_flood(session) && !session->ending)
		session->ending = "too much before a login";
	if (session->socket_counter.in_bytes != session->heard_bytes && !session->ending) {
		session->heard_bytes = session->socket_counter.in_bytes;
		session->heard_at = clock_ticks_ms();
		session->policy->heard(session->context);
	}
	for (size_t i = 0; i < WIRE_CHANNELS_MOST && !session->ending; i++)
		if (session->channels[i]) {
			wire_channel_settle(session->channels[i]);
			is_broken(session);
		}
	if (!session->ending && moved)
		wire_session_kick(session);
	if (!session->ending && !watch(session))
		session->ending = "the hub is out of resources";
	if (session->ending)
		finish(session);
}

int wire_accept_take(struct wire *wire, struct loop *loop, int fd, const struct wire_policy *policy, void *context,
		     struct wire_session **ret_session, struct error *error)
{
	const bool no = false;
	struct wire_session *session = calloc(1, sizeof *session);

	if (!session) {
		file_close(&fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a connection");
	}
	session->loop = loop;
	session->policy = policy;
	session->context = context;
	session->fd = fd;
	session->heard_at = clock_ticks_ms();
	session->ssh = ssh_new();
	if (!session->ssh || ssh_options_set(session->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
	    ssh_options_set(session->ssh, SSH_OPTIONS_COMPRESSION, "no") < 0) {
		file_close(&fd);
		goto refused;
	}
	/* From here on the socket is libssh's to close. */
	if (ssh_bind_accept_fd(wire->bind, session->ssh, fd) != SSH_OK)
		goto refused;

	session->server_callbacks = (struct ssh_server_callbacks_struct){
		.userdata = session,
		.auth_pubkey_function = on_key,
		.auth_none_function = on_none,
		.gssapi_select_oid_function = on_gssapi,
		.channel_open_request_session_function = on_channel,
	};
	session->callbacks =
		(struct ssh_callbacks_struct){.userdata = session, .global_request_function = on_global_request};
	ssh_callbacks_init(&session->server_callbacks);
	ssh_callbacks_init(&session->callbacks);
	ssh_set_server_callbacks(session->ssh, &session->server_callbacks);
	ssh_set_callbacks(session->ssh, &session->callbacks);
	ssh_set_message_callback(session->ssh, on_message, session);
	ssh_set_auth_methods(session->ssh, SSH_AUTH_METHOD_PUBLICKEY);
	ssh_set_counters(session->ssh, &session->socket_counter, &session->raw_counter);
	ssh_set_blocking(session->ssh, 0);

	session->event = ssh_event_new();
	/* The first call also makes the poll context that the event takes over; the rest is driven by the event. */
	if (!session->event || ssh_handle_key_exchange(session->ssh) == SSH_ERROR ||
	    ssh_event_add_session(session->event, session->ssh) != SSH_OK || !watch(session))
		goto refused;
	*ret_session = session;
	return 0;
refused:
	release(session);
	return error_set(error, ERROR_CANNOT_CREATE, "connection", "a connection cannot be taken");
}

int64_t wire_heard_at(const struct wire_session *session)
{
	return session->heard_at;
}

bool wire_is_logged_in(const struct wire_session *session)
{
	return session->logged_in;
}
