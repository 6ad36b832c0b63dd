#include "tests/unit/act/scene.h"

#include <stdio.h>

#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "release/bundle.h"

static int do_adopt(struct fixture *fixture, const char *sha256 UNUSED)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	char path[128], version[LAYOUT_VERSION_SIZE];
	struct error error = {0};

	snprintf(path, sizeof path, "%s/1.0.bundle", fixture->directory);
	int status = bundle_open(path, &bundle, &error);
	return status == 0 ? adopt_bundle(&fixture->layout, bundle, -1, version, &error) : status;
}

static int do_stage(struct fixture *fixture, const char *sha256 UNUSED)
{
	char received[HASH_HEX_SIZE];
	struct error error = {0};
	int status = fixture_receive(fixture, "1.1", NULL, received, &error);

	return status == 0 ? stage_seal(&fixture->layout, "1.1", received, &error) : status;
}

static int do_seal(struct fixture *fixture, const char *sha256)
{
	struct error error = {0};

	return stage_seal(&fixture->layout, "1.1", sha256, &error);
}

static int do_switch(struct fixture *fixture, const char *sha256)
{
	struct run_result result = {0};
	struct error error = {0};
	struct switch_request request = fixture_order(fixture, "up-1", "1.1", sha256);
	int status = switch_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

static int do_rollback(struct fixture *fixture, const char *sha256 UNUSED)
{
	struct run_result result = {0};
	struct error error = {0};
	const struct rollback_request request = {.upgrade = "local-back", .restore_data = true};
	int status = rollback_run(&fixture->layout, &request, NULL, NULL, &result, &error);

	run_result_free(&result);
	return status;
}

static void set_bare(struct fixture *fixture, unsigned kind UNUSED, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_pack(fixture, "1.0", FIXTURE_GOOD);
	ret_sha256[0] = '\0';
}

static void set_packed(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_pack(fixture, "1.1", kind);
	ret_sha256[0] = '\0';
}

static void set_filled(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_fill(fixture, "1.1", kind, ret_sha256);
}

static void set_staged(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	fixture_adopt(fixture, "1.0");
	fixture_stage(fixture, "1.1", kind, ret_sha256);
}

static void set_committed(struct fixture *fixture, unsigned kind, char ret_sha256[static HASH_HEX_SIZE])
{
	set_staged(fixture, kind, ret_sha256);
	assert_int_equal(do_switch(fixture, ret_sha256), 0);
}

#define H FIXTURE_HOOKS
#define M FIXTURE_MIGRATION
#define S FIXTURE_SICK

const struct scene scene_table[SCENE_COUNT] = {
	{"adopt", set_bare, 0, do_adopt, "", "1.0", JOURNAL_COMMITTED},
	{"stage", set_packed, H, do_stage, "1.0", "1.0", JOURNAL_STAGED},
	{"seal", set_filled, H, do_seal, "1.0", "1.0", JOURNAL_STAGED},
	{"upgrade", set_staged, H, do_switch, "1.0", "1.1", JOURNAL_COMMITTED},
	{"upgrade with migration", set_staged, H | M, do_switch, "1.0", "1.1", JOURNAL_COMMITTED},
	{"upgrade that fails", set_staged, H | M | S, do_switch, "1.0", "1.0", JOURNAL_ROLLED_BACK},
	{"rollback with data", set_committed, H | M, do_rollback, "1.1", "1.0", JOURNAL_ROLLED_BACK},
};
