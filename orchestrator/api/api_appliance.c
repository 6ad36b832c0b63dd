#include <string.h>

#include "base/clock.h"
#include "keys/joincode.h"
#include "orchestrator/api/api_handlers.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_contract.h"
#include "orchestrator/store/store_fact.h"
#include "orchestrator/store/store_gate.h"
#include "orchestrator/store/store_tunnel.h"
#include "orchestrator/store/store_upgrade.h"

#define CODE_LIFE (48 * 60 * 60)

/* All that a code holds but its secret: where the hub is, which key it shows, which root the appliance must have. */
static int begin_code(struct api_call *call, struct joincode *ret_code, struct error *error)
{
	struct joincode code = {0};
	char root[STORE_FACT_SIZE];

	if (!call->settings->hub_public[0])
		return error_set(error, ERROR_CONFIG, "public",
				 "[hub] public is not set in nightshiftd.conf, so no appliance would find the hub");
	if (!call->settings->host_key[0])
		return error_set(error, ERROR_CONFIG, "host-key",
				 "the hub's host key is not known: see [hub] host_key in nightshiftd.conf");
	int result =
		settings_split_address(call->settings->hub_public, code.host, sizeof(code.host), &code.port, error);
	if (result == 0)
		result = hash_from_hex(call->settings->host_key, code.host_key, sizeof(code.host_key), error);
	if (result == 0)
		result = store_fact_get(call->store, STORE_FACT_ROOT, root, error);
	if (result == 0 && !root[0])
		return error_set(
			error, ERROR_NOT_NOW, "root",
			"no release was imported yet, so there is no root key to pin: `nightshift release import "
			"DIR` first");
	if (result == 0)
		result = hash_from_hex(root, code.root, sizeof(code.root), error);
	if (result == 0)
		*ret_code = code;
	return result;
}

/* The store keeps the public half of the one-time key; the code itself is nowhere but in this answer. */
static int give_code(struct api_call *call, const char *appliance, json_t **ret_answer, struct error *error)
{
	struct joincode code;
	uint8_t seed[SECRET_ED25519_SEED], public_key[SECRET_ED25519_PUBLIC], secret[SECRET_ED25519_SECRET];
	char text[JOINCODE_TEXT_MOST];
	int64_t expires = call->now + CODE_LIFE;
	int result = begin_code(call, &code, error);

	if (result < 0)
		return result;
	secret_random(code.secret, sizeof(code.secret));
	joincode_seed(&code, seed);
	secret_ed25519_from_seed(seed, public_key, secret);
	result = joincode_write(&code, text, error);
	if (result == 0)
		result = store_appliance_code(call->store, appliance, public_key, expires, call->caller->actor,
					      call->now, error);
	if (result == 0)
		*ret_answer = json_pack("{s:s,s:s,s:I}", "appliance", appliance, "code", text, "expires",
					(json_int_t)expires);
	secret_wipe(&code, sizeof(code));
	secret_wipe(seed, sizeof(seed));
	secret_wipe(secret, sizeof(secret));
	secret_wipe(text, sizeof(text));
	return result;
}

/* "a,b" from ["a", "b"]. */
static int join_tags(const json_t *tags, char *ret_text, size_t capacity, struct error *error)
{
	size_t index, size = 0;
	json_t *tag;

	ret_text[0] = '\0';
	json_array_foreach(tags, index, tag)
	{
		const char *text = json_string_value(tag);
		if (api_name_check("a tag", text ? text : "", error) < 0)
			return -(int)error->code;
		size += (size_t)snprintf(ret_text + size, capacity - size, "%s%s", index ? "," : "", text);
		if (size >= capacity)
			return error_set(error, ERROR_USAGE, "tags", "the tags are longer than %zu bytes together",
					 capacity - 1);
	}
	return 0;
}

int api_appliance_add(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_appliance appliance = {0};
	struct store_contract contract;
	const struct {
		const char *field, *what;
		char *target;
	} names[] = {
		{"name", "an appliance's name", appliance.name}, {"contract", "a contract's id", appliance.contract},
		{"product", "a product", appliance.product},     {"channel", "a channel", appliance.channel},
		{"ha_group", "an HA group", appliance.ha_group},
	};
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && result == 0; i++) {
		const char *value = jsonio_string(call->body, names[i].field);
		if (!value)
			continue;
		result = api_name_check(names[i].what, value, error);
		snprintf(names[i].target, STORE_NAME_SIZE, "%s", value);
	}
	if (result == 0)
		result = join_tags(jsonio_member(call->body, "tags"), appliance.tags, sizeof(appliance.tags), error);
	if (result == 0)
		result = store_contract_get(call->store, appliance.contract, &contract, error);
	if (result == 0)
		result = store_appliance_add(call->store, &appliance, call->caller->actor, call->now, error);
	return result < 0 ? result : give_code(call, appliance.name, ret_answer, error);
}

int api_appliance_code(struct api_call *call, json_t **ret_answer, struct error *error)
{
	struct store_appliance appliance;
	int result = store_appliance_get(call->store, call->parameters[0], &appliance, error);

	if (result == 0 && appliance.revoked)
		return error_set(error, ERROR_NOT_PERMITTED, "revoked",
				 "appliance %s is revoked: add it anew under another name", appliance.name);
	return result < 0 ? result : give_code(call, appliance.name, ret_answer, error);
}

int api_appliance_list(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_appliance_list(call->store, ret_answer, error);
}

int api_appliance_show(struct api_call *call, json_t **ret_answer, struct error *error)
{
	return store_appliance_show(call->store, call->parameters[0], ret_answer, error);
}

int api_appliance_revoke(struct api_call *call, json_t **ret_answer, struct error *error)
{
	int result = store_appliance_revoke(call->store, call->parameters[0], call->caller->actor, call->now, error);

	if (result == 0)
		*ret_answer = json_pack("{s:s,s:b}", "appliance", call->parameters[0], "revoked", 1);
	return result;
}

/* What can stand in the way of any upgrade of a box that has none booked, the nearest obstacle first. */
static void find_obstacle(struct api_call *call, const struct store_appliance *appliance, char *ret_why, size_t size)
{
	struct store_contract contract = {0};
	struct store_tunnel tunnel;
	struct error ignored;
	bool connected = false;

	if (appliance->revoked) {
		snprintf(ret_why, size, "it is revoked");
	} else if (!appliance->joined) {
		snprintf(ret_why, size,
			 "it has not joined yet: give its admin the code of `nightshift appliance code %s`",
			 appliance->name);
	} else if (appliance->duplicate) {
		snprintf(ret_why, size,
			 "it shows as duplicate (a clone or a restored snapshot): join it again with `nightshift "
			 "appliance code %s`",
			 appliance->name);
	} else if (store_contract_get(call->store, appliance->contract, &contract, &ignored) == 0 &&
		   call->now >= contract.ends) {
		snprintf(ret_why, size, "support ended on %s: `nightshift contract renew %s --until DATE` frees it",
			 contract.support_until, contract.id);
	} else if (store_tunnel_get(call->store, appliance->name, &tunnel, &connected, &ignored) == 0 && !connected) {
		snprintf(ret_why, size, "nothing is booked, and its tunnel is closed");
	} else {
		snprintf(ret_why, size, "nothing is booked: `nightshift upgrade book %s --to VERSION` does",
			 appliance->name);
	}
}

int api_appliance_why(struct api_call *call, json_t **ret_answer, struct error *error)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	json_t *upgrade = NULL;
	struct store_appliance appliance;
	struct store_upgrade current;
	char why[STORE_TEXT_SIZE];
	bool found = false;
	int result = store_appliance_get(call->store, call->parameters[0], &appliance, error);

	if (result == 0)
		result = store_upgrade_current(call->store, appliance.name, &current, &found, error);
	if (result == 0)
		result = store_appliance_show(call->store, appliance.name, &answer, error);
	if (result == 0 && found)
		result = store_upgrade_show(call->store, current.id, &upgrade, error);
	if (result < 0)
		return result;
	if (found && current.why[0])
		snprintf(why, sizeof(why), "%s", current.why);
	else if (found)
		snprintf(why, sizeof(why), "upgrade %s is %s", current.id, upgrade_state_name(current.state));
	else
		find_obstacle(call, &appliance, why, sizeof(why));
	if (json_object_set_new(answer, "why", json_string(why)) < 0 ||
	    json_object_set_new(answer, "upgrade", upgrade ? upgrade : json_null()) < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the answer");
	*ret_answer = TAKE(answer);
	return 0;
}
