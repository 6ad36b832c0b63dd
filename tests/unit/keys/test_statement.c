/* Authority, orders, entitlements and receipts: each refusal by its name. */
#include "fixture.h"
#include "keys/entitlement.h"
#include "keys/order.h"
#include "keys/receipt.h"

/* Orders by key 1, entitlements by key 2. */
static struct authority authority_of(const char *orders, unsigned threshold)
{
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct authority authority = {0};
	struct error error = {0};
	char id[KEY_ID_MOST];
	json_t *keys = json_array();

	for (; *orders; orders++)
		json_array_append_new(keys, key_number(*orders, id));
	object = json_pack("{s:s, s:{s:o, s:i}, s:{s:[o], s:i}}", "_type", "authority", "order", "keys", keys,
			   "threshold", (int)threshold, "entitlement", "keys", key_number(2, id), "threshold", 1);
	assert_ok(jsonio_write(object, false, &bytes, &error));
	assert_ok(authority_parse(bytes.data, bytes.size, &authority, &error));
	return authority;
}

static void authority_goes_round(void **state UNUSED)
{
	CLEANUP(authority_free) struct authority authority = authority_of("\1\3", 2), again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(authority_write(&authority, &bytes, &error));
	assert_ok(authority_parse(bytes.data, bytes.size, &again, &error));
	assert_int_equal(again.order.count, 2);
	assert_int_equal(again.order.threshold, 2);
	assert_string_equal(key_id(again.order.keys[1]), key_id(authority.order.keys[1]));
	assert_int_equal(again.entitlement.count, 1);
}

static void authority_is_a_closed_set(void **state UNUSED)
{
	static const char *const changes[][2] = {
		{"_type", "\"order\""},
		{"more", "1"},
		{"order", "{\"keys\":[],\"threshold\":1}"},
		{"order", "{\"keys\":[],\"threshold\":0}"},
		{"order", "{\"keys\":[1],\"threshold\":1}"},
		{"order", "null"},
	};
	CLEANUP(authority_free) struct authority authority = authority_of("\1", 1), refused = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(authority_write(&authority, &bytes, &error));
	for (size_t i = 0; i <= ARRAY_SIZE(changes); i++) {
		CLEANUP(jsonio_free) json_t *object = NULL;
		CLEANUP(buffer_free) struct buffer changed = {0};
		json_t *keys;

		assert_ok(jsonio_parse(bytes.data, bytes.size, "authority", &object, &error));
		if (i < ARRAY_SIZE(changes)) {
			json_object_set_new(object, changes[i][0], json_loads(changes[i][1], JSON_DECODE_ANY, NULL));
		} else { /* the same key twice */
			keys = json_object_get(json_object_get(object, "order"), "keys");
			json_array_append_new(keys, json_deep_copy(json_array_get(keys, 0)));
		}
		assert_ok(jsonio_write(object, false, &changed, &error));
		assert_malformed(authority_parse(changed.data, changed.size, &refused, &error));
		assert_int_equal(refused.order.count, 0);
	}
}

static struct order good_order(void)
{
	struct order order = {
		.action = ORDER_UPGRADE,
		.upgrade = "u-17",
		.appliance = "a0a0",
		.product = "mail",
		.version = "2.1",
		.start = NOW - 100,
		.end = NOW + 7200,
		.last_start = NOW + 3600,
		.issued = NOW - 10,
		.expires = NOW + 3600,
		.fence = 8,
		.finish_overrun = true,
	};

	memset(order.manifest, 1, sizeof order.manifest);
	memset(order.nonce, 2, sizeof order.nonce);
	memset(order.audit_head, 3, sizeof order.audit_head);
	return order;
}

static int parse_order(const struct order *order, const char *signers, struct order *ret_order, struct error *error)
{
	CLEANUP(authority_free) struct authority authority = authority_of("\1\3", 1);
	CLEANUP(jsonio_free) json_t *document = order_document(order);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, signers);
	char id[KEY_ID_MOST], expected[KEY_ID_MOST];
	int r = order_parse(bytes.data, bytes.size, &authority, NOW, ret_order, id, error);

	if (!r) {
		json_decref(key_number(signers[0], expected));
		assert_string_equal(id, expected);
	}
	return r;
}

static void order_goes_round(void **state UNUSED)
{
	struct order order = good_order(), read;
	struct error error = {0};

	assert_ok(parse_order(&order, "\1", &read, &error));
	assert_string_equal(read.upgrade, "u-17");
	assert_string_equal(read.version, "2.1");
	assert_int_equal(read.action, ORDER_UPGRADE);
	assert_int_equal(read.start, order.start);
	assert_int_equal(read.end, order.end);
	assert_int_equal(read.last_start, order.last_start);
	assert_int_equal(read.issued, order.issued);
	assert_int_equal(read.expires, order.expires);
	assert_int_equal(read.fence, 8);
	assert_true(read.finish_overrun);
	assert_memory_equal(read.manifest, order.manifest, HASH_SIZE);
	assert_memory_equal(read.nonce, order.nonce, ORDER_NONCE_SIZE);
	assert_memory_equal(read.audit_head, order.audit_head, HASH_SIZE);
	order.action = ORDER_ROLLBACK;
	order.finish_overrun = false;
	assert_ok(parse_order(&order, "\3", &read, &error));
	assert_int_equal(read.action, ORDER_ROLLBACK);
	assert_false(read.finish_overrun);
}

static void order_by_another_key_is_refused(void **state UNUSED)
{
	struct order order = good_order(), read;
	struct error error = {0};

	assert_refused(parse_order(&order, "\2", &read, &error), ERROR_DATA, "signature"); /* the entitlement key */
	assert_refused(parse_order(&order, "", &read, &error), ERROR_DATA, "signature");
}

static void order_of_the_wrong_shape_is_refused(void **state UNUSED)
{
	struct order order = good_order(), read = {.fence = -1};
	struct error error = {0};

	order.expires = NOW;
	assert_refused(parse_order(&order, "\1", &read, &error), ERROR_DATA, "freeze");
	order.expires = order.issued + ORDER_LIFE_MOST + 1;
	assert_refused(parse_order(&order, "\1", &read, &error), ERROR_DATA, "format");
	order = good_order();
	order.last_start = order.end + 1;
	assert_refused(parse_order(&order, "\1", &read, &error), ERROR_DATA, "format");
	order = good_order();
	order.fence = 0;
	assert_refused(parse_order(&order, "\1", &read, &error), ERROR_DATA, "format");
	order = good_order();
	order.upgrade[0] = '\0';
	assert_refused(parse_order(&order, "\1", &read, &error), ERROR_DATA, "format");
	assert_int_equal(read.fence, -1);
}

/* Every field of a document: taken out, of another type, and one too many. */
static void fields_are_a_closed_set(void **state UNUSED)
{
	CLEANUP(authority_free) struct authority authority = authority_of("\1", 1);
	struct order order = good_order();
	CLEANUP(jsonio_free) json_t *document = order_document(&order);
	const char *name;
	json_t *value;
	int changes = 0;

	json_object_foreach(document, name, value)
	{
		for (int kind = 0; kind < 3; kind++) {
			CLEANUP(jsonio_free) json_t *changed = json_deep_copy(document);
			CLEANUP(buffer_free) struct buffer bytes = {0};
			struct error error = {0};
			char id[KEY_ID_MOST];

			if (kind == 0)
				json_object_del(changed, name);
			else if (kind == 1)
				json_object_set_new(changed, name, json_true());
			else
				json_object_set_new(changed, "more", json_string(name));
			bytes = sign_document(changed, "\1");
			assert_malformed(order_parse(bytes.data, bytes.size, &authority, NOW, &order, id, &error));
			changes++;
		}
	}
	assert_int_equal(changes, 3 * 16);
}

static void order_checks_are_named(void **state UNUSED)
{
	struct order order = good_order();
	struct order_expectation good = {
		.appliance = "a0a0", .product = "mail", .nonce = order.nonce, .highest_fence = 8, .now = NOW};
	struct order_expectation now;
	uint8_t other[ORDER_NONCE_SIZE] = {2};
	struct error error = {0};

	assert_ok(order_check(&order, &good, &error));
	now = good;
	now.appliance = "b0b0";
	assert_refused(order_check(&order, &now, &error), ERROR_DATA, "appliance");
	now = good;
	now.product = "web";
	assert_refused(order_check(&order, &now, &error), ERROR_DATA, "product");
	now = good;
	now.nonce = other;
	assert_refused(order_check(&order, &now, &error), ERROR_DATA, "nonce");
	now = good;
	now.now = order.issued - 601;
	assert_refused(order_check(&order, &now, &error), ERROR_DATA, "clock");
	now = good;
	now.highest_fence = 9;
	assert_refused(order_check(&order, &now, &error), ERROR_DATA, "fence");
	now = good;
	now.now = order.last_start;
	assert_ok(order_check(&order, &now, &error));
	now.now = order.last_start + 1;
	assert_refused(order_check(&order, &now, &error), ERROR_NOT_NOW, "window");
	now.now = order.start;
	assert_ok(order_check(&order, &now, &error));
	now.now = order.start - 1;
	assert_refused(order_check(&order, &now, &error), ERROR_NOT_NOW, "window");
}

/* 2027-01-31 in Kiritimati (UTC+14), Auckland (+13) … : ends is 2027-01-31T10:00:00Z there. */
static struct entitlement good_entitlement(void)
{
	return (struct entitlement){
		.appliance = "a0a0",
		.customer = "acme",
		.contract = "C-1",
		.product = "mail",
		.tier = "premium",
		.support_until = "2027-01-31",
		.ends = 1801440000, /* 2027-02-01T00:00:00Z */
		.issued = NOW - 10,
		.expires = NOW + 86400,
	};
}

static int parse_entitlement(const struct entitlement *entitlement, const char *signers, struct entitlement *ret_read,
			     struct error *error)
{
	CLEANUP(authority_free) struct authority authority = authority_of("\1", 1);
	CLEANUP(jsonio_free) json_t *document = entitlement_document(entitlement);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, signers);

	return entitlement_parse(bytes.data, bytes.size, &authority, NOW, ret_read, error);
}

static void entitlement_goes_round(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement(), read;
	struct error error = {0};

	entitlement.security_only = true;
	entitlement.published_policy = true;
	assert_ok(parse_entitlement(&entitlement, "\2", &read, &error));
	assert_memory_equal(&read.appliance, &entitlement.appliance, sizeof read.appliance);
	assert_string_equal(read.customer, "acme");
	assert_string_equal(read.contract, "C-1");
	assert_string_equal(read.product, "mail");
	assert_string_equal(read.tier, "premium");
	assert_string_equal(read.support_until, "2027-01-31");
	assert_int_equal(read.ends, entitlement.ends);
	assert_int_equal(read.issued, entitlement.issued);
	assert_int_equal(read.expires, entitlement.expires);
	assert_true(read.security_only);
	assert_true(read.published_policy);
}

static void entitlement_of_the_wrong_shape_is_refused(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement(), read;
	struct error error = {0};

	assert_refused(parse_entitlement(&entitlement, "\1", &read, &error), ERROR_DATA,
		       "signature"); /* the order key */
	entitlement.expires = NOW;
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "freeze");
	entitlement.expires = entitlement.issued + ENTITLEMENT_LIFE_MOST + 1;
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "format");
	entitlement = good_entitlement();
	entitlement.ends += 12 * 3600 + 1; /* the date ends so late in no zone */
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "format");
	entitlement.ends -= 26 * 3600 + 2;
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "format");
	entitlement.ends += 1;
	assert_ok(parse_entitlement(&entitlement, "\2", &read, &error));
	strcpy(entitlement.support_until, "2027-02-30");
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "format");
	strcpy(entitlement.support_until, "2027-1-3");
	assert_refused(parse_entitlement(&entitlement, "\2", &read, &error), ERROR_DATA, "format");
}

#define PUBLISHED 1799971200 /* 2027-01-15 */

static struct entitlement_question question(void)
{
	return (struct entitlement_question){
		.appliance = "a0a0", .product = "mail", .published = PUBLISHED, .now = NOW};
}

static void support_that_has_lapsed_is_77_with_date_and_renewal(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement();
	struct entitlement_question asked = question();
	struct error error = {0};

	asked.managed = true;
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
	asked.now = entitlement.ends - 1;
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
	asked.now = entitlement.ends;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
	assert_non_null(strstr(error.text, "2027-01-31"));
	assert_non_null(strstr(error.text, "renew contract C-1"));
	entitlement.published_policy = true;
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
}

static void release_published_after_support_is_refused_whatever_the_clock(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement();
	struct entitlement_question asked = question();
	struct error error = {0};

	entitlement.published_policy = true;
	asked.published = 1801353600; /* 2027-01-31, the last day */
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
	asked.published = 1801440000; /* 2027-02-01 */
	for (int i = 0; i < 3; i++) {
		asked.now = (int64_t[]){0, NOW, 4000000000}[i];
		assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
		assert_non_null(strstr(error.text, "2027-01-31"));
		assert_non_null(strstr(error.text, "renew"));
	}
	/* An ending in a zone far west does not lengthen it either. */
	entitlement.ends += 12 * 3600;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
}

static void security_grant_covers_security_releases_only(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement();
	struct entitlement_question asked = question();
	struct error error = {0};

	entitlement.security_only = true;
	asked.now = entitlement.ends + 1000000;
	asked.published = 1801440000 + 86400;
	asked.security = true;
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
	asked.security = false;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
	asked.security = true;
	entitlement.security_only = false;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
}

static void managed_upgrades_need_premium(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement();
	struct entitlement_question asked = question();
	struct error error = {0};

	strcpy(entitlement.tier, "advanced");
	assert_ok(entitlement_allows(&entitlement, &asked, &error));
	asked.managed = true;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
	assert_non_null(strstr(error.text, "premium"));
	assert_non_null(strstr(error.text, "2027-01-31"));
	entitlement.security_only = true;
	asked.security = true;
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
}

static void entitlement_is_for_one_appliance_and_product(void **state UNUSED)
{
	struct entitlement entitlement = good_entitlement();
	struct entitlement_question asked = question();
	struct error error = {0};

	asked.appliance = "b0b0";
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
	asked = question();
	asked.product = "web";
	assert_refused(entitlement_allows(&entitlement, &asked, &error), ERROR_NOT_PERMITTED, "entitlement");
}

static json_t *receipt_document(const struct key_secret *appliance)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:[{s:s, s:i, s:s}], s:i, s:s}", "upgrade",
			 "u-17", "appliance", key_id(key_secret_public(appliance)), "product", "mail", "from", "2.0",
			 "to", "2.1", "outcome", "committed", "reason", "", "confirmed", 1, "started", NOW, "ended",
			 NOW + 30, "steps", "name", "switch", "ms", 12, "result", "done", "generation", 4, "audit_head",
			 "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73");
}

static void receipt_goes_round_under_one_key(void **state UNUSED)
{
	CLEANUP(key_secret_free) struct key_secret *appliance = secret_number(9), *other = secret_number(8);
	CLEANUP(jsonio_free) json_t *document = receipt_document(appliance), *read = NULL;
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(receipt_sign(document, appliance, &bytes, &error));
	assert_ok(receipt_parse(bytes.data, bytes.size, key_secret_public(appliance), &read, &error));
	assert_true(json_equal(read, document));
	assert_string_equal(jsonio_string(read, "_type"), "receipt");
	jsonio_free(&read);
	assert_refused(receipt_parse(bytes.data, bytes.size, key_secret_public(other), &read, &error), ERROR_DATA,
		       "signature");
	buffer_free(&bytes);
	/* Nobody signs another's. */
	assert_refused(receipt_sign(document, other, &bytes, &error), ERROR_DATA, "appliance");
	json_object_set_new(document, "outcome", json_string("perhaps"));
	assert_malformed(receipt_sign(document, appliance, &bytes, &error));
	assert_int_equal(bytes.size, 0);
}

/* One key signs many kinds of document; none passes for another. */
static void one_kind_of_document_never_passes_for_another(void **state UNUSED)
{
	CLEANUP(authority_free) struct authority authority = {0};
	struct order order = good_order(), read_order;
	struct entitlement entitlement = good_entitlement(), read_entitlement;
	CLEANUP(jsonio_free) json_t *one = order_document(&order), *two = entitlement_document(&entitlement);
	CLEANUP(buffer_free) struct buffer first = sign_document(one, "\1\2"), second = sign_document(two, "\1\2");
	struct error error = {0};
	char id[KEY_ID_MOST];

	authority = authority_of("\1", 1);
	assert_malformed(entitlement_parse(first.data, first.size, &authority, NOW, &read_entitlement, &error));
	assert_malformed(order_parse(second.data, second.size, &authority, NOW, &read_order, id, &error));
	json_object_set_new(one, "_type", json_string("answer"));
	buffer_free(&first);
	first = sign_document(one, "\1");
	assert_malformed(order_parse(first.data, first.size, &authority, NOW, &read_order, id, &error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authority_goes_round),
		cmocka_unit_test(authority_is_a_closed_set),
		cmocka_unit_test(order_goes_round),
		cmocka_unit_test(order_by_another_key_is_refused),
		cmocka_unit_test(order_of_the_wrong_shape_is_refused),
		cmocka_unit_test(fields_are_a_closed_set),
		cmocka_unit_test(order_checks_are_named),
		cmocka_unit_test(entitlement_goes_round),
		cmocka_unit_test(entitlement_of_the_wrong_shape_is_refused),
		cmocka_unit_test(support_that_has_lapsed_is_77_with_date_and_renewal),
		cmocka_unit_test(release_published_after_support_is_refused_whatever_the_clock),
		cmocka_unit_test(security_grant_covers_security_releases_only),
		cmocka_unit_test(managed_upgrades_need_premium),
		cmocka_unit_test(entitlement_is_for_one_appliance_and_product),
		cmocka_unit_test(receipt_goes_round_under_one_key),
		cmocka_unit_test(one_kind_of_document_never_passes_for_another),
	};
	return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
