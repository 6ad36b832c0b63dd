/* Every field of every signed file of ours changed, one at a time, its signature kept. The repository's files are met
 * by the real client over the real folder; orders, entitlements, receipts, answers and offline grants by those who read
 * them on the appliance. Each change is refused as bad data, exit code 65, and the unchanged file is taken before and
 * after. */
#include "appliance-hook/check/pull.h"
#include "keys/entitlement.h"
#include "keys/offline.h"
#include "keys/order.h"
#include "keys/receipt.h"
#include "release/repository.h"
#include "release/verify.h"
#include "tests/unit/mutate.h"
#include "tests/unit/release/fixture.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

enum { ROOT_1, ROOT_2, ALICE, BOB, SNAPSHOT, TIMESTAMP, ORDER, ENTITLEMENT, APPLIANCE, KEYS };
static struct key_secret *secrets[KEYS];
static unsigned mutations, refused;

static struct key *public_half(int index)
{
	return (struct key *)(uintptr_t)key_secret_public(secrets[index]);
}

static struct authority make_authority(void)
{
	static struct key *order[1], *entitlement[1];

	order[0] = public_half(ORDER);
	entitlement[0] = public_half(ENTITLEMENT);
	return (struct authority){.order = {order, 1, 1}, .entitlement = {entitlement, 1, 1}};
}

/* Root 1 and 2, one release, everything signed by no more keys than are needed. */
static void make_repository(void)
{
	static const char *const channels[] = {"stable"};
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(jsonio_free) json_t *names = json_object();
	struct key *root[] = {public_half(ROOT_1), public_half(ROOT_2)};
	struct key *targets[] = {public_half(ALICE), public_half(BOB)};
	struct key *snapshot[] = {public_half(SNAPSHOT)}, *timestamp[] = {public_half(TIMESTAMP)};
	const struct repository_setup setup = {
		.product = "probe",
		.roles = {[ROLE_ROOT] = {root, 2, 2},
			  [ROLE_TARGETS] = {targets, 2, 2},
			  [ROLE_SNAPSHOT] = {snapshot, 1, 1},
			  [ROLE_TIMESTAMP] = {timestamp, 1, 1}},
		.authority = make_authority(),
		.names = names,
		.signers = secrets,
		.signer_count = 2,
	};
	const struct repository_addition addition = {"1.bundle", channels, 1, NULL};
	const struct repository_rotation renewal = {.role = ROLE_ROOT};
	struct repository_signed done;
	char version[MANIFEST_NAME_MOST + 1];
	struct error error;

	assert_done(repository_init("repository", &setup, &error));
	assert_done(repository_open("repository", REPOSITORY_WRITE, &repository, &error));
	assert_done(repository_rotate(repository, &renewal, &error));
	assert_done(repository_add(repository, &addition, version, &error));
	for (int key = ROOT_1; key <= BOB; key++)
		assert_done(repository_sign(repository, secrets[key], false, &done, &error));
	assert_done(repository_publish(repository, &secrets[SNAPSHOT], 1, secrets[TIMESTAMP], &error));
}

static int start(void **state)
{
	struct error error;

	if (fixture_start(state) != 0)
		return -1;
	/* Each client's trusted set is made durable; in memory that costs nothing. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	for (int i = 0; i < KEYS; i++) {
		uint8_t seed[SECRET_ED25519_SEED] = {(uint8_t)(i + 1)};
		assert_done(key_secret_from_seed(seed, &secrets[i], &error));
	}
	put_text("tree/bin/tool", "one");
	assert_int_equal(symlink("tool", "tree/bin/link"), 0);
	manifest_free(&(struct manifest *){pack_tree("tree", "1.0", "1.bundle")});
	make_repository();
	return 0;
}

static int end(void **state)
{
	for (int i = 0; i < KEYS; i++)
		key_secret_free(&secrets[i]);
	return fixture_end(state);
}

static void count(const char *file, const char *what, const struct buffer *bytes, int result, const struct error *error)
{
	mutations++;
	if (result == -ERROR_DATA && error->code == ERROR_DATA && error->name[0] != '\0')
		refused++;
	else
		print_message("%s, %s: %d %s: %.*s\n", file, what, result, result == 0 ? "" : error->text,
			      (int)bytes->size, (const char *)bytes->data);
}

static int verify(struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = get_bytes("repository/metadata/1.root.json");
	CLEANUP(jsonio_free) json_t *report = NULL;
	int result = verify_run("repository", root.data, root.size, &report, error);

	if (result == 0) {
		const json_t *versions = json_object_get(report, "versions");
		assert_int_equal(json_integer_value(json_object_get(versions, "root")), 2);
		assert_int_equal(json_array_size(json_object_get(report, "releases")), 1);
	}
	return result;
}

static void try_file(void *context, const char *what, const struct buffer *bytes)
{
	const char *path = context;
	struct error error = {0};

	put_bytes(path, bytes->data, bytes->size, 0644);
	count(path, what, bytes, verify(&error), &error);
}

static void find_target(const char *suffix, char ret_path[static 256])
{
	char command[256];
	snprintf(command, sizeof command, "find repository/targets -name '*.%s'", suffix);
	FILE *found = popen(command, "r"); /* NOLINT: fixed strings */
	assert_non_null(found);
	assert_non_null(fgets(ret_path, 256, found));
	ret_path[strcspn(ret_path, "\n")] = '\0';
	pclose(found);
}

static void repository_files(void **state)
{
	(void)state;
	char paths[6][256] = {"repository/metadata/2.root.json", "repository/metadata/timestamp.json",
			      "repository/metadata/1.snapshot.json", "repository/metadata/1.targets.json"};
	struct error error;

	find_target("authority.json", paths[4]);
	find_target("manifest.json", paths[5]);
	mutations = refused = 0;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CLEANUP(buffer_free) struct buffer original = get_bytes(paths[i]);
		CLEANUP(jsonio_free) json_t *document = NULL;
		const struct mutate mutate = {try_file, paths[i]};

		assert_done(verify(&error));
		if (i < 4) {
			mutate_envelope(&mutate, &original, 41);
		} else {
			assert_done(jsonio_parse(original.data, original.size, paths[i], &document, &error));
			mutate_part(&mutate, document, document);
			mutate_bits(&mutate, &original, 41);
		}
		put_bytes(paths[i], original.data, original.size, 0644);
	}
	assert_done(verify(&error));
	print_message("repository: %u of %u mutations refused\n", refused, mutations);
	assert_int_equal(refused, mutations);
	assert_true(mutations > 500);
}

/* A document, signed by its key. */
static struct buffer sign_take(json_t *document, int key)
{
	CLEANUP(envelope_free) struct envelope *envelope = NULL;
	struct buffer bytes = BUFFER_INIT(0);
	struct error error;

	assert_non_null(document);
	assert_done(envelope_new(document, &envelope, &error));
	json_decref(document);
	assert_done(envelope_sign(envelope, secrets[key], &error));
	assert_done(envelope_write(envelope, &bytes, &error));
	return bytes;
}

static const uint8_t nonce[ORDER_NONCE_SIZE] = {7};

static int read_order(const struct buffer *bytes, struct error *error)
{
	const struct authority authority = make_authority();
	struct order order;
	char id[KEY_ID_MOST];
	return order_parse(bytes->data, bytes->size, &authority, NOW, &order, id, error);
}

static int read_entitlement(const struct buffer *bytes, struct error *error)
{
	const struct authority authority = make_authority();
	struct entitlement entitlement;
	return entitlement_parse(bytes->data, bytes->size, &authority, NOW, &entitlement, error);
}

static int read_receipt(const struct buffer *bytes, struct error *error)
{
	CLEANUP(jsonio_free) json_t *document = NULL;
	return receipt_parse(bytes->data, bytes->size, public_half(APPLIANCE), &document, error);
}

static int read_answer(const struct buffer *bytes, struct error *error)
{
	const struct authority authority = make_authority();
	const struct pull_question question = {.appliance = "a0", .product = "probe", .nonce = nonce, .now = NOW};
	CLEANUP(jsonio_free) json_t *object = NULL;
	struct pull_answer answer;
	int result = jsonio_parse(bytes->data, bytes->size, "answer", &object, error);
	return result < 0 ? result : pull_answer_check(object, &authority, &question, &answer, error);
}

static struct buffer make_order(void)
{
	struct order order = {.action = ORDER_UPGRADE,
			      .upgrade = "u-1",
			      .appliance = "a0",
			      .product = "probe",
			      .version = "1.0",
			      .start = NOW - 10,
			      .end = NOW + 7200,
			      .last_start = NOW + 3600,
			      .issued = NOW - 10,
			      .expires = NOW + 3600,
			      .fence = 3};
	memcpy(order.nonce, nonce, sizeof nonce);
	return sign_take(order_document(&order), ORDER);
}

static struct buffer make_entitlement(void)
{
	const struct entitlement entitlement = {.appliance = "a0",
						.customer = "acme",
						.contract = "c-1",
						.product = "probe",
						.tier = "premium",
						.support_until = "2027-12-31",
						.ends = INT64_C(1830297600),
						.issued = NOW - 10,
						.expires = NOW + 86400};
	return sign_take(entitlement_document(&entitlement), ENTITLEMENT);
}

static struct buffer make_receipt(void)
{
	CLEANUP(jsonio_free)
	json_t *document = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}], s:i}", "upgrade",
		"u-1", "appliance", key_id(public_half(APPLIANCE)), "product", "probe", "from", "1.0", "to", "2.0",
		"outcome", "committed", "confirmed", 1, "started", 1, "ended", 2, "steps", "name", "switch", "ms", 3,
		"result", "ok", "name", "health", "ms", 4, "result", "ok", "generation", 1);
	struct buffer bytes = BUFFER_INIT(0);
	struct error error;
	assert_non_null(document);
	assert_done(receipt_sign(document, secrets[APPLIANCE], &bytes, &error));
	return bytes;
}

static int read_offline(const struct buffer *bytes, struct error *error)
{
	const struct authority authority = make_authority();
	struct offline offline;
	return offline_parse(bytes->data, bytes->size, &authority, NOW, &offline, error);
}

static struct buffer make_offline(void)
{
	const struct offline offline = {.appliance = "a0",
					.product = "probe",
					.version = "2.0",
					.snapshot_version = 3,
					.snapshot_length = 500,
					.issued = NOW - 10,
					.expires = NOW + 86400};
	return sign_take(offline_document(&offline), ORDER);
}

static struct buffer make_answer(void)
{
	char issued[CLOCK_UTC_SIZE], expires[CLOCK_UTC_SIZE], hex[2 * ORDER_NONCE_SIZE + 1], zeros[HASH_HEX_SIZE];
	memset(zeros, '0', sizeof zeros - 1);
	zeros[sizeof zeros - 1] = '\0';
	clock_format_utc(NOW, issued);
	clock_format_utc(NOW + 600, expires);
	hash_to_hex(nonce, sizeof nonce, hex);
	return sign_take(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "_type", "answer", "appliance", "a0",
				   "product", "probe", "nonce", hex, "version", "2.0", "manifest", zeros, "issued",
				   issued, "expires", expires),
			 ORDER);
}

static const struct statement {
	const char *name;
	struct buffer (*make)(void);
	int (*read)(const struct buffer *bytes, struct error *error);
} statements[] = {
	{"order", make_order, read_order},       {"entitlement", make_entitlement, read_entitlement},
	{"receipt", make_receipt, read_receipt}, {"answer", make_answer, read_answer},
	{"offline", make_offline, read_offline},
};

static void try_statement(void *context, const char *what, const struct buffer *bytes)
{
	const struct statement *statement = context;
	struct error error = {0};
	count(statement->name, what, bytes, statement->read(bytes, &error), &error);
}

static void statements_of_the_signer_and_the_appliance(void **state)
{
	(void)state;
	struct error error;

	mutations = refused = 0;
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		CLEANUP(buffer_free) struct buffer bytes = statements[i].make();
		const struct mutate mutate = {try_statement, (void *)(uintptr_t)&statements[i]};

		assert_done(statements[i].read(&bytes, &error));
		mutate_envelope(&mutate, &bytes, 1);
		assert_done(statements[i].read(&bytes, &error));
		/* A statement of one kind never passes for another's. */
		for (size_t j = 0; j < ARRAY_SIZE(statements); j++)
			if (j != i)
				count(statements[j].name, statements[i].name, &bytes,
				      statements[j].read(&bytes, &error), &error);
	}
	print_message("statements: %u of %u mutations refused\n", refused, mutations);
	assert_int_equal(refused, mutations);
	assert_true(mutations > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repository_files),
		cmocka_unit_test(statements_of_the_signer_and_the_appliance),
	};
	return cmocka_run_group_tests_name("mutation", tests, start, end);
}
