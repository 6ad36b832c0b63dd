#include <string.h>

#include "base/config.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_contract.h"
#include "orchestrator/store/store_customer.h"

#define RENEWALS_WITHIN "60d"

int api_customer_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *name = jsonio_string(call->body, "name");
	int result = api_name_check("a customer's name", name, error);

	if (result == 0)
		result = store_customer_add(call->store, name, call->caller->actor, call->now, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s}", "name", name);
	return result;
}

int api_customer_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_customer_list(call->store, ret_answer, error);
}

int api_customer_show(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_customer_show(call->store, call->parameters[0], ret_answer, error);
}

int api_customer_contact_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *person = jsonio_string(call->body, "person");
	int result = api_line_check("a contact's name", person ? person : "", 100, error);

	if (result == 0)
		result = store_customer_contact_add(call->store, call->parameters[0], person ? person : "",
						    jsonio_string(call->body, "email"), call->caller->actor, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:s}", "customer", call->parameters[0], "email",
					jsonio_string(call->body, "email"));
	return result;
}

int api_customer_contact_remove(struct api_call *call, json_t **ret_answer, struct error *error)
{
	int result = store_customer_contact_remove(call->store, call->parameters[0], call->parameters[1],
						   call->caller->actor, error);

	if (result == 0)
		*ret_answer = json_pack("{s:s,s:s}", "customer", call->parameters[0], "email", call->parameters[1]);
	return result;
}

int api_customer_contract_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_contract contract = {.users = jsonio_integer(call->body, "users")};
	const struct {
		const char *field;
		char *target;
		size_t size;
	} texts[] = {
		{"id", contract.id, sizeof(contract.id)},
		{"customer", contract.customer, sizeof(contract.customer)},
		{"kind", contract.kind, sizeof(contract.kind)},
		{"tier", contract.tier, sizeof(contract.tier)},
		{"until", contract.support_until, sizeof(contract.support_until)},
		{"zone", contract.zone, sizeof(contract.zone)},
	};
	const char *tier = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		snprintf(texts[i].target, texts[i].size, "%s", jsonio_string(call->body, texts[i].field));
	int result = api_name_check("a contract's id", contract.id, error);
	if (result == 0)
		result = store_contract_add(call->store, &contract, call->caller->actor, call->now, &tier, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:s,s:s,s:s}", "id", contract.id, "customer", contract.customer, "tier",
					tier, "support_until", contract.support_until);
	return result;
}

int api_customer_contract_renew(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *id = call->parameters[0], *tier = jsonio_string(call->body, "tier");
	int64_t users = jsonio_member(call->body, "users") ? jsonio_integer(call->body, "users") : -1;
	int result = store_contract_renew(call->store, id, jsonio_string(call->body, "until"), tier ? tier : "", users,
					  call->caller->actor, call->now, error);

	return result < 0 ? result : store_contract_show(call->store, id, ret_answer, error);
}

int api_customer_contract_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *customer = call->query(call, "customer");
	int result = customer[0] ? store_customer_check(call->store, customer, error) : 0;

	return result < 0 ? result : store_contract_list(call->store, customer[0] ? customer : NULL, ret_answer, error);
}

int api_customer_contract_show(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_contract_show(call->store, call->parameters[0], ret_answer, error);
}

int api_customer_renewals(struct api_call *call, json_t **ret_answer, struct error *error)
{
	const char *within = call->query(call, "within");
	int64_t seconds = 0;

	if (config_parse_seconds(within[0] ? within : RENEWALS_WITHIN, &seconds, error) < 0) {
		error->code = ERROR_USAGE;
		return error_prefix(error, "--within");
	}
	return store_contract_renewals(call->store, call->now + seconds, ret_answer, error);
}
