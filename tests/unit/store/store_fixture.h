/* A store of its own in a directory of its own, with one customer, one contract and a pair of appliances. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/secret.h"
#include "orchestrator/store/store_appliance.h"
#include "orchestrator/store/store_upgrade.h"

struct store_fixture {
	char directory[64], path[96];
	struct store *store;
};

#define FIXTURE_NOW INT64_C(1800000000)

#define MUST(expression)                                                                                               \
	do {                                                                                                           \
		if (expression)                                                                                        \
			fail_msg("%s: %s (%s)", #expression, error.text, error.name);                                  \
	} while (0)

static inline void fixture_appliance(struct store *store, const char *name, const char *group)
{
	struct error error;
	struct store_appliance box = {0};
	snprintf(box.name, sizeof box.name, "%s", name);
	snprintf(box.ha_group, sizeof box.ha_group, "%s", group);
	strcpy(box.contract, "C1");
	strcpy(box.product, "vpn");
	MUST(store_appliance_add(store, &box, "technician:ann", FIXTURE_NOW, &error));
}

static inline int fixture_setup(void **state)
{
	struct error error;
	struct store_fixture *fixture = calloc(1, sizeof *fixture);
	MUST(secret_start(&error));
	strcpy(fixture->directory, "/tmp/nightshift-store-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->directory);
	MUST(store_open(fixture->path, &fixture->store, &error));
	MUST(store_change(fixture->store, NULL, &error, "INSERT INTO customer VALUES ('acme', 1)", ""));
	MUST(store_change(fixture->store, NULL, &error,
			  "INSERT INTO contract VALUES ('C1','acme','on-premise','premium','2027-06-30','UTC',?,10,1)",
			  "i", FIXTURE_NOW + 1000000));
	fixture_appliance(fixture->store, "box1", "pair");
	fixture_appliance(fixture->store, "box2", "pair");
	*state = fixture;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct store_fixture *fixture = *state;
	struct error error;
	store_free(&fixture->store);
	int result = file_remove_tree_at(AT_FDCWD, fixture->directory, &error);
	free(fixture);
	return result;
}

static inline struct store_upgrade fixture_booking(const char *appliance)
{
	struct store_upgrade booking = {
		.starts = FIXTURE_NOW, .ends = FIXTURE_NOW + 7200, .last_start = FIXTURE_NOW + 3600};
	snprintf(booking.appliance, sizeof booking.appliance, "%s", appliance);
	strcpy(booking.product, "vpn");
	strcpy(booking.from_version, "1.0");
	strcpy(booking.to_version, "1.1");
	strcpy(booking.requested_by, "ann");
	strcpy(booking.window_name, "sunday");
	strcpy(booking.zone, "UTC");
	strcpy(booking.local_start, "2027-01-15T08:00");
	return booking;
}

static inline int fixture_step(struct store *store, const char *id, enum upgrade_state to, enum upgrade_owner owner,
			       struct error *error)
{
	struct store_upgrade_step step = {.to = to,
					  .owner = owner,
					  .actor = "engine",
					  .text = "test",
					  .fence = -1,
					  .held_for = "tunnel",
					  .now = FIXTURE_NOW};
	return store_upgrade_step(store, id, &step, error);
}

/* Books and brings it to due. */
static inline void fixture_due(struct store *store, const char *appliance, char id[static STORE_UPGRADE_ID_SIZE])
{
	struct error error;
	struct store_upgrade booking = fixture_booking(appliance);
	MUST(store_upgrade_book(store, &booking, "technician:ann", FIXTURE_NOW, id, &error));
	MUST(fixture_step(store, id, UPGRADE_STAGING, UPGRADE_ENGINE, &error));
	MUST(fixture_step(store, id, UPGRADE_STAGED, UPGRADE_HOOK, &error));
	MUST(fixture_step(store, id, UPGRADE_DUE, UPGRADE_ENGINE, &error));
}

#endif
