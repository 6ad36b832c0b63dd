/* Imports: the API asks, the engine has them run, the answer lies here. */
#ifndef STORE_STORE_IMPORT_H
#define STORE_STORE_IMPORT_H

#include "orchestrator/store/store.h"

enum store_import_state { STORE_IMPORT_REQUESTED, STORE_IMPORT_RUNNING, STORE_IMPORT_DONE, STORE_IMPORT_REFUSED };

struct store_import {
	int64_t id;
	char directory[1024];
	char requested_by[STORE_NAME_SIZE];
	enum store_import_state state;
	int code;           /* exit code of a refusal */
	char detail[16384]; /* sentence of a refusal, or a JSON list of {product, version} */
};

int store_import_request(struct store *store, const char *directory, const char *actor, int64_t now, int64_t *ret_id,
			 struct error *error) MUST_CHECK;
int store_import_get(struct store *store, int64_t id, struct store_import *ret_import, struct error *error) MUST_CHECK;
/* Takes the oldest that is requested and marks it running: *ret_found. At engine start, runs cut short are asked for
 * again by store_import_restart. */
int store_import_take(struct store *store, struct store_import *ret_import, bool *ret_found,
		      struct error *error) MUST_CHECK;
int store_import_restart(struct store *store, struct error *error) MUST_CHECK;
int store_import_done(struct store *store, int64_t id, const char *detail, struct error *error) MUST_CHECK;
int store_import_refused(struct store *store, int64_t id, const struct error *why, struct error *error) MUST_CHECK;

#endif
