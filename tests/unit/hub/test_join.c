#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

static struct joincode make_code(const struct rig *rig)
{
	struct joincode code = {.host = "127.0.0.1", .port = rig->port};
	uint8_t blob[SSHKEY_BLOB_SIZE];

	sshkey_blob(rig->host_key, blob);
	hash_bytes(HASH_SHA256, blob, sizeof blob, code.host_key);
	secret_random(code.secret, sizeof code.secret);
	return code;
}

static void admit(struct rig *rig, const struct joincode *code, uint8_t ret_once[static 32])
{
	uint8_t seed[32], secret[64];
	char key[65];

	joincode_seed(code, seed);
	secret_ed25519_from_seed(seed, ret_once, secret);
	hash_to_hex(ret_once, 32, key);
	rig_say(rig->engine, json_pack("{s:s, s:s, s:s, s:s, s:I}", "do", "admit", "key", key, "kind", "join", "name",
				       "new-box", "expires", (json_int_t)clock_now() + 3600));
}

/* link_join in a child, since the test is the engine; 0 when it joined as "new-box", else the code. */
static pid_t join(struct rig *rig, const struct joincode *code)
{
	pid_t child = fork();

	if (child == 0) {
		const struct link_settings settings = {.address = NULL};
		char name[LINK_NAME_MOST] = "";
		uint8_t host_key[32] = {0};
		struct error error;
		uid_t uid = getuid() == 0 ? 65534 : (uid_t)-1;
		int status = link_join(code, &settings, uid, 65534, rig->seed, "esbuild", name, host_key, &error);
		if (status < 0)
			_exit((int)error.code);
		_exit(strcmp(name, "new-box") == 0 && memcmp(host_key, rig->host_key, 32) == 0 ? 0 : 99);
	}
	return child;
}

static void test_a_key_is_handed_in_with_two_proofs(void **state)
{
	struct rig *rig = *state;
	uint8_t statement[16 + 64] = "nightshift-join", signatures[128];
	struct stream *stream;
	struct stream_message request;
	struct error error;
	int fd = -1;

	rig_engine(rig);
	struct joincode code = make_code(rig);
	admit(rig, &code, statement + 16);
	memcpy(statement + 48, rig->key, 32);
	pid_t child = join(rig, &code);
	json_decref(rig_expect(rig->engine, "is", "join", &fd));
	assert_int_equal(stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &stream, &error), 0);
	assert_int_equal(stream_wait(stream, clock_ticks_ms() + RIG_WAIT_MS, &request, &error), 0);
	assert_int_equal(request.type, MESSAGE_JOIN);
	assert_string_equal(jsonio_string(request.body, "public_key"), rig->key_hex);
	assert_string_equal(jsonio_string(request.body, "product"), "esbuild");
	assert_int_equal(hash_from_hex(jsonio_string(request.body, "proof"), signatures, sizeof signatures, &error), 0);
	assert_true(secret_ed25519_verify(statement + 16, statement, sizeof statement, signatures));
	assert_true(secret_ed25519_verify(rig->key, statement, sizeof statement, signatures + 64));
	json_t *reply = json_pack("{s:s}", "appliance", "new-box");
	bool pending;
	assert_int_equal(stream_send(stream, MESSAGE_JOIN, FRAME_REPLY, request.id, reply, &error), 0);
	assert_int_equal(stream_flush(stream, &pending, &error), 0);
	assert_int_equal(rig_wait(child), 0);
	json_decref(reply);
	stream_message_free(&request);
	stream_free(&stream);
	/* A code is good once. */
	assert_int_equal(rig_wait(join(rig, &code)), ERROR_NOT_PERMITTED);
}

static void test_the_engine_may_refuse(void **state)
{
	struct rig *rig = *state;
	struct stream *stream;
	struct stream_message request;
	struct error error, why;
	uint8_t once[32];
	int fd = -1;

	rig_engine(rig);
	struct joincode code = make_code(rig);
	admit(rig, &code, once);
	pid_t child = join(rig, &code);
	json_decref(rig_expect(rig->engine, "is", "join", &fd));
	assert_int_equal(stream_new_take(fd, MESSAGE_FROM_ORCHESTRATOR, &stream, &error), 0);
	assert_int_equal(stream_wait(stream, clock_ticks_ms() + RIG_WAIT_MS, &request, &error), 0);
	error_set(&why, ERROR_CONFIG, "product", "another product");
	bool pending;
	assert_int_equal(stream_send_error(stream, MESSAGE_JOIN, request.id, &why, &error), 0);
	assert_int_equal(stream_flush(stream, &pending, &error), 0);
	assert_int_equal(rig_wait(child), ERROR_CONFIG);
	stream_message_free(&request);
	stream_free(&stream);
}

static void test_another_hub_is_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t once[32];

	rig_engine(rig);
	struct joincode code = make_code(rig);
	admit(rig, &code, once);
	code.host_key[5] ^= 1;
	assert_int_equal(rig_wait(join(rig, &code)), ERROR_DATA);
}

static void test_nobody_there_is_said(void **state)
{
	struct rig *rig = *state;
	struct joincode code = make_code(rig);

	code.port = 1;
	assert_int_equal(rig_wait(join(rig, &code)), ERROR_UNREACHABLE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_key_is_handed_in_with_two_proofs),
		TEST(test_the_engine_may_refuse),
		TEST(test_another_hub_is_refused),
		TEST(test_nobody_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
