#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "orchestrator/hub/wire_inner.h"

/* How many times a channel may fill the socket before the others get their turn. */
#define PUMP_WRITES 8
/* libssh keeps a closed channel until the peer closes it too; a peer that never does would gather them. */
#define CHANNELS_EVER_MOST 20000

/* Runs inside libssh. What is not taken stays in libssh and keeps the window from growing: that is the back-pressure.
 * ssh_channel_read would grow the window at each call, so it is only used when everything can be taken (drain). */
static int on_data(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *bytes, uint32_t size, int is_stderr,
		   void *context)
{
	struct wire_channel *channel = context;
	struct error error;
	size_t taken = 0;

	if (is_stderr || channel->closing || channel->session->ending)
		return (int)size;
	if (channel->relay) {
		if (!channel->unread)
			taken = relay_give(channel->relay, bytes, size);
	} else if (channel->head.size + size <= WIRE_HEAD_MOST &&
		   buffer_append(&channel->head, bytes, size, &error) == 0) {
		taken = size;
		channel->grew = true;
	}
	channel->unread = taken < size;
	return (int)taken;
}

static void on_end(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *context)
{
	((struct wire_channel *)context)->remote_ended = true;
}

static void on_close(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *context)
{
	struct wire_channel *channel = context;

	channel->remote_ended = channel->remote_closed = true;
}

static int on_subsystem(ssh_session ssh UNUSED, ssh_channel in UNUSED, const char *name, void *context)
{
	struct wire_channel *channel = context;
	struct wire_session *session = channel->session;

	if (channel->granted || channel->reverse || channel->closing || session->ending ||
	    !session->policy->subsystem(session->context, channel, name)) {
		channel->closing = true;
		return 1;
	}
	channel->granted = true;
	return 0;
}

static void free_channel(struct wire_channel *channel)
{
	buffer_free(&channel->head);
	buffer_free(&channel->out);
	relay_free(&channel->relay);
	free(channel);
}

struct wire_channel *wire_channel_new(struct wire_session *session)
{
	struct wire_channel **slot = NULL;

	for (size_t i = 0; i < WIRE_CHANNELS_MOST && !slot; i++)
		if (!session->channels[i])
			slot = &session->channels[i];
	struct wire_channel *channel = slot ? calloc(1, sizeof *channel) : NULL;
	if (!channel)
		return NULL;
	channel->session = session;
	channel->head = BUFFER_INIT(WIRE_HEAD_MOST);
	channel->out = BUFFER_INIT(WIRE_HEAD_MOST);
	channel->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = channel,
		.channel_data_function = on_data,
		.channel_eof_function = on_end,
		.channel_close_function = on_close,
		.channel_subsystem_request_function = on_subsystem,
	};
	ssh_callbacks_init(&channel->callbacks);
	channel->ssh = ssh_channel_new(session->ssh);
	if (!channel->ssh || ssh_set_channel_callbacks(channel->ssh, &channel->callbacks) != SSH_OK) {
		ssh_channel_free(channel->ssh);
		free_channel(channel);
		return NULL;
	}
	if (++session->opened_ever > CHANNELS_EVER_MOST)
		wire_end(session, "opened too many channels");
	*slot = channel;
	return channel;
}

int wire_open_reverse(struct wire_session *session, void *tag, struct wire_channel **ret_channel, struct error *error)
{
	struct wire_channel *channel = session->ending ? NULL : wire_channel_new(session);

	if (!channel)
		return error_set(error, ERROR_NOT_NOW, "channels", "a connection has no room for another channel");
	channel->reverse = channel->opening = true;
	channel->tag = tag;
	*ret_channel = channel;
	wire_session_kick(session);
	return 0;
}

void wire_channel_set(struct wire_channel *channel, void *tag)
{
	channel->tag = tag;
}

void *wire_channel_tag(const struct wire_channel *channel)
{
	return channel->tag;
}

struct buffer *wire_channel_head(struct wire_channel *channel)
{
	return &channel->head;
}

int wire_channel_send(struct wire_channel *channel, const void *bytes, size_t size, struct error *error)
{
	wire_session_kick(channel->session);
	return buffer_append(&channel->out, bytes, size, error);
}

static void on_relay(void *context)
{
	wire_session_turn(((struct wire_channel *)context)->session);
}

int wire_channel_attach(struct wire_channel *channel, int *ret_fd, struct error *error)
{
	int pair[2];
	int status = process_socketpair(true, pair, error);

	if (status < 0)
		return status;
	status = relay_new_take(channel->session->loop, pair[0], on_relay, channel, &channel->relay, error);
	if (status == 0)
		status = relay_store(channel->relay, channel->head.data, channel->head.size, error);
	if (status < 0) {
		relay_free(&channel->relay);
		file_close(&pair[1]);
		return status;
	}
	buffer_free(&channel->head);
	wire_session_kick(channel->session);
	*ret_fd = pair[1];
	return 0;
}

void wire_channel_close(struct wire_channel *channel)
{
	channel->closing = true;
	wire_session_kick(channel->session);
}

static bool open_reverse(struct wire_channel *channel)
{
	int status =
		ssh_channel_open_reverse_forward(channel->ssh, channel->session->address, WIRE_PORT, "127.0.0.1", 0);

	if (status == SSH_AGAIN)
		return false;
	channel->opening = false;
	if (status == SSH_OK)
		channel->granted = true;
	else
		channel->closing = true;
	return true;
}

/* Everything that libssh holds, once the relay has room again: reading it all is what lets the window grow again. */
static bool drain(struct wire_channel *channel)
{
	struct error error;
	uint8_t *room;
	struct buffer taken CLEANUP(buffer_free) = BUFFER_INIT(WIRE_UNREAD_MOST);
	int waiting = ssh_channel_poll(channel->ssh, 0);

	if (waiting > WIRE_UNREAD_MOST) {
		wire_end(channel->session, "sent more than its window");
		return false;
	}
	if (!channel->relay || !relay_is_clear(channel->relay))
		return false;
	channel->unread = false;
	if (waiting <= 0)
		return false;
	if (buffer_reserve(&taken, (size_t)waiting, &room, &error) < 0) {
		channel->closing = true;
		return false;
	}
	/* Inside this call on_data may see new bytes; with `unread` they stay behind these. */
	channel->unread = true;
	int got = ssh_channel_read_nonblocking(channel->ssh, room, (uint32_t)waiting, 0);
	if (got > 0 && relay_store(channel->relay, room, (size_t)got, &error) < 0)
		channel->closing = true;
	channel->unread = got > 0;
	return got > 0;
}

/* As much as window and socket allow; a short write (the peer changes its keys) leaves the remainder with the caller.
 */
static size_t write_some(struct wire_channel *channel, const void *bytes, size_t size)
{
	uint32_t window = ssh_channel_window_size(channel->ssh);

	if (!window || ssh_get_status(channel->session->ssh) & SSH_WRITE_PENDING)
		return 0;
	int written = ssh_channel_write(channel->ssh, bytes, size < window ? (uint32_t)size : window);
	if (written < 0)
		channel->closing = true;
	return written > 0 ? (size_t)written : 0;
}

static bool write_out(struct wire_channel *channel)
{
	bool moved = false;

	for (unsigned i = 0; i < PUMP_WRITES && !channel->closing; i++) {
		const uint8_t *bytes = channel->out.data;
		size_t size = channel->out.size;
		bool own = size > 0;
		if (!own && channel->relay)
			size = relay_peek(channel->relay, &bytes);
		size_t written = size ? write_some(channel, bytes, size) : 0;
		if (!written)
			break;
		moved = true;
		if (own)
			buffer_consume(&channel->out, written);
		else
			relay_consume(channel->relay, written);
	}
	return moved;
}

bool wire_channel_pump(struct wire_channel *channel)
{
	bool moved = false;

	if (channel->closing)
		return false;
	if (channel->opening)
		return open_reverse(channel);
	if (channel->unread)
		moved = drain(channel);
	if (!channel->remote_closed && write_out(channel))
		moved = true;
	return moved;
}

static bool is_over(const struct wire_channel *channel)
{
	if (channel->closing)
		return true;
	if (channel->opening)
		return false;
	if (!channel->relay)
		return channel->remote_ended;
	if (channel->remote_closed)
		return !channel->unread && relay_is_clear(channel->relay);
	return relay_is_ended(channel->relay) && !channel->out.size;
}

static void tell_closed(struct wire_channel *channel)
{
	if (!channel->told) {
		channel->told = true;
		if (channel->tag)
			channel->session->policy->closed(channel->session->context, channel);
		channel->tag = NULL;
	}
}

void wire_channel_settle(struct wire_channel *channel)
{
	struct wire_session *session = channel->session;
	struct error error;

	if (channel->granted && !channel->reported && !channel->closing) {
		channel->reported = true;
		session->policy->opened(session->context, channel);
	}
	if (channel->grew && !channel->relay && !channel->closing) {
		channel->grew = false;
		session->policy->bytes(session->context, channel);
		/* The policy has taken all that it can read; still no room means that this is no dialogue. */
		if (channel->unread && !channel->relay)
			channel->closing = true;
	}
	if (channel->relay && channel->remote_ended && !channel->unread && !channel->ended) {
		channel->ended = true;
		relay_finish(channel->relay);
	}
	if (channel->remote_ended)
		tell_closed(channel);
	if (is_over(channel)) {
		wire_channel_release(channel);
		return;
	}
	if (channel->relay) {
		bool wants_bytes = !channel->remote_closed && !channel->out.size &&
				   ssh_channel_window_size(channel->ssh) > 0 &&
				   !(ssh_get_status(session->ssh) & SSH_WRITE_PENDING);
		if (relay_wait(channel->relay, wants_bytes, &error) < 0)
			wire_channel_close(channel);
	}
}

void wire_channel_release(struct wire_channel *channel)
{
	struct wire_session *session = channel->session;

	tell_closed(channel);
	ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
	/* Also where the peer closed first: it waits for our close. The first call may only get as far as the end of
	 * file (SSH_AGAIN), and ssh_channel_free would not call again. A forward that was refused never stood. */
	if ((channel->granted || !channel->reverse) && ssh_is_connected(session->ssh) &&
	    ssh_channel_close(channel->ssh) == SSH_AGAIN)
		ssh_channel_close(channel->ssh);
	ssh_channel_free(channel->ssh);
	for (size_t i = 0; i < WIRE_CHANNELS_MOST; i++)
		if (session->channels[i] == channel)
			session->channels[i] = NULL;
	free_channel(channel);
}
