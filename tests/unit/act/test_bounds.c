/* What grows is bounded: what is kept of data gone back from, handlers, what a filler may leave to remove. */
#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance-hook/act/act.h"
#include "appliance-hook/act/discarded.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/process.h"

static void test_discarded_is_trimmed(void **state)
{
	struct fixture *fixture = *state;
	struct error error = {0};
	/* The last run's own is the oldest by its name: the clock was set back. */
	const struct journal_run last = {.upgrade = "up-7", .started = 50};

	fixture->settings.data_discarded = 2;
	for (int i = 1; i <= 5; i++) {
		char name[80];
		snprintf(name, sizeof name, "state/shop/discarded/up-%d.%d/0/file", i, 1000 * i);
		fixture_write(fixture, name, "written\n");
	}
	fixture_write(fixture, "state/shop/discarded/up-7.50/0/file", "written\n");
	fixture_write(fixture, "state/shop/discarded/stray", "nobody's\n");
	assert_int_equal(discarded_trim(&fixture->layout, &last, &error), 0);
	static const char *const kept[] = {"up-5.5000", "up-4.4000", "up-7.50"};
	static const char *const gone[] = {"up-3.3000", "up-1.1000", "stray"};
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		char kept_name[80], gone_name[80];
		snprintf(kept_name, sizeof kept_name, "state/shop/discarded/%s", kept[i]);
		snprintf(gone_name, sizeof gone_name, "state/shop/discarded/%s", gone[i]);
		assert_true(fixture_exists(fixture, kept_name));
		assert_false(fixture_exists(fixture, gone_name));
	}
}

/* Through the front door: each way back keeps its own, and of the older ones only so many. */
static void test_way_back_trims(void **state)
{
	struct fixture *fixture = *state;
	static const char *const versions[] = {"1.1", "1.2", "1.3"};

	fixture->settings.data_discarded = 1;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		CLEANUP(journal_free) struct journal *journal = NULL;
		char name[DISCARDED_NAME_SIZE], path[160];
		struct error error = {0};
		assert_int_equal(fixture_upgrade(fixture, versions[i], versions[i], FIXTURE_SICK | FIXTURE_MIGRATION),
				 JOURNAL_ROLLED_BACK);
		assert_int_equal(journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error), 0);
		discarded_name(&journal_state(journal)->run, name);
		snprintf(path, sizeof path, "state/shop/discarded/%s/0/file", name);
		CLEANUP(free_pointer) char *text = fixture_text(fixture, path);
		assert_non_null(strstr(text, versions[i]));
	}
	CLEANUP(file_close) int discarded = openat(fixture->layout.state, "discarded", O_RDONLY | O_DIRECTORY);
	struct stat status;
	assert_int_equal(fstat(discarded, &status), 0);
	/* Two would be runs that began in one second. */
	assert_true(status.st_nlink <= 4);
}

/* Whoever fills may nest as deep as he likes: what is left of it goes. */
static void test_deep_staging_is_removed(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(stage_ground_close) struct stage_ground ground = {.staging = -1, .tree = -1};
	struct error error = {0};

	assert_int_equal(stage_open(&fixture->layout, "1.1", geteuid(), getegid(), &ground, &error), 0);
	int fd = dup(ground.staging);
	for (int i = 0; i < 700; i++) {
		assert_int_equal(mkdirat(fd, "down", 0755), 0);
		int below = openat(fd, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
	}
	close(fd);
	if (stage_discard(&fixture->layout, "1.1", &error) < 0)
		fail_msg("%s", error.text);
	assert_false(fixture_exists(fixture, "product/releases/.staging-1.1"));
}

static int announce(int check, int session)
{
	struct error error = {0};

	return packet_send_take(check, json_pack("{s:i}", "session", 1), session, &error);
}

/* What the handler, or act in its place, says to a question; its code, 0 for an answer. */
static int ask_status(int session)
{
	CLEANUP(jsonio_free) json_t *answer = NULL;
	CLEANUP(file_close) int fd = -1;
	struct error error = {0};

	if (packet_send_take(session, json_pack("{s:s}", "do", "status"), -1, &error) < 0)
		error = (struct error){0};
	assert_int_equal(packet_wait(session, clock_ticks_ms() + 20000, &answer, &fd, &error), 0);
	return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

static void test_handlers_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	int parent[2], check[2], sessions[ACT_HANDLERS_MOST + 1][2], status = 0, again[2], code = ERROR_NOT_NOW;
	struct error error = {0};

	assert_int_equal(process_socketpair(false, parent, &error), 0);
	assert_int_equal(process_socketpair(false, check, &error), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(parent[0]);
		close(check[0]);
		_exit(act_main(parent[1], check[1], &fixture->settings));
	}
	close(parent[1]);
	close(check[1]);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		assert_int_equal(process_socketpair(false, sessions[i], &error), 0);
		assert_int_equal(announce(check[0], sessions[i][1]), 0);
		close(sessions[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
		assert_int_equal(ask_status(sessions[i][0]), i < ACT_HANDLERS_MOST ? 0 : ERROR_NOT_NOW);
	/* One goes, another may come. */
	close(sessions[0][0]);
	for (int i = 0; i < 500 && code != 0; i++) {
		usleep(10000);
		assert_int_equal(process_socketpair(false, again, &error), 0);
		assert_int_equal(announce(check[0], again[1]), 0);
		close(again[1]);
		code = ask_status(again[0]);
		close(again[0]);
	}
	assert_int_equal(code, 0);
	for (size_t i = 1; i < ARRAY_SIZE(sessions); i++)
		close(sessions[i][0]);
	close(check[0]);
	close(parent[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_discarded_is_trimmed),
		TEST(test_way_back_trims),
		TEST(test_deep_staging_is_removed),
		TEST(test_handlers_are_bounded),
	};
	int watched = fixture_watch(argc, argv);

	return watched >= 0 ? watched : cmocka_run_group_tests(tests, NULL, NULL);
}
