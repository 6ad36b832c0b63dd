/* An appliance in a directory of its own: configuration, a product whose units and probe are small scripts, releases
 * packed by release/ as an engineer packs them. */
#ifndef TESTS_ACT_FIXTURE_H
#define TESTS_ACT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"
#include "appliance-hook/act/resume.h"
#include "appliance-hook/act/rollback.h"
#include "appliance-hook/act/switch.h"

struct fixture {
	char directory[64];
	struct hook_settings settings;
	struct layout layout;
	int64_t fence;
};

enum fixture_release {
	FIXTURE_GOOD = 0,
	FIXTURE_SICK = 1 << 0,      /* its probe says no */
	FIXTURE_MIGRATION = 1 << 1, /* data_migration */
	FIXTURE_HOOKS = 1 << 2,     /* all four, each writes its name to hooks.log */
	FIXTURE_PREFLIGHT_75 = 1 << 3,
	FIXTURE_PRE_FAILS = 1 << 4,
	FIXTURE_UNDO_FAILS = 1 << 5,
	FIXTURE_REBOOT = 1 << 6, /* in a machine.h that restarts */
	FIXTURE_NETWORK = 1 << 7,
	FIXTURE_POST_FAILS = 1 << 8,
};

/* The line that every test program's main begins with: a watcher that was armed runs this very program, and a machine
 * that restarts. */
int fixture_watch(int argc, char **argv);

/* `extra` is appended to the configuration (NULL: nothing). A cmocka setup with *state = a fixture. */
void fixture_make(struct fixture *fixture, const char *extra);
/* In an empty directory of the caller's, who removes it; and one that was made there before. */
void fixture_make_at(struct fixture *fixture, const char *directory, const char *extra);
void fixture_open(struct fixture *fixture, const char *directory);
void fixture_close(struct fixture *fixture);
void fixture_end(struct fixture *fixture);
int fixture_setup(void **state); /* a fixture where 1.0 was adopted */
int fixture_teardown(void **state);

void fixture_pack(struct fixture *fixture, const char *version, unsigned kind); /* DIRECTORY/V.bundle */
void fixture_adopt(struct fixture *fixture, const char *version);
/* Packs, fills the staging directory as check does, without sealing; ret_sha256 is the manifest's. */
void fixture_fill(struct fixture *fixture, const char *version, unsigned kind, char ret_sha256[static HASH_HEX_SIZE]);
/* The same from the bundle that was packed before. */
void fixture_adopt_packed(struct fixture *fixture, const char *version);
void fixture_fill_packed(struct fixture *fixture, const char *version, char ret_sha256[static HASH_HEX_SIZE]);
/* The same without an assertion, by `delta` first (a path; NULL: none). */
int fixture_receive(struct fixture *fixture, const char *version, const char *delta,
		    char ret_sha256[static HASH_HEX_SIZE], struct error *error) MUST_CHECK;
/* As fixture_fill, sealed. */
void fixture_stage(struct fixture *fixture, const char *version, unsigned kind, char ret_sha256[static HASH_HEX_SIZE]);
/* A request whose window is open for an hour, with the next fence. Strings are borrowed. */
struct switch_request fixture_order(struct fixture *fixture, const char *upgrade, const char *version,
				    const char *sha256);
/* Stages and switches; asserts that it is answered. */
enum journal_stage fixture_upgrade(struct fixture *fixture, const char *upgrade, const char *version, unsigned kind);

/* The version that `current` names, whose tree was compared with its manifest. */
const char *fixture_whole(struct fixture *fixture, char version[static LAYOUT_VERSION_SIZE]);
enum journal_stage fixture_stage_of(struct fixture *fixture);
char *fixture_text(struct fixture *fixture, const char *name); /* DIRECTORY/name, to be freed; "" when missing */
void fixture_write(struct fixture *fixture, const char *name, const char *text);
bool fixture_exists(struct fixture *fixture, const char *name);

#endif
