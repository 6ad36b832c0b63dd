#include "dialogue/offer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"

/* How long one wait lasts; then there is another. */
enum { WAIT_MS = 60 * 60 * 1000 };

struct offer {
	struct stream *stream;
	uint64_t id; /* of the fetch that is being answered */
	int64_t sent;
};

static void end_offer(struct offer *offer)
{
	stream_free(&offer->stream);
}

/* Until all that is queued has left. */
static int flush(struct offer *offer, struct error *error)
{
	for (bool pending = true;;) {
		struct pollfd watched = {stream_fd(offer->stream), POLLOUT, 0};
		if (stream_flush(offer->stream, &pending, error) < 0)
			return -(int)error->code;
		if (!pending)
			return 0;
		if (poll(&watched, 1, -1) < 0 && errno != EINTR)
			return error_set_errno(error, ERROR_BUG, "poll", "sending what was asked for");
	}
}

int offer_bytes(struct offer *offer, const void *bytes, size_t size, struct error *error)
{
	const uint8_t *rest = bytes;
	while (size > 0) {
		size_t part = size < FRAME_DATA_MOST ? size : FRAME_DATA_MOST;
		if (stream_send_data(offer->stream, MESSAGE_FETCH, offer->id, rest, part, error) < 0 ||
		    flush(offer, error) < 0)
			return -(int)error->code;
		rest += part;
		size -= part;
		offer->sent += (int64_t)part;
	}
	return 0;
}

static int answer_one(struct offer *offer, const struct stream_message *message, offer_answer *answer, void *context,
		      struct error *error)
{
	struct error why = {0};
	int result = 0;
	if (message->type != MESSAGE_FETCH || message->flags != 0)
		return error_set(error, ERROR_DATA, "dialogue", "\"%s\" came where only fetches are answered",
				 message_name(message->type));
	offer->id = message->id;
	offer->sent = 0;
	if (jsonio_integer(message->body, "offset") != 0)
		result = error_set(&why, ERROR_DATA, "offset", "only whole files are offered here");
	else
		result = answer(context, jsonio_string(message->body, "name"), offer, &why);
	if (result < 0)
		return stream_send_error(offer->stream, MESSAGE_FETCH, offer->id, &why, error);
	CLEANUP(jsonio_free) json_t *body = json_pack("{s:I}", "size", (json_int_t)offer->sent);
	if (!body)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for an answer");
	return stream_send(offer->stream, MESSAGE_FETCH, FRAME_REPLY, offer->id, body, error);
}

int offer_run_take(int fd, offer_answer *answer, void *context, struct error *error)
{
	CLEANUP(end_offer) struct offer offer = {0};
	if (stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &offer.stream, error) < 0)
		return -(int)error->code;
	for (;;) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		struct error waiting = {0};
		if (stream_wait(offer.stream, clock_ticks_ms() + WAIT_MS, &message, &waiting) < 0) {
			if (strcmp(waiting.name, "timeout") == 0)
				continue;
			if (strcmp(waiting.name, "closed") == 0)
				return 0;
			*error = waiting;
			return -(int)error->code;
		}
		if (answer_one(&offer, &message, answer, context, error) < 0 || flush(&offer, error) < 0)
			return -(int)error->code;
	}
}
