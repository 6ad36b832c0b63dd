/* The switch and the rollback that an orchestrator orders: every check again, now, then the order itself, then act. */
#ifndef CHECK_RUN_H
#define CHECK_RUN_H

#include "appliance-hook/check/verify.h"

/* Handlers of the control dialogue. */
int run_upgrade(struct session *session, const struct stream_message *message, json_t **ret_reply,
		struct error *error) MUST_CHECK;
int run_rollback(struct session *session, const struct stream_message *message, json_t **ret_reply,
		 struct error *error) MUST_CHECK;

/* Seconds that a release asks for itself and its rollback. */
int64_t run_need(const struct manifest *manifest);

#endif
