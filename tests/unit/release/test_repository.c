#include "fixture.h"

#include "base/clock.h"
#include "release/inspect.h"
#include "release/library.h"
#include "release/repository.h"
#include "release/unpack.h"
#include "release/verify.h"

enum { ROOT_1, ROOT_2, ROOT_3, ALICE, BOB, SNAPSHOT, TIMESTAMP, ORDER, ENTITLEMENT, STRANGER, KEYS };
static struct key_secret *secrets[KEYS];

static struct key *public_half(int index)
{
	return (struct key *)(uintptr_t)key_secret_public(secrets[index]);
}

static int start(void **state)
{
	struct error error;
	if (fixture_start(state) != 0)
		return -1;
	for (int i = 0; i < KEYS; i++) {
		uint8_t seed[SECRET_ED25519_SEED] = {(uint8_t)(i + 1)};
		assert_done(key_secret_from_seed(seed, &secrets[i], &error));
	}
	put_text("v1/bin/tool", "one");
	put_text("v2/bin/tool", "two");
	put_text("v3/bin/tool", "three");
	manifest_free(&(struct manifest *){pack_tree("v1", "1.0", "1.bundle")});
	manifest_free(&(struct manifest *){pack_tree("v2", "2.0", "2.bundle")});
	struct pack_options options = {
		.input = "v3", .output = "3.bundle", .product = "probe", .version = "3.0", .min_from = "2.0"};
	assert_done(pack_run(&options, NULL, &error));
	options.product = "other";
	options.min_from = NULL;
	options.output = "other.bundle";
	assert_done(pack_run(&options, NULL, &error));
	return 0;
}

static int end(void **state)
{
	for (int i = 0; i < KEYS; i++)
		key_secret_free(&secrets[i]);
	return fixture_end(state);
}

static int init(const char *path, size_t signers, unsigned root_threshold, struct error *error)
{
	struct key *root[] = {public_half(ROOT_1), public_half(ROOT_2), public_half(ROOT_3)};
	struct key *targets[] = {public_half(ALICE), public_half(BOB)};
	struct key *snapshot[] = {public_half(SNAPSHOT)}, *timestamp[] = {public_half(TIMESTAMP)};
	struct key *order[] = {public_half(ORDER)}, *entitlement[] = {public_half(ENTITLEMENT)};
	CLEANUP(jsonio_free)
	json_t *names = json_pack("{s:s, s:s}", key_id(targets[0]), "alice", key_id(targets[1]), "bob");
	const struct repository_setup setup = {
		.product = "probe",
		.roles = {[ROLE_ROOT] = {root, 3, root_threshold},
			  [ROLE_TARGETS] = {targets, 2, 2},
			  [ROLE_SNAPSHOT] = {snapshot, 1, 1},
			  [ROLE_TIMESTAMP] = {timestamp, 1, 1}},
		.authority = {.order = {order, 1, 1}, .entitlement = {entitlement, 1, 1}},
		.names = names,
		.signers = secrets,
		.signer_count = signers,
	};
	return repository_init(path, &setup, error);
}

static struct repository *open_repository(const char *path)
{
	struct repository *repository = NULL;
	struct error error;
	assert_done(repository_open(path, REPOSITORY_WRITE, &repository, &error));
	return repository;
}

static int add(struct repository *repository, const char *bundle, const char *published, struct error *error)
{
	static const char *const channels[] = {"stable"};
	const struct repository_addition addition = {bundle, channels, 1, published};
	char version[MANIFEST_NAME_MOST + 1];
	return repository_add(repository, &addition, version, error);
}

static int sign(struct repository *repository, int key, struct repository_signed *ret_signed, struct error *error)
{
	struct repository_signed done;
	return repository_sign(repository, secrets[key], false, ret_signed != NULL ? ret_signed : &done, error);
}

static int publish(struct repository *repository, bool timestamp, struct error *error)
{
	return repository_publish(repository, &secrets[SNAPSHOT], 1, timestamp ? secrets[TIMESTAMP] : NULL, error);
}

static void sign_both(struct repository *repository)
{
	struct error error;
	assert_done(sign(repository, ALICE, NULL, &error));
	assert_done(sign(repository, BOB, NULL, &error));
}

static int verify(const char *path, const char *root, json_t **ret_report, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = get_bytes(root);
	CLEANUP(jsonio_free) json_t *report = NULL;
	int result = verify_run(path, bytes.data, bytes.size, &report, error);
	if (result == 0 && ret_report != NULL)
		*ret_report = TAKE(report);
	return result;
}

/* A published repository with releases 1.0 and 2.0 at `path`. */
static struct repository *publish_two(const char *path)
{
	struct error error;
	assert_done(init(path, 2, 2, &error));
	struct repository *repository = open_repository(path);
	assert_done(add(repository, "1.bundle", "2026-01-01", &error));
	assert_done(add(repository, "2.bundle", NULL, &error));
	sign_both(repository);
	assert_done(publish(repository, true, &error));
	return repository;
}

static void thresholds(void **state)
{
	(void)state;
	struct error error;
	struct repository_signed done;

	assert_done(init("threshold", 2, 2, &error));
	assert_int_equal(access("threshold/metadata/1.root.json", F_OK), 0);
	assert_refused(init("threshold", 2, 2, &error), "exists");
	assert_int_equal(error.code, ERROR_CANNOT_CREATE);
	assert_refused(init("never", 2, 4, &error), "threshold");
	assert_int_not_equal(access("never", F_OK), 0);
	CLEANUP(repository_free) struct repository *repository = open_repository("threshold");
	assert_done(add(repository, "1.bundle", NULL, &error));
	assert_refused(publish(repository, true, &error), "signature");
	assert_refused(sign(repository, STRANGER, NULL, &error), "key");
	assert_done(sign(repository, ALICE, &done, &error));
	assert_true(done.targets && !done.targets_ready);
	/* Twice the same engineer is one. */
	assert_done(sign(repository, ALICE, &done, &error));
	assert_refused(publish(repository, true, &error), "signature");
	assert_non_null(strstr(error.text, "bob"));
	assert_null(strstr(error.text, "alice"));
	assert_int_not_equal(access("threshold/metadata/1.targets.json", F_OK), 0);
	assert_int_not_equal(access("threshold/metadata/1.snapshot.json", F_OK), 0);
	assert_done(sign(repository, BOB, &done, &error));
	assert_true(done.targets_ready);
	assert_refused(repository_publish(repository, &secrets[ALICE], 1, NULL, &error), "key");
	assert_refused(repository_publish(repository, &secrets[SNAPSHOT], 1, secrets[ALICE], &error), "key");
	assert_done(publish(repository, true, &error));
	assert_int_equal(access("threshold/metadata/1.targets.json", F_OK), 0);
	assert_int_not_equal(access("threshold/metadata/staged.targets.json", F_OK), 0);
	assert_done(verify("threshold", "threshold/metadata/1.root.json", NULL, &error));
	/* What is staged changes under a signature: the signature is gone. */
	assert_done(add(repository, "2.bundle", NULL, &error));
	sign_both(repository);
	assert_done(repository_promote(repository, "2.0", "beta", &error));
	assert_refused(publish(repository, true, &error), "signature");
}

/* Directors on machines of their own: root 1 stands once the second has signed. */
static void root_later(void **state)
{
	(void)state;
	struct error error;
	struct repository_signed done;
	assert_done(init("later", 1, 2, &error));
	assert_int_not_equal(access("later/metadata/1.root.json", F_OK), 0);
	CLEANUP(repository_free) struct repository *repository = open_repository("later");
	assert_refused(publish(repository, true, &error), "signature");
	assert_done(sign(repository, ROOT_3, &done, &error));
	assert_true(done.root && done.root_stands);
	assert_int_equal(access("later/metadata/1.root.json", F_OK), 0);
}

static void never_overwrites(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(repository_free) struct repository *repository = publish_two("never-over");
	assert_refused(add(repository, "1.bundle", NULL, &error), "exists");
	assert_refused(add(repository, "other.bundle", NULL, &error), "product");
	assert_refused(add(repository, "nowhere.bundle", NULL, &error), "missing");
	assert_refused(add(repository, "3.bundle", "2999-01-01", &error), "published");
	assert_refused(add(repository, "3.bundle", "today", &error), "published");
	/* Another content under the version. */
	put_text("other1/bin/tool", "another");
	manifest_free(&(struct manifest *){pack_tree("other1", "1.0", "other1.bundle")});
	assert_refused(add(repository, "other1.bundle", NULL, &error), "exists");
	/* A second writer waits outside. */
	struct repository *second = NULL;
	assert_refused(repository_open("never-over", REPOSITORY_WRITE, &second, &error), "busy");
	assert_refused(repository_open("v1", REPOSITORY_READ, &second, &error), "missing");
}

static void needs_min_from(void **state)
{
	(void)state;
	struct error error;
	assert_done(init("minimum", 2, 2, &error));
	CLEANUP(repository_free) struct repository *repository = open_repository("minimum");
	assert_refused(add(repository, "3.bundle", NULL, &error), "min-from");
	assert_done(add(repository, "2.bundle", NULL, &error));
	assert_done(add(repository, "3.bundle", NULL, &error));
}

/* Every 61st byte of a bundle flipped: refused, or what was added is still what was packed. */
static void flipped_bundle(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(buffer_free) struct buffer bytes = get_bytes("1.bundle");
	size_t refused = 0, accepted = 0;
	assert_done(init("flipped", 2, 2, &error));
	for (size_t i = 0; i < bytes.size; i += 61) {
		CLEANUP(repository_free) struct repository *repository = open_repository("flipped");
		bytes.data[i] ^= 4;
		put_bytes("flipped.bundle", bytes.data, bytes.size, 0644);
		bytes.data[i] ^= 4;
		if (add(repository, "flipped.bundle", NULL, &error) < 0) {
			refused++;
			continue;
		}
		/* Only where tar pads: the manifest is byte for byte the same, or it is another release, well formed
		 * and for the engineer to look at before he signs. */
		accepted++;
		repository_free(&repository);
		assert_done(file_remove_tree_at(AT_FDCWD, "flipped", &error));
		assert_done(init("flipped", 2, 2, &error));
	}
	assert_true(refused > 10);
	print_message("refused %zu, accepted %zu of flips\n", refused, accepted);
}

static void damaged_repository(void **state)
{
	(void)state;
	struct error error;
	static const char *const files[] = {"metadata/1.root.json", "metadata/1.targets.json",
					    "metadata/1.snapshot.json", "metadata/timestamp.json"};
	struct repository *repository = publish_two("damaged");
	repository_free(&repository);
	CLEANUP(jsonio_free) json_t *report = NULL;
	CLEANUP(buffer_free) struct buffer root = get_bytes("damaged/metadata/1.root.json");
	put_bytes("root.json", root.data, root.size, 0644);
	assert_done(verify("damaged", "root.json", &report, &error));
	assert_int_equal(json_array_size(json_object_get(report, "releases")), 2);
	for (size_t i = 1; i < ARRAY_SIZE(files); i++) {
		char path[128];
		snprintf(path, sizeof(path), "damaged/%s", files[i]);
		CLEANUP(buffer_free) struct buffer bytes = get_bytes(path);
		for (size_t at = 10; at < bytes.size; at += 37) {
			bytes.data[at] ^= 1;
			put_bytes(path, bytes.data, bytes.size, 0644);
			bytes.data[at] ^= 1;
			if (verify("damaged", "root.json", NULL, &error) == 0)
				fail_msg("%s: byte %zu flipped was accepted", path, at);
		}
		put_bytes(path, bytes.data, bytes.size, 0644);
	}
	assert_done(verify("damaged", "root.json", NULL, &error));
	assert_int_equal(system("set -e; for f in damaged/blobs/*; do printf x >> $f; break; done"), 0);
	assert_refused(verify("damaged", "root.json", NULL, &error), "hash");
	/* Somebody else's root. */
	assert_done(init("stranger", 3, 3, &error));
	assert_refused(verify("damaged", "stranger/metadata/1.root.json", NULL, &error), "hash");
}

static void yank_and_promote(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(repository_free) struct repository *repository = publish_two("yanked");
	CLEANUP(jsonio_free) json_t *status = NULL;
	assert_done(repository_promote(repository, "1.0", "beta", &error));
	assert_refused(repository_promote(repository, "1.0", "beta", &error), "channel");
	assert_refused(repository_promote(repository, "9.0", "beta", &error), "unknown-release");
	assert_refused(repository_promote(repository, "1.0", "no/name", &error), "name");
	assert_done(repository_promote(repository, "1.0", "trial", &error));
	assert_done(repository_leave(repository, "1.0", "trial", &error));
	assert_refused(repository_leave(repository, "1.0", "trial", &error), "channel");
	assert_done(repository_yank(repository, "2.0", "breaks logins", &error));
	assert_refused(repository_yank(repository, "2.0", "again", &error), "yanked");
	assert_refused(repository_yank(repository, "1.0", "two\nlines", &error), "reason");
	sign_both(repository);
	assert_done(publish(repository, true, &error));
	assert_done(repository_status(repository, &status, &error));
	const json_t *releases = json_object_get(status, "releases");
	assert_int_equal(json_array_size(releases), 2);
	const json_t *first = json_array_get(releases, 0), *second = json_array_get(releases, 1);
	assert_string_equal(json_string_value(json_object_get(first, "version")), "1.0");
	assert_string_equal(json_string_value(json_object_get(first, "published")), "2026-01-01");
	assert_int_equal(json_array_size(json_object_get(first, "channels")), 2);
	assert_int_equal(json_integer_value(json_object_get(first, "sequence")), 1);
	assert_string_equal(json_string_value(json_object_get(second, "yanked")), "breaks logins");
	assert_done(verify("yanked", "yanked/metadata/1.root.json", NULL, &error));
}

static void rotation(void **state)
{
	(void)state;
	struct error error;
	struct repository_signed done;
	CLEANUP(repository_free) struct repository *repository = publish_two("rotated");
	struct key *added[] = {public_half(STRANGER)};
	const char *bob = "bob", *nobody = "nobody", *root_1 = key_id(public_half(ROOT_1));

	const struct repository_rotation unknown = {.role = ROLE_TARGETS, .remove = &nobody, .remove_count = 1};
	assert_refused(repository_rotate(repository, &unknown, &error), "keys");
	const struct repository_rotation too_few = {.role = ROLE_TARGETS, .remove = &bob, .remove_count = 1};
	assert_refused(repository_rotate(repository, &too_few, &error), "threshold");
	const struct repository_rotation lost = {
		.role = ROLE_TARGETS, .add = added, .add_count = 1, .remove = &bob, .remove_count = 1};
	assert_done(repository_rotate(repository, &lost, &error));
	assert_done(sign(repository, ROOT_1, &done, &error));
	assert_false(done.root_stands);
	assert_int_not_equal(access("rotated/metadata/2.root.json", F_OK), 0);
	assert_done(sign(repository, ROOT_3, &done, &error));
	assert_true(done.root_stands);
	/* The published targets lack a key that counts now: they are signed anew, the same releases. */
	assert_refused(publish(repository, true, &error), "signature");
	assert_done(sign(repository, ALICE, &done, &error));
	assert_true(done.renewed);
	assert_refused(sign(repository, BOB, NULL, &error), "key");
	assert_done(sign(repository, STRANGER, &done, &error));
	assert_true(done.targets_ready);
	assert_done(publish(repository, true, &error));
	assert_done(verify("rotated", "rotated/metadata/1.root.json", NULL, &error));

	/* A root key goes: the old threshold alone is not enough, nor is the new one alone. */
	const struct repository_rotation retired = {.role = ROLE_ROOT, .remove = &root_1, .remove_count = 1};
	assert_done(repository_rotate(repository, &retired, &error));
	assert_done(sign(repository, ROOT_1, &done, &error));
	assert_done(sign(repository, ROOT_2, &done, &error));
	assert_false(done.root_stands);
	assert_done(sign(repository, ROOT_3, &done, &error));
	assert_true(done.root_stands);
	assert_refused(sign(repository, ROOT_1, NULL, &error), "key");
	CLEANUP(jsonio_free) json_t *report = NULL;
	assert_done(verify("rotated", "rotated/metadata/1.root.json", &report, &error));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "versions"), "root")), 3);
	assert_done(verify("rotated", "rotated/metadata/3.root.json", NULL, &error));
}

/* The keys that the published authority.json names. */
static struct authority published_authority(const char *path, const char *directory)
{
	CLEANUP(jsonio_free) json_t *status = NULL;
	struct authority authority = {0};
	struct error error;
	char file[200];
	CLEANUP(buffer_free) struct buffer targets = get_bytes(path);
	assert_done(jsonio_parse(targets.data, targets.size, path, &status, &error));
	const json_t *line =
		json_object_get(json_object_get(json_object_get(status, "signed"), "targets"), AUTHORITY_TARGET);
	snprintf(file, sizeof(file), "%s/targets/%s." AUTHORITY_TARGET, directory,
		 json_string_value(json_object_get(json_object_get(line, "hashes"), "sha256")));
	CLEANUP(buffer_free) struct buffer text = get_bytes(file);
	assert_done(authority_parse(text.data, text.size, &authority, &error));
	return authority;
}

/* The order key goes, the entitlement key stays; the file that stood is not overwritten. */
static void authority_changes(void **state)
{
	struct error error;
	struct key *next[] = {public_half(STRANGER)};
	const struct authority change = {.order = {next, 1, 1}};
	(void)state;
	CLEANUP(repository_free) struct repository *repository = publish_two("authority");
	assert_done(repository_authority(repository, &change, &error));
	assert_refused(publish(repository, true, &error), "signature");
	sign_both(repository);
	assert_done(publish(repository, true, &error));
	CLEANUP(authority_free)
	struct authority before = published_authority("authority/metadata/1.targets.json", "authority");
	CLEANUP(authority_free)
	struct authority after = published_authority("authority/metadata/2.targets.json", "authority");
	assert_string_equal(key_id(before.order.keys[0]), key_id(public_half(ORDER)));
	assert_int_equal(after.order.count, 1);
	assert_string_equal(key_id(after.order.keys[0]), key_id(public_half(STRANGER)));
	assert_string_equal(key_id(after.entitlement.keys[0]), key_id(public_half(ENTITLEMENT)));
	assert_done(verify("authority", "authority/metadata/1.root.json", NULL, &error));
}

static void timestamps(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(repository_free) struct repository *repository = publish_two("stamped");
	CLEANUP(jsonio_free) json_t *first = NULL;
	CLEANUP(jsonio_free) json_t *second = NULL;
	/* Nothing staged: snapshot and timestamp anew. */
	assert_done(publish(repository, true, &error));
	assert_int_equal(access("stamped/metadata/2.snapshot.json", F_OK), 0);
	/* Without the timestamp key none that speaks of an older set stays. */
	assert_done(publish(repository, false, &error));
	assert_int_not_equal(access("stamped/metadata/timestamp.json", F_OK), 0);
	assert_done(verify("stamped", "stamped/metadata/1.root.json", &first, &error));
	assert_true(json_is_false(json_object_get(first, "timestamp")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "versions"), "snapshot")), 3);
	/* Its version goes on. */
	assert_done(publish(repository, true, &error));
	assert_done(inspect_file("stamped/metadata/timestamp.json", &second, &error));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(second, "signed"), "version")), 3);
}

static void exported(void **state)
{
	(void)state;
	struct error error;
	CLEANUP(repository_free) struct repository *repository = publish_two("exported");
	CLEANUP(jsonio_free) json_t *report = NULL;
	CLEANUP(jsonio_free) json_t *inspected = NULL;
	assert_refused(repository_export(repository, "9.0", "out.bundle", &error), "unknown-release");
	assert_int_not_equal(access("out.bundle", F_OK), 0);
	assert_done(repository_export(repository, "2.0", "out.bundle", &error));
	assert_done(verify("out.bundle", "exported/metadata/1.root.json", &report, &error));
	assert_int_equal(json_array_size(json_object_get(report, "releases")), 1);
	assert_done(inspect_file("out.bundle", &inspected, &error));
	assert_true(json_is_true(json_object_get(inspected, "chain")));
	assert_refused(verify("2.bundle", "exported/metadata/1.root.json", NULL, &error), "missing");
	CLEANUP(buffer_free) struct buffer bytes = get_bytes("out.bundle");
	size_t refused = 0, count = 0;
	for (size_t at = 0; at < bytes.size; at += 499, count++) {
		bytes.data[at] ^= 1;
		put_bytes("flip.bundle", bytes.data, bytes.size, 0644);
		bytes.data[at] ^= 1;
		refused += verify("flip.bundle", "exported/metadata/1.root.json", NULL, &error) < 0;
	}
	/* The rest are bytes that tar pads with. */
	assert_true(refused > count / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thresholds),        cmocka_unit_test(root_later),
		cmocka_unit_test(never_overwrites),  cmocka_unit_test(needs_min_from),
		cmocka_unit_test(flipped_bundle),    cmocka_unit_test(damaged_repository),
		cmocka_unit_test(yank_and_promote),  cmocka_unit_test(rotation),
		cmocka_unit_test(authority_changes), cmocka_unit_test(timestamps),
		cmocka_unit_test(exported),
	};
	return cmocka_run_group_tests_name("repository", tests, start, end);
}
