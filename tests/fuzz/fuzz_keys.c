/* Everything signed, and everything that a person types or pastes: envelopes with the four roles and delegations,
 * authority, technicians and keys, join codes, OpenSSH keys, path patterns. What is accepted keeps its promises. */
#include <stdlib.h>
#include <string.h>

#include "keys/authority.h"
#include "keys/delegation.h"
#include "keys/joincode.h"
#include "keys/pattern.h"
#include "keys/sshkey.h"
#include "keys/technicians.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void roles(const uint8_t *data, size_t size)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(role_root_free) struct role_root *root = NULL;
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct role_head head;
	struct error error = {0};
	const json_t *document, *delegation;

	if (envelope_parse(data, size, "input", &envelope, &error))
		return;
	expect(!envelope_write(envelope, &bytes, &error) && bytes.size == size && !memcmp(bytes.data, data, size));
	document = envelope_signed(envelope);
	if (!role_root_read(document, &root, &error))
		for (int kind = 0; kind < ROLE_KINDS; kind++) {
			expect(root->roles[kind].threshold >= 1);
			expect(envelope_count(envelope, &root->roles[kind]) <= root->roles[kind].count);
		}
	for (int kind = ROLE_TIMESTAMP; kind < ROLE_KINDS; kind++)
		if (!role_check(document, (enum role_kind)kind, "input", &head, &error))
			expect(head.version >= 1);
	if (delegation_check(document, "input", &error))
		return;
	for (size_t i = 0; (delegation = delegation_at(document, i)); i++) {
		CLEANUP(key_set_free) struct key_set keys = {0};
		char file[DELEGATION_FILE_MOST];

		expect(!delegation_keys(document, delegation, &keys, &error) && keys.threshold >= 1);
		expect(!delegation_file(delegation_name(delegation), file, &error) && !strchr(file, '/'));
		(void)delegation_covers(delegation, "dir/name");
	}
}

static void technicians(const uint8_t *data, size_t size)
{
	CLEANUP(technicians_free) struct technicians read = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct error error = {0};

	if (technicians_parse(data, size, &read, &error))
		return;
	for (size_t i = 0; i < read.count; i++)
		expect(technicians_find(&read, read.list[i].name) == &read.list[i]);
	expect(!technicians_write(&read, &bytes, &error) &&
	       !technicians_parse(bytes.data, bytes.size, &again, &error) && again.count == read.count);
}

static void authorities(const uint8_t *data, size_t size)
{
	CLEANUP(authority_free) struct authority authority = {0}, again = {0};
	CLEANUP(buffer_free) struct buffer bytes = {0};
	CLEANUP(jsonio_free) json_t *object = NULL;
	CLEANUP(key_free) struct key *key = NULL;
	struct error error = {0};

	technicians(data, size);
	if (!authority_parse(data, size, &authority, &error)) {
		expect(authority.order.threshold >= 1 && authority.order.threshold <= authority.order.count);
		expect(!authority_write(&authority, &bytes, &error) &&
		       !authority_parse(bytes.data, bytes.size, &again, &error));
	}
	if (!jsonio_parse(data, size, "input", &object, &error) && !key_parse(object, NULL, &key, &error))
		expect(strlen(key_id(key)) == 2 * HASH_SIZE);
}

static void joincodes(const uint8_t *data, size_t size)
{
	CLEANUP(free_pointer) char *text = strndup((const char *)data, size);
	char written[JOINCODE_TEXT_MOST];
	struct joincode code, again;
	struct error error = {0};

	if (text && !joincode_read(text, &code, &error))
		expect(!joincode_write(&code, written, &error) && !joincode_read(written, &again, &error) &&
		       !memcmp(&code, &again, sizeof code));
}

static void sshkeys(const uint8_t *data, size_t size)
{
	CLEANUP(free_pointer) char *text = strndup((const char *)data, size);
	uint8_t seed[SECRET_ED25519_SEED], public_key[SECRET_ED25519_PUBLIC], again[SECRET_ED25519_PUBLIC];
	char line[SSHKEY_LINE_MOST];
	struct error error = {0};

	(void)!sshkey_read(data, size, seed, &error);
	if (text && !sshkey_public_read(text, public_key, &error))
		expect(!sshkey_public_line(public_key, "", line, &error) && !sshkey_public_read(line, again, &error) &&
		       !memcmp(public_key, again, sizeof again));
}

static void patterns(const uint8_t *data, size_t size)
{
	CLEANUP(free_pointer) char *pattern = strndup((const char *)data, size);
	char *path = pattern ? strchr(pattern, '\n') : NULL;

	if (!path)
		return;
	*path++ = '\0';
	if (pattern_matches(pattern, path)) {
		size_t slashes = 0;

		for (const char *c = pattern; *c; c++)
			slashes += *c == '/';
		for (const char *c = path; *c; c++)
			slashes -= *c == '/';
		expect(slashes == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const uint8_t *, size_t) = {roles, authorities, joincodes, sshkeys, patterns};

	if (size)
		parts[*data % ARRAY_SIZE(parts)](data + 1, size - 1);
	return 0;
}
