/* The dry run: each check with its value and limit, yes or no, and why. Nothing is changed. */
#ifndef CHECK_PLAN_H
#define CHECK_PLAN_H

#include "appliance-hook/check/verify.h"

/* Handler of the control dialogue's `plan`. */
int plan_answer(struct session *session, const struct stream_message *message, json_t **ret_reply,
		struct error *error) MUST_CHECK;

/* All checks of `wish`; a check that failed is a line in *ret_plan {ok, checks}, not an error. */
int plan_make(struct verify *verify, const struct verify_wish *wish, json_t **ret_plan, struct error *error) MUST_CHECK;

#endif
