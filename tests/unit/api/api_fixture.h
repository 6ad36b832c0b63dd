/* A small world: customer acme with a premium contract, appliance box1 that runs 1.0, releases 1.0 to 3.0, a window
 * that is open all day; and people of each role who call routes without HTTP between. */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include "tests/unit/fixture.h"

#include "orchestrator/api/api_route.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_contract.h"
#include "orchestrator/store/store_customer.h"
#include "orchestrator/store/store_fact.h"
#include "orchestrator/store/store_release.h"
#include "orchestrator/store/store_upgrade.h"
#include "orchestrator/store/store_window.h"

#define NOW      INT64_C(1800000000) /* 2027-01-15T08:00:00Z, a Friday */
#define DAY      (24 * 60 * 60)
#define ACTOR    "technician:setup"
#define ALL_DAY  "[window daily]\nzone = UTC\nrule = weekly MO,TU,WE,TH,FR,SA,SU 00:00\nduration = 24h\ncutoff = 1m\n"
#define SUNDAYS  "[window sunday]\nzone = Europe/London\nrule = weekly SU 01:30\nduration = 2h\ncutoff = 10m\n"
#define ROOT_HEX "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
#define HOST_HEX "abababababababababababababababababababababababababababababababab"

struct world {
	char directory[64], path[96];
	struct store *store;
	struct api_settings settings;
	json_t *answer; /* of the last call */
	struct error error;
	int64_t now;
};

static inline void world_release(struct world *world, const char *version, int64_t sequence)
{
	struct store_release release = {
		.sequence = sequence, .published = NOW - 30 * DAY, .need = 600, .bytes = 1000, .length = 1};

	strcpy(release.product, "vpn");
	snprintf(release.version, sizeof(release.version), "%s", version);
	snprintf(release.target, sizeof(release.target), "vpn-%s.json", version);
	strcpy(release.channels, "stable,edge");
	assert_ok(store_release_put(world->store, &release, &world->error), world->error);
}

static inline void world_window(struct world *world, const char *ini)
{
	const struct store_window_change change = {STORE_WINDOW_APPLIANCE, "box1", ini, ""};

	assert_ok(store_window_set(world->store, &change, "w.ini", ACTOR, NOW, &world->error), world->error);
}

static inline void world_contract(struct world *world, const char *id, const char *tier, const char *until)
{
	struct store_contract contract = {.users = 10};

	snprintf(contract.id, sizeof(contract.id), "%s", id);
	strcpy(contract.customer, "acme");
	strcpy(contract.kind, "on-premise");
	snprintf(contract.tier, sizeof(contract.tier), "%s", tier);
	snprintf(contract.support_until, sizeof(contract.support_until), "%s", until);
	strcpy(contract.zone, "UTC");
	assert_ok(store_contract_add(world->store, &contract, ACTOR, NOW, NULL, &world->error), world->error);
}

/* An appliance that has joined and said hello. */
static inline void world_appliance(struct world *world, const char *name, const char *contract, const char *version)
{
	struct store_appliance appliance = {0};
	uint8_t code[HASH_SIZE], key[HASH_SIZE];
	char key_id[HASH_HEX_SIZE], joined[STORE_NAME_SIZE];
	bool duplicate;
	struct store_appliance_hello hello = {
		.version = version, .state = "idle", .upgrade = "", .generation = 1, .now = NOW};

	snprintf(appliance.name, sizeof(appliance.name), "%s", name);
	snprintf(appliance.contract, sizeof(appliance.contract), "%s", contract);
	strcpy(appliance.product, "vpn");
	strcpy(appliance.tags, "blue,green");
	secret_random(code, sizeof(code));
	secret_random(key, sizeof(key));
	hash_to_hex(key, sizeof(key), key_id);
	struct error *error = &world->error;
	assert_ok(store_appliance_add(world->store, &appliance, ACTOR, NOW, error), *error);
	assert_ok(store_appliance_code(world->store, name, code, NOW + DAY, ACTOR, NOW, error), *error);
	assert_ok(store_appliance_join(world->store, code, key, key_id, NOW, joined, error), *error);
	assert_ok(store_appliance_hello(world->store, name, &hello, &duplicate, error), *error);
}

static inline int world_setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error *error = &world->error;

	assert_ok(secret_start(error), *error);
	strcpy(world->directory, "/tmp/nightshift-api-XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(world->path, sizeof(world->path), "%s/store.db", world->directory);
	assert_ok(store_open(world->path, &world->store, error), *error);
	world->settings.hub_public = strdup("hub.example:2022");
	strcpy(world->settings.host_key, HOST_HEX);
	world->now = NOW;
	assert_ok(store_fact_set(world->store, STORE_FACT_ROOT, ROOT_HEX, error), *error);
	assert_ok(store_customer_add(world->store, "acme", ACTOR, NOW, error), *error);
	assert_ok(store_customer_contact_add(world->store, "acme", "Ann", "ann@acme.example", ACTOR, error), *error);
	world_contract(world, "C1", "premium", "2027-06-30");
	world_appliance(world, "box1", "C1", "1.0");
	world_release(world, "1.0", 1);
	world_release(world, "2.0", 2);
	world_release(world, "3.0", 3);
	world_window(world, ALL_DAY);
	*state = world;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *world = *state;
	struct error error;

	jsonio_free(&world->answer);
	store_free(&world->store);
	free(world->settings.hub_public);
	int result = file_remove_tree_at(AT_FDCWD, world->directory, &error);
	free(world);
	return result;
}

static inline const char *no_query(const struct api_call *call, const char *name)
{
	(void)call;
	(void)name;
	return "";
}

/* `who` is "NAME/ROLE". `body` NULL or JSON. Returns the exit code. */
static inline int ask(struct world *world, const char *who, const char *method, const char *path, const char *body)
{
	struct api_caller caller = {0};
	struct api_call call = {.store = world->store,
				.settings = &world->settings,
				.caller = &caller,
				.now = world->now,
				.query = no_query};
	CLEANUP(jsonio_free) json_t *parsed = NULL;
	const struct api_route *route;
	char storage[API_PATH_MOST];
	size_t name = strcspn(who, "/");

	snprintf(caller.name, sizeof(caller.name), "%.*s", (int)name, who);
	snprintf(caller.actor, sizeof(caller.actor), "technician:%s", caller.name);
	caller.role = api_role_from_word(who + name + 1);
	jsonio_free(&world->answer);
	world->error = (struct error){0};
	if (body)
		assert_ok(jsonio_parse(body, strlen(body), "body", &parsed, &world->error), world->error);
	if (api_route_find(method, path, storage, call.parameters, &route, &world->error) < 0 ||
	    api_route_run(route, &call, parsed, &world->answer, &world->error) < 0) {
		assert_true(world->error.text[0]);
		return (int)world->error.code;
	}
	assert_non_null(world->answer);
	return 0;
}

/* With the reason at hand when it is not what was wanted. */
#define expect(code, world, who, method, path, body)                                                                   \
	do {                                                                                                           \
		int got_ = ask(world, who, method, path, body);                                                        \
		if (got_ != (code))                                                                                    \
			fail_msg("%s %s %s: %d, not %d: %s", who, method, path, got_, (code), (world)->error.text);    \
	} while (0)

static inline const char *said(const struct world *world, const char *name)
{
	const char *text = jsonio_string(world->answer, name);

	return text ? text : "";
}

#endif
