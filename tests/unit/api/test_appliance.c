/* Join codes, and windows as they are shown. */
#include "api_fixture.h"

#include "keys/joincode.h"

#define ADD_BOX9                                                                                                       \
	"{\"name\":\"box9\",\"contract\":\"C1\",\"product\":\"vpn\",\"ha_group\":\"pair\",\"tags\":[\"a\",\"b\"]}"

/* The one-time key that the code seeds, as the hub would be told it. */
static bool admits(struct world *world, const char *text)
{
	struct joincode code;
	uint8_t seed[SECRET_ED25519_SEED], public_key[SECRET_ED25519_PUBLIC], secret[SECRET_ED25519_SECRET];
	char hex[HASH_HEX_SIZE];
	CLEANUP(jsonio_free) json_t *keys = NULL;
	size_t index;
	const json_t *key;

	assert_ok(joincode_read(text, &code, &world->error), world->error);
	assert_string_equal(code.host, "hub.example");
	assert_int_equal(code.port, 2022);
	hash_to_hex(code.root, sizeof(code.root), hex);
	assert_string_equal(hex, ROOT_HEX);
	hash_to_hex(code.host_key, sizeof(code.host_key), hex);
	assert_string_equal(hex, HOST_HEX);
	joincode_seed(&code, seed);
	secret_ed25519_from_seed(seed, public_key, secret);
	hash_to_hex(public_key, sizeof(public_key), hex);
	assert_ok(store_appliance_keys(world->store, NOW, &keys, &world->error), world->error);
	json_array_foreach(keys, index, key)
	{
		if (strcmp(jsonio_string(key, "key"), hex) == 0)
			return strcmp(jsonio_string(key, "kind"), "join") == 0;
	}
	return false;
}

static void test_join_code(void **state)
{
	struct world *world = *state;
	char first[JOINCODE_TEXT_MOST];

	expect(0, world, "tom/technician", "POST", "/v1/appliances", ADD_BOX9);
	snprintf(first, sizeof(first), "%s", said(world, "code"));
	assert_true(admits(world, first));
	expect(73, world, "tom/technician", "POST", "/v1/appliances", ADD_BOX9);
	expect(0, world, "tom/technician", "POST", "/v1/appliances/box9/code", NULL);
	assert_true(admits(world, said(world, "code")));
	assert_false(admits(world, first)); /* replaced */
	expect(0, world, "tom/technician", "GET", "/v1/appliances/box9", NULL);
	assert_string_equal(said(world, "tags"), "a,b");
	expect(0, world, "tom/technician", "POST", "/v1/appliances/box9/revoke", NULL);
	expect(77, world, "tom/technician", "POST", "/v1/appliances/box9/code", NULL);
}

static void test_refused_appliances(void **state)
{
	struct world *world = *state;

	expect(64, world, "tom/technician", "POST", "/v1/appliances",
	       "{\"name\":\"a b\",\"contract\":\"C1\",\"product\":\"vpn\"}");
	expect(64, world, "tom/technician", "POST", "/v1/appliances",
	       "{\"name\":\"box9\",\"contract\":\"C7\",\"product\":\"vpn\"}");
	expect(64, world, "tom/technician", "POST", "/v1/appliances",
	       "{\"name\":\"box9\",\"contract\":\"C1\",\"product\":\"vpn\",\"tags\":[\"a,b\"]}");
	expect(64, world, "tom/technician", "POST", "/v1/appliances",
	       "{\"name\":\"box9\",\"contract\":\"C1\",\"product\":\"vpn\",\"tags\":[7]}");
	world->settings.hub_public[0] = '\0';
	expect(78, world, "tom/technician", "POST", "/v1/appliances", ADD_BOX9);
}

static void test_why(void **state)
{
	struct world *world = *state;

	expect(0, world, "tom/technician", "GET", "/v1/appliances/box1/why", NULL);
	assert_non_null(strstr(said(world, "why"), "tunnel is closed"));
	assert_true(json_is_null(json_object_get(world->answer, "upgrade")));
	world->now = 1814400000;
	expect(0, world, "tom/technician", "GET", "/v1/appliances/box1/why", NULL);
	assert_non_null(strstr(said(world, "why"), "contract renew C1"));
}

static void test_windows(void **state)
{
	struct world *world = *state;
	const char *const bad = "{\"ini\":\"[window a]\\nzone = UTC\\nrule = weekly SU 01:30\\nduration = 2h\\n"
				"[window b]\\nzone = UTC\\nrule = weekly XX 01:30\\nduration = 2h\\n\"}";

	expect(65, world, "tom/technician", "PUT", "/v1/windows/box1", bad);
	expect(65, world, "tom/technician", "PUT", "/v1/windows/box1", "{\"ini\":\"\"}");
	expect(0, world, "tom/technician", "GET", "/v1/windows/box1", NULL);
	assert_string_equal(said(world, "ini"), ALL_DAY); /* as it was */
	expect(75, world, "tom/technician", "GET", "/v1/windows/acme", NULL);
	expect(0, world, "tom/technician", "PUT", "/v1/windows/acme",
	       "{\"ini\":\"[window c]\\nzone = Europe/London\\nrule = weekly SU 01:30\\nduration = 2h\\n\","
	       "\"requester\":\"Ann\"}");
	assert_string_equal(said(world, "requester"), "Ann");
	expect(0, world, "tom/technician", "GET", "/v1/windows/acme", NULL);
	const json_t *list = jsonio_member(world->answer, "occurrences");
	assert_int_equal(json_array_size(list), 5);
	assert_string_equal(jsonio_string(json_array_get(list, 0), "utc"), "2027-01-17T01:30:00Z");
	/* A name that is both must say which. */
	expect(0, world, "sue/accounts", "POST", "/v1/customers", "{\"name\":\"box1\"}");
	expect(64, world, "tom/technician", "GET", "/v1/windows/box1", NULL);
	expect(0, world, "tom/technician", "GET", "/v1/windows/appliance:box1", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_join_code, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused_appliances, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_why, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_windows, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
