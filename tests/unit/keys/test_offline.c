/* The offline grant: every field changed, every wrong signer, every bound; and what a set without a timestamp leaves.
 */
#include "keys/offline.h"
#include "trust_fixture.h"

#define DAY 86400

/* Orders by key 1, entitlements by key 2. */
static struct authority authority_of_one(void)
{
	char id[KEY_ID_MOST];
	CLEANUP(jsonio_free)
	json_t *object =
		json_pack("{s:s, s:{s:[o], s:i}, s:{s:[o], s:i}}", "_type", "authority", "order", "keys",
			  key_number(1, id), "threshold", 1, "entitlement", "keys", key_number(2, id), "threshold", 1);
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct authority authority = {0};
	struct error error = {0};

	assert_ok(jsonio_write(object, false, &bytes, &error));
	assert_ok(authority_parse(bytes.data, bytes.size, &authority, &error));
	return authority;
}

static struct offline good(void)
{
	struct offline offline = {
		.appliance = "a0a0",
		.product = "mail",
		.version = "2.1",
		.snapshot_version = 7,
		.snapshot_length = 500,
		.issued = NOW,
		.expires = NOW + 60 * DAY,
	};

	memset(offline.snapshot, 0x5a, HASH_SIZE);
	return offline;
}

static int parse(json_t *document, const char *signers, int64_t now, struct offline *ret_offline, struct error *error)
{
	CLEANUP(authority_free) struct authority authority = authority_of_one();
	CLEANUP(jsonio_free) json_t *held = document;
	CLEANUP(buffer_free) struct buffer bytes = sign_document(held, signers);

	return offline_parse(bytes.data, bytes.size, &authority, now, ret_offline, error);
}

static void goes_round(void **state UNUSED)
{
	struct offline before = good(), after = {0};
	CLEANUP(jsonio_free) json_t *document = offline_document(&before);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1");
	struct role_meta snapshot = {0};
	struct error error = {0};

	assert_ok(parse(offline_document(&before), "\1", NOW, &after, &error));
	assert_memory_equal(&before, &after, sizeof before);
	assert_ok(offline_peek(bytes.data, bytes.size, &snapshot, &error));
	assert_int_equal(snapshot.version, 7);
	assert_int_equal(snapshot.length, 500);
	assert_true(snapshot.has_length && snapshot.has_sha256);
	assert_memory_equal(snapshot.sha256, before.snapshot, HASH_SIZE);
}

/* Nobody else's word, and no word that was altered afterwards: 100 % of single-field changes. */
static void every_mutation_is_refused(void **state UNUSED)
{
	struct offline offline = good(), out = {0};
	CLEANUP(authority_free) struct authority authority = authority_of_one();
	CLEANUP(jsonio_free) json_t *document = offline_document(&offline);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1");
	struct error error = {0};
	size_t count = 0;
	const char *name;
	json_t *value;

	for (const char *signer = "\2\3\4"; *signer; signer++)
		assert_refused(parse(offline_document(&offline), (char[]){*signer, '\0'}, NOW, &out, &error),
			       ERROR_DATA, "signature");
	json_object_foreach(document, name, value)
	{
		for (int kind = 0; kind < 4; kind++, count++) {
			CLEANUP(jsonio_free) json_t *whole = NULL;
			CLEANUP(buffer_free) struct buffer changed = {0};
			json_t *part;

			assert_ok(jsonio_parse(bytes.data, bytes.size, "offline", &whole, &error));
			part = json_object_get(whole, "signed");
			if (kind == 0)
				json_object_del(part, name);
			else if (kind == 1)
				json_object_set_new(part, name, json_null());
			else if (kind == 2)
				json_object_set_new(part, "more", json_string(name));
			else if (json_is_string(value))
				json_object_set_new(part, name, json_sprintf("%s0", json_string_value(value)));
			else
				json_object_set_new(part, name, json_integer(json_integer_value(value) + 1));
			assert_ok(jsonio_write(whole, false, &changed, &error));
			assert_true(offline_parse(changed.data, changed.size, &authority, NOW, &out, &error) < 0);
			assert_int_equal(error.code, ERROR_DATA);
		}
	}
	assert_int_equal(count, 4 * json_object_size(document));
	assert_int_equal(out.expires, 0);
}

/* Signed as they are, and refused for what they say. */
static void shapes_and_lifetimes(void **state UNUSED)
{
	struct offline out = {0};
	struct error error = {0};
	static const struct {
		const char *name, *value;
	} changes[] = {
		{"_type", "\"order\""},
		{"_type", "\"timestamp\""},
		{"appliance", "\"\""},
		{"product", "\"\""},
		{"version", "\"\""},
		{"snapshot", "\"5a\""},
		{"snapshot_version", "0"},
		{"snapshot_length", "0"},
		{"snapshot_length", "2000001"},
		{"snapshot_version", "\"7\""},
		{"issued", "\"now\""},
		{"expires", "7"},
		{"more", "1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct offline offline = good();
		json_t *document = offline_document(&offline);

		json_object_set_new(document, changes[i].name, json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
		assert_true(parse(document, "\1", NOW, &out, &error) < 0);
		assert_int_equal(error.code, ERROR_DATA);
	}
	struct offline offline = good();
	offline.expires = offline.issued + OFFLINE_LIFE_MOST;
	assert_ok(parse(offline_document(&offline), "\1", NOW, &out, &error));
	offline.expires++;
	assert_refused(parse(offline_document(&offline), "\1", NOW, &out, &error), ERROR_DATA, "format");
	offline.expires = offline.issued;
	assert_refused(parse(offline_document(&offline), "\1", NOW, &out, &error), ERROR_DATA, "format");
	offline = good();
	assert_ok(parse(offline_document(&offline), "\1", offline.expires - 1, &out, &error));
	assert_refused(parse(offline_document(&offline), "\1", offline.expires, &out, &error), ERROR_DATA, "freeze");
}

static void for_whom_and_when(void **state UNUSED)
{
	struct offline offline = good();
	struct error error = {0};

	assert_ok(offline_check(&offline, "a0a0", "mail", NOW, &error));
	assert_refused(offline_check(&offline, "b0b0", "mail", NOW, &error), ERROR_DATA, "appliance");
	assert_refused(offline_check(&offline, "a0a0", "web", NOW, &error), ERROR_DATA, "product");
	assert_ok(offline_check(&offline, "a0a0", "mail", NOW - 600, &error));
	assert_refused(offline_check(&offline, "a0a0", "mail", NOW - 601, &error), ERROR_DATA, "clock");
}

/* --- the set under it --- */

static struct role_meta line_of(struct state *s, int version)
{
	struct role_meta meta = {.version = version, .has_length = true, .has_sha256 = true};
	char name[64];

	snprintf(name, sizeof name, "metadata/%d.snapshot.json", version);
	const struct buffer *bytes = repository_file(&s->repository, name);
	meta.length = (int64_t)bytes->size;
	hash_bytes(HASH_SHA256, bytes->data, bytes->size, meta.sha256);
	return meta;
}

static void nothing_is_stored_before_keep(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct role_meta meta;

	assert_ok(refresh(s, &error));
	publish_next(&s->repository);
	publish_next(&s->repository);
	meta = line_of(s, 3);
	s->repository.asked[0] = '\0';
	assert_ok(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error));
	assert_null(strstr(s->repository.asked, "timestamp"));
	assert_versions(s, 1, 1, 3, 3);
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
	assert_versions(s, 1, 1, 1, 1);

	reopen(s);
	assert_ok(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error));
	assert_ok(trust_keep(s->trust, &error));
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
	assert_versions(s, 1, 1, 3, 3);
	/* and a refresh goes on from there */
	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	assert_versions(s, 1, 4, 4, 4);
}

static void a_set_below_the_trusted_one_is_refused(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct role_meta meta = line_of(s, 1);

	publish_next(&s->repository);
	assert_ok(refresh(s, &error));
	reopen(s);
	assert_refused(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error), ERROR_DATA,
		       "version");
	reopen(s);
	assert_ok(trust_load(s->trust, NOW, &error));
	assert_versions(s, 1, 2, 2, 2);
}

static void the_snapshot_is_that_very_one(void **state)
{
	struct state *s = *state;
	struct error error = {0};
	struct role_meta meta = line_of(s, 1);

	meta.sha256[0] ^= 1;
	assert_refused(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error), ERROR_DATA,
		       "hash");
	reopen(s);
	meta = line_of(s, 1);
	s->repository.signers[ROLE_SNAPSHOT] = "\6";
	publish_snapshot(&s->repository);
	meta = line_of(s, 1);
	assert_refused(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error), ERROR_DATA,
		       "signature");
	reopen(s);
	s->repository.signers[ROLE_SNAPSHOT] = "\3";
	expire(s->repository.snapshot);
	publish_snapshot(&s->repository);
	meta = line_of(s, 1);
	assert_refused(trust_refresh_at(s->trust, repository_source(&s->repository), &meta, NOW, &error), ERROR_DATA,
		       "freeze");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_round),           cmocka_unit_test(every_mutation_is_refused),
		cmocka_unit_test(shapes_and_lifetimes), cmocka_unit_test(for_whom_and_when),
		TEST(nothing_is_stored_before_keep),    TEST(a_set_below_the_trusted_one_is_refused),
		TEST(the_snapshot_is_that_very_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
