/* The other end of FETCH for a process that does nothing else: it answers one request after the other with bytes from
 * wherever its owner has them, until the stream is closed. Blocking. */
#ifndef DIALOGUE_OFFER_H
#define DIALOGUE_OFFER_H

#include "dialogue/stream.h"

struct offer;

/* The bytes of `name` by offer_bytes, in order. An error is the fetch's refusal and goes to who asked. */
typedef int offer_answer(void *context, const char *name, struct offer *offer, struct error *error);
/* An error here (the stream is gone) is to be handed on. */
int offer_bytes(struct offer *offer, const void *bytes, size_t size, struct error *error) MUST_CHECK;

/* Takes the descriptor. 0 when the other end has closed it. */
int offer_run_take(int fd, offer_answer *answer, void *context, struct error *error) MUST_CHECK;

#endif
