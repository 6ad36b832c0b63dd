/* A session's side of its socket to act: one request at a time, events on the way, one answer. */
#ifndef CHECK_ACTOR_H
#define CHECK_ACTOR_H

#include "base/jsonio.h"

struct actor {
	int fd; /* SEQPACKET, owned */
};

/* What happens while the answer is awaited. */
struct actor_watch {
	/* An event of act's; NULL: dropped. */
	int (*event)(void *context, const json_t *event, struct error *error);
	/* Called at the start, whenever `fd` is readable and once a second. An error ends the wait: act goes on by
	 * itself. */
	int (*idle)(void *context, struct error *error);
	void *context;
	int fd; /* -1: none */
};

/* Sends {"do": request, …arguments} (`arguments` is consumed, may be NULL) and waits for its answer. `watch` may be
 * NULL. *ret_fd (ret_fd may be NULL) is the descriptor beside the answer or -1. act's refusal becomes `error`. */
int actor_ask(struct actor *actor, const char *request, json_t *arguments, const struct actor_watch *watch, int *ret_fd,
	      json_t **ret_ok, struct error *error) MUST_CHECK;
/* A second answer to the same request: stage-dir gives two descriptors in two packets. */
int actor_next(struct actor *actor, const struct actor_watch *watch, int *ret_fd, json_t **ret_ok,
	       struct error *error) MUST_CHECK;

#endif
