/* One dialogue stream in the engine's loop: questions with their answers, the hook's own requests, and bytes that it
 * fetches. */
#ifndef ENGINE_TALK_H
#define ENGINE_TALK_H

#include "base/loop.h"
#include "dialogue/stream.h"
#include "orchestrator/engine/serve_fetch.h"

struct talk;

struct talk_events {
	/* A request or a lone event of the hook, other than FETCH; answered with talk_reply or talk_refuse. NULL:
	 * refused. */
	void (*request)(void *context, struct talk *talk, const struct stream_message *message);
	/* The stream ended; the talk is freed after this returns, and its open questions die with it. */
	void (*closed)(void *context, struct talk *talk, const struct error *why);
};

/* Takes the descriptor, also on failure. `releases` is what FETCH reads; borrowed. */
int talk_new_take(struct loop *loop, int fd, int releases, const struct talk_events *events, void *context,
		  struct talk **ret_talk, struct error *error) MUST_CHECK;
/* Without a word to anybody; safe inside its own callbacks. */
void talk_free(struct talk **talk);
/* SERVE_FETCH_… bits; nothing at first. */
void talk_serve(struct talk *talk, unsigned allowed);

typedef void talk_progress(void *context, const json_t *body);
/* `body` NULL: refused by `why`. Both are borrowed. */
typedef void talk_answer(void *context, const json_t *body, const struct error *why);

struct talk_question {
	enum message_type type;
	int64_t timeout_ms;      /* 0: none. A question that times out ends the talk. */
	talk_progress *progress; /* may be NULL */
	talk_answer *answer;
	void *context;
};
/* Takes the body. A failure to send ends the talk at the loop's next turn. */
void talk_ask_take(struct talk *talk, const struct talk_question *question, json_t *body);

/* Answers to a request; both take what they are given. A stream that cannot be written ends at the next turn. */
void talk_reply_take(struct talk *talk, const struct stream_message *request, json_t *body);
void talk_refuse(struct talk *talk, const struct stream_message *request, const struct error *why);
void talk_event_take(struct talk *talk, enum message_type type, json_t *body);

#endif
