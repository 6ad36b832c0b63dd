/* The pull dialogue: the hook asks what it may install, proves that the answer is fresh and signed, and goes the same
 * way as an order, without a technician. Needs no open tunnel and grants the other end nothing. */
#ifndef CHECK_PULL_H
#define CHECK_PULL_H

#include "appliance-hook/check/verify.h"

/* Events and the end go to the broker: {"event":{…}}, then {"result":{outcome, version, …}} or {"error":{…}}. Outcomes:
 * act's own, "current" (nothing newer), "plan" (dry: with `plan`). */
int pull_run(struct session *session, struct error *error) MUST_CHECK;

/* What the ways without a support centre (hubless.h) share with it. Install needs all checks to have passed: stages,
 * looks at the appliance's own window and switches. */
int pull_install(struct verify *verify, json_t **ret_outcome, struct error *error) MUST_CHECK;
int pull_plan(struct verify *verify, const struct verify_wish *wish, json_t **ret_outcome,
	      struct error *error) MUST_CHECK;
int pull_say_current(const char *version, json_t **ret_outcome, struct error *error) MUST_CHECK;
stream_other pull_nothing_else;

/* A signed answer, `_type: answer`, under the order keys. */
struct pull_answer {
	char version[SESSION_VERSION_MOST];
	uint8_t manifest[HASH_SIZE]; /* zero when nothing is to be installed */
	int64_t issued, expires;
};
struct pull_question {
	const char *appliance, *product;
	const uint8_t *nonce; /* ORDER_NONCE_SIZE bytes */
	int64_t now;
};
/* Refusals by name: "signature", "format", "appliance", "product", "nonce", "clock", "freeze". */
int pull_answer_check(const json_t *envelope, const struct authority *authority, const struct pull_question *question,
		      struct pull_answer *ret_answer, struct error *error) MUST_CHECK;

#endif
