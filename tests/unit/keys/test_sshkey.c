/* OpenSSH's own ssh-keygen reads what we write, and we read what it writes. */
#include "fixture.h"
#include "keys/sshkey.h"

struct state {
	char path[64];
	int directory;
};

static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);

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

static void need_ssh_keygen(void)
{
	if (run_shell("/", "command -v ssh-keygen")) {
		print_message("skipped: keys/sshkey (ssh-keygen is not installed)\n");
		skip();
	}
}

static void make_seed(int number, uint8_t seed[static 32], uint8_t public_key[static 32])
{
	uint8_t secret[SECRET_ED25519_SECRET];

	memset(seed, number, 32);
	secret_ed25519_from_seed(seed, public_key, secret);
}

static void read_text(struct state *s, const char *name, struct buffer *ret_text)
{
	struct error error = {0};

	assert_ok(file_read_at(s->directory, name, ret_text, &error));
}

static void ssh_keygen_reads_our_keys(void **state)
{
	struct state *s = *state;
	struct error error = {0};

	need_ssh_keygen();
	/* Comments of every length make every padding. */
	for (int i = 0; i < 9; i++) {
		CLEANUP(buffer_free) struct buffer text = {0}, printed = {0}, listed = {0};
		uint8_t seed[32], public_key[32];
		char comment[16] = "", line[SSHKEY_LINE_MOST], fingerprint[51];

		memset(comment, 'c', (size_t)i);
		make_seed(i + 1, seed, public_key);
		assert_ok(sshkey_write(seed, comment, &text, &error));
		write_file(s->directory, "key", (char *)text.data, 0600);
		assert_int_equal(run_shell(s->path, "ssh-keygen -y -P '' -f key > y && ssh-keygen -l -f key > l"), 0);
		read_text(s, "y", &printed);
		assert_ok(sshkey_public_line(public_key, comment, line, &error));
		strcat(line, "\n");
		assert_string_equal((char *)printed.data, line);
		read_text(s, "l", &listed);
		sshkey_fingerprint(public_key, fingerprint);
		assert_int_equal(strlen(fingerprint), 50);
		assert_non_null(strstr((char *)listed.data, fingerprint));
	}
}

static void we_read_the_keys_of_ssh_keygen(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer text = {0}, line = {0};
	uint8_t seed[32], public_key[32], stated[32], secret[SECRET_ED25519_SECRET];
	struct error error = {0};

	need_ssh_keygen();
	assert_int_equal(run_shell(s->path, "ssh-keygen -q -t ed25519 -N '' -C 'some comment' -f key"), 0);
	read_text(s, "key", &text);
	read_text(s, "key.pub", &line);
	assert_ok(sshkey_read(text.data, text.size, seed, &error));
	assert_ok(sshkey_public_read((char *)line.data, stated, &error));
	secret_ed25519_from_seed(seed, public_key, secret);
	assert_memory_equal(public_key, stated, 32);
}

static void other_keys_are_refused(void **state)
{
	static const char *const commands[] = {
		"ssh-keygen -q -t ed25519 -N secret -f key", "ssh-keygen -q -t ecdsa -N '' -f key",
		"openssl genpkey -algorithm ed25519 -out key; echo 'ssh-rsa AAAA' > key.pub"};
	struct state *s = *state;

	need_ssh_keygen();
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		CLEANUP(buffer_free) struct buffer text = {0}, line = {0};
		uint8_t seed[32] = {0}, zero[32] = {0};
		struct error error = {0};

		assert_int_equal(run_shell(s->path, "rm -f key key.pub"), 0);
		assert_int_equal(run_shell(s->path, commands[i]), 0);
		read_text(s, "key", &text);
		assert_refused(sshkey_read(text.data, text.size, seed, &error), ERROR_DATA, "format");
		assert_memory_equal(seed, zero, 32);
		read_text(s, "key.pub", &line);
		if (i)
			assert_refused(sshkey_public_read((char *)line.data, seed, &error), ERROR_DATA, "format");
	}
}

static void every_cut_and_flip_is_refused_or_harmless(void **state UNUSED)
{
	CLEANUP(buffer_free) struct buffer text = {0};
	uint8_t seed[32], public_key[32], read[32];
	struct error error = {0};
	unsigned accepted = 0;

	make_seed(5, seed, public_key);
	assert_ok(sshkey_write(seed, "c", &text, &error));
	for (size_t size = 0; size + sizeof "-----END OPENSSH PRIVATE KEY-----" < text.size; size++)
		assert_refused(sshkey_read(text.data, size, read, &error), ERROR_DATA, "format");
	for (size_t i = 0; i < text.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			text.data[i] ^= (uint8_t)(1 << bit);
			memset(read, 0, sizeof read);
			if (!sshkey_read(text.data, text.size, read, &error)) {
				assert_memory_equal(read, seed, 32); /* the comment, or a line's end */
				accepted++;
			}
			text.data[i] ^= (uint8_t)(1 << bit);
		}
	assert_true(accepted < 50);
}

static void public_lines_are_strict(void **state UNUSED)
{
	static const char *const lines[] = {
		"",
		"ssh-ed25519",
		"ssh-ed25519 ",
		"ssh-ed25519 AAAA",
		"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIBvDV3shN5HmDhCj8drTIhIEXc5tuRg5Gd0GU/zBSRUo",
		"ssh-ed25519 !!!AC3NzaC1lZDI1NTE5AAAAIBvDV3shN5HmDhCj8drTIhIEXc5tuRg5Gd0GU/zBSRUo"};
	uint8_t seed[32], public_key[32], read[32];
	char line[SSHKEY_LINE_MOST], comment[300];
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_refused(sshkey_public_read(lines[i], read, &error), ERROR_DATA, "format");
	make_seed(3, seed, public_key);
	assert_ok(sshkey_public_line(public_key, "", line, &error));
	assert_int_equal(line[strlen(line) - 1] == ' ', 0);
	assert_ok(sshkey_public_read(line, read, &error));
	assert_memory_equal(read, public_key, 32);
	memset(comment, 'c', sizeof comment);
	comment[299] = '\0';
	assert_refused(sshkey_public_line(public_key, comment, line, &error), ERROR_USAGE, "format");
	assert_refused(sshkey_public_line(public_key, "a\nssh-rsa", line, &error), ERROR_USAGE, "format");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ssh_keygen_reads_our_keys), TEST(we_read_the_keys_of_ssh_keygen),
		TEST(other_keys_are_refused),    TEST(every_cut_and_flip_is_refused_or_harmless),
		TEST(public_lines_are_strict),
	};
	return cmocka_run_group_tests_name("sshkey", tests, NULL, NULL);
}
