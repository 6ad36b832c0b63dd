/* Canonical JSON, key ids and signatures, held against python3-securesystemslib in both directions. */
#include "fixture.h"

#define PYTHON    "/usr/bin/python3"
#define DOCUMENTS 3000

/* "make": lines DOCUMENT<TAB>CANONICAL-HEX in `documents`, envelopes of all key types in `signed`.
 * "verify": every line of `ours` is {"key", "envelope"} with a valid signature and key id. */
static const char script[] =
	"import json, random, sys\n"
	"import securesystemslib.keys as keys\n"
	"from securesystemslib.formats import encode_canonical\n"
	"def meta(key):\n"
	"    return keys.format_keyval_to_metadata(key['keytype'], key['scheme'], key['keyval'])\n"
	"def text():\n"
	"    kinds = ['abcXYZ019 /', '\"\\\\\\n\\t\\r\\x01\\x7f', '\\u00e9\\u4e2d\\ud7ff\\ue000\\uffff', "
	"'\\U0001f600\\U0010ffff']\n"
	"    return ''.join(random.choice(random.choice(kinds)) for _ in range(random.randrange(12)))\n"
	"def value(depth):\n"
	"    kind = random.randrange(8 if depth else 5)\n"
	"    if kind == 0: return text()\n"
	"    if kind == 1: return random.choice([0, -1, 2**53 + 1, 2**63 - 1, -2**63, random.randrange(10**9)])\n"
	"    if kind == 2: return random.choice([True, False, None])\n"
	"    if kind in (3, 5): return {text(): value(depth - 1) for _ in range(random.randrange(6))} if depth else "
	"{}\n"
	"    if kind in (4, 6): return [value(depth - 1) for _ in range(random.randrange(6))] if depth else []\n"
	"    return text()\n"
	"def document():\n"
	"    return {text(): value(4) for _ in range(random.randrange(8))}\n"
	"def make(count):\n"
	"    with open('documents', 'w') as out:\n"
	"        for _ in range(count):\n"
	"            d = document()\n"
	"            out.write(json.dumps(d, ensure_ascii=random.random() < 0.5) + '\\t'\n"
	"                      + encode_canonical(d).encode().hex() + '\\n')\n"
	"    ring = [keys.generate_ed25519_key(), keys.generate_ecdsa_key(), keys.generate_rsa_key(2048)]\n"
	"    with open('signed', 'w') as out:\n"
	"        for i in range(150):\n"
	"            d, key = document(), ring[i % 3]\n"
	"            s = keys.create_signature(key, encode_canonical(d).encode())\n"
	"            out.write(json.dumps({'key': meta(key), 'keyid': key['keyid'],\n"
	"                                  'envelope': {'signed': d, 'signatures': [s]}}) + '\\n')\n"
	"def verify():\n"
	"    count = 0\n"
	"    for line in open('ours'):\n"
	"        entry = json.loads(line)\n"
	"        key, envelope = entry['key'], entry['envelope']\n"
	"        s = envelope['signatures'][0]\n"
	"        import hashlib\n"
	"        assert s['keyid'] == hashlib.sha256(encode_canonical(key).encode()).hexdigest()\n"
	"        key = dict(key, keyid=s['keyid'])\n"
	"        assert keys.verify_signature(key, s, encode_canonical(envelope['signed']).encode())\n"
	"        count += 1\n"
	"    print(count)\n"
	"    sys.exit(0 if count == int(sys.argv[2]) else 1)\n"
	"random.seed(20270115)\n"
	"make(int(sys.argv[2])) if sys.argv[1] == 'make' else verify()\n";

struct state {
	char path[64];
	int directory;
};

static int begin(void **state)
{
	struct state *s = calloc(1, sizeof *s);
	char command[128];

	s->directory = make_directory(s->path);
	*state = s;
	if (run_shell(s->path, PYTHON " -c 'import securesystemslib.keys, cryptography, nacl'"))
		return 0;
	write_file(s->directory, "oracle.py", script, 0600);
	snprintf(command, sizeof command, PYTHON " oracle.py make %d", DOCUMENTS);
	assert_int_equal(run_shell(s->path, command), 0);
	return 0;
}

static int end(void **state)
{
	struct state *s = *state;

	drop_directory(s->path, s->directory);
	free(s);
	return 0;
}

/* The lines of a file; false where there is no oracle. */
static bool read_lines(struct state *s, const char *name, struct buffer *ret_text)
{
	struct error error = {0};

	if (!faccessat(s->directory, "oracle.py", F_OK, 0)) {
		assert_ok(file_read_at(s->directory, name, ret_text, &error));
		return true;
	}
	print_message("skipped: keys/oracle (python3-securesystemslib is not installed)\n");
	return false;
}

static void canonical_json_is_the_same(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer text = {0};
	struct error error = {0};
	unsigned count = 0;
	char *rest;

	if (!read_lines(s, "documents", &text))
		skip();
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n")) && *line; count++) {
		CLEANUP(jsonio_free) json_t *document = NULL;
		CLEANUP(buffer_free) struct buffer canonical = {0}, hex = {0};
		char *tab = strchr(line, '\t');
		uint8_t *room;

		*tab = '\0';
		assert_ok(jsonio_parse(line, strlen(line), "document", &document, &error));
		assert_ok(jsonio_write_canonical(document, &canonical, &error));
		assert_ok(buffer_reserve(&hex, 2 * canonical.size + 1, &room, &error));
		hash_to_hex(canonical.data, canonical.size, (char *)room);
		assert_string_equal((char *)room, tab + 1);
	}
	assert_int_equal(count, DOCUMENTS);
}

static void their_signatures_verify_here(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer text = {0};
	struct error error = {0};
	unsigned schemes[KEY_UNKNOWN + 1] = {0};
	char *rest;

	if (!read_lines(s, "signed", &text))
		skip();
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		CLEANUP(jsonio_free) json_t *entry = NULL;
		CLEANUP(buffer_free) struct buffer bytes = {0};
		CLEANUP(envelope_free) struct envelope *envelope = NULL;
		CLEANUP(key_free) struct key *key = NULL;

		assert_ok(jsonio_parse(line, strlen(line), "entry", &entry, &error));
		assert_ok(key_parse(jsonio_member(entry, "key"), NULL, &key, &error));
		assert_string_equal(key_id(key), jsonio_string(entry, "keyid"));
		assert_ok(jsonio_write(jsonio_member(entry, "envelope"), false, &bytes, &error));
		assert_ok(envelope_parse(bytes.data, bytes.size, "theirs", &envelope, &error));
		assert_true(envelope_signed_by(envelope, key));
		schemes[key_scheme(key)]++;
	}
	assert_int_equal(schemes[KEY_ED25519], 50);
	assert_int_equal(schemes[KEY_ECDSA_P256], 50);
	assert_int_equal(schemes[KEY_RSA_PSS_SHA256], 50);
}

static void our_signatures_verify_there(void **state)
{
	struct state *s = *state;
	CLEANUP(buffer_free) struct buffer text = {0}, ours = {0};
	struct error error = {0};
	char command[128], *rest;
	int count = 0;

	if (!read_lines(s, "documents", &text))
		skip();
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n")) && *line; count++) {
		CLEANUP(jsonio_free) json_t *document = NULL;
		CLEANUP(jsonio_free) json_t *key = NULL;
		CLEANUP(buffer_free) struct buffer envelope = {0}, object = {0};
		char id[KEY_ID_MOST];
		int number = 1 + count % 100;

		*strchr(line, '\t') = '\0';
		assert_ok(jsonio_parse(line, strlen(line), "document", &document, &error));
		envelope = sign_document(document, (char[]){(char)number, '\0'});
		key = key_number(number, id);
		assert_ok(jsonio_write(key, false, &object, &error));
		assert_ok(buffer_printf(&ours, &error, "{\"key\":%s,\"envelope\":%s}\n", (char *)object.data,
					(char *)envelope.data));
	}
	assert_ok(file_replace_at(s->directory, "ours", ours.data, ours.size, 0600, &error));
	snprintf(command, sizeof command, PYTHON " oracle.py verify %d", count);
	assert_int_equal(count, DOCUMENTS);
	assert_int_equal(run_shell(s->path, command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_json_is_the_same),
		cmocka_unit_test(their_signatures_verify_here),
		cmocka_unit_test(our_signatures_verify_there),
	};
	return cmocka_run_group_tests_name("oracle", tests, begin, end);
}
