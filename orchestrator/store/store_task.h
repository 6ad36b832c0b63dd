/* What the API asks the engine to do that is not a change of an upgrade: tunnel-close (target: appliance), plan
 * (target: appliance, argument: version), export (target: appliance, argument: "VERSION SECONDS"). The answer is JSON; {"error": {code, name, text}} for a refusal. */
#ifndef STORE_STORE_TASK_H
#define STORE_STORE_TASK_H

#include "orchestrator/store/store.h"

struct store_task {
	int64_t id;
	char kind[16], target[STORE_NAME_SIZE], argument[256], requested_by[STORE_NAME_SIZE];
	int64_t requested;
};

int store_task_add(struct store *store, const char *kind, const char *target, const char *argument, const char *actor,
		   int64_t now, int64_t *ret_id, struct error *error) MUST_CHECK;
/* The oldest that is not done and whose id is above `after`: *ret_found. */
int store_task_next(struct store *store, int64_t after, struct store_task *ret_task, bool *ret_found,
		    struct error *error) MUST_CHECK;
/* Done or not. ERROR_DATA "unknown-task". */
int store_task_get(struct store *store, int64_t id, struct store_task *ret_task, struct error *error) MUST_CHECK;
int store_task_done(struct store *store, int64_t id, const json_t *result, int64_t now, struct error *error) MUST_CHECK;
/* The API polls this: *ret_done; then *ret_result is its own. */
int store_task_result(struct store *store, int64_t id, bool *ret_done, json_t **ret_result,
		      struct error *error) MUST_CHECK;

#endif
