#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/act.h"
#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/preflight.h"
#include "appliance-hook/act/snapshot.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"
#include "release/bundle.h"

static void test_seals(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	struct stat status;
	char sha256[HASH_HEX_SIZE], path[128];

	fixture_fill(fixture, "1.1", FIXTURE_HOOKS, sha256);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_RECEIVING);
	assert_int_equal(stage_seal(&fixture->layout, "1.1", sha256, &error), 0);
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_STAGED);
	assert_int_equal(layout_verify(&fixture->layout, "1.1", &error), 0);
	snprintf(path, sizeof path, "%s/state/shop/hooks/1.1/pre-switch", fixture->directory);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, geteuid());
	assert_false(fixture_exists(fixture, "product/releases/.staging-1.1"));
	/* Sealed again: no error, and the same tree. */
	fixture_fill(fixture, "1.1", FIXTURE_HOOKS, sha256);
	assert_int_equal(stage_seal(&fixture->layout, "1.1", sha256, &error), 0);
	assert_int_equal(stage_discard(&fixture->layout, "1.1", &error), 0);
	assert_false(fixture_exists(fixture, "product/releases/1.1"));
	assert_false(fixture_exists(fixture, "state/shop/hooks/1.1"));
	assert_int_equal(fixture_stage_of(fixture), JOURNAL_IDLE);
	/* What runs is never discarded. */
	assert_true(stage_discard(&fixture->layout, "1.0", &error) < 0);
	assert_true(fixture_exists(fixture, "product/releases/1.0"));
}

/* Each alteration between check's last look and the seal is found, by act's own hash, and nothing of it stays. */
static void test_refuses_altered_bytes(void **state)
{
	struct fixture *fixture = *state;
	static const char *const altered[] = {
		"product/releases/.staging-1.1/tree/version",     "product/releases/.staging-1.1/tree/more",
		"product/releases/.staging-1.1/hooks/pre-switch", "product/releases/.staging-1.1/hooks/other",
		"product/releases/.staging-1.1/manifest.json",
	};

	for (size_t i = 0; i < ARRAY_SIZE(altered); i++) {
		struct error error = {0};
		char sha256[HASH_HEX_SIZE];
		fixture_fill(fixture, "1.1", FIXTURE_HOOKS, sha256);
		fixture_write(fixture, altered[i], "9.9");
		if (stage_seal(&fixture->layout, "1.1", sha256, &error) != -ERROR_DATA)
			fail_msg("%s was altered and sealed", altered[i]);
		assert_false(fixture_exists(fixture, "product/releases/1.1"));
		assert_false(fixture_exists(fixture, "product/releases/.staging-1.1"));
		assert_false(fixture_exists(fixture, "state/shop/hooks/.1.1.part"));
	}
}

/* More than the release's in hooks/ does not even reach STATE, which may be small. */
static void test_copies_no_strange_hooks(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	char sha256[HASH_HEX_SIZE];

	fixture_fill(fixture, "1.1", FIXTURE_HOOKS, sha256);
	fixture_write(fixture, "product/releases/.staging-1.1/hooks/other", "much");
	assert_int_equal(setenv("NIGHTSHIFT_FAULT", "act.copy.file=kill", 1), 0);
	assert_int_equal(stage_seal(&fixture->layout, "1.1", sha256, &error), -ERROR_DATA);
	assert_int_equal(unsetenv("NIGHTSHIFT_FAULT"), 0);
}

#ifdef NIGHTSHIFT_FAULT_POINTS
/* Killed while it discards: what is half gone is not said to be staged, and can be staged again. */
static void test_discard_is_interrupted(void **state)
{
	struct fixture *fixture = *state;
	static const char *const faults[] = {"act.discard.remove=kill", "file.remove:4=kill"};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct error error = {0};
		char sha256[HASH_HEX_SIZE];
		int status = 0;
		fixture_stage(fixture, "1.1", FIXTURE_HOOKS, sha256);
		pid_t pid = fork();
		if (pid == 0) {
			setenv("NIGHTSHIFT_FAULT", faults[i], 1);
			_exit(stage_discard(&fixture->layout, "1.1", &error) == 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(fixture_stage_of(fixture), JOURNAL_IDLE);
		fixture_stage(fixture, "1.1", FIXTURE_HOOKS, sha256);
		assert_int_equal(layout_verify(&fixture->layout, "1.1", &error), 0);
	}
}
#endif

/* Somebody still holds a file open for writing: its bytes are not yet what they will be. */
static void test_refuses_open_writer(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	char sha256[HASH_HEX_SIZE], path[128];

	fixture_fill(fixture, "1.1", FIXTURE_GOOD, sha256);
	snprintf(path, sizeof path, "%s/product/releases/.staging-1.1/tree/check", fixture->directory);
	CLEANUP(file_close) int writer = open(path, O_RDWR | O_CLOEXEC);
	assert_true(writer >= 0);
	assert_int_equal(stage_seal(&fixture->layout, "1.1", sha256, &error), -ERROR_DATA);
	assert_false(fixture_exists(fixture, "product/releases/1.1"));
}

static void test_full_disk_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct preflight_request request = {.version = "1.1", .bytes = (uint64_t)1 << 60};
	struct journal_state journal = {0};
	CLEANUP(jsonio_free) json_t *checks = NULL;
	struct error error = {0};
	bool ok = true;

	assert_int_equal(preflight_require(&fixture->layout, &journal, &request, &error), -ERROR_CANNOT_CREATE);
	assert_string_equal(error.name, "disk");
	assert_int_equal(preflight_run(&fixture->layout, &journal, &request, &checks, &ok, &error), 0);
	assert_false(ok);
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);
		assert_int_equal(jsonio_boolean(check, "ok"), strcmp(jsonio_string(check, "name"), "disk") != 0);
	}
	request.bytes = 0;
	assert_int_equal(preflight_require(&fixture->layout, &journal, &request, &error), 0);
	request.version = "1.0";
	assert_int_equal(preflight_require(&fixture->layout, &journal, &request, &error), -ERROR_NOT_NOW);
	request.version = "../1.1";
	assert_int_equal(preflight_require(&fixture->layout, &journal, &request, &error), -ERROR_DATA);
}

static void test_adopts_once(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	struct error error = {0};
	char path[128], version[LAYOUT_VERSION_SIZE];

	fixture_pack(fixture, "1.1", FIXTURE_GOOD);
	snprintf(path, sizeof path, "%s/1.1.bundle", fixture->directory);
	assert_int_equal(bundle_open(path, &bundle, &error), 0);
	assert_int_equal(adopt_bundle(&fixture->layout, bundle, -1, version, &error), -ERROR_CANNOT_CREATE);
	assert_string_equal(error.name, "exists");
}

static void test_adopts_nothing_beside(void **state UNUSED)
{
	struct fixture fixture;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	struct error error = {0};
	char path[256], version[LAYOUT_VERSION_SIZE];

	fixture_make(&fixture, NULL);
	fixture_pack(&fixture, "1.0", FIXTURE_GOOD);
	fixture_write(&fixture, "stray", "in no manifest");
	snprintf(path, sizeof path, "tar -C %s -rf %s/1.0.bundle stray", fixture.directory, fixture.directory);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof path, "%s/1.0.bundle", fixture.directory);
	assert_int_equal(bundle_open(path, &bundle, &error), 0);
	assert_int_equal(adopt_bundle(&fixture.layout, bundle, -1, version, &error), -ERROR_DATA);
	assert_string_equal(error.name, "closed");
	assert_false(fixture_exists(&fixture, "product/current"));
	fixture_end(&fixture);
}

static void test_adopts_a_tree(void **state UNUSED)
{
	struct fixture fixture;
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	CLEANUP(file_close) int tree = -1;
	struct error error = {0};
	char path[128], version[LAYOUT_VERSION_SIZE];

	fixture_make(&fixture, NULL);
	fixture_pack(&fixture, "1.0", FIXTURE_HOOKS);
	snprintf(path, sizeof path, "%s/1.0.bundle", fixture.directory);
	assert_int_equal(bundle_open(path, &bundle, &error), 0);
	snprintf(path, sizeof path, "%s/tree-1.0", fixture.directory);
	assert_int_equal(file_open_directory(path, &tree, &error), 0);
	fixture_write(&fixture, "tree-1.0/stray", "not of the release");
	assert_int_equal(adopt_bundle(&fixture.layout, bundle, tree, version, &error), -ERROR_DATA);
	assert_false(fixture_exists(&fixture, "product/current"));
	snprintf(path, sizeof path, "%s/tree-1.0/stray", fixture.directory);
	assert_int_equal(unlink(path), 0);
	if (adopt_bundle(&fixture.layout, bundle, tree, version, &error) < 0)
		fail_msg("%s", error.text);
	assert_string_equal(fixture_whole(&fixture, version), "1.0");
	assert_true(fixture_exists(&fixture, "state/shop/hooks/1.0/undo"));
	fixture_end(&fixture);
}

/* Data on another file system than STATE: the snapshot is copied out and back, and every interruption can be repeated.
 */
static void test_snapshot_across_file_systems(void **state UNUSED)
{
	struct fixture fixture;
	struct error error = {0};
	char data[] = "/tmp/act-data-XXXXXX", path[128];

	fixture_make(&fixture, NULL);
	assert_non_null(mkdtemp(data));
	struct hook_words kept = fixture.settings.data_dirs;
	fixture.settings.data_dirs = (struct hook_words){.text = data, .words = {data}, .count = 1};
	snprintf(path, sizeof path, "%s/file", data);
	assert_int_equal(file_replace_at(AT_FDCWD, path, "old", 3, 0640, &error), 0);
	assert_int_equal(snapshot_take(&fixture.layout, "s", &error), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, path, "new", 3, 0600, &error), 0);
	for (int i = 0; i < 2; i++) {
		CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(16);
		struct stat status;
		if (snapshot_restore(&fixture.layout, "s", "gone", &error) < 0)
			fail_msg("%s", error.text);
		assert_int_equal(file_read_at(AT_FDCWD, path, &text, &error), 0);
		assert_string_equal((char *)text.data, "old");
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 0777, 0640);
	}
	CLEANUP(free_pointer) char *gone = fixture_text(&fixture, "state/shop/discarded/gone/0/file");
	assert_string_equal(gone, "new");
	fixture.settings.data_dirs = kept;
	assert_int_equal(file_remove_tree_at(AT_FDCWD, data, &error), 0);
	fixture_end(&fixture);
}

static json_t *ask(int session, json_t *request, int *ret_fd)
{
	json_t *answer = NULL;
	int fd = -1;
	struct error error = {0};

	assert_int_equal(request ? packet_send_take(session, request, -1, &error) : 0, 0);
	assert_int_equal(packet_receive(session, &answer, &fd, &error), 0);
	if (ret_fd)
		*ret_fd = fd;
	else
		assert_int_equal(fd, -1);
	return answer;
}

static void refused(int session, json_t *request, int code)
{
	CLEANUP(jsonio_free) json_t *answer = ask(session, request, NULL);

	assert_int_equal(jsonio_integer(jsonio_member(answer, "error"), "code"), code);
}

/* act as serve starts it: a session's whole conversation, over its sockets. */
static void test_session(void **state)
{
	struct fixture *fixture = *state;
	int parent[2], check[2], session[2];
	char sha256[HASH_HEX_SIZE];
	struct error error = {0};
	CLEANUP(file_close) int staging = -1;
	CLEANUP(file_close) int tree = -1;

	assert_int_equal(process_socketpair(false, parent, &error), 0);
	assert_int_equal(process_socketpair(false, check, &error), 0);
	assert_int_equal(process_socketpair(false, session, &error), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(parent[0]);
		close(check[0]);
		close(session[0]);
		close(session[1]);
		_exit(act_main(parent[1], check[1], &fixture->settings));
	}
	close(parent[1]);
	close(check[1]);
	assert_int_equal(
		packet_send_take(check[0],
				 json_pack("{s:i,s:i,s:i}", "session", 1, "uid", (int)getuid(), "gid", (int)getgid()),
				 session[1], &error),
		0);
	close(session[1]);
	int act = session[0];

	CLEANUP(jsonio_free)
	json_t *first =
		ask(act, json_pack("{s:s,s:s,s:s}", "do", "stage-dir", "product", "shop", "version", "1.1"), &staging);
	CLEANUP(jsonio_free) json_t *second = ask(act, NULL, &tree);
	assert_true(staging >= 0 && tree >= 0);
	assert_string_equal(jsonio_string(jsonio_member(first, "ok"), "share"), "auto");
	assert_string_equal(jsonio_string(jsonio_member(second, "ok"), "version"), "1.0");
	refused(act, json_pack("{s:s}", "do", "shell"), ERROR_DATA);
	refused(act, json_pack("{s:s,s:s,s:i}", "do", "fence", "order_key", "k", "more", 1), ERROR_DATA);
	refused(act, json_pack("{s:s,s:s,s:s}", "do", "stage-dir", "product", "shop", "version", "../x"), ERROR_DATA);
	fixture_fill(fixture, "1.1", FIXTURE_GOOD, sha256);
	CLEANUP(jsonio_free)
	json_t *sealed = ask(act, json_pack("{s:s,s:s,s:s}", "do", "seal", "version", "1.1", "sha256", sha256), NULL);
	assert_non_null(jsonio_member(sealed, "ok"));
	CLEANUP(jsonio_free)
	json_t *ready = ask(
		act,
		json_pack("{s:s,s:s,s:i,s:b}", "do", "preflight", "version", "1.1", "bytes", 1, "data_migration", 0),
		NULL);
	assert_true(jsonio_boolean(jsonio_member(ready, "ok"), "ok"));

	int64_t now = clock_now();
	json_t *order =
		json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:I,s:s}", "do", "switch", "upgrade", "up-1", "version",
			  "1.1", "sha256", sha256, "start", (json_int_t)now - 1, "end", (json_int_t)now + 3600,
			  "last_start", (json_int_t)now + 3600, "finish", 0, "fence", (json_int_t)5, "order_key", "k");
	CLEANUP(jsonio_free) json_t *packet = ask(act, order, NULL);
	unsigned events = 0;
	while (json_object_get(packet, "event")) {
		json_decref(packet);
		packet = ask(act, NULL, NULL);
		events++;
	}
	assert_true(events >= 6);
	const json_t *outcome = jsonio_member(packet, "ok");
	assert_string_equal(jsonio_string(outcome, "outcome"), "committed");
	assert_true(jsonio_boolean(json_object_get(json_object_get(outcome, "receipt"), "signed"), "confirmed"));
	CLEANUP(jsonio_free) json_t *fence = ask(act, json_pack("{s:s,s:s}", "do", "fence", "order_key", "k"), NULL);
	assert_int_equal(jsonio_integer(jsonio_member(fence, "ok"), "fence"), 5);
	CLEANUP(jsonio_free) json_t *status = ask(act, json_pack("{s:s}", "do", "status"), NULL);
	assert_string_equal(jsonio_string(jsonio_member(status, "ok"), "version"), "1.1");

	close(parent[0]);
	int ended = 0;
	assert_int_equal(waitpid(pid, &ended, 0), pid);
	assert_int_equal(ended, 0);
	close(act);
	close(check[0]);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_seals),
		TEST(test_refuses_altered_bytes),
		TEST(test_refuses_open_writer),
		TEST(test_copies_no_strange_hooks),
#ifdef NIGHTSHIFT_FAULT_POINTS
		TEST(test_discard_is_interrupted),
#endif
		TEST(test_full_disk_is_refused),
		TEST(test_adopts_once),
		cmocka_unit_test(test_adopts_nothing_beside),
		cmocka_unit_test(test_adopts_a_tree),
		cmocka_unit_test(test_snapshot_across_file_systems),
		TEST(test_session),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
