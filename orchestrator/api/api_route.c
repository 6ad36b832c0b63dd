#include "orchestrator/api/api_route.h"

#include <string.h>

#include "orchestrator/api/api_handlers.h"

#define NAME(field, need)                                                                                              \
	{                                                                                                              \
		.name = (field), .type = JSONIO_STRING, .required = (need), .most = STORE_NAME_SIZE - 1                \
	}
#define TEXT(field, need, bytes)                                                                                       \
	{                                                                                                              \
		.name = (field), .type = JSONIO_STRING, .required = (need), .most = (bytes)                            \
	}
#define END                                                                                                            \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}
#define REQUIRED true
#define OPTIONAL false

#define INI_MOST    (512 * 1024)
#define PATH_BYTES  1023
#define REASON_MOST 200
#define DATE_BYTES  10
#define USERS_MOST  100000000

static const struct jsonio_field nothing[] = {END};
static const struct jsonio_field customer_fields[] = {NAME("name", REQUIRED), END};
static const struct jsonio_field contact_fields[] = {TEXT("email", REQUIRED, 254), TEXT("person", OPTIONAL, 100), END};
static const struct jsonio_field contract_fields[] = {
	NAME("id", REQUIRED),
	NAME("customer", REQUIRED),
	TEXT("kind", REQUIRED, 15),
	TEXT("tier", REQUIRED, 31),
	TEXT("until", REQUIRED, DATE_BYTES),
	NAME("zone", REQUIRED),
	{.name = "users", .type = JSONIO_INTEGER, .required = REQUIRED, .most = USERS_MOST},
	END,
};
static const struct jsonio_field renew_fields[] = {
	TEXT("until", REQUIRED, DATE_BYTES),
	TEXT("tier", OPTIONAL, 31),
	{.name = "users", .type = JSONIO_INTEGER, .most = USERS_MOST},
	END,
};
static const struct jsonio_field appliance_fields[] = {
	NAME("name", REQUIRED),
	NAME("contract", REQUIRED),
	NAME("product", REQUIRED),
	NAME("channel", OPTIONAL),
	NAME("ha_group", OPTIONAL),
	{.name = "tags", .type = JSONIO_ARRAY, .most = 16},
	END,
};
static const struct jsonio_field halt_fields[] = {TEXT("reason", REQUIRED, REASON_MOST), END};
static const struct jsonio_field import_fields[] = {TEXT("directory", REQUIRED, PATH_BYTES), END};
static const struct jsonio_field export_fields[] = {
	NAME("appliance", REQUIRED),
	NAME("version", REQUIRED),
	TEXT("valid", OPTIONAL, 15),
	END,
};
static const struct jsonio_field receipt_fields[] = {
	{.name = "receipt", .type = JSONIO_OBJECT, .required = REQUIRED, .most = 2},
	END,
};
static const struct jsonio_field window_fields[] = {
	TEXT("ini", REQUIRED, INI_MOST),
	TEXT("file", OPTIONAL, 255),
	TEXT("requester", OPTIONAL, 100),
	END,
};
static const struct jsonio_field freeze_fields[] = {TEXT("ini", REQUIRED, INI_MOST), TEXT("file", OPTIONAL, 255), END};
static const struct jsonio_field plan_fields[] = {NAME("appliance", REQUIRED), NAME("to", REQUIRED), END};
static const struct jsonio_field book_fields[] = {
	NAME("appliance", REQUIRED), NAME("to", REQUIRED), TEXT("window", OPTIONAL, 15), TEXT("at", OPTIONAL, 40), END,
};
static const struct jsonio_field approve_fields[] = {TEXT("customer", OPTIONAL, 254), END};
static const struct jsonio_field reason_fields[] = {TEXT("reason", OPTIONAL, REASON_MOST), END};
static const struct jsonio_field move_fields[] = {TEXT("window", OPTIONAL, 15), TEXT("at", OPTIONAL, 40), END};
static const struct jsonio_field rollback_fields[] = {
	TEXT("window", OPTIONAL, 15),
	TEXT("at", OPTIONAL, 40),
	{.name = "now", .type = JSONIO_BOOLEAN},
	TEXT("reason", OPTIONAL, REASON_MOST),
	END,
};
static const struct jsonio_field resolve_fields[] = {
	TEXT("as", REQUIRED, 15),
	TEXT("reason", REQUIRED, REASON_MOST),
	END,
};
static const struct jsonio_field technician_fields[] = {
	NAME("name", REQUIRED), NAME("login", REQUIRED), TEXT("key", REQUIRED, 500), TEXT("role", REQUIRED, 15), END,
};

/* An admin may whatever somebody may; that nobody approves what he asked for is a rule of the store, roles or not. */
#define SELL    (API_ADMIN | API_ACCOUNTS)
#define OPERATE (API_ADMIN | API_TECHNICIAN)
#define STOP    (API_ADMIN | API_TECHNICIAN | API_APPROVER)
#define APPROVE (API_ADMIN | API_APPROVER)

static const struct api_route routes[] = {
	{"GET", "/v1/status", API_ANYONE, api_house_status, NULL},

	{"GET", "/v1/customers", API_ANYONE, api_customer_list, NULL},
	{"POST", "/v1/customers", SELL, api_customer_add, customer_fields},
	{"GET", "/v1/customers/*", API_ANYONE, api_customer_show, NULL},
	{"POST", "/v1/customers/*/contacts", SELL, api_customer_contact_add, contact_fields},
	{"DELETE", "/v1/customers/*/contacts/*", SELL, api_customer_contact_remove, NULL},
	{"GET", "/v1/contracts", API_ANYONE, api_customer_contract_list, NULL},
	{"POST", "/v1/contracts", SELL, api_customer_contract_add, contract_fields},
	{"GET", "/v1/contracts/*", API_ANYONE, api_customer_contract_show, NULL},
	{"POST", "/v1/contracts/*/renew", SELL, api_customer_contract_renew, renew_fields},
	{"GET", "/v1/renewals", API_ANYONE, api_customer_renewals, NULL},

	{"GET", "/v1/appliances", API_ANYONE, api_appliance_list, NULL},
	{"POST", "/v1/appliances", OPERATE, api_appliance_add, appliance_fields},
	{"GET", "/v1/appliances/*", API_ANYONE, api_appliance_show, NULL},
	{"GET", "/v1/appliances/*/why", API_ANYONE, api_appliance_why, NULL},
	{"POST", "/v1/appliances/*/code", OPERATE, api_appliance_code, nothing},
	{"POST", "/v1/appliances/*/revoke", OPERATE, api_appliance_revoke, nothing},

	{"GET", "/v1/releases", API_ANYONE, api_release_list, NULL},
	{"POST", "/v1/releases/*/halt", STOP, api_release_halt, halt_fields},
	{"POST", "/v1/releases/*/unhalt", APPROVE, api_release_unhalt, nothing},
	{"POST", "/v1/imports", OPERATE, api_release_import, import_fields},
	{"GET", "/v1/imports/*", API_ANYONE, api_release_import_state, NULL},

	{"POST", "/v1/exports", OPERATE, api_offline_export, export_fields},
	{"GET", "/v1/exports/*", OPERATE, api_offline_file, NULL},
	{"GET", "/v1/receipts", API_ANYONE, api_offline_receipt_list, NULL},
	{"POST", "/v1/receipts", OPERATE, api_offline_receipt, receipt_fields},

	{"GET", "/v1/windows/*", API_ANYONE, api_window_show, NULL},
	{"PUT", "/v1/windows/*", OPERATE, api_window_set, window_fields},
	{"GET", "/v1/freezes", API_ANYONE, api_window_freeze_list, NULL},
	{"POST", "/v1/freezes", OPERATE, api_window_freeze_add, freeze_fields},
	{"DELETE", "/v1/freezes/*", OPERATE, api_window_freeze_remove, NULL},

	{"POST", "/v1/plans", OPERATE, api_upgrade_plan, plan_fields},
	{"GET", "/v1/tasks/*", API_ANYONE, api_house_task, NULL},
	{"GET", "/v1/upgrades", API_ANYONE, api_upgrade_list, NULL},
	{"POST", "/v1/upgrades", OPERATE, api_upgrade_book, book_fields},
	{"GET", "/v1/upgrades/*", API_ANYONE, api_upgrade_show, NULL},
	{"POST", "/v1/upgrades/*/approve", APPROVE, api_upgrade_approve, approve_fields},
	{"POST", "/v1/upgrades/*/decline", APPROVE, api_upgrade_decline, reason_fields},
	{"POST", "/v1/upgrades/*/pause", STOP, api_upgrade_pause, reason_fields},
	{"POST", "/v1/upgrades/*/resume", OPERATE, api_upgrade_resume, nothing},
	{"POST", "/v1/upgrades/*/move", OPERATE, api_upgrade_move, move_fields},
	{"POST", "/v1/upgrades/*/abort", STOP, api_upgrade_abort, reason_fields},
	{"POST", "/v1/upgrades/*/retry", OPERATE, api_upgrade_retry, move_fields},
	{"POST", "/v1/upgrades/*/rollback", OPERATE, api_upgrade_rollback, rollback_fields},
	{"POST", "/v1/upgrades/*/resolve", OPERATE, api_upgrade_resolve, resolve_fields},

	{"GET", "/v1/tunnels", API_ANYONE, api_house_tunnels, NULL},
	{"POST", "/v1/tunnels/*/close", OPERATE, api_house_tunnel_close, nothing},

	{"GET", "/v1/technicians", API_ANYONE, api_house_technician_list, NULL},
	{"POST", "/v1/technicians", API_ADMIN, api_house_technician_add, technician_fields},
	{"DELETE", "/v1/technicians/*", API_ADMIN, api_house_technician_remove, NULL},
	{"GET", "/v1/audit", API_ANYONE, api_house_audit, NULL},
	{"GET", "/v1/audit/verify", API_ANYONE, api_house_audit_verify, NULL},
};

#define PARTS_MOST 8

/* Splits at slashes in place; false when there are too many parts or an empty one. */
static bool split_path(char *path, const char *parts[static PARTS_MOST], size_t *ret_count)
{
	size_t count = 0;

	if (path[0] != '/')
		return false;
	for (char *next = path; next;) {
		char *part = next + 1;
		*next = '\0';
		next = strchr(part, '/');
		if (count == PARTS_MOST || part[0] == '\0' || part[0] == '/')
			return false;
		parts[count++] = part;
	}
	*ret_count = count;
	return true;
}

static bool matches(const char *pattern, const char *const *parts, size_t count,
		    const char *ret_parameters[static API_PARAMETERS_MOST])
{
	size_t starred = 0;

	for (size_t i = 0; i < count; i++) {
		if (*pattern++ != '/')
			return false;
		size_t length = strcspn(pattern, "/");
		if (length == 1 && pattern[0] == '*' && starred < API_PARAMETERS_MOST)
			ret_parameters[starred++] = parts[i];
		else if (strlen(parts[i]) != length || memcmp(parts[i], pattern, length) != 0)
			return false;
		pattern += length;
	}
	return *pattern == '\0';
}

int api_route_find(const char *method, const char *path, char storage[static API_PATH_MOST],
		   const char *ret_parameters[static API_PARAMETERS_MOST], const struct api_route **ret_route,
		   struct error *error)
{
	const char *parts[PARTS_MOST];
	size_t length = strlen(path), count = 0;

	if (length < API_PATH_MOST) {
		memcpy(storage, path, length + 1);
		if (!split_path(storage, parts, &count))
			count = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes) && count; i++) {
		const char *parameters[API_PARAMETERS_MOST] = {"", ""};
		if (strcmp(routes[i].method, method) != 0 || !matches(routes[i].pattern, parts, count, parameters))
			continue;
		memcpy(ret_parameters, parameters, sizeof(parameters));
		*ret_route = &routes[i];
		return 0;
	}
	return error_set(error, ERROR_USAGE, "route", "%.10s %.100s is nothing that this API knows", method, path);
}

static int check_role(const struct api_route *route, const struct api_caller *caller, struct error *error)
{
	char may[96] = "";
	size_t size = 0;

	if (route->roles & caller->role)
		return 0;
	for (unsigned role = API_ADMIN; role <= API_AUDITOR; role <<= 1)
		if (route->roles & role)
			size += (size_t)snprintf(may + size, sizeof(may) - size, "%s%s", size ? ", " : "",
						 api_role_word(role));
	return error_set(error, ERROR_NOT_PERMITTED, "role",
			 "technician %s has the role %s, and %s %s takes one of: %s", caller->name,
			 api_role_word(caller->role), route->method, route->pattern, may);
}

static int run_handler(const struct api_route *route, struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(store_rollback) struct store_transaction transaction = {0};
	CLEANUP(jsonio_free) json_t *answer = NULL;
	bool changes = strcmp(route->method, "GET") != 0;
	int result = changes ? store_begin(call->store, &transaction, error) : 0;

	if (result == 0)
		result = route->handler(call, &answer, error);
	if (result == 0 && !answer)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the answer");
	if (result == 0 && changes)
		result = store_commit(&transaction, error);
	if (result == 0)
		*ret_answer = TAKE(answer);
	return result;
}

int api_route_run(const struct api_route *route, struct api_call *call, const json_t *body, json_t **ret_answer,
		  struct error *error)
{
	CLEANUP(jsonio_free) json_t *empty = json_object();
	int result = check_role(route, call->caller, error);

	if (result == 0 && !route->fields && body)
		return error_set(error, ERROR_USAGE, "body", "%s %s takes no body", route->method, route->pattern);
	if (result == 0 && route->fields) {
		call->body = body ? body : empty;
		result = jsonio_check(call->body, route->fields, "the request", error);
		/* What a caller got wrong here is how he asked, not a piece of data that went bad. */
		if (result < 0 && error->code == ERROR_DATA)
			error->code = ERROR_USAGE;
	}
	if (result == 0)
		result = run_handler(route, call, ret_answer, error);
	if (result < 0 && error->code == ERROR_DATA && strncmp(error->name, "unknown-", strlen("unknown-")) == 0)
		error->code = ERROR_USAGE;
	return result < 0 ? -(int)error->code : 0;
}
