/* Appliances without a network: a file goes there, receipts come back. */
#include <fcntl.h>
#include <string.h>

#include "base/config.h"
#include "base/file.h"
#include "keys/offline.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_receipt.h"
#include "orchestrator/store/store_task.h"

#define VALID_DEFAULT "60d"
#define HOUR          3600

static int read_valid(const char *text, int64_t *ret_seconds, struct error *error)
{
	int64_t seconds = 0;

	if (config_parse_seconds(text ? text : VALID_DEFAULT, &seconds, error) < 0) {
		error->code = ERROR_USAGE;
		return error_prefix(error, "--valid");
	}
	if (seconds < HOUR || seconds > OFFLINE_LIFE_MOST)
		return error_set(error, ERROR_USAGE, "valid", "--valid is from 1h to %dd, not %.15s",
				 OFFLINE_LIFE_MOST / (24 * HOUR), text ? text : VALID_DEFAULT);
	*ret_seconds = seconds;
	return 0;
}

/* A task for the engine, which holds the releases and asks the signer. */
int api_offline_export(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *appliance = jsonio_string(call->body, "appliance"), *version = jsonio_string(call->body, "version");
	struct store_appliance box;
	char argument[128];
	int64_t seconds = 0, task = 0;
	int result = read_valid(jsonio_string(call->body, "valid"), &seconds, error);

	if (result == 0)
		result = api_name_check("a version", version, error);
	if (result == 0)
		result = store_appliance_get(call->store, appliance, &box, error);
	snprintf(argument, sizeof argument, "%s %lld", version, (long long)seconds);
	if (result == 0)
		result = store_task_add(call->store, "export", appliance, argument, call->caller->actor, call->now,
					&task, error);
	if (result == 0)
		*ret_answer = json_pack("{s:I}", "task", (json_int_t)task);
	return result;
}

/* The finished file, to whoever asked for it. */
int api_offline_file(struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(file_close) int directory = -1;
	CLEANUP(file_close) int file = -1;
	CLEANUP(jsonio_free) json_t *done_with = NULL;
	struct store_task task;
	struct error missing = {0};
	bool done = false;
	int64_t id = 0;
	char name[64];
	int result = api_number_parse("an export", call->parameters[0], 1, INT64_MAX, &id, error);

	if (result == 0)
		result = store_task_get(call->store, id, &task, error);
	if (result == 0 && strcmp(task.kind, "export") != 0)
		return error_set(error, ERROR_USAGE, "export", "task %lld is no export", (long long)id);
	if (result == 0 && strcmp(task.requested_by, call->caller->actor) != 0)
		return error_set(error, ERROR_NOT_PERMITTED, "export", "export %lld was asked for by %s", (long long)id,
				 task.requested_by);
	if (result == 0)
		result = store_task_result(call->store, id, &done, &done_with, error);
	if (result == 0 && !done)
		return error_set(error, ERROR_NOT_NOW, "export", "export %lld is not written yet", (long long)id);
	if (result == 0)
		result = file_open_directory(call->settings->exports, &directory, error);
	if (result < 0)
		return result;
	snprintf(name, sizeof name, "%lld.bundle", (long long)id);
	if (file_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &file, &missing) < 0)
		return error_set(error, ERROR_DATA, "missing", "export %lld stood for a day and is gone: export again",
				 (long long)id);
	*ret_answer = json_object();
	call->file = file;
	file = -1;
	return 0;
}

int api_offline_receipt(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_receipt receipt;
	int result = store_receipt_import(call->store, jsonio_member(call->body, "receipt"), call->caller->actor,
					  call->now, &receipt, error);

	if (result == 0)
		*ret_answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "appliance", receipt.appliance,
					"upgrade", receipt.upgrade, "from", receipt.from, "to", receipt.to, "outcome",
					receipt.outcome, "new", (int)receipt.is_new, "changed", (int)receipt.changed);
	return result;
}

int api_offline_receipt_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *appliance = call->query(call, "appliance");

	return store_receipt_list(call->store, appliance[0] ? appliance : NULL, ret_answer, error);
}
