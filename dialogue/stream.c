#include "dialogue/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

#define STREAM_READ_SIZE   (64 * 1024)
#define STREAM_INPUT_MOST  (FRAME_HEAD_SIZE + FRAME_JSON_MOST + STREAM_READ_SIZE)
#define STREAM_OUTPUT_MOST (4 * 1024 * 1024)

struct stream {
	int fd;
	enum message_side side;
	uint64_t last_id;
	struct buffer input, output;
	size_t consumed; /* bytes at the start of `input` that the last message, still borrowed, took */
	bool ended;
};

static enum message_side other_side(const struct stream *stream)
{
	return stream->side == MESSAGE_FROM_HOOK ? MESSAGE_FROM_ORCHESTRATOR : MESSAGE_FROM_HOOK;
}

int stream_new_take(int fd, enum message_side side, struct stream **ret_stream, struct error *error)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		free(stream);
		close(fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a stream");
	}
	*stream = (struct stream){
		.fd = fd,
		.side = side,
		.last_id = side == MESSAGE_FROM_HOOK ? UINT64_MAX : 0, /* +2 makes 1 and 2 */
		.input = BUFFER_INIT(STREAM_INPUT_MOST),
		.output = BUFFER_INIT(STREAM_OUTPUT_MOST),
	};
	*ret_stream = stream;
	return 0;
}

void stream_free(struct stream **stream)
{
	struct stream *old = *stream;

	if (!old)
		return;
	file_close(&old->fd);
	buffer_free(&old->input);
	buffer_free(&old->output);
	free(old);
	*stream = NULL;
}

int stream_fd(const struct stream *stream)
{
	return stream->fd;
}

uint64_t stream_next_id(struct stream *stream)
{
	stream->last_id += 2;
	return stream->last_id;
}

size_t stream_queued(const struct stream *stream)
{
	return stream->output.size;
}

/* A full queue is the peer's slowness and not a fault: try again. */
static int queue_result(int status, struct error *error)
{
	if (status < 0 && strcmp(error->name, "length") == 0)
		return error_set(error, ERROR_NOT_NOW, "again", "the peer is not reading");
	return status;
}

int stream_send(struct stream *stream, enum message_type type, uint16_t flags, uint64_t id, const json_t *body,
		struct error *error)
{
	return queue_result(message_write(&stream->output, stream->side, type, flags, id, body, error), error);
}

int stream_send_data(struct stream *stream, enum message_type type, uint64_t id, const void *bytes, size_t size,
		     struct error *error)
{
	return queue_result(
		frame_write(&stream->output, (uint16_t)type, FRAME_EVENT | FRAME_DATA, id, bytes, size, error), error);
}

int stream_send_error(struct stream *stream, enum message_type type, uint64_t id, const struct error *why,
		      struct error *error)
{
	CLEANUP(jsonio_free) json_t *body = packet_from_error(why);

	return stream_send(stream, type, FRAME_REPLY | FRAME_ERROR, id, body, error);
}

/* What could not be sent is missing in the middle: neither end is to wait for the other any more. */
static int give_up(struct stream *stream, struct error *error)
{
	error_set_errno(error, ERROR_UNREACHABLE, "closed", "the stream is closed");
	shutdown(stream->fd, SHUT_RDWR);
	return -(int)error->code;
}

int stream_flush(struct stream *stream, bool *ret_pending, struct error *error)
{
	size_t written = 0;

	if (stream->output.size > 0 && fault_point("stream.send") < 0)
		return give_up(stream, error);
	while (written < stream->output.size) {
		ssize_t put =
			send(stream->fd, stream->output.data + written, stream->output.size - written, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN)
			break;
		if (put < 0)
			return give_up(stream, error);
		written += (size_t)put;
	}
	buffer_consume(&stream->output, written);
	*ret_pending = stream->output.size > 0;
	return 0;
}

void stream_message_free(struct stream_message *message)
{
	jsonio_free(&message->body);
}

/* The first whole message of the input. */
static int take_message(struct stream *stream, struct stream_message *ret_message, bool *ret_got, struct error *error)
{
	struct frame frame;
	json_t *body = NULL;
	size_t used = 0;
	int status = frame_read(&stream->input, &frame, &used, error);

	if (status < 0 || used == 0)
		return status;
	status = message_parse(&frame, other_side(stream), &body, error);
	if (status < 0)
		return status;
	stream->consumed = used;
	*ret_message = (struct stream_message){
		.type = (enum message_type)frame.type, .flags = frame.flags, .id = frame.id, .body = body};
	if (!body) {
		ret_message->data = frame.body;
		ret_message->size = frame.size;
	}
	*ret_got = true;
	return 0;
}

static int read_more(struct stream *stream, struct error *error)
{
	uint8_t *room = NULL;
	int status = buffer_reserve(&stream->input, STREAM_READ_SIZE, &room, error);

	if (status < 0)
		return status;
	ssize_t got = recv(stream->fd, room, STREAM_READ_SIZE, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0 && errno != ECONNRESET)
		return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the stream cannot be read");
	if (got <= 0)
		stream->ended = true;
	else
		buffer_commit(&stream->input, (size_t)got);
	return 0;
}

int stream_receive(struct stream *stream, struct stream_message *ret_message, bool *ret_got, struct error *error)
{
	*ret_got = false;
	buffer_consume(&stream->input, stream->consumed);
	stream->consumed = 0;
	int status = take_message(stream, ret_message, ret_got, error);
	if (status < 0 || *ret_got)
		return status;
	status = read_more(stream, error);
	if (status == 0)
		status = take_message(stream, ret_message, ret_got, error);
	if (status == 0 && !*ret_got && stream->ended)
		return error_set(error, ERROR_UNREACHABLE, "closed", "the stream was closed by the other side");
	return status;
}

int stream_wait(struct stream *stream, int64_t deadline, struct stream_message *ret_message, struct error *error)
{
	for (;;) {
		bool pending = false, got = false;
		int status = stream_flush(stream, &pending, error);
		/* What the peer said before it closed is still heard. */
		if (status < 0 && error->code != ERROR_UNREACHABLE)
			return status;
		status = stream_receive(stream, ret_message, &got, error);
		if (status < 0 || got)
			return status;
		int64_t left = deadline - clock_ticks_ms();
		if (left <= 0)
			return error_set(error, ERROR_UNREACHABLE, "timeout", "the other side did not answer in time");
		struct pollfd watched = {.fd = stream->fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0))};
		if (poll(&watched, 1, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_UNREACHABLE, "closed", "the stream cannot be waited for");
	}
}

int stream_ask(struct stream *stream, enum message_type type, const json_t *body, int64_t deadline, stream_other *other,
	       void *context, json_t **ret_reply, struct error *error)
{
	uint64_t id = stream_next_id(stream);
	int status = stream_send(stream, type, 0, id, body, error);

	while (status == 0) {
		struct stream_message message = {0};
		status = stream_wait(stream, deadline, &message, error);
		if (status < 0)
			return status;
		if (message.id == id && message.type == type && (message.flags & FRAME_REPLY)) {
			if (message.flags & FRAME_ERROR)
				status = packet_to_error(message.body, error);
			else
				*ret_reply = TAKE(message.body);
			stream_message_free(&message);
			return status;
		}
		status = other ? other(context, &message, error)
			       : error_set(error, ERROR_DATA, "dialogue",
					   "\"%s\" came where the answer to \"%s\" was awaited",
					   message_name(message.type), message_name(type));
		stream_message_free(&message);
	}
	return status;
}
