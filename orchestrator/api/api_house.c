#include <string.h>

#include "keys/sshkey.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_audit.h"
#include "orchestrator/store/store_status.h"
#include "orchestrator/store/store_task.h"
#include "orchestrator/store/store_technician.h"
#include "orchestrator/store/store_tunnel.h"

#define AUDIT_ROWS_MOST 10000
#define AUDIT_ROWS      1000

int api_house_tunnels(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_tunnel_list(call->store, ret_answer, error);
}

int api_house_tunnel_close(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *appliance = call->parameters[0];
	struct store_appliance known;
	struct store_tunnel tunnel;
	bool open = false;
	int64_t task = 0;
	int result = store_appliance_get(call->store, appliance, &known, error);

	if (result == 0)
		result = store_tunnel_get(call->store, appliance, &tunnel, &open, error);
	if (result == 0 && !open)
		return error_set(error, ERROR_UNREACHABLE, "tunnel", "appliance %s has no open tunnel", appliance);
	if (result == 0)
		result = store_task_add(call->store, "tunnel-close", appliance, "", call->caller->actor, call->now,
					&task, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:I}", "appliance", appliance, "task", (json_int_t)task);
	return result;
}

int api_house_task(struct api_call *call, json_t **ret_answer, struct error *error)
{
	json_t *task_result = NULL;
	int64_t id = 0;
	bool done = false;
	int result = api_number_parse("a task", call->parameters[0], 1, INT64_MAX, &id, error);

	if (result == 0)
		result = store_task_result(call->store, id, &done, &task_result, error);
	if (result == 0)
		*ret_answer = json_pack("{s:I,s:b,s:o?}", "id", (json_int_t)id, "done", done, "result", task_result);
	return result;
}

int api_house_technician_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_technician technician = {0};
	const char *name = jsonio_string(call->body, "name"), *login = jsonio_string(call->body, "login");
	uint8_t public_key[SECRET_ED25519_PUBLIC];
	char key[sizeof(technician.public_key)];

	/* The newline at the end of a .pub file is not part of the line. */
	snprintf(key, sizeof(key), "%s", jsonio_string(call->body, "key"));
	key[strcspn(key, "\r\n")] = '\0';
	int result = api_name_check("a technician's name", name, error);
	if (result == 0)
		result = api_line_check("a login", login, STORE_NAME_SIZE - 1, error);
	if (result == 0)
		result = api_line_check("a key", key, sizeof(key) - 1, error);
	if (result == 0)
		result = sshkey_public_read(key, public_key, error);
	if (result < 0)
		return result;
	snprintf(technician.name, sizeof(technician.name), "%s", name);
	snprintf(technician.login, sizeof(technician.login), "%s", login);
	snprintf(technician.public_key, sizeof(technician.public_key), "%s", key);
	snprintf(technician.role, sizeof(technician.role), "%s", jsonio_string(call->body, "role"));
	result = store_technician_add(call->store, &technician, call->caller->actor, call->now, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:s,s:s}", "name", name, "login", login, "role", technician.role);
	return result;
}

int api_house_technician_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_technician_list(call->store, ret_answer, error);
}

int api_house_technician_remove(struct api_call *call, json_t **ret_answer, struct error *error)
{
	int result = store_technician_remove(call->store, call->parameters[0], call->caller->actor, error);

	if (result == 0)
		*ret_answer = json_pack("{s:s}", "name", call->parameters[0]);
	return result;
}

int api_house_audit(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *object = call->query(call, "object"), *after = call->query(call, "after");
	const char *most = call->query(call, "most");
	int64_t after_seq = 0, rows = AUDIT_ROWS;
	int result = after[0] ? api_number_parse("after", after, 0, INT64_MAX, &after_seq, error) : 0;

	if (result == 0 && most[0])
		result = api_number_parse("most", most, 1, AUDIT_ROWS_MOST, &rows, error);
	return result < 0
		       ? result
		       : store_audit_list(call->store, after_seq, object[0] ? object : NULL, rows, ret_answer, error);
}

int api_house_audit_verify(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *hex = call->query(call, "head");
	uint8_t wanted[HASH_SIZE], head[HASH_SIZE];
	char text[HASH_HEX_SIZE];
	int64_t rows = 0, seq = 0;
	int result = hex[0] ? hash_from_hex(hex, wanted, sizeof(wanted), error) : 0;

	if (result == 0)
		result = store_audit_verify(call->store, hex[0] ? wanted : NULL, &rows, error);
	if (result == 0)
		result = store_audit_head(call->store, head, &seq, error);
	if (result < 0)
		return result;
	hash_to_hex(head, sizeof(head), text);
	*ret_answer = json_pack("{s:b,s:I,s:s}", "whole", 1, "rows", (json_int_t)rows, "head", text);
	return 0;
}

int api_house_status(struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *status = NULL;
	int result = store_status(call->store, call->now, &status, error);

	if (result < 0)
		return result;
	if (json_object_set_new(status, "technician", json_string(call->caller->name)) < 0 ||
	    json_object_set_new(status, "role", json_string(api_role_word(call->caller->role))) < 0 ||
	    json_object_set_new(status, "version", json_string(NIGHTSHIFT_VERSION)) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the status");
	*ret_answer = TAKE(status);
	return 0;
}
