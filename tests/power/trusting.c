#include "tests/power/trusting.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance-hook/check/floor.h"
#include "appliance-hook/check/technicians.h"
#include "base/file.h"
#include "keys/technicians.h"
#include "tests/unit/keys/fixture.h"

#define AUTHORITY  "authority.json"
#define ROOT_TURNS 4 /* the offer from which on a second root stands, with another key for the timestamp */
#define DAY        86400

struct store {
	int trust, metadata;
	struct repository offered;
	struct buffer installed;
	struct trust *chain;
};

static void store_close(struct store *store)
{
	trust_free(&store->chain);
	repository_free(&store->offered);
	buffer_free(&store->installed);
	file_close(&store->metadata);
	file_close(&store->trust);
}

static void name_technicians(struct repository *repository, int number)
{
	struct technician one = {.name = "ada"};
	const struct technicians technicians = {&one, 1};
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT(TECHNICIANS_SIZE_MOST);
	struct error error = {0};

	memset(one.key, number, sizeof one.key);
	assert_ok(technicians_write(&technicians, &bytes, &error));
	assert_ok(buffer_append(&bytes, "", 1, &error));
	add_target(repository, TECHNICIANS_TARGET, (const char *)bytes.data);
}

/* As the support centre stood then. */
static void offer(struct repository *repository, int number)
{
	char text[64];

	repository_init(repository);
	for (int i = 1; i <= number; i++) {
		if (i == ROOT_TURNS) {
			set_version(repository->root, 2);
			set_role(repository, "timestamp", "\6", 1);
			repository->signers[ROLE_TIMESTAMP] = "\6";
			publish_root(repository);
		}
		snprintf(text, sizeof text, "{\"says\":%d}", i);
		add_target(repository, AUTHORITY, text);
		name_technicians(repository, i);
		if (i == 1)
			publish_all(repository);
		else
			publish_next(repository);
	}
}

static int store_open(struct fixture *fixture, int number, struct store *store, struct error *error)
{
	char path[128];

	*store = (struct store){.trust = -1, .metadata = -1};
	offer(&store->offered, 1);
	store->installed = sign_document(store->offered.root, "\1");
	repository_free(&store->offered);
	offer(&store->offered, number);
	snprintf(path, sizeof path, "%s/state/trust", fixture->directory);
	int status = file_open_directory(path, &store->trust, error);
	snprintf(path, sizeof path, "%s/state/trust/metadata", fixture->directory);
	if (status == 0)
		status = file_open_directory(path, &store->metadata, error);
	return status == 0
		       ? trust_open(store->metadata, store->installed.data, store->installed.size, &store->chain, error)
		       : status;
}

void trusting_begin(struct fixture *fixture)
{
	char path[128];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/state/trust/metadata", fixture->directory);
	assert_ok(file_make_directories(path, 0755, &error));
}

static int64_t floor_of(int number)
{
	return FLOOR_BUILD_DATE + number * (int64_t)DAY;
}

static int follow(struct store *store, int number, struct error *error)
{
	char text[64];
	struct trust_source source = repository_source(&store->offered);
	int status = trust_refresh(store->chain, source, TRUST_ALL, NOW, error);

	if (status == 0)
		status = technicians_follow(store->chain, source, store->trust, error);
	snprintf(text, sizeof text, "{\"says\":%d}", number);
	if (status == 0)
		status = file_replace_at(store->trust, AUTHORITY, text, strlen(text), 0644, error);
	return status == 0 ? floor_raise(store->trust, floor_of(number), error) : status;
}

int trusting_follow(struct fixture *fixture, int number, struct error *error)
{
	CLEANUP(store_close) struct store store;
	int status = store_open(fixture, number, &store, error);

	return status == 0 ? follow(&store, number, error) : status;
}

/* Another root has been taken, and its first set not yet: what the old keys signed is gone, and nothing is taken that
 * the new ones have not signed (TUF 1.0 §5.3.11). */
static bool is_turning(const struct store *store, int acknowledged)
{
	return acknowledged < ROOT_TURNS && trust_version(store->chain, ROLE_ROOT) > 1;
}

static bool is_there(struct fixture *fixture, int number, char ret_text[WHOLE_TEXT_SIZE])
{
	CLEANUP(store_close) struct store store;
	struct error error = {0};
	int64_t floor = 0, least = INT64_MAX;
	int status = store_open(fixture, number, &store, &error);

	if (status == 0)
		status = floor_read(store.trust, &floor, &error);
	bool turning = status == 0 && is_turning(&store, number);
	if (status == 0)
		status = trust_load(store.chain, NOW, &error);
	for (int kind = ROLE_TIMESTAMP; status == 0 && kind < ROLE_KINDS; kind++)
		if (trust_version(store.chain, (enum role_kind)kind) < least)
			least = trust_version(store.chain, (enum role_kind)kind);
	snprintf(ret_text, WHOLE_TEXT_SIZE, "set %d was acknowledged; set %lld and floor %lld are there: %s", number,
		 status == 0 ? (long long)least : 0LL, (long long)floor, status < 0 ? error.text : "");
	return floor >= floor_of(number) && (turning || (status == 0 && least >= number));
}

bool trusting_holds(struct fixture *fixture, int acknowledged, char ret_text[WHOLE_TEXT_SIZE])
{
	struct error error = {0};

	if (!is_there(fixture, acknowledged, ret_text))
		return false;
	if (acknowledged > 1 && trusting_follow(fixture, acknowledged - 1, &error) == 0) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "set %d was acknowledged, and an older one is taken", acknowledged);
		return false;
	}
	if (trusting_follow(fixture, TRUSTING_LAST + 1, &error) < 0) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "the next set is refused: %s", error.text);
		return false;
	}
	return is_there(fixture, TRUSTING_LAST + 1, ret_text);
}
