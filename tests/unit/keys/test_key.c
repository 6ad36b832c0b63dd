/* Key files, passphrases, foreign key types and external signers. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>

#include "fixture.h"

struct state {
	char path[64];
	int directory;
};

static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);

	unsetenv("CREDENTIALS_DIRECTORY");
	s->directory = make_directory(s->path);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct state *s = *state;

	drop_directory(s->path, s->directory);
	free(s);
	return 0;
}

static void key_id_is_the_hash_of_the_canonical_object(void **state UNUSED)
{
	/* sha256 of {"keytype":"ed25519","keyval":{"public":"7237…542c"},"scheme":"ed25519"} */
	CLEANUP(jsonio_free)
	json_t *object = json_pack("{s:s, s:s, s:{s:s}}", "scheme", "ed25519", "keytype", "ed25519", "keyval", "public",
				   "72378e5bc588793e58f81c8533da64a2e8f1565c1fcc7f253496394ffc52542c");
	CLEANUP(key_free) struct key *computed = NULL, *opaque = NULL, *refused = NULL;
	struct error error = {0};
	char longest[KEY_ID_MOST + 1];

	assert_ok(key_parse(object, NULL, &computed, &error));
	assert_string_equal(key_id(computed), "1bf1c6e3cdd3d3a8420b19199e27511999850f4b376c4547b2f32fba7e80fca3");
	assert_ok(key_parse(object, "whatever the root calls it", &opaque, &error));
	assert_string_equal(key_id(opaque), "whatever the root calls it");
	assert_true(key_same(computed, opaque));
	memset(longest, 'a', sizeof longest);
	longest[KEY_ID_MOST] = '\0';
	assert_malformed(key_parse(object, longest, &refused, &error));
	assert_malformed(key_parse(object, "", &refused, &error));
	json_object_del(object, "keyval");
	assert_malformed(key_parse(object, NULL, &refused, &error));
	assert_null(refused);
}

static void sign_and_verify(const struct key_secret *secret)
{
	const struct key *key = key_secret_public(secret);
	uint8_t signature[KEY_SIGNATURE_MOST];
	struct error error = {0};
	size_t size;

	assert_ok(key_secret_sign(secret, "message", 7, signature, &size, &error));
	assert_true(key_verify(key, "message", 7, signature, size));
	assert_false(key_verify(key, "messagf", 7, signature, size));
	assert_false(key_verify(key, "message", 6, signature, size));
	assert_false(key_verify(key, "message", 7, signature, size - 1));
	signature[size / 2] ^= 1;
	assert_false(key_verify(key, "message", 7, signature, size));
}

static void sealed_key_opens_with_its_passphrase_only(void **state)
{
	struct state *s = *state;
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	CLEANUP(key_free) struct key *public = NULL;
	struct error error = {0};
	struct key_passphrase right = {.file = beneath(s->path, "right")}, wrong = {.file = beneath(s->path, "wrong")};
	char path[128];
	struct stat status;

	snprintf(path, sizeof path, "%s/key", s->path);
	write_file(s->directory, "right", "correct horse\nbattery", 0600);
	write_file(s->directory, "wrong", "correct horse battery\n", 0600);
	assert_ok(key_secret_create(path, &right, &error));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_ok(key_secret_load(path, &right, &secret, &error));
	sign_and_verify(secret);
	assert_ok(key_read_file(beneath(s->path, "key.pub"), &public, &error));
	assert_string_equal(key_id(public), key_id(key_secret_public(secret)));
	key_secret_free(&secret);
	assert_refused(key_secret_load(path, &wrong, &secret, &error), ERROR_DATA, "passphrase");
	assert_null(secret);
	/* Neither half is overwritten. */
	assert_refused(key_secret_create(path, &right, &error), ERROR_CANNOT_CREATE, "exists");
	assert_int_equal(unlink(path), 0);
	assert_refused(key_secret_create(path, &right, &error), ERROR_CANNOT_CREATE, "exists");
	assert_int_equal(access(path, F_OK), -1);
}

static void passphrase_comes_as_a_credential(void **state)
{
	struct state *s = *state;
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	struct key_passphrase any = {0}, empty = {.file = beneath(s->path, "empty")},
			      none = {.file = beneath(s->path, "none")};
	struct error error = {0};
	char path[128];

	snprintf(path, sizeof path, "%s/key", s->path);
	write_file(s->directory, "nightshift-passphrase", "credential\n", 0600);
	write_file(s->directory, "empty", "\nsecond line\n", 0600);
	setenv("CREDENTIALS_DIRECTORY", s->path, 1);
	assert_ok(key_secret_create(path, &any, &error));
	assert_ok(key_secret_load(path, NULL, &secret, &error));
	unsetenv("CREDENTIALS_DIRECTORY");
	key_secret_free(&secret);
	assert_refused(key_secret_load(path, &empty, &secret, &error), ERROR_USAGE, "passphrase");
	assert_refused(key_secret_load(path, &none, &secret, &error), ERROR_USAGE, "passphrase");
}

/* A person at a terminal answers each question with the next line; what the terminal showed comes back. The exit code
 * is the child's. */
static int at_terminal(int (*run)(const char *path, struct error *error), const char *path, const char *const answers[],
		       char *shown, size_t shown_size)
{
	size_t used = 0;
	int terminal, status;
	pid_t child = forkpty(&terminal, NULL, NULL, NULL);

	if (child == 0) {
		struct error error = {0};

		/* Whoever runs tests in the background has it ignored. */
		signal(SIGINT, SIG_DFL);
		_exit(-run(path, &error));
	}
	assert_true(child > 0);
	for (;;) {
		struct pollfd wait = {.fd = terminal, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&wait, 1, 20000), 1);
		n = read(terminal, shown + used, shown_size - used - 1);
		if (n <= 0)
			break;
		used += (size_t)n;
		shown[used] = '\0';
		if (used > 2 && !strcmp(shown + used - 2, ": ") && *answers) {
			assert_int_equal(write(terminal, *answers, strlen(*answers)), strlen(*answers));
			answers++;
		}
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	close(terminal);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int create_asking(const char *path, struct error *error)
{
	return key_secret_create(path, &(struct key_passphrase){.confirm = true}, error);
}

static int load_asking(const char *path, struct error *error)
{
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;

	return key_secret_load(path, NULL, &secret, error);
}

static void passphrase_is_asked_for_without_echo(void **state)
{
	struct state *s = *state;
	char path[128], shown[4096] = "";

	snprintf(path, sizeof path, "%s/key", s->path);
	assert_int_equal(
		at_terminal(create_asking, path, (const char *[]){"one\n", "other\n", NULL}, shown, sizeof shown),
		ERROR_USAGE);
	assert_int_equal(at_terminal(create_asking, path, (const char *[]){"\n", NULL}, shown, sizeof shown),
			 ERROR_USAGE);
	/* Control-C: the terminal is put right and the signal acts. */
	assert_int_equal(at_terminal(create_asking, path, (const char *[]){"\003", NULL}, shown, sizeof shown),
			 128 + 2);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(
		at_terminal(create_asking, path, (const char *[]){"geheim\n", "geheim\n", NULL}, shown, sizeof shown),
		0);
	assert_null(strstr(shown, "geheim"));
	assert_int_equal(at_terminal(load_asking, path, (const char *[]){"geheim\n", NULL}, shown, sizeof shown), 0);
	assert_null(strstr(shown, "geheim"));
	assert_int_equal(at_terminal(load_asking, path, (const char *[]){"gehein\n", NULL}, shown, sizeof shown),
			 ERROR_DATA);
}

static void unsealed_key_needs_no_passphrase(void **state)
{
	struct state *s = *state;
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	struct error error = {0};
	char path[128];

	snprintf(path, sizeof path, "%s/key", s->path);
	assert_ok(key_secret_create(path, NULL, &error));
	assert_ok(key_secret_load(path, NULL, &secret, &error));
	sign_and_verify(secret);
}

static void damaged_key_files_are_refused(void **state)
{
	static const struct {
		const char *field, *value;
	} changes[] = {
		{"_type", "\"other\""},
		{"seal", "\"rot13\""},
		{"secret", "\"00\""},
		{"memory", "1099511627776"},
		{"operations", "1000000"},
		{"operations", "0"},
		{"salt", "\"zz\""},
		{"nonce", "1"},
		{"more", "1"},
	};
	struct state *s = *state;
	struct key_passphrase words = {.file = beneath(s->path, "words")};
	CLEANUP(buffer_free) struct buffer text = {0};
	CLEANUP(jsonio_free) json_t *file = NULL;
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	struct error error = {0};
	char path[128], other[128], id[KEY_ID_MOST];

	snprintf(path, sizeof path, "%s/key", s->path);
	snprintf(other, sizeof other, "%s/other", s->path);
	write_file(s->directory, "words", "w\n", 0600);
	assert_ok(key_secret_create(path, &words, &error));
	assert_ok(file_read_at(s->directory, "key", &text, &error));
	assert_ok(jsonio_parse(text.data, text.size, "key", &file, &error));
	for (size_t i = 0; i <= ARRAY_SIZE(changes); i++) {
		CLEANUP(jsonio_free) json_t *changed = json_deep_copy(file);
		CLEANUP(buffer_free) struct buffer bytes = {0};

		if (i < ARRAY_SIZE(changes))
			json_object_set_new(changed, changes[i].field,
					    json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
		else /* another's public half */
			json_object_set_new(changed, "public", key_number(1, id));
		assert_ok(jsonio_write(changed, false, &bytes, &error));
		write_file(s->directory, "other", (char *)bytes.data, 0600);
		assert_int_equal(key_secret_load(other, &words, &secret, &error), -ERROR_DATA);
		assert_null(secret);
	}
	write_file(s->directory, "other", "{}", 0600);
	assert_int_equal(key_secret_load(other, &words, &secret, &error), -ERROR_DATA);
	assert_refused(key_secret_load(beneath(s->path, "nowhere"), &words, &secret, &error), ERROR_DATA, "missing");
}

static void need_openssl(void)
{
	if (run_shell("/", "command -v openssl")) {
		print_message("skipped: keys/key (openssl is not installed)\n");
		skip();
	}
}

static struct key *read_key(struct state *s, const char *name)
{
	struct key *key = NULL;
	struct error error = {0};

	assert_ok(key_read_file(beneath(s->path, name), &key, &error));
	return key;
}

static void verify_file(struct state *s, const struct key *key, const char *name, bool valid)
{
	CLEANUP(buffer_free) struct buffer signature = {0};
	struct error error = {0};

	assert_ok(file_read_at(s->directory, name, &signature, &error));
	assert_int_equal(key_verify(key, "message", 7, signature.data, signature.size), valid);
	assert_false(key_verify(key, "massage", 7, signature.data, signature.size));
}

static void ecdsa_and_rsa_signatures_of_openssl_verify(void **state)
{
	struct state *s = *state;
	CLEANUP(key_free) struct key *ec = NULL, *rsa = NULL, *again = NULL, *foreign = NULL;
	struct error error = {0};

	need_openssl();
	assert_int_equal(
		run_shell(s->path,
			  "set -e; printf message > m\n"
			  "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec\n"
			  "openssl pkey -in ec -pubout -out ec.pem; openssl dgst -sha256 -sign ec -out ec.sig m\n"
			  "openssl genrsa -out rsa 2048; openssl pkey -in rsa -pubout -out rsa.pem\n"
			  "openssl dgst -sha256 -sign rsa -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -out "
			  "pss32 m\n"
			  "openssl dgst -sha256 -sign rsa -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max "
			  "-out pssmax m\n"
			  "openssl dgst -sha256 -sign rsa -out pkcs1 m\n"
			  "openssl dgst -sha512 -sign ec -out ec512 m\n"
			  "openssl genrsa -out small 1024; openssl pkey -in small -pubout -out small.pem\n"
			  "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384\n"
			  "openssl pkey -in p384 -pubout -out p384.pem\n"),
		0);
	ec = read_key(s, "ec.pem");
	rsa = read_key(s, "rsa.pem");
	again = read_key(s, "ec.pem");
	assert_int_equal(key_scheme(ec), KEY_ECDSA_P256);
	assert_int_equal(key_scheme(rsa), KEY_RSA_PSS_SHA256);
	assert_null(key_ed25519(ec));
	assert_true(key_same(ec, again));
	assert_false(key_same(ec, rsa));
	verify_file(s, ec, "ec.sig", true);
	verify_file(s, rsa, "pss32", true);
	verify_file(s, rsa, "pssmax", true);
	verify_file(s, rsa, "pkcs1", false);
	verify_file(s, ec, "ec512", false);
	verify_file(s, rsa, "ec.sig", false);
	verify_file(s, ec, "pss32", false);
	assert_refused(key_read_file(beneath(s->path, "small.pem"), &foreign, &error), ERROR_DATA, "format");
	assert_refused(key_read_file(beneath(s->path, "p384.pem"), &foreign, &error), ERROR_DATA, "format");
	assert_refused(key_read_file(beneath(s->path, "ec"), &foreign, &error), ERROR_DATA, "format");
}

static void key_type_and_public_value_must_agree(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer pem = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(key_free) struct key *old = NULL, *wrong = NULL;
	struct error error = {0};

	need_openssl();
	assert_int_equal(run_shell(s->path, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | "
					    "openssl pkey -pubout -out ec.pem"),
			 0);
	assert_ok(file_read_at(s->directory, "ec.pem", &pem, &error));
	object = json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ecdsa-sha2-nistp256", "scheme", "ecdsa-sha2-nistp256",
			   "keyval", "public", (char *)pem.data);
	assert_ok(key_parse(object, NULL, &old, &error));
	assert_int_equal(key_scheme(old), KEY_ECDSA_P256);
	json_object_set_new(object, "keytype", json_string("rsa"));
	json_object_set_new(object, "scheme", json_string("rsassa-pss-sha256"));
	assert_ok(key_parse(object, NULL, &wrong, &error));
	assert_int_equal(key_scheme(wrong), KEY_UNKNOWN);
	assert_false(key_same(old, wrong));
	assert_true(key_same(wrong, wrong));
}

static void external_signer_gets_the_bytes_and_prints_a_signature(void **state)
{
	struct state *s = *state;
	CLEANUP(key_secret_free) struct key_secret *secret = NULL, *other = NULL;
	CLEANUP(jsonio_free) json_t *document = json_pack("{s:i}", "a", 1);
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct error error = {0};
	uint8_t signature[KEY_SIGNATURE_MOST];
	char program[128];
	size_t size = 99;

	need_openssl();
	assert_int_equal(run_shell(s->path,
				   "set -e; for k in token stranger; do\n"
				   "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $k.key\n"
				   "openssl pkey -in $k.key -pubout -out $k.pem; done; cp token.pem raw.pub\n"
				   "cp token.pem hex.pub; cp stranger.pem swapped.pub; cp token.pem public\n"
				   "printf '#!/bin/sh\\nexec openssl dgst -sha256 -sign '$PWD'/token.key\\n' > raw\n"
				   "printf '#!/bin/sh\\nopenssl dgst -sha256 -sign '$PWD'/token.key | od -An -v -tx1 | "
				   "tr -d \" \\\\n\"; echo\\n' > hex\n"
				   "cp raw swapped; cp raw shared\n"
				   "printf '#!/bin/sh\\necho no token is plugged in >&2; exit 3\\n' > broken\n"
				   "printf '#!/bin/sh\\nexec yes\\n' > endless; printf '#!/bin/sh\\n' > silent\n"
				   "chmod +x raw hex swapped shared broken endless silent\n"),
			 0);
	for (size_t i = 0; i < 3; i++) {
		snprintf(program, sizeof program, "cmd:%s/%s", s->path, (const char *[]){"raw", "hex", "shared"}[i]);
		assert_ok(key_secret_load(program, NULL, &secret, &error));
		assert_int_equal(key_scheme(key_secret_public(secret)), KEY_ECDSA_P256);
		sign_and_verify(secret);
		assert_ok(envelope_new(document, &envelope, &error));
		assert_ok(envelope_sign(envelope, secret, &error));
		assert_true(envelope_signed_by(envelope, key_secret_public(secret)));
		envelope_free(&envelope);
		key_secret_free(&secret);
	}
	for (size_t i = 0; i < 4; i++) {
		static const char *const rows[][2] = {
			{"swapped", "signature"}, {"broken", "signer"}, {"endless", "length"}, {"silent", "signer"}};

		snprintf(program, sizeof program, "cmd:%s/%s", s->path, rows[i][0]);
		assert_ok(key_secret_load(program, NULL, &secret, &error));
		assert_refused(key_secret_sign(secret, "m", 1, signature, &size, &error), ERROR_DATA, rows[i][1]);
		assert_int_equal(size, 99);
		key_secret_free(&secret);
	}
	assert_refused(key_secret_load("cmd:bare-name", NULL, &secret, &error), ERROR_USAGE, "key");
	snprintf(program, sizeof program, "cmd:%s/nobody", s->path);
	assert_ok(key_secret_load(program, NULL, &other, &error));
	assert_refused(key_secret_sign(other, "m", 1, signature, &size, &error), ERROR_USAGE, "signer");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_id_is_the_hash_of_the_canonical_object),
		TEST(sealed_key_opens_with_its_passphrase_only),
		TEST(passphrase_comes_as_a_credential),
		TEST(passphrase_is_asked_for_without_echo),
		TEST(unsealed_key_needs_no_passphrase),
		TEST(damaged_key_files_are_refused),
		TEST(ecdsa_and_rsa_signatures_of_openssl_verify),
		TEST(key_type_and_public_value_must_agree),
		TEST(external_signer_gets_the_bytes_and_prints_a_signature),
	};
	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
