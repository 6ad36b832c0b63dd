#include <stdlib.h>
#include <string.h>

#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_import.h"
#include "orchestrator/store/store_release.h"

int api_release_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *product = call->query(call, "product");

	return store_release_list(call->store, product[0] ? product : NULL, ret_answer, error);
}

static int set_halt(struct api_call *call, enum store_halt halt, const char *reason, json_t **ret_answer,
		    struct error *error)
{
	const char *version = call->parameters[0];
	int result = api_line_check("a reason", reason, 200, error);

	if (result == 0)
		result = store_release_halt(call->store, version, halt, reason, call->caller->actor, call->now, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:b}", "version", version, "halted", halt == STORE_HALT);
	return result;
}

int api_release_halt(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return set_halt(call, STORE_HALT, jsonio_string(call->body, "reason"), ret_answer, error);
}

int api_release_unhalt(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return set_halt(call, STORE_UNHALT, "", ret_answer, error);
}

/* A request for the engine, which has the import process verify the whole chain. */
int api_release_import(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *directory = jsonio_string(call->body, "directory");
	int64_t id = 0;
	int result = api_line_check("a directory", directory, 1023, error);

	if (result == 0 && directory[0] != '/')
		return error_set(error, ERROR_USAGE, "directory", "directory \"%.100s\" must be an absolute path",
				 directory);
	if (result == 0)
		result = store_import_request(call->store, directory, call->caller->actor, call->now, &id, error);
	if (result == 0)
		*ret_answer = json_pack("{s:I}", "id", (json_int_t)id);
	return result;
}

static const char *const import_words[] = {
	[STORE_IMPORT_REQUESTED] = "requested",
	[STORE_IMPORT_RUNNING] = "running",
	[STORE_IMPORT_DONE] = "done",
	[STORE_IMPORT_REFUSED] = "refused",
};

int api_release_import_state(struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(free_pointer) struct store_import *import = calloc(1, sizeof(*import));
	CLEANUP(jsonio_free) json_t *releases = NULL;
	int64_t id = 0;
	int result = api_number_parse("an import", call->parameters[0], 1, INT64_MAX, &id, error);

	if (result == 0 && !import)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for import %lld", (long long)id);
	if (result == 0)
		result = store_import_get(call->store, id, import, error);
	if (result == 0 && import->state == STORE_IMPORT_DONE)
		result =
			jsonio_parse(import->detail, strlen(import->detail), "the import's releases", &releases, error);
	if (result == 0)
		*ret_answer =
			json_pack("{s:I,s:s,s:s,s:i,s:s,s:O?}", "id", (json_int_t)id, "directory", import->directory,
				  "state", import_words[import->state], "code", import->code, "text",
				  import->state == STORE_IMPORT_REFUSED ? import->detail : "", "releases", releases);
	return result;
}
