/* Signatures are counted by distinct public keys, over canonical bytes, and nothing else counts. */
#include "fixture.h"

static struct key_set set_of(const char *numbers, unsigned threshold)
{
	CLEANUP(jsonio_free) json_t *keys = json_object();
	CLEANUP(jsonio_free) json_t *role = role_of(keys, numbers, 1);
	struct key_set set = {0};
	struct error error = {0};

	assert_ok(role_keys(keys, role, "test", &set, &error));
	set.threshold = threshold;
	return set;
}

static struct envelope *envelope_of(const char *text)
{
	struct envelope *envelope = NULL;
	struct error error = {0};

	assert_ok(envelope_parse(text, strlen(text), "test", &envelope, &error));
	return envelope;
}

static void refuse_text(const char *text)
{
	struct envelope *envelope = NULL;
	struct error error = {0};

	assert_malformed(envelope_parse(text, strlen(text), "test", &envelope, &error));
	assert_null(envelope);
}

static void threshold_counts_distinct_keys(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:i}", "a", 1);
	CLEANUP(key_set_free) struct key_set set = set_of("\1\2\3", 2);
	CLEANUP(buffer_free)
	struct buffer one = sign_document(document, "\1"), two = sign_document(document, "\1\3"),
		      strange = sign_document(document, "\1\6\7");
	CLEANUP(envelope_free) struct envelope *first = envelope_of((char *)one.data);
	CLEANUP(envelope_free) struct envelope *second = envelope_of((char *)two.data);
	CLEANUP(envelope_free) struct envelope *third = envelope_of((char *)strange.data);
	struct error error = {0};

	assert_refused(envelope_verify(first, &set, "test", &error), ERROR_DATA, "signature");
	assert_non_null(strstr(error.text, "1 valid signatures of 2"));
	assert_ok(envelope_verify(second, &set, "test", &error));
	assert_int_equal(envelope_count(second, &set), 2);
	assert_refused(envelope_verify(third, &set, "test", &error), ERROR_DATA, "signature");
	set.threshold = 3;
	assert_refused(envelope_verify(second, &set, "test", &error), ERROR_DATA, "signature");
}

/* CVE-2026-23992. */
static void threshold_of_zero_authorises_nothing(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:i}", "a", 1);
	CLEANUP(key_set_free) struct key_set set = set_of("\1", 0);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1");
	CLEANUP(envelope_free) struct envelope *envelope = envelope_of((char *)bytes.data);
	struct error error = {0};

	assert_refused(envelope_verify(envelope, &set, "test", &error), ERROR_DATA, "signature");
}

/* CVE-2020-6174, CVE-2020-15093, CVE-2026-6966. */
static void one_key_under_two_ids_counts_once(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:i}", "a", 1);
	CLEANUP(jsonio_free) json_t *keys = json_object();
	CLEANUP(jsonio_free) json_t *role = NULL, *file = NULL;
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1"), text = {0};
	CLEANUP(key_set_free) struct key_set set = {0};
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct error error = {0};
	char id[KEY_ID_MOST];
	json_t *key = key_number(1, id), *signatures;

	json_object_set(keys, "first", key);
	json_object_set_new(key, "unknown", json_string("makes another computed id"));
	json_object_set_new(keys, "second", json_deep_copy(key));
	json_object_del(key, "unknown");
	json_decref(key);
	role = json_pack("{s:[s,s], s:i}", "keyids", "first", "second", "threshold", 2);
	assert_ok(role_keys(keys, role, "test", &set, &error));
	assert_int_equal(set.count, 2);

	assert_ok(jsonio_parse(bytes.data, bytes.size, "test", &file, &error));
	signatures = json_object_get(file, "signatures");
	json_array_append_new(signatures, json_deep_copy(json_array_get(signatures, 0)));
	json_object_set_new(json_array_get(signatures, 0), "keyid", json_string("first"));
	json_object_set_new(json_array_get(signatures, 1), "keyid", json_string("second"));
	assert_ok(jsonio_write(file, false, &text, &error));
	assert_ok(envelope_parse(text.data, text.size, "test", &envelope, &error));
	assert_int_equal(envelope_count(envelope, &set), 1);
	assert_refused(envelope_verify(envelope, &set, "test", &error), ERROR_DATA, "signature");
	set.threshold = 1;
	assert_ok(envelope_verify(envelope, &set, "test", &error));
}

static void structure_is_checked(void **state UNUSED)
{
	CLEANUP(buffer_free) struct buffer many = {0};
	struct error error = {0};

	refuse_text(
		"{\"signed\":{},\"signatures\":[{\"keyid\":\"a\",\"sig\":\"00\"},{\"keyid\":\"a\",\"sig\":\"01\"}]}");
	refuse_text("{\"signed\":{},\"signed\":{},\"signatures\":[]}");
	refuse_text("{\"signed\":{\"a\":1.5},\"signatures\":[]}");
	refuse_text("{\"signed\":{},\"signatures\":[]} x");
	refuse_text("{\"signed\":{},\"signatures\":[{\"keyid\":1,\"sig\":\"00\"}]}");
	refuse_text("{\"signatures\":[]}");
	refuse_text("{\"signed\":{}}");
	/* CVE-2020-6173: thousands of signatures. */
	assert_ok(buffer_append_string(&many, "{\"signed\":{},\"signatures\":[", &error));
	for (int i = 0; i <= ENVELOPE_SIGNATURES_MOST; i++)
		assert_ok(buffer_printf(&many, &error, "%s{\"keyid\":\"%d\",\"sig\":\"\"}", i ? "," : "", i));
	assert_ok(buffer_append_string(&many, "]}", &error));
	refuse_text((char *)many.data);
}

static void damaged_signatures_do_not_count(void **state UNUSED)
{
	CLEANUP(key_set_free) struct key_set set = set_of("\1", 1);
	static const char *const values[] = {"", "0", "zz", "00", "not hexadecimal at all"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CLEANUP(envelope_free) struct envelope *envelope = NULL;
		char text[512];

		snprintf(text, sizeof text, "{\"signed\":{\"a\":1},\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"%s\"}]}",
			 key_id(set.keys[0]), values[i]);
		envelope = envelope_of(text);
		assert_int_equal(envelope_count(envelope, &set), 0);
	}
}

static void every_flipped_byte_is_noticed(void **state UNUSED)
{
	CLEANUP(jsonio_free)
	json_t *document = json_pack("{s:i, s:s, s:{s:b}}", "a", 12, "text", "x\"y\\z", "o", "t", 1);
	CLEANUP(key_set_free) struct key_set set = set_of("\1", 1);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1");
	unsigned parsed = 0;

	for (size_t i = 0; i < bytes.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			CLEANUP(envelope_free) struct envelope *envelope = NULL;
			struct error error = {0};

			bytes.data[i] ^= (uint8_t)(1 << bit);
			if (!envelope_parse(bytes.data, bytes.size, "test", &envelope, &error)) {
				parsed++;
				/* The case of a hexadecimal digit of the signature carries nothing. */
				if (envelope_count(envelope, &set) == 1)
					assert_true(bit == 5 && strchr("abcdefABCDEF", bytes.data[i]));
			}
			bytes.data[i] ^= (uint8_t)(1 << bit);
		}
	assert_true(parsed > 100);
}

static void file_comes_out_as_it_went_in(void **state UNUSED)
{
	static const char text[] = " {\"x\": 1,\n \"signed\": {\"b\":2, \"a\":1}, \"signatures\":[ ]}";
	CLEANUP(envelope_free) struct envelope *envelope = envelope_of(text);
	CLEANUP(envelope_free) struct envelope *again = NULL;
	CLEANUP(key_secret_free) struct key_secret *secret = secret_number(1);
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	assert_ok(envelope_write(envelope, &bytes, &error));
	assert_string_equal((char *)bytes.data, text);
	buffer_free(&bytes);
	assert_ok(envelope_sign(envelope, secret, &error));
	assert_ok(envelope_sign(envelope, secret, &error));
	assert_ok(envelope_write(envelope, &bytes, &error));
	assert_non_null(strstr((char *)bytes.data, "\"x\":1"));
	assert_ok(envelope_parse(bytes.data, bytes.size, "test", &again, &error));
	assert_true(envelope_signed_by(again, key_secret_public(secret)));
}

static void unknown_fields_are_signed_too(void **state UNUSED)
{
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:i, s:{s:[i]}}", "a", 1, "later", "than", 2026);
	CLEANUP(key_set_free) struct key_set set = set_of("\1", 1);
	CLEANUP(buffer_free) struct buffer bytes = sign_document(document, "\1");
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	char *year = strstr((char *)bytes.data, "2026");

	year[3] = '7';
	envelope = envelope_of((char *)bytes.data);
	assert_int_equal(envelope_count(envelope, &set), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threshold_counts_distinct_keys),
		cmocka_unit_test(threshold_of_zero_authorises_nothing),
		cmocka_unit_test(one_key_under_two_ids_counts_once),
		cmocka_unit_test(structure_is_checked),
		cmocka_unit_test(damaged_signatures_do_not_count),
		cmocka_unit_test(every_flipped_byte_is_noticed),
		cmocka_unit_test(file_comes_out_as_it_went_in),
		cmocka_unit_test(unknown_fields_are_signed_too),
	};
	return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
