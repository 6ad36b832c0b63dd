#include "orchestrator/signer/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/hash.h"
#include "keys/entitlement.h"
#include "keys/offline.h"
#include "keys/order.h"

#define RULES_HOUR           3600
#define RULES_ANSWER_LIFE    3600
#define RULES_TIMESTAMP_LIFE (7 * 24 * 3600)
/* How far a document's `issued` may be from the signer's own clock. */
#define RULES_SKEW 600

#define AT(kind) offsetof(struct rules, an_hour[kind])
static const struct config_key limit_keys[] = {
	{"limits", "orders", CONFIG_INTEGER, AT(LEDGER_ORDER), "60", 0, 100000, NULL, "orders an hour"},
	{"limits", "entitlements", CONFIG_INTEGER, AT(LEDGER_ENTITLEMENT), "1000", 0, 1000000, NULL,
	 "entitlements an hour"},
	{"limits", "answers", CONFIG_INTEGER, AT(LEDGER_ANSWER), "1000", 0, 1000000, NULL, "pull answers an hour"},
	{"limits", "timestamps", CONFIG_INTEGER, AT(LEDGER_TIMESTAMP), "30", 0, 1000, NULL, "timestamps an hour"},
	{"limits", "exports", CONFIG_INTEGER, AT(LEDGER_OFFLINE), "60", 0, 100000, NULL, "offline grants an hour"},
	{NULL, NULL, CONFIG_INTEGER, 0, NULL, 0, 0, NULL, NULL},
};

int rules_load(const char *path, struct rules *ret_rules, struct error *error)
{
	struct rules rules = {0};

	int status = access(path, F_OK) < 0 && errno == ENOENT ? config_set_defaults(limit_keys, NULL, &rules, error)
							       : config_load(path, limit_keys, &rules, NULL, error);

	if (status < 0)
		return status;
	*ret_rules = rules;
	return 0;
}

/* What each kind's document must be; what else it says is for the hook to judge. */
static const struct {
	int64_t life;
	const char *subject; /* the member whose number the ledger keeps */
	const char *number;
} shapes[LEDGER_KINDS] = {
	[LEDGER_ORDER] = {ORDER_LIFE_MOST, "appliance", "fence"},
	[LEDGER_ENTITLEMENT] = {ENTITLEMENT_LIFE_MOST, NULL, NULL},
	[LEDGER_ANSWER] = {RULES_ANSWER_LIFE, NULL, NULL},
	[LEDGER_TIMESTAMP] = {RULES_TIMESTAMP_LIFE, NULL, NULL},
	[LEDGER_OFFLINE] = {OFFLINE_LIFE_MOST, NULL, NULL},
};

static int check_limit(const struct rules *rules, const struct ledger *ledger, enum ledger_kind kind, int64_t now,
		       struct error *error)
{
	if (ledger_count(ledger, kind, now - RULES_HOUR) < rules->an_hour[kind])
		return 0;
	return error_set(
		error, ERROR_NOT_NOW, "limit",
		"the signer has signed its %lld of kind %s for this hour; it goes on when the hour has passed, or "
		"raise the number in its limits file",
		(long long)rules->an_hour[kind], ledger_words[kind]);
}

static int check_lifetime(enum ledger_kind kind, const json_t *document, int64_t now, struct error *error)
{
	static const struct jsonio_field fields[] = {
		{"_type", JSONIO_STRING, true, 16, false},
		{"issued", JSONIO_STRING, true, 20, false},
		{"expires", JSONIO_STRING, true, 20, false},
		{NULL, JSONIO_STRING, false, 0, false},
	};
	int64_t issued = 0, expires = 0;
	int status = jsonio_check_open(document, fields, ledger_words[kind], error);

	if (status == 0 && strcmp(jsonio_string(document, "_type"), ledger_words[kind]) != 0)
		status = error_set(error, ERROR_DATA, "format", "a document of type \"%s\" was sent to be signed as %s",
				   jsonio_string(document, "_type"), ledger_words[kind]);
	if (status == 0)
		status = clock_parse_utc(jsonio_string(document, "issued"), &issued, error);
	if (status == 0)
		status = clock_parse_utc(jsonio_string(document, "expires"), &expires, error);
	if (status < 0)
		return status;
	if (issued < now - RULES_SKEW || issued > now + RULES_SKEW)
		return error_set(error, ERROR_DATA, "clock",
				 "the signer signs no %s issued more than 10 minutes from now", ledger_words[kind]);
	if (expires <= issued || expires - issued > shapes[kind].life)
		return error_set(error, ERROR_DATA, "lifetime",
				 "the signer signs no %s that lives longer than %lld hours", ledger_words[kind],
				 (long long)(shapes[kind].life / 3600));
	return 0;
}

int rules_allow(const struct rules *rules, const struct ledger *ledger, enum ledger_kind kind, const json_t *document,
		int64_t now, const char **ret_subject, int64_t *ret_number, struct error *error)
{
	const char *subject = NULL;
	uint8_t id[HASH_SIZE];
	int64_t number = 0;
	int status = check_lifetime(kind, document, now, error);

	if (status == 0)
		status = check_limit(rules, ledger, kind, now, error);
	if (status < 0)
		return status;
	if (shapes[kind].subject) {
		const struct jsonio_field fields[] = {
			{shapes[kind].subject, JSONIO_STRING, true, 2 * HASH_SIZE, false},
			{shapes[kind].number, JSONIO_INTEGER, true, INT64_MAX, false},
			{NULL, JSONIO_STRING, false, 0, false},
		};
		status = jsonio_check_open(document, fields, ledger_words[kind], error);
		if (status < 0)
			return status;
		subject = jsonio_string(document, shapes[kind].subject);
		number = jsonio_integer(document, shapes[kind].number);
		/* A key id, and so none of the ledger's own words. */
		status = hash_from_hex(subject, id, sizeof id, error);
		if (status < 0)
			return status;
		int64_t highest = ledger_highest(ledger, subject);
		if (number <= highest || number - highest > RULES_STEP_MOST)
			return error_set(
				error, ERROR_DATA, "fence",
				"the signer has signed fence %lld for this appliance before and signs none that is "
				"not above it, or more than %d above",
				(long long)highest, RULES_STEP_MOST);
	}
	*ret_subject = subject;
	*ret_number = number;
	return 0;
}

void rules_snapshot_subject(const char *key, char ret_subject[static KEY_ID_MOST])
{
	snprintf(ret_subject, KEY_ID_MOST, "snapshot %.*s", KEY_ID_MOST - 10, key);
}

int rules_timestamp(const struct rules *rules, const struct ledger *ledger, const char *key, const json_t *snapshot,
		    int64_t after, int64_t now, json_t **ret_document, struct error *error)
{
	static const struct jsonio_field fields[] = {
		{"version", JSONIO_INTEGER, true, INT64_MAX, false},
		{"length", JSONIO_INTEGER, true, INT64_MAX, false},
		{"sha256", JSONIO_STRING, true, 2 * HASH_SIZE, false},
		{NULL, JSONIO_STRING, false, 0, false},
	};
	char expires[CLOCK_UTC_SIZE];
	uint8_t hash[HASH_SIZE];
	int64_t highest = ledger_highest(ledger, "timestamp");
	int status = jsonio_check(snapshot, fields, "the snapshot to be stamped", error);

	if (status == 0)
		status = hash_from_hex(jsonio_string(snapshot, "sha256"), hash, sizeof hash, error);
	if (status == 0)
		status = check_limit(rules, ledger, LEDGER_TIMESTAMP, now, error);
	if (status < 0)
		return status;
	int64_t version = jsonio_integer(snapshot, "version"), stamped = 0;
	char subject[KEY_ID_MOST];
	rules_snapshot_subject(key, subject);
	stamped = ledger_highest(ledger, subject);
	if (version < 1 || version < stamped || version - stamped > RULES_STEP_MOST)
		return error_set(error, ERROR_DATA, "version",
				 "the signer has stamped snapshot %lld before and stamps none below it, or more than "
				 "%d above",
				 (long long)stamped, RULES_STEP_MOST);
	clock_format_utc(now + RULES_TIMESTAMP_LIFE, expires);
	json_t *document = json_pack(
		"{s:s, s:s, s:I, s:s, s:{s:{s:I, s:I, s:{s:s}}}}", "_type", "timestamp", "spec_version", "1.0.31",
		"version", (json_int_t)((after > highest ? after : highest) + 1), "expires", expires, "meta",
		"snapshot.json", "version", (json_int_t)version, "length",
		(json_int_t)jsonio_integer(snapshot, "length"), "hashes", "sha256", jsonio_string(snapshot, "sha256"));
	if (!document)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a timestamp");
	*ret_document = document;
	return 0;
}
