#include <string.h>

#include "base/text.h"
#include "keys/document.h"
#include "keys/order.h"

/* An order that was made this long after now shows a clock that cannot be trusted with a window. */
#define ORDER_CLOCK_MOST (10 * 60)

#define TEXT_MOST(member) (sizeof(((struct order *)NULL)->member) - 1)

static const struct jsonio_field order_fields[] = {
	{"_type", JSONIO_STRING, true, 32},
	{"action", JSONIO_STRING, true, 16},
	{"upgrade", JSONIO_STRING, true, TEXT_MOST(upgrade)},
	{"appliance", JSONIO_STRING, true, KEY_ID_MOST - 1},
	{"product", JSONIO_STRING, true, TEXT_MOST(product)},
	{"version", JSONIO_STRING, true, TEXT_MOST(version)},
	{"manifest", JSONIO_STRING, true, 2 * HASH_SIZE},
	{"start", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"end", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"last_start", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"issued", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"expires", JSONIO_STRING, true, CLOCK_UTC_SIZE - 1},
	{"fence", JSONIO_INTEGER, true, INT64_MAX},
	{"overrun", JSONIO_STRING, true, 16},
	{"nonce", JSONIO_STRING, true, 2 * ORDER_NONCE_SIZE},
	{"audit_head", JSONIO_STRING, true, 2 * HASH_SIZE},
	{NULL},
};

static const char *const actions[] = {[ORDER_UPGRADE] = "upgrade", [ORDER_ROLLBACK] = "rollback"};
static const char *const overruns[] = {"rollback", "finish"};

json_t *order_document(const struct order *order)
{
	char manifest[HASH_HEX_SIZE], nonce[2 * ORDER_NONCE_SIZE + 1], audit_head[HASH_HEX_SIZE];

	hash_to_hex(order->manifest, HASH_SIZE, manifest);
	hash_to_hex(order->nonce, ORDER_NONCE_SIZE, nonce);
	hash_to_hex(order->audit_head, HASH_SIZE, audit_head);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:s, s:s}", "_type",
			 "order", "action", actions[order->action], "upgrade", order->upgrade, "appliance",
			 order->appliance, "product", order->product, "version", order->version, "manifest", manifest,
			 "start", document_time(order->start), "end", document_time(order->end), "last_start",
			 document_time(order->last_start), "issued", document_time(order->issued), "expires",
			 document_time(order->expires), "fence", (json_int_t)order->fence, "overrun",
			 overruns[order->finish_overrun], "nonce", nonce, "audit_head", audit_head);
}

static int choose(const char *text, const char *const choices[static 2], const char *name, int *ret_index,
		  struct error *error)
{
	for (int i = 0; i < 2; i++)
		if (!strcmp(text, choices[i])) {
			*ret_index = i;
			return 0;
		}
	return error_set(error, ERROR_DATA, "format", "order: %s is %s or %s, not %s", name, choices[0], choices[1],
			 text);
}

static int read_times(const json_t *document, struct order *order, struct error *error)
{
	const struct {
		const char *name;
		int64_t *time;
	} times[] = {
		{"start", &order->start},   {"end", &order->end},         {"last_start", &order->last_start},
		{"issued", &order->issued}, {"expires", &order->expires},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int r = document_read_time(document, times[i].name, "order", times[i].time, error);

		if (r)
			return r;
	}
	return 0;
}

/* Strings were bounded by the table to the size of their arrays. */
static int read_document(const json_t *document, struct order *ret_order, struct error *error)
{
	struct order order = {0};
	int action = 0, overrun = 0;
	int r = jsonio_check(document, order_fields, "order", error);

	if (r)
		return r;
	if (strcmp(jsonio_string(document, "_type"), "order") != 0)
		return error_set(error, ERROR_DATA, "format", "a signed %s stands where an order is needed",
				 jsonio_string(document, "_type"));
	r = choose(jsonio_string(document, "action"), actions, "action", &action, error);
	if (!r)
		r = choose(jsonio_string(document, "overrun"), overruns, "overrun", &overrun, error);
	if (!r)
		r = hash_from_hex(jsonio_string(document, "manifest"), order.manifest, HASH_SIZE, error);
	if (!r)
		r = hash_from_hex(jsonio_string(document, "nonce"), order.nonce, ORDER_NONCE_SIZE, error);
	if (!r)
		r = hash_from_hex(jsonio_string(document, "audit_head"), order.audit_head, HASH_SIZE, error);
	if (!r)
		r = read_times(document, &order, error);
	if (r)
		return r;
	order.action = (enum order_action)action;
	order.finish_overrun = overrun == 1;
	text_copy(order.upgrade, sizeof order.upgrade, jsonio_string(document, "upgrade"));
	text_copy(order.appliance, sizeof order.appliance, jsonio_string(document, "appliance"));
	text_copy(order.product, sizeof order.product, jsonio_string(document, "product"));
	text_copy(order.version, sizeof order.version, jsonio_string(document, "version"));
	order.fence = jsonio_integer(document, "fence");
	*ret_order = order;
	return 0;
}

static int check_shape(const struct order *order, int64_t now, struct error *error)
{
	char text[CLOCK_UTC_SIZE];

	if (!*order->upgrade || !*order->appliance || !*order->product || !*order->version || order->fence < 1)
		return error_set(error, ERROR_DATA, "format",
				 "order: upgrade, appliance, product, version and fence are needed");
	if (order->start > order->last_start || order->last_start > order->end || order->start >= order->end)
		return error_set(error, ERROR_DATA, "format", "order %s: its window ends before it starts",
				 order->upgrade);
	if (order->expires <= order->issued || order->expires - order->issued > ORDER_LIFE_MOST)
		return error_set(error, ERROR_DATA, "format", "order %s: an order lives %d hours at most",
				 order->upgrade, ORDER_LIFE_MOST / 3600);
	if (order->expires <= now) {
		clock_format_utc(order->expires, text);
		return error_set(error, ERROR_DATA, "freeze", "order %s expired at %s; a new one is needed",
				 order->upgrade, text);
	}
	return 0;
}

/* The id under which the key stands in authority.json: fences are compared within it. */
static const char *signer_of(const struct envelope *envelope, const struct key_set *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		if (envelope_signed_by(envelope, keys->keys[i]))
			return key_id(keys->keys[i]);
	return NULL;
}

int order_parse(const void *bytes, size_t size, const struct authority *authority, int64_t now, struct order *ret_order,
		char ret_key_id[static KEY_ID_MOST], struct error *error)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct order order;
	const char *signer;
	int r;

	if (size > ORDER_MOST)
		return error_set(error, ERROR_DATA, "length", "order: longer than %d bytes", ORDER_MOST);
	r = envelope_parse(bytes, size, "order", &envelope, error);
	if (!r)
		r = envelope_verify(envelope, &authority->order, "order", error);
	if (!r)
		r = read_document(envelope_signed(envelope), &order, error);
	if (!r)
		r = check_shape(&order, now, error);
	if (r)
		return r;
	signer = signer_of(envelope, &authority->order);
	if (!signer)
		return error_set(error, ERROR_BUG, "signature", "order %s: verified, but by no key", order.upgrade);
	*ret_order = order;
	text_copy(ret_key_id, KEY_ID_MOST, signer);
	return 0;
}

static int outside_window(const struct order *order, int64_t now, struct error *error)
{
	char start[CLOCK_UTC_SIZE], last[CLOCK_UTC_SIZE], at[CLOCK_UTC_SIZE];

	clock_format_utc(order->start, start);
	clock_format_utc(order->last_start, last);
	clock_format_utc(now, at);
	return error_set(error, ERROR_NOT_NOW, "window", "order %s may start from %s to %s, and it is %s",
			 order->upgrade, start, last, at);
}

int order_check(const struct order *order, const struct order_expectation *expectation, struct error *error)
{
	if (strcmp(order->appliance, expectation->appliance) != 0)
		return error_set(error, ERROR_DATA, "appliance",
				 "order %s is for the appliance with key %.16s…, not for this one", order->upgrade,
				 order->appliance);
	if (strcmp(order->product, expectation->product) != 0)
		return error_set(error, ERROR_DATA, "product", "order %s is for product %s; here runs %s",
				 order->upgrade, order->product, expectation->product);
	if (!secret_equal(order->nonce, expectation->nonce, ORDER_NONCE_SIZE))
		return error_set(error, ERROR_DATA, "nonce",
				 "order %s does not repeat this appliance's nonce: it is a replay", order->upgrade);
	if (order->issued > expectation->now + ORDER_CLOCK_MOST)
		return error_set(error, ERROR_DATA, "clock",
				 "order %s was made more than %d minutes after now: set this appliance's clock",
				 order->upgrade, ORDER_CLOCK_MOST / 60);
	if (order->fence < expectation->highest_fence)
		return error_set(error, ERROR_DATA, "fence", "order %s has fence %lld; %lld was seen already",
				 order->upgrade, (long long)order->fence, (long long)expectation->highest_fence);
	if (expectation->now < order->start || expectation->now > order->last_start)
		return outside_window(order, expectation->now, error);
	return 0;
}
