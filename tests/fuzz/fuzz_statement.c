/* Orders, entitlements, receipts and offline grants, and the files that hold keys. A document is signed here before it
 * is read, so that what lies behind the signature is reached; the same bytes as an envelope of a stranger's must be
 * refused. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/entitlement.h"
#include "keys/offline.h"
#include "keys/order.h"
#include "keys/receipt.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static struct key_secret *secret_number(int number)
{
	uint8_t seed[SECRET_ED25519_SEED];
	struct key_secret *secret = NULL;
	struct error error = {0};

	memset(seed, number, sizeof seed);
	expect(!key_secret_from_seed(seed, &secret, &error));
	return secret;
}

static struct key_set set_of(const struct key_secret *secret)
{
	struct key_set set = {.keys = calloc(1, sizeof(struct key *)), .count = 1, .threshold = 1};
	struct error error = {0};

	expect(set.keys && !key_from_ed25519(key_ed25519(key_secret_public(secret)), set.keys, &error));
	return set;
}

/* The input as the `signed` part of an envelope; empty when it is no object. */
static struct buffer sign_input(const uint8_t *data, size_t size, const struct key_secret *secret)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	CLEANUP(jsonio_free) json_t *document = NULL;
	struct buffer bytes = {0};
	struct error error = {0};

	if (!jsonio_parse(data, size, "input", &document, &error) && !envelope_new(document, &envelope, &error) &&
	    !envelope_sign(envelope, secret, &error))
		(void)!envelope_write(envelope, &bytes, &error);
	return bytes;
}

static void orders(const struct buffer *bytes, const struct authority *authority, bool ours)
{
	CLEANUP(jsonio_free) json_t *document = NULL;
	struct order order, again;
	struct error error = {0};
	char id[KEY_ID_MOST];

	if (order_parse(bytes->data, bytes->size, authority, NOW, &order, id, &error))
		return;
	expect(ours && order.start < order.end && order.expires > NOW && order.fence >= 1 &&
	       !strcmp(id, key_id(authority->order.keys[0])));
	struct order_expectation expectation = {.appliance = order.appliance,
						.product = order.product,
						.nonce = order.nonce,
						.highest_fence = order.fence,
						.now = NOW};
	if (!order_check(&order, &expectation, &error))
		expect(order.start <= NOW && NOW <= order.last_start);
	document = order_document(&order);
	CLEANUP(buffer_free) struct buffer text = {0};
	CLEANUP(key_secret_free) struct key_secret *secret = secret_number(1);
	expect(document && !jsonio_write(document, false, &text, &error));
	CLEANUP(buffer_free) struct buffer signed_again = sign_input(text.data, text.size, secret);
	expect(!order_parse(signed_again.data, signed_again.size, authority, NOW, &again, id, &error) &&
	       again.start == order.start && again.end == order.end && again.last_start == order.last_start &&
	       again.expires == order.expires && again.fence == order.fence && !strcmp(again.version, order.version));
}

static void entitlements(const struct buffer *bytes, const struct authority *authority, bool ours)
{
	struct entitlement entitlement;
	struct error error = {0};

	if (entitlement_parse(bytes->data, bytes->size, authority, NOW, &entitlement, &error))
		return;
	expect(ours && entitlement.expires > NOW && entitlement.expires - entitlement.issued <= ENTITLEMENT_LIFE_MOST);
	struct entitlement_question question = {.appliance = entitlement.appliance,
						.product = entitlement.product,
						.published = NOW,
						.managed = true,
						.now = NOW};
	if (!entitlement_allows(&entitlement, &question, &error))
		expect(!strcmp(entitlement.tier, "premium") &&
		       (NOW < entitlement.ends || entitlement.published_policy));
	question.appliance = "another";
	expect(!strcmp(entitlement.appliance, "another") || entitlement_allows(&entitlement, &question, &error) < 0);
}

static void receipts(const struct buffer *bytes, const struct key *appliance, bool ours)
{
	CLEANUP(jsonio_free) json_t *document = NULL;
	struct error error = {0};

	if (!receipt_parse(bytes->data, bytes->size, appliance, &document, &error))
		expect(ours && !strcmp(jsonio_string(document, "appliance"), key_id(appliance)) &&
		       json_array_size(jsonio_member(document, "steps")) <= RECEIPT_STEPS_MOST);
}

/* The costly part, argon2id, lies behind a passphrase that is not there. */
static void key_files(const uint8_t *data, size_t size)
{
	static const struct key_passphrase none = {.file = "/nonexistent"};
	CLEANUP(key_secret_free) struct key_secret *secret = NULL;
	CLEANUP(key_free) struct key *key = NULL;
	char scratch[] = "/tmp/nightshift-fuzz-XXXXXX";
	struct error error = {0};
	int fd = mkstemp(scratch);

	if (fd < 0)
		return;
	expect(write(fd, data, size) == (ssize_t)size && !close(fd));
	if (!key_secret_load(scratch, &none, &secret, &error)) {
		uint8_t signature[KEY_SIGNATURE_MOST];
		size_t signature_size = 0;

		expect(!key_secret_sign(secret, "bytes", 5, signature, &signature_size, &error) &&
		       key_verify(key_secret_public(secret), "bytes", 5, signature, signature_size));
	}
	if (!key_read_file(scratch, &key, &error))
		expect(key_scheme(key) != KEY_UNKNOWN && strlen(key_id(key)) == 2 * HASH_SIZE);
	unlink(scratch);
}

static void offlines(const struct buffer *bytes, const struct authority *authority, bool ours)
{
	struct role_meta snapshot;
	struct offline offline;
	struct error error = {0};
	bool peeked = !offline_peek(bytes->data, bytes->size, &snapshot, &error);

	if (offline_parse(bytes->data, bytes->size, authority, NOW, &offline, &error))
		return;
	expect(ours && offline.expires > NOW && offline.expires - offline.issued <= OFFLINE_LIFE_MOST);
	expect(peeked && snapshot.version == offline.snapshot_version &&
	       !memcmp(snapshot.sha256, offline.snapshot, HASH_SIZE));
	(void)!offline_check(&offline, offline.appliance, offline.product, NOW, &error);
	expect(!strcmp(offline.appliance, "another") ||
	       offline_check(&offline, "another", offline.product, NOW, &error) < 0);
}

/* The first byte says what the rest is: @ order, A entitlement, B receipt, C key file, D offline grant. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(key_secret_free) struct key_secret *holder = secret_number(1), *stranger = secret_number(2);
	CLEANUP(authority_free) struct authority authority = {.order = set_of(holder), .entitlement = set_of(holder)};
	int kind = size ? *data & 7 : -1;

	if (kind == 3)
		key_files(data + 1, size - 1);
	for (int ours = 0; kind >= 0 && kind != 3 && kind <= 4 && ours < 2; ours++) {
		CLEANUP(buffer_free) struct buffer bytes = sign_input(data + 1, size - 1, ours ? holder : stranger);

		if (kind == 0)
			orders(&bytes, &authority, ours);
		else if (kind == 1)
			entitlements(&bytes, &authority, ours);
		else if (kind == 2)
			receipts(&bytes, key_secret_public(holder), ours);
		else
			offlines(&bytes, &authority, ours);
	}
	return 0;
}
