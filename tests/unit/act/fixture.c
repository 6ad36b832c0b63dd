#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/stage.h"
#include "appliance-hook/act/watcher.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "release/bundle.h"
#include "release/delta.h"
#include "release/pack.h"
#include "release/unpack.h"
#include "tests/unit/act/outage.h"

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s (%s)", #call, error.text, error.name);                                        \
	} while (0)

int fixture_watch(int argc, char **argv)
{
	struct hook_settings settings = {0};
	struct error error = {0};
	int restarted = outage_main(argc, argv);

	if (restarted >= 0)
		return restarted;
	log_start("test", LOG_LEVEL_ERROR);
	assert_int_equal(secret_start(&error), 0);
	if (argc != 8 || strcmp(argv[3], "watch") != 0)
		return -1;
	if (hook_settings_load(argv[2], &settings, &error) < 0)
		return 78;
	int status = watcher_main(&settings, (const char *const *)argv + 4, &error);
	hook_settings_free(&settings);
	return -status;
}

void fixture_write(struct fixture *fixture, const char *name, const char *text)
{
	char path[512];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	OK(file_make_directories(path, 0755, &error));
	*slash = '/';
	OK(file_replace_at(AT_FDCWD, path, text, strlen(text), 0755, &error));
}

bool fixture_exists(struct fixture *fixture, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

char *fixture_text(struct fixture *fixture, const char *name)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(1024 * 1024);
	char path[512];
	struct error ignored;

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0 || !text.data)
		return strdup("");
	return strdup((const char *)text.data);
}

/* stop and start say so in units.log; a started product writes its version to its data. */
static void write_scripts(struct fixture *fixture)
{
	char script[1024];

	snprintf(script, sizeof script, "#!/bin/sh\necho stop >> %s/units.log\n", fixture->directory);
	fixture_write(fixture, "stop", script);
	snprintf(script, sizeof script,
		 "#!/bin/sh\nread v < %s/product/current/version\necho start $v >> %s/units.log\n"
		 "echo $v > %s/data/file\n",
		 fixture->directory, fixture->directory, fixture->directory);
	fixture_write(fixture, "start", script);
}

static void open_layout(struct fixture *fixture)
{
	char path[128];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/hook.conf", fixture->directory);
	OK(hook_settings_load(path, &fixture->settings, &error));
	OK(layout_open(&fixture->settings, &fixture->layout, &error));
}

void fixture_open(struct fixture *fixture, const char *directory)
{
	*fixture = (struct fixture){.layout = LAYOUT_CLOSED};
	assert_true(strlen(directory) < sizeof fixture->directory);
	memcpy(fixture->directory, directory, strlen(directory) + 1);
	open_layout(fixture);
}

void fixture_make_at(struct fixture *fixture, const char *directory, const char *extra)
{
	char text[4096];

	*fixture = (struct fixture){.layout = LAYOUT_CLOSED};
	assert_true(strlen(directory) < sizeof fixture->directory);
	memcpy(fixture->directory, directory, strlen(directory) + 1);
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	write_scripts(fixture);
	fixture_write(fixture, "data/file", "factory\n");
	/* One try says whether a release is sick: no other is due before the deadline. */
	snprintf(text, sizeof text,
		 "[appliance]\nproduct = shop\nproduct_root = product\nstate = state\ntrust_root = root.json\n"
		 "[units]\nbackend = command\nstop = %s/stop\nstart = %s/start\n"
		 "[data]\ndirs = %s/data\n"
		 "[probe well]\ntype = command\ntarget = %s/product/current/check\nexpect = {version}\ntimes = 1\n"
		 "interval = 30\ndeadline = 30s\n%s",
		 directory, directory, directory, directory, extra ? extra : "");
	fixture_write(fixture, "hook.conf", text);
	open_layout(fixture);
}

void fixture_make(struct fixture *fixture, const char *extra)
{
	/* In memory where there is such a place: a sweep syncs thousands of times. */
	char directory[] = "/dev/shm/act-XXXXXX";
	char elsewhere[] = "/tmp/act-XXXXXX";
	char *chosen = access("/dev/shm", W_OK) == 0 ? directory : elsewhere;

	assert_non_null(mkdtemp(chosen));
	fixture_make_at(fixture, chosen, extra);
}

void fixture_close(struct fixture *fixture)
{
	layout_close(&fixture->layout);
	hook_settings_free(&fixture->settings);
}

void fixture_end(struct fixture *fixture)
{
	struct error error = {0};

	fixture_close(fixture);
	/* A watcher may open the lock once more while the directory goes. */
	int status = file_remove_tree_at(AT_FDCWD, fixture->directory, &error);
	for (int tries = 0; status < 0 && tries < 20; tries++) {
		usleep(50000);
		status = file_remove_tree_at(AT_FDCWD, fixture->directory, &error);
	}
	OK(status);
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture_make(fixture, NULL);
	fixture_adopt(fixture, "1.0");
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

static void write_hook(struct fixture *fixture, const char *version, const char *hook, int exit_code)
{
	char name[128], text[512];

	snprintf(name, sizeof name, "hooks-%s/%s", version, hook);
	snprintf(text, sizeof text,
		 "#!/bin/sh\necho $NIGHTSHIFT_HOOK $NIGHTSHIFT_FROM $NIGHTSHIFT_TO >> %s/hooks.log\necho said\nexit "
		 "%d\n",
		 fixture->directory, exit_code);
	fixture_write(fixture, name, text);
}

static void bundle_path(const struct fixture *fixture, const char *version, char path[static 256])
{
	snprintf(path, 256, "%s/%s.bundle", fixture->directory, version);
}

void fixture_pack(struct fixture *fixture, const char *version, unsigned kind)
{
	char name[128], text[1024], tree[256], hooks[256], output[256];
	struct error error = {0};

	snprintf(name, sizeof name, "tree-%s/version", version);
	fixture_write(fixture, name, version);
	snprintf(name, sizeof name, "tree-%s/check", version);
	snprintf(text, sizeof text, "#!/bin/sh\necho shop %s\nexit %d\n", version, kind & FIXTURE_SICK ? 1 : 0);
	fixture_write(fixture, name, text);
	snprintf(name, sizeof name, "tree-%s/lib/shared", version);
	fixture_write(fixture, name, "the same in every version\n");
	write_hook(fixture, version, "preflight", kind & FIXTURE_PREFLIGHT_75 ? 75 : 0);
	write_hook(fixture, version, "pre-switch", kind & FIXTURE_PRE_FAILS ? 3 : 0);
	write_hook(fixture, version, "post-switch", kind & FIXTURE_POST_FAILS ? 5 : 0);
	write_hook(fixture, version, "undo", kind & FIXTURE_UNDO_FAILS ? 4 : 0);
	snprintf(tree, sizeof tree, "%s/tree-%s", fixture->directory, version);
	snprintf(hooks, sizeof hooks, "%s/hooks-%s", fixture->directory, version);
	bundle_path(fixture, version, output);
	unlink(output);
	const struct pack_options options = {.input = tree,
					     .output = output,
					     .product = "shop",
					     .version = version,
					     .hooks = kind & FIXTURE_HOOKS ? hooks : NULL,
					     .reboot = kind & FIXTURE_REBOOT,
					     .network = kind & FIXTURE_NETWORK,
					     .data_migration = kind & FIXTURE_MIGRATION};
	OK(pack_run(&options, NULL, &error));
}

void fixture_adopt(struct fixture *fixture, const char *version)
{
	fixture_pack(fixture, version, FIXTURE_GOOD);
	fixture_adopt_packed(fixture, version);
}

void fixture_adopt_packed(struct fixture *fixture, const char *version)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	char path[256], adopted[LAYOUT_VERSION_SIZE];
	struct error error = {0};

	bundle_path(fixture, version, path);
	OK(bundle_open(path, &bundle, &error));
	OK(adopt_bundle(&fixture->layout, bundle, -1, adopted, &error));
	assert_string_equal(adopted, version);
}

static void free_unpack(struct unpack **unpack)
{
	unpack_free(unpack);
}

static int apply_delta(const char *path, const struct stage_ground *ground, struct unpack *unpack,
		       const struct manifest *base, const struct manifest *manifest, struct error *error)
{
	CLEANUP(delta_free) struct delta *delta = NULL;
	CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unpack_made made = {0};
	int status = fd < 0 ? error_set_errno(error, ERROR_DATA, "read", "%s", path)
			    : delta_open(fd, base, manifest, &delta, error);

	return status == 0 ? unpack_delta(unpack, delta, ground->tree, &made, error) : status;
}

static int take_blobs(struct unpack *unpack, const struct manifest *manifest, struct bundle *bundle,
		      struct error *error)
{
	size_t index = 0;
	int status = 0;

	while (status == 0 && unpack_next_blob(unpack, &index)) {
		CLEANUP(buffer_free) struct buffer blob = BUFFER_INIT(MANIFEST_BLOB_STORED_MOST);
		char hex[HASH_HEX_SIZE], name[HASH_HEX_SIZE + 8];
		hash_to_hex(manifest->blobs[index].hash, HASH_SIZE, hex);
		snprintf(name, sizeof name, "blobs/%s", hex);
		status = bundle_read(bundle, name, MANIFEST_BLOB_STORED_MOST, &blob, error);
		if (status == 0)
			status = unpack_blob(unpack, index, blob.data, blob.size, error);
	}
	return status;
}

int fixture_receive(struct fixture *fixture, const char *version, const char *delta,
		    char ret_sha256[static HASH_HEX_SIZE], struct error *error)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(stage_ground_close) struct stage_ground ground = {.staging = -1, .tree = -1};
	CLEANUP(manifest_free) struct manifest *base = NULL;
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	CLEANUP(free_unpack) struct unpack *unpack = NULL;
	uint8_t hash[HASH_SIZE];
	char path[256];

	bundle_path(fixture, version, path);
	int status = bundle_open(path, &bundle, error);
	if (status < 0)
		return status;
	const struct buffer *bytes = bundle_manifest(bundle);
	hash_bytes(HASH_SHA256, bytes->data, bytes->size, hash);
	hash_to_hex(hash, sizeof hash, ret_sha256);
	status = manifest_parse(bytes->data, bytes->size, &manifest, error);
	if (status == 0)
		status = stage_open(&fixture->layout, version, geteuid(), getegid(), &ground, error);
	if (status == 0 && ground.current[0])
		status = layout_manifest(&fixture->layout, ground.current, &base, NULL, error);
	if (status == 0)
		status = unpack_begin(ground.staging, manifest, ground.tree, base, UNPACK_AUTO, &unpack, error);
	if (status == 0 && delta)
		status = apply_delta(delta, &ground, unpack, base, manifest, error);
	if (status == 0)
		status = take_blobs(unpack, manifest, bundle, error);
	if (status == 0)
		status = unpack_finish(unpack, error);
	return status == 0 ? file_replace_at(ground.staging, "manifest.json", bytes->data, bytes->size, 0644, error)
			   : status;
}

void fixture_fill(struct fixture *fixture, const char *version, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_pack(fixture, version, kind);
	fixture_fill_packed(fixture, version, ret_sha256);
}

void fixture_fill_packed(struct fixture *fixture, const char *version, char ret_sha256[static HASH_HEX_SIZE])
{
	struct error error = {0};

	OK(fixture_receive(fixture, version, NULL, ret_sha256, &error));
}

void fixture_stage(struct fixture *fixture, const char *version, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	struct error error = {0};

	fixture_fill(fixture, version, kind, ret_sha256);
	OK(stage_seal(&fixture->layout, version, ret_sha256, &error));
}

struct switch_request fixture_order(struct fixture *fixture, const char *upgrade, const char *version,
				    const char *sha256)
{
	int64_t now = clock_now();

	return (struct switch_request){.upgrade = upgrade,
				       .version = version,
				       .sha256 = sha256,
				       .start = now - 60,
				       .end = now + 3600,
				       .last_start = now + 1800,
				       .fence = ++fixture->fence,
				       .order_key = "order-key-1",
				       .audit_head = ""};
}

enum journal_stage fixture_upgrade(struct fixture *fixture, const char *upgrade, const char *version, unsigned kind)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};

	fixture_stage(fixture, version, kind, sha256);
	struct switch_request request = fixture_order(fixture, upgrade, version, sha256);
	OK(switch_run(&fixture->layout, &request, NULL, NULL, &result, &error));
	assert_non_null(result.receipt);
	return result.outcome;
}

const char *fixture_whole(struct fixture *fixture, char version[static LAYOUT_VERSION_SIZE])
{
	struct error error = {0};

	OK(layout_current(&fixture->layout, version, &error));
	OK(layout_verify(&fixture->layout, version, &error));
	return version;
}

enum journal_stage fixture_stage_of(struct fixture *fixture)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	OK(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error));
	return journal_state(journal)->stage;
}
