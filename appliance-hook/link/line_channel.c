#include <stdlib.h>
#include <string.h>

#include "appliance-hook/link/line_inner.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

/* How many times a channel may fill the socket before the others get their turn. */
#define PUMP_WRITES 8
/* How long the hub has to close what we have closed. */
#define CLOSE_MS 20000

/* Runs inside libssh. What is not taken stays there and keeps the window from growing: that is the back-pressure. */
static int on_data(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *bytes, uint32_t size, int is_stderr,
		   void *context)
{
	struct line_channel *channel = context;
	size_t taken = 0;

	if (is_stderr || channel->closing || channel->closed_at || channel->line->ending)
		return (int)size;
	if (channel->relay && !channel->unread)
		taken = relay_give(channel->relay, bytes, size);
	channel->unread = taken < size;
	return (int)taken;
}

static void on_end(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *context)
{
	((struct line_channel *)context)->remote_ended = true;
}

static void on_close(ssh_session ssh UNUSED, ssh_channel in UNUSED, void *context)
{
	struct line_channel *channel = context;

	channel->remote_ended = channel->remote_closed = true;
}

static void free_channel(struct line_channel *channel)
{
	buffer_free(&channel->out);
	relay_free(&channel->relay);
	file_close(&channel->handed);
	free(channel);
}

int line_open(struct line *line, const char *subsystem, const void *first, size_t size, unsigned tag,
	      struct error *error)
{
	struct line_channel **slot = NULL;

	for (size_t i = 0; i < LINE_STREAMS_MOST && !slot; i++)
		if (!line->channels[i])
			slot = &line->channels[i];
	struct line_channel *channel = slot && !line->ending ? calloc(1, sizeof *channel) : NULL;
	if (!channel)
		return error_set(error, ERROR_NOT_NOW, "channels", "the connection has no room for another stream");
	*channel = (struct line_channel){.line = line, .tag = tag, .handed = -1, .out = BUFFER_INIT(LINE_FIRST_MOST)};
	channel->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = channel,
		.channel_data_function = on_data,
		.channel_eof_function = on_end,
		.channel_close_function = on_close,
	};
	ssh_callbacks_init(&channel->callbacks);
	text_copy(channel->subsystem, sizeof channel->subsystem, subsystem);
	int status = buffer_append(&channel->out, first, size, error);
	if (status == 0)
		channel->ssh = ssh_channel_new(line->ssh);
	if (!channel->ssh || ssh_set_channel_callbacks(channel->ssh, &channel->callbacks) != SSH_OK) {
		ssh_channel_free(channel->ssh);
		free_channel(channel);
		return status < 0 ? status : error_set(error, ERROR_CANNOT_CREATE, "channels", "no stream can be made");
	}
	*slot = channel;
	line_kick(line);
	return 0;
}

static void on_relay(void *context)
{
	line_turn(((struct line_channel *)context)->line);
}

static bool open_relay(struct line_channel *channel)
{
	struct error error;
	int pair[2];

	if (process_socketpair(true, pair, &error) < 0)
		return false;
	channel->handed = pair[1];
	return relay_new_take(channel->line->loop, pair[0], on_relay, channel, &channel->relay, &error) == 0;
}

/* Each step is called again until it no longer says SSH_AGAIN. */
static bool open_stream(struct line_channel *channel)
{
	int status;

	if (!channel->open) {
		status = ssh_channel_open_session(channel->ssh);
		if (status == SSH_AGAIN)
			return false;
		channel->open = status == SSH_OK;
		channel->closing = !channel->open;
		return true;
	}
	status = ssh_channel_request_subsystem(channel->ssh, channel->subsystem);
	if (status == SSH_AGAIN)
		return false;
	if (status != SSH_OK || !open_relay(channel))
		channel->closing = true;
	return true;
}

/* Everything that libssh holds, once the relay has room again: only reading it all may let the window grow, since
 * ssh_channel_read grows it at every call. */
static bool drain(struct line_channel *channel)
{
	CLEANUP(buffer_free) struct buffer taken = BUFFER_INIT(LINE_UNREAD_MOST);
	struct error error;
	uint8_t *room;
	int waiting = ssh_channel_poll(channel->ssh, 0);

	if (waiting > LINE_UNREAD_MOST) {
		line_end(channel->line);
		return false;
	}
	if (!relay_is_clear(channel->relay))
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

/* A short write (the peer changes its keys) leaves the remainder with the caller. */
static size_t write_some(struct line_channel *channel, const void *bytes, size_t size)
{
	uint32_t window = ssh_channel_window_size(channel->ssh);

	if (!window || ssh_get_status(channel->line->ssh) & SSH_WRITE_PENDING)
		return 0;
	int written = ssh_channel_write(channel->ssh, bytes, size < window ? (uint32_t)size : window);
	if (written < 0)
		channel->closing = true;
	return written > 0 ? (size_t)written : 0;
}

static bool write_out(struct line_channel *channel)
{
	bool moved = false;

	for (unsigned i = 0; i < PUMP_WRITES && !channel->closing; i++) {
		const uint8_t *bytes = channel->out.data;
		size_t size = channel->out.size;
		bool own = size > 0;
		if (!own)
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

bool line_channel_pump(struct line_channel *channel)
{
	bool moved = false;

	if (channel->closing || channel->closed_at)
		return false;
	if (!channel->relay)
		return open_stream(channel);
	if (channel->unread)
		moved = drain(channel);
	if (!channel->remote_closed && write_out(channel))
		moved = true;
	return moved;
}

/* Also where the hub closed first: it waits for our close. Only the first call may stop at the end of file (SSH_AGAIN),
 * and ssh_channel_free would not call again. */
static void close_here(struct line_channel *channel)
{
	if (channel->open && ssh_is_connected(channel->line->ssh) && ssh_channel_close(channel->ssh) == SSH_AGAIN)
		ssh_channel_close(channel->ssh);
}

static bool is_over(const struct line_channel *channel)
{
	if (channel->closing)
		return true;
	if (channel->closed_at)
		/* Looked at by the pulse at the latest. */
		return channel->remote_closed || clock_ticks_ms() - channel->closed_at > CLOSE_MS;
	if (!channel->relay)
		return channel->remote_ended;
	return channel->remote_closed && !channel->unread && relay_is_clear(channel->relay);
}

void line_channel_settle(struct line_channel *channel)
{
	struct line *line = channel->line;
	struct error error;

	if (channel->relay && channel->handed >= 0 && !channel->closing) {
		int fd = channel->handed;
		channel->handed = -1;
		line->events->opened(line->context, channel->tag, fd);
	}
	if (channel->relay && channel->remote_ended && !channel->unread && !channel->finished) {
		channel->finished = true;
		relay_finish(channel->relay);
	}
	/* The hub closes its side when the engine has everything. Only then is the stream over: the connection may end
	 * with it, and what the hub had not yet handed on would be lost. */
	if (channel->relay && !channel->remote_closed && relay_is_ended(channel->relay) && !channel->out.size) {
		close_here(channel);
		relay_free(&channel->relay);
		channel->closed_at = clock_ticks_ms();
	}
	if (is_over(channel)) {
		unsigned tag = channel->tag;
		line_channel_release(channel);
		line->events->closed(line->context, tag);
		return;
	}
	if (channel->relay) {
		bool wants_bytes = !channel->remote_closed && !channel->out.size &&
				   ssh_channel_window_size(channel->ssh) > 0 &&
				   !(ssh_get_status(line->ssh) & SSH_WRITE_PENDING);
		if (relay_wait(channel->relay, wants_bytes, &error) < 0) {
			channel->closing = true;
			line_kick(line);
		}
	}
}

void line_channel_release(struct line_channel *channel)
{
	struct line *line = channel->line;

	ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
	close_here(channel);
	ssh_channel_free(channel->ssh);
	for (size_t i = 0; i < LINE_STREAMS_MOST; i++)
		if (line->channels[i] == channel)
			line->channels[i] = NULL;
	free_channel(channel);
}
