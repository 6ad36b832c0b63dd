#include "tests/unit/fixture.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/hash.h"
#include "orchestrator/signer/ledger.h"
#include "orchestrator/signer/rules.h"

#define NOW 1800000000
#define BOX "0c3f5ac2a1f24f6c9f3d1d9b8e7a65430c3f5ac2a1f24f6c9f3d1d9b8e7a6543"

static json_t *order_for(const char *appliance, int64_t fence)
{
	char from[CLOCK_UTC_SIZE], to[CLOCK_UTC_SIZE];

	clock_format_utc(NOW, from);
	clock_format_utc(NOW + 60, to);
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "_type", "order", "issued", from, "expires", to, "appliance",
			 appliance, "fence", (json_int_t)fence);
}

static json_t *document(const char *type, int64_t issued, int64_t life, int64_t fence)
{
	char from[CLOCK_UTC_SIZE], to[CLOCK_UTC_SIZE];

	clock_format_utc(issued, from);
	clock_format_utc(issued + life, to);
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "_type", type, "issued", from, "expires", to, "appliance", BOX,
			 "fence", (json_int_t)fence);
}

struct desk {
	struct ledger *ledger;
	struct rules rules;
};

static void open_desk(int directory, const char *limits, struct desk *desk)
{
	struct error error;

	unlinkat(directory, "ledger", 0);
	unlinkat(directory, "limits", 0);
	if (limits)
		assert_ok(file_replace_at(directory, "limits", limits, strlen(limits), 0600, &error), error);
	assert_ok(rules_load("limits", &desk->rules, &error), error);
	assert_ok(ledger_open(directory, &desk->ledger, &error), error);
}

/* As the signer does: allowed, then remembered. */
static int take(struct desk *desk, enum ledger_kind kind, json_t *taken, int64_t now, struct error *error)
{
	CLEANUP(jsonio_free) json_t *held = taken;
	const char *subject = NULL;
	int64_t number = 0;
	int status = rules_allow(&desk->rules, desk->ledger, kind, held, now, &subject, &number, error);

	return status < 0 ? status : ledger_append(desk->ledger, kind, now, subject, number, error);
}

static void fences_never_go_back(void **state)
{
	struct desk desk;
	struct error error;

	open_desk(*(int *)*state, NULL, &desk);
	assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW, 3600, 5), NOW, &error), error);
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 3600, 5), NOW, &error), error, ERROR_DATA,
		       "fence");
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 3600, 4), NOW, &error), error, ERROR_DATA,
		       "fence");
	ledger_free(&desk.ledger);
	/* Nor after a restart. */
	assert_ok(ledger_open(*(int *)*state, &desk.ledger, &error), error);
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 3600, 5), NOW, &error), error, ERROR_DATA,
		       "fence");
	assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW, 3600, 6), NOW, &error), error);
	ledger_free(&desk.ledger);
}

/* Or whoever holds the engine could end an appliance's upgrades, or all timestamps, for ever. */
static void numbers_cannot_be_used_up(void **state)
{
	struct desk desk;
	struct error error;

	open_desk(*(int *)*state, NULL, &desk);
	assert_refused(take(&desk, LEDGER_ORDER, order_for("timestamp", 1), NOW, &error), error, ERROR_DATA, "format");
	assert_refused(take(&desk, LEDGER_ORDER, order_for("snapshot", 1), NOW, &error), error, ERROR_DATA, "format");
	assert_refused(take(&desk, LEDGER_ORDER, order_for(BOX, INT64_MAX), NOW, &error), error, ERROR_DATA, "fence");
	assert_refused(take(&desk, LEDGER_ORDER, order_for(BOX, RULES_STEP_MOST + 1), NOW, &error), error, ERROR_DATA,
		       "fence");
	assert_ok(take(&desk, LEDGER_ORDER, order_for(BOX, RULES_STEP_MOST), NOW, &error), error);
	assert_ok(take(&desk, LEDGER_ORDER, order_for(BOX, 2 * RULES_STEP_MOST), NOW, &error), error);
	ledger_free(&desk.ledger);
}

/* It is read whole at a start: it may not grow for as long as the signer runs. */
static void a_busy_ledger_stays_small(void **state)
{
	int directory = *(int *)*state;
	struct ledger *ledger = NULL;
	struct stat file;
	struct error error;

	unlinkat(directory, "ledger", 0);
	assert_ok(ledger_open(directory, &ledger, &error), error);
	ledger_fold_at(ledger, 4096);
	for (int i = 0; i < 2000; i++) {
		assert_ok(ledger_append(ledger, LEDGER_ORDER, NOW + 60 * i, BOX, i + 1, &error), error);
		assert_ok(ledger_append(ledger, LEDGER_ANSWER, NOW + 60 * i, NULL, 0, &error), error);
		assert_int_equal(fstatat(directory, "ledger", &file, 0), 0);
		assert_true(file.st_size < 32768);
	}
	int64_t end = NOW + 60 * 1999;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(ledger_highest(ledger, BOX), 2000);
		assert_int_equal(ledger_count(ledger, LEDGER_ORDER, end - 3600), 61);
		assert_int_equal(ledger_count(ledger, LEDGER_ANSWER, end - 3600), 61);
		assert_int_equal(ledger_count(ledger, LEDGER_TIMESTAMP, 0), 0);
		ledger_free(&ledger);
		assert_ok(ledger_open(directory, &ledger, &error), error);
	}
	ledger_free(&ledger);
}

static void lifetimes_are_capped(void **state)
{
	struct desk desk;
	struct error error;

	open_desk(*(int *)*state, NULL, &desk);
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 86401, 1), NOW, &error), error, ERROR_DATA,
		       "lifetime");
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 0, 1), NOW, &error), error, ERROR_DATA,
		       "lifetime");
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW + 7200, 60, 1), NOW, &error), error, ERROR_DATA,
		       "clock");
	assert_refused(take(&desk, LEDGER_ORDER, document("entitlement", NOW, 60, 1), NOW, &error), error, ERROR_DATA,
		       "format");
	assert_refused(take(&desk, LEDGER_ENTITLEMENT, document("entitlement", NOW, 91 * 86400, 1), NOW, &error), error,
		       ERROR_DATA, "lifetime");
	assert_ok(take(&desk, LEDGER_ENTITLEMENT, document("entitlement", NOW, 90 * 86400, 1), NOW, &error), error);
	ledger_free(&desk.ledger);
}

static void hours_are_limited(void **state)
{
	struct desk desk;
	struct error error;

	open_desk(*(int *)*state, "[limits]\norders = 3\n", &desk);
	for (int i = 1; i <= 3; i++)
		assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW, 60, i), NOW, &error), error);
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 60, 4), NOW, &error), error, ERROR_NOT_NOW,
		       "limit");
	ledger_free(&desk.ledger);
	assert_ok(ledger_open(*(int *)*state, &desk.ledger, &error), error);
	assert_refused(take(&desk, LEDGER_ORDER, document("order", NOW, 60, 4), NOW, &error), error, ERROR_NOT_NOW,
		       "limit");
	assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW + 3601, 60, 4), NOW + 3601, &error), error);
	ledger_free(&desk.ledger);
}

static void a_torn_line_is_dropped_and_damage_is_not(void **state)
{
	int directory = *(int *)*state;
	struct desk desk;
	struct error error;

	open_desk(directory, NULL, &desk);
	assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW, 60, 7), NOW, &error), error);
	ledger_free(&desk.ledger);
	CLEANUP(file_close) int fd = openat(directory, "ledger", O_WRONLY | O_APPEND);
	assert_ok(file_write_fd(fd, "ledger", "{\"kind\":\"or", 11, &error), error);
	assert_ok(ledger_open(directory, &desk.ledger, &error), error);
	assert_int_equal(ledger_highest(desk.ledger, BOX), 7);
	assert_ok(take(&desk, LEDGER_ORDER, document("order", NOW, 60, 8), NOW, &error), error);
	ledger_free(&desk.ledger);
	assert_ok(ledger_open(directory, &desk.ledger, &error), error);
	assert_int_equal(ledger_highest(desk.ledger, BOX), 8);
	ledger_free(&desk.ledger);
	assert_ok(file_write_fd(fd, "ledger", "nonsense\n", 9, &error), error);
	assert_refused(ledger_open(directory, &desk.ledger, &error), error, ERROR_DATA, "format");
}

static void timestamps_go_up(void **state)
{
	struct desk desk;
	struct error error;
	CLEANUP(jsonio_free) json_t *first = NULL;
	CLEANUP(jsonio_free) json_t *second = NULL;
	char hex[HASH_HEX_SIZE];

	open_desk(*(int *)*state, NULL, &desk);
	memset(hex, 'a', sizeof hex - 1);
	hex[sizeof hex - 1] = 0;
	CLEANUP(jsonio_free) json_t *snapshot = json_pack("{s:i, s:i, s:s}", "version", 4, "length", 10, "sha256", hex);
	assert_ok(rules_timestamp(&desk.rules, desk.ledger, "k", snapshot, 9, NOW, &first, &error), error);
	assert_int_equal(jsonio_integer(first, "version"), 10);
	assert_ok(ledger_remember(desk.ledger, NOW, "snapshot k", 4, &error), error);
	assert_ok(ledger_append(desk.ledger, LEDGER_TIMESTAMP, NOW, "timestamp", 10, &error), error);
	assert_int_equal(ledger_count(desk.ledger, LEDGER_TIMESTAMP, NOW), 1);
	assert_ok(rules_timestamp(&desk.rules, desk.ledger, "k", snapshot, 0, NOW, &second, &error), error);
	assert_int_equal(jsonio_integer(second, "version"), 11);
	CLEANUP(jsonio_free) json_t *older = json_pack("{s:i, s:i, s:s}", "version", 3, "length", 10, "sha256", hex);
	CLEANUP(jsonio_free) json_t *none = NULL;
	assert_refused(rules_timestamp(&desk.rules, desk.ledger, "k", older, 0, NOW, &none, &error), error, ERROR_DATA,
		       "version");
	CLEANUP(jsonio_free)
	json_t *last = json_pack("{s:I, s:i, s:s}", "version", (json_int_t)INT64_MAX, "length", 10, "sha256", hex);
	assert_refused(rules_timestamp(&desk.rules, desk.ledger, "k", last, 0, NOW, &none, &error), error, ERROR_DATA,
		       "version");
	/* Another key has stamped nothing yet: a thief's versions are forgotten with the key that stamped them. */
	CLEANUP(jsonio_free) json_t *recovered = NULL;
	assert_ok(rules_timestamp(&desk.rules, desk.ledger, "other", older, 0, NOW, &recovered, &error), error);
	assert_true(jsonio_integer(recovered, "version") > 10);

	ledger_free(&desk.ledger);
}

static void offline_grants_have_a_limit_and_a_life_of_their_own(void **state)
{
	struct desk desk;
	struct error error;

	open_desk(*(int *)*state, "[limits]\nexports = 2\norders = 0\n", &desk);
	assert_ok(take(&desk, LEDGER_OFFLINE, document("offline", NOW, 90 * 86400, 0), NOW, &error), error);
	assert_refused(take(&desk, LEDGER_OFFLINE, document("offline", NOW, 90 * 86400 + 1, 0), NOW, &error), error,
		       ERROR_DATA, "lifetime");
	assert_refused(take(&desk, LEDGER_OFFLINE, document("entitlement", NOW, 60, 0), NOW, &error), error, ERROR_DATA,
		       "format");
	assert_ok(take(&desk, LEDGER_OFFLINE, document("offline", NOW, 60, 0), NOW + 1, &error), error);
	assert_refused(take(&desk, LEDGER_OFFLINE, document("offline", NOW, 60, 0), NOW + 2, &error), error,
		       ERROR_NOT_NOW, "limit");
	ledger_free(&desk.ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fences_never_go_back),
		cmocka_unit_test(lifetimes_are_capped),
		cmocka_unit_test(hours_are_limited),
		cmocka_unit_test(a_torn_line_is_dropped_and_damage_is_not),
		cmocka_unit_test(timestamps_go_up),
		cmocka_unit_test(numbers_cannot_be_used_up),
		cmocka_unit_test(a_busy_ledger_stays_small),
		cmocka_unit_test(offline_grants_have_a_limit_and_a_life_of_their_own),
	};

	return cmocka_run_group_tests(tests, fixture_directory, fixture_remove);
}
