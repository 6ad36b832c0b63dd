#include "orchestrator/engine/talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"

#define TALK_QUESTIONS_MOST 8
/* Messages handled in one turn. */
#define TALK_TURN_MOST 32

struct question {
	struct talk *talk;
	struct talk_question ask;
	uint64_t id; /* 0: free */
	uint64_t timer;
};

struct talk {
	struct loop *loop;
	struct stream *stream;
	struct serve_fetch_queue *fetches;
	unsigned allowed;
	struct talk_events events;
	void *context;
	struct question questions[TALK_QUESTIONS_MOST];
	uint64_t end_timer, again_timer;
	struct error ending; /* code set: the stream ends at the next turn, for this reason */
	uint32_t watched;
	unsigned busy;
	bool dead;
};

static void destroy(struct talk *talk)
{
	for (size_t i = 0; i < TALK_QUESTIONS_MOST; i++)
		if (talk->questions[i].timer)
			loop_cancel(talk->loop, talk->questions[i].timer);
	if (talk->end_timer)
		loop_cancel(talk->loop, talk->end_timer);
	if (talk->again_timer)
		loop_cancel(talk->loop, talk->again_timer);
	loop_forget(talk->loop, stream_fd(talk->stream));
	stream_free(&talk->stream);
	serve_fetch_free(&talk->fetches);
	free(talk);
}

void talk_free(struct talk **talk)
{
	struct talk *old = *talk;
	*talk = NULL;
	if (!old)
		return;
	old->dead = true;
	if (!old->busy)
		destroy(old);
}

static void answer_question(struct question *question, const json_t *body, const struct error *why)
{
	struct talk_question ask = question->ask;
	if (question->timer)
		loop_cancel(question->talk->loop, question->timer);
	question->timer = 0;
	question->id = 0;
	ask.answer(ask.context, body, why);
}

/* Not inside a callback of this talk. Frees it. */
static void end(struct talk *talk, const struct error *why)
{
	struct error reason = *why;
	talk->busy++;
	talk->events.closed(talk->context, talk, &reason);
	talk->busy--;
	destroy(talk);
}

static void end_now(void *context)
{
	struct talk *talk = context;
	talk->end_timer = 0;
	end(talk, &talk->ending);
}

/* From inside anything: the talk ends at the loop's next turn. */
static void end_soon(struct talk *talk, const struct error *why)
{
	if (talk->end_timer || talk->dead)
		return;
	talk->ending = *why;
	talk->end_timer = loop_after(talk->loop, 0, end_now, talk);
}

static int flush(struct talk *talk, struct error *error)
{
	bool pending = false;
	int status = 0;
	do {
		status = serve_fetch_pump(talk->fetches, talk->stream, error);
		if (status == 0)
			status = stream_flush(talk->stream, &pending, error);
	} while (status == 0 && !pending && !serve_fetch_idle(talk->fetches));
	uint32_t wanted = EPOLLIN | (pending ? (uint32_t)EPOLLOUT : 0U);
	if (status == 0 && wanted != talk->watched) {
		status = loop_change(talk->loop, stream_fd(talk->stream), wanted, error);
		talk->watched = wanted;
	}
	return status;
}

static void flush_or_end(struct talk *talk)
{
	struct error error = {0};
	if (!talk->dead && flush(talk, &error) < 0)
		end_soon(talk, &error);
}

static struct question *find_question(struct talk *talk, const struct stream_message *message)
{
	for (size_t i = 0; i < TALK_QUESTIONS_MOST; i++)
		if (talk->questions[i].id == message->id && talk->questions[i].ask.type == message->type)
			return &talk->questions[i];
	return NULL;
}

static int take_answer(struct talk *talk, const struct stream_message *message, struct error *error)
{
	struct question *question = find_question(talk, message);
	if (!question)
		return error_set(error, ERROR_DATA, "dialogue", "the appliance answers a question that nobody asked");
	if (message->flags & FRAME_EVENT) {
		if (question->ask.progress)
			question->ask.progress(question->ask.context, message->body);
		return 0;
	}
	if (message->flags & FRAME_ERROR) {
		struct error why = {0};
		if (packet_to_error(message->body, &why) == 0)
			error_set(&why, ERROR_DATA, "dialogue", "the appliance refuses without a reason");
		answer_question(question, NULL, &why);
		return 0;
	}
	answer_question(question, message->body, NULL);
	return 0;
}

static int take_message(struct talk *talk, const struct stream_message *message, struct error *error)
{
	/* Ids are even for ours and odd for the hook's, so an event is the hook's own when its id is odd. */
	bool ours = message->id % 2 == 0;
	if ((message->flags & FRAME_REPLY) || ((message->flags & FRAME_EVENT) && ours))
		return take_answer(talk, message, error);
	if (message->type == MESSAGE_FETCH)
		return serve_fetch_request(talk->fetches, talk->stream, message, talk->allowed, error);
	if (message->type == MESSAGE_HEARTBEAT)
		return 0;
	if (!talk->events.request)
		return error_set(error, ERROR_DATA, "dialogue", "\"%s\" came where nothing is asked",
				 message_name(message->type));
	talk->events.request(talk->context, talk, message);
	return 0;
}

/* *ret_more: messages may be left in the buffer, of which the descriptor does not tell. */
static int receive(struct talk *talk, bool *ret_more, struct error *error)
{
	for (int i = 0; i < TALK_TURN_MOST && !talk->dead; i++) {
		CLEANUP(stream_message_free) struct stream_message message = {0};
		bool got = false;
		if (stream_receive(talk->stream, &message, &got, error) < 0)
			return -(int)error->code;
		if (!got)
			return 0;
		if (take_message(talk, &message, error) < 0)
			return -(int)error->code;
	}
	*ret_more = true;
	return 0;
}

static void ready(void *context, int fd UNUSED, uint32_t events);

static void again(void *context)
{
	struct talk *talk = context;
	talk->again_timer = 0;
	ready(talk, -1, EPOLLIN);
}

static void ready(void *context, int fd UNUSED, uint32_t events)
{
	struct talk *talk = context;
	struct error error = {0};
	int status = 0;
	bool more = false;
	talk->busy++;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		status = receive(talk, &more, &error);
	if (status == 0 && !talk->dead)
		status = flush(talk, &error);
	talk->busy--;
	if (talk->dead)
		destroy(talk);
	else if (status < 0)
		end(talk, &error);
	else if (more && !talk->again_timer)
		talk->again_timer = loop_after(talk->loop, 0, again, talk);
}

int talk_new_take(struct loop *loop, int fd, int releases, const struct talk_events *events, void *context,
		  struct talk **ret_talk, struct error *error)
{
	struct talk *talk = calloc(1, sizeof *talk);
	if (!talk) {
		close(fd);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a stream");
	}
	*talk = (struct talk){.loop = loop, .events = *events, .context = context, .watched = EPOLLIN};
	int status = stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &talk->stream, error);
	if (status == 0)
		status = serve_fetch_new(releases, &talk->fetches, error);
	if (status == 0)
		status = loop_watch(loop, stream_fd(talk->stream), EPOLLIN, ready, talk, error);
	if (status < 0) {
		stream_free(&talk->stream);
		serve_fetch_free(&talk->fetches);
		free(talk);
		return status;
	}
	*ret_talk = talk;
	return 0;
}

void talk_serve(struct talk *talk, unsigned allowed)
{
	talk->allowed = allowed;
}

static void time_out(void *context)
{
	struct question *question = context;
	struct error why = {0};
	question->timer = 0;
	error_set(&why, ERROR_UNREACHABLE, "timeout", "the appliance did not answer \"%s\" in time",
		  message_name(question->ask.type));
	end(question->talk, &why);
}

void talk_ask_take(struct talk *talk, const struct talk_question *ask, json_t *body)
{
	CLEANUP(jsonio_free) json_t *owned = body;
	struct error error = {0};
	struct question *question = NULL;
	for (size_t i = 0; i < TALK_QUESTIONS_MOST && !question; i++)
		if (!talk->questions[i].id)
			question = &talk->questions[i];
	if (!question) {
		error_set(&error, ERROR_BUG, "dialogue", "more than %d questions at once", TALK_QUESTIONS_MOST);
		end_soon(talk, &error);
		return;
	}
	*question = (struct question){.talk = talk, .ask = *ask, .id = stream_next_id(talk->stream)};
	if (ask->timeout_ms)
		question->timer = loop_after(talk->loop, ask->timeout_ms, time_out, question);
	if (stream_send(talk->stream, ask->type, 0, question->id, owned, &error) < 0)
		end_soon(talk, &error);
	else
		flush_or_end(talk);
}

void talk_reply_take(struct talk *talk, const struct stream_message *request, json_t *body)
{
	CLEANUP(jsonio_free) json_t *owned = body;
	struct error error = {0};
	if (stream_send(talk->stream, request->type, FRAME_REPLY, request->id, owned, &error) < 0)
		end_soon(talk, &error);
	else
		flush_or_end(talk);
}

void talk_refuse(struct talk *talk, const struct stream_message *request, const struct error *why)
{
	struct error error = {0};
	if (stream_send_error(talk->stream, request->type, request->id, why, &error) < 0)
		end_soon(talk, &error);
	else
		flush_or_end(talk);
}

void talk_event_take(struct talk *talk, enum message_type type, json_t *body)
{
	CLEANUP(jsonio_free) json_t *owned = body;
	struct error error = {0};
	if (stream_send(talk->stream, type, FRAME_EVENT, stream_next_id(talk->stream), owned, &error) < 0)
		end_soon(talk, &error);
	else
		flush_or_end(talk);
}
