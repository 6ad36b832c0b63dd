/* RUN and ROLLBACK by the real session: an order is for this appliance, this release, this nonce, this fence, this
 * time. */
#include "tests/unit/check/exchange.h"

static void put_nonce(struct world *world, struct exchange *exchange, uint8_t nonce[static ORDER_NONCE_SIZE])
{
	struct error error = {0};
	ask(world, exchange, MESSAGE_NONCE, json_object());
	assert_granted(*exchange);
	assert_ok(hash_from_hex(jsonio_string(exchange->reply, "nonce"), nonce, ORDER_NONCE_SIZE, &error));
}

/* A good order, to be spoilt. */
static struct order make_order(const struct world *world, enum order_action action, const uint8_t *nonce)
{
	int64_t now = clock_now();
	struct order order = {
		.action = action,
		.start = now - 60,
		.end = now + 7200,
		.last_start = now + 3600,
		.issued = now,
		.expires = now + 7200,
		.fence = 7,
	};
	struct error error = {0};
	const json_t *target =
		json_object_get(json_object_get(world->repository.targets, "targets"), "probe/1.1/manifest.json");
	strcpy(order.upgrade, "u1");
	strcpy(order.appliance, world->appliance);
	strcpy(order.product, "probe");
	strcpy(order.version, action == ORDER_UPGRADE ? "1.1" : "1.0");
	memcpy(order.nonce, nonce, ORDER_NONCE_SIZE);
	assert_ok(hash_from_hex(json_string_value(json_object_get(json_object_get(target, "hashes"), "sha256")),
				order.manifest, HASH_SIZE, &error));
	return order;
}

static json_t *run_body(const struct world *world, const struct order *order)
{
	return json_pack("{s:s, s:o, s:o}", "upgrade", "u1", "order", envelope_of(order_document(order), ORDER_KEY),
			 "entitlement", entitlement(world, 30, "premium"));
}

typedef void spoil(struct order *order);

/* RUN with an order that was spoilt so: refused by that name, and act never hears of it. */
static void run_refused(struct world *world, spoil *spoil_it, int code, const char *name)
{
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE];
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, &exchange, nonce);
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	if (spoil_it)
		spoil_it(&order);
	ask(world, &exchange, MESSAGE_RUN, run_body(world, &order));
	assert_refusal(exchange, code, name);
	assert_false(act_was_asked("switch"));
	exchange_free(&exchange);
	end_session(world);
}

static void test_good(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE];
	char key[KEY_ID_MOST];
	world->fence = 6;
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, &exchange, nonce);
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	ask(world, &exchange, MESSAGE_RUN, run_body(world, &order));
	assert_granted(exchange);
	assert_string_equal(jsonio_string(exchange.reply, "outcome"), "committed");
	assert_true(json_is_object(jsonio_member(exchange.reply, "receipt")));
	assert_int_equal(exchange.events, 1);
	assert_string_equal(jsonio_string(exchange.last_event, "state"), "switched");
	CLEANUP(jsonio_free) json_t *request = asked_act("switch");
	assert_string_equal(json_string_value(json_object_get(request, "version")), "1.1");
	assert_string_equal(json_string_value(json_object_get(request, "upgrade")), "u1");
	assert_int_equal(json_integer_value(json_object_get(request, "fence")), 7);
	assert_int_equal(json_integer_value(json_object_get(request, "end")), order.end);
	assert_int_equal(json_integer_value(json_object_get(request, "last_start")), order.last_start);
	json_decref(key_number(ORDER_KEY[0], key));
	assert_string_equal(json_string_value(json_object_get(request, "order_key")), key);
	/* The nonce is spent. */
	ask(world, &exchange, MESSAGE_RUN, run_body(world, &order));
	assert_refusal(exchange, ERROR_DATA, "nonce");
	exchange_free(&exchange);
}

static void other_appliance(struct order *order)
{
	memset(order->appliance, 'a', strlen(order->appliance));
}
static void other_product(struct order *order)
{
	strcpy(order->product, "other");
}
static void other_upgrade(struct order *order)
{
	strcpy(order->upgrade, "u2");
}
static void other_nonce(struct order *order)
{
	order->nonce[0] ^= 1;
}
static void other_manifest(struct order *order)
{
	order->manifest[31] ^= 1;
}
static void too_late(struct order *order)
{
	order->start -= 7200;
	order->last_start = order->start + 60;
}
static void too_early(struct order *order)
{
	order->start += 600;
}
static void from_the_future(struct order *order)
{
	order->issued += 1200;
}
static void from_the_past(struct order *order)
{
	order->issued -= 1200;
}
static void run_out(struct order *order)
{
	order->issued -= 300;
	order->expires = order->issued + 60;
}
static void a_rollback(struct order *order)
{
	order->action = ORDER_ROLLBACK;
}

static void test_spoilt(void **state)
{
	struct world *world = *state;
	static const struct {
		spoil *spoil;
		int code;
		const char *name;
	} cases[] = {
		{other_appliance, ERROR_DATA, "appliance"}, {other_product, ERROR_DATA, "product"},
		{other_upgrade, ERROR_DATA, "upgrade"},     {other_nonce, ERROR_DATA, "nonce"},
		{other_manifest, ERROR_DATA, "hash"},       {too_late, ERROR_NOT_NOW, "window"},
		{too_early, ERROR_NOT_NOW, "window"},       {from_the_future, ERROR_DATA, "clock"},
		{from_the_past, ERROR_DATA, "clock"},       {run_out, ERROR_DATA, "freeze"},
		{a_rollback, ERROR_DATA, "action"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_refused(world, cases[i].spoil, cases[i].code, cases[i].name);
}

static void test_lower_fence(void **state)
{
	struct world *world = *state;
	world->fence = 8;
	run_refused(world, NULL, ERROR_DATA, "fence");
}

static void test_no_nonce(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE] = {0};
	start_session(world, SESSION_CONTROL, "status,upgrade");
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	ask(world, &exchange, MESSAGE_RUN, run_body(world, &order));
	assert_refusal(exchange, ERROR_DATA, "nonce");
	exchange_free(&exchange);
}

static void test_wrong_signer(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE];
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, &exchange, nonce);
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	/* Entitlement keys sign no orders. */
	ask(world, &exchange, MESSAGE_RUN,
	    json_pack("{s:s, s:o, s:o}", "upgrade", "u1", "order", envelope_of(order_document(&order), ENTITLEMENT_KEY),
		      "entitlement", entitlement(world, 30, "premium")));
	assert_refusal(exchange, ERROR_DATA, "signature");
	exchange_free(&exchange);
}

/* What was staged in time is not switched after the lapse; entitlement speaks before the order does. */
static void test_lapsed_meanwhile(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE];
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, &exchange, nonce);
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	other_nonce(&order);
	ask(world, &exchange, MESSAGE_RUN,
	    json_pack("{s:s, s:o, s:o}", "upgrade", "u1", "order", envelope_of(order_document(&order), ORDER_KEY),
		      "entitlement", entitlement(world, -2, "premium")));
	assert_refusal(exchange, ERROR_NOT_PERMITTED, "entitlement");
	exchange_free(&exchange);
}

static void put_window(int64_t start, const char *duration)
{
	char utc[CLOCK_UTC_SIZE], text[256];
	clock_format_utc(start, utc);
	snprintf(text, sizeof(text), "[window own]\nzone = UTC\nrule = once %.16s\nduration = %s\ncutoff = 1m\n", utc,
		 duration);
	put_file("product/window.ini", text, strlen(text), 0644);
}

static void test_own_window(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	uint8_t nonce[ORDER_NONCE_SIZE];
	/* Tomorrow: the order's window does not help. */
	put_window(clock_now() + 86400, "2h");
	run_refused(world, NULL, ERROR_NOT_NOW, "window");
	/* Unreadable is closed. */
	put_file("product/window.ini", "nonsense", 8, 0644);
	run_refused(world, NULL, ERROR_DATA, "window");
	/* Open now: it narrows the order's. */
	int64_t start = (clock_now() - 120) / 60 * 60;
	put_window(start, "1h");
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, &exchange, nonce);
	struct order order = make_order(world, ORDER_UPGRADE, nonce);
	ask(world, &exchange, MESSAGE_RUN, run_body(world, &order));
	assert_granted(exchange);
	CLEANUP(jsonio_free) json_t *request = asked_act("switch");
	assert_int_equal(json_integer_value(json_object_get(request, "end")), start + 3600);
	assert_true(json_integer_value(json_object_get(request, "last_start")) <= start + 3600 - 60);
	exchange_free(&exchange);
}

/* --- rollback --- */

static void roll_back(struct world *world, struct exchange *exchange, spoil *spoil_it)
{
	uint8_t nonce[ORDER_NONCE_SIZE];
	start_session(world, SESSION_CONTROL, "status,upgrade");
	put_nonce(world, exchange, nonce);
	struct order order = make_order(world, ORDER_ROLLBACK, nonce);
	if (spoil_it)
		spoil_it(&order);
	ask(world, exchange, MESSAGE_ROLLBACK,
	    json_pack("{s:s, s:o, s:s}", "upgrade", "u1", "order", envelope_of(order_document(&order), ORDER_KEY),
		      "data", "restore"));
}

static void test_rollback(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	roll_back(world, &exchange, NULL);
	assert_granted(exchange);
	CLEANUP(jsonio_free) json_t *request = asked_act("rollback");
	assert_string_equal(json_string_value(json_object_get(request, "version")), "1.0");
	assert_string_equal(json_string_value(json_object_get(request, "data")), "restore");
	exchange_free(&exchange);
	end_session(world);
	roll_back(world, &exchange, other_appliance);
	assert_refusal(exchange, ERROR_DATA, "appliance");
	exchange_free(&exchange);
	end_session(world);
	roll_back(world, &exchange, other_nonce);
	assert_refusal(exchange, ERROR_DATA, "nonce");
	assert_false(act_was_asked("rollback"));
	exchange_free(&exchange);
}

static void days_off(struct order *order)
{
	const int64_t days = 10 * 86400;
	order->issued += days;
	order->expires += days;
	order->start += days;
	order->last_start += days;
	order->end += days;
}

/* A clock ten days off, metadata that expired and a yank stop no rollback; an order for an upgrade they do. */
static void test_rollback_against_odds(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	roll_back(world, &exchange, NULL);
	assert_granted(exchange);
	exchange_free(&exchange);
	end_session(world);
	json_object_set_new(world->repository.timestamp, "expires", json_string("2026-02-01T00:00:00Z"));
	publish_next(&world->repository);
	roll_back(world, &exchange, days_off);
	assert_granted(exchange);
	assert_true(act_was_asked("rollback"));
	exchange_free(&exchange);
	end_session(world);
	run_refused(world, days_off, ERROR_DATA, "freeze");
}

static void an_hour_off(struct order *order)
{
	const int64_t seconds = 3600;
	order->issued += seconds;
	order->expires += seconds;
	order->start += seconds;
	order->last_start += seconds;
	order->end += seconds;
}

/* A stolen order key may date a rollback as it likes: the customer's own window stays shut. */
static void test_rollback_outside_own_window(void **state)
{
	struct world *world = *state;
	struct exchange exchange = {0};
	put_window((clock_now() + 1800) / 60 * 60, "1h");
	roll_back(world, &exchange, an_hour_off);
	assert_refusal(exchange, ERROR_NOT_NOW, "window");
	assert_false(act_was_asked("rollback"));
	exchange_free(&exchange);
}

#define one(name) cmocka_unit_test_setup_teardown(test_##name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		one(good),
		one(spoilt),
		one(lower_fence),
		one(no_nonce),
		one(wrong_signer),
		one(lapsed_meanwhile),
		one(own_window),
		one(rollback),
		one(rollback_against_odds),
		one(rollback_outside_own_window),
	};
	return cmocka_run_group_tests_name("check/order", tests, pack_all, drop_packed);
}
