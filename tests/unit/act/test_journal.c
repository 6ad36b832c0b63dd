#include "tests/unit/act/fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

struct place {
	char path[32];
	int directory;
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof *place);
	struct error error = {0};

	assert_non_null(place);
	strcpy(place->path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/journal-XXXXXX" : "/tmp/journal-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	assert_int_equal(file_open_directory(place->path, &place->directory, &error), 0);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct error error = {0};

	file_close(&place->directory);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, place->path, &error), 0);
	free(place);
	return 0;
}

static void enter(struct journal *journal, enum journal_stage stage, json_t *fields)
{
	struct error error = {0};

	if (journal_enter_take(journal, stage, fields, &error) < 0)
		fail_msg("%s", error.text);
}

/* idle → preparing with the step "stop" done and "switch" begun. */
static void write_some(struct place *place)
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
	enter(journal, JOURNAL_RECEIVING, json_pack("{s:s}", "staged", "1.1"));
	enter(journal, JOURNAL_STAGED, NULL);
	enter(journal, JOURNAL_PREPARING,
	      json_pack("{s:s,s:s,s:s,s:b,s:I}", "upgrade", "up-1", "from", "1.0", "to", "1.1", "migration", 1, "end",
			(json_int_t)1234567890));
	assert_int_equal(journal_begin(journal, "stop", &error), 0);
	assert_int_equal(journal_end(journal, "stop", "ok", 12, NULL, &error), 0);
	assert_int_equal(journal_begin(journal, "switch", &error), 0);
}

static void check_some(const struct journal_state *state)
{
	assert_int_equal(state->stage, JOURNAL_PREPARING);
	assert_int_equal(state->seq, 6);
	assert_string_equal(state->staged, "1.1");
	assert_string_equal(state->run.upgrade, "up-1");
	assert_string_equal(state->run.from, "1.0");
	assert_string_equal(state->run.to, "1.1");
	assert_true(state->run.migration);
	assert_int_equal(state->run.end, 1234567890);
	assert_int_equal(state->run.outcome, JOURNAL_IDLE);
	assert_int_equal(state->run.step_count, 2);
	assert_true(journal_step_is_ok(&state->run, "stop"));
	assert_true(journal_step_begun(&state->run, "switch"));
	assert_false(journal_step_is_ok(&state->run, "switch"));
	assert_false(journal_step_begun(&state->run, "start"));
}

static void test_folds(void **state)
{
	struct place *place = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	write_some(place);
	assert_int_equal(journal_open(place->directory, JOURNAL_READ, &journal, &error), 0);
	check_some(journal_state(journal));
	assert_int_equal(journal_begin(journal, "start", &error), -ERROR_BUG);
}

/* Staging that is asked for and given up without end: the journal turns, says the same, and can be read for ever. */
static void test_turns(void **state)
{
	struct place *place = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};
	struct stat status;
	struct journal_state before = {0};

	write_some(place);
	assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
	assert_int_equal(journal_end(journal, "switch", "failed", 7, "not so", &error), 0);
	enter(journal, JOURNAL_ROLLING_BACK, json_pack("{s:s,s:b}", "reason", "it is \"sick\"", "blamed", 1));
	enter(journal, JOURNAL_ROLLED_BACK, json_pack("{s:s}", "fallback", "0.9"));
	do {
		enter(journal, JOURNAL_RECEIVING, json_pack("{s:s}", "staged", "1.2"));
		enter(journal, JOURNAL_IDLE, json_pack("{s:s}", "staged", ""));
		assert_int_equal(fstatat(place->directory, "journal", &status, 0), 0);
	} while (status.st_size <= 1024 * 1024);
	before = *journal_state(journal);
	journal_free(&journal);
	for (int i = 0; i < 2; i++) {
#ifdef NIGHTSHIFT_FAULT_POINTS
		/* No room to turn: it goes on as it is. */
		if (i == 0)
			assert_int_equal(setenv("NIGHTSHIFT_FAULT", "act.journal.turn=enospc", 1), 0);
#endif
		assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
		assert_int_equal(unsetenv("NIGHTSHIFT_FAULT"), 0);
		const struct journal_state *after = journal_state(journal);
		assert_int_equal(after->stage, JOURNAL_IDLE);
		assert_string_equal(after->fallback, "0.9");
		assert_int_equal(after->run.outcome, JOURNAL_ROLLED_BACK);
		assert_true(after->run.blamed);
		assert_memory_equal(&after->run, &before.run, sizeof before.run);
		journal_free(&journal);
	}
	assert_int_equal(fstatat(place->directory, "journal", &status, 0), 0);
	assert_true(status.st_size < JOURNAL_LINE_MOST);
	assert_int_equal(faccessat(place->directory, "journal.1", F_OK, 0), 0);
	assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
	enter(journal, JOURNAL_STAGED, NULL);
	journal_free(&journal);
	assert_int_equal(journal_open(place->directory, JOURNAL_READ, &journal, &error), 0);
	assert_int_equal(journal_state(journal)->stage, JOURNAL_STAGED);
	assert_true(journal_state(journal)->seq > before.seq);
}

static void test_missing_is_idle(void **state)
{
	struct place *place = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	assert_int_equal(journal_open(place->directory, JOURNAL_READ, &journal, &error), 0);
	assert_int_equal(journal_state(journal)->stage, JOURNAL_IDLE);
	assert_int_equal(journal_state(journal)->seq, 0);
	assert_int_equal(faccessat(place->directory, "journal", F_OK, 0), -1);
}

static void read_text(struct place *place, struct buffer *text)
{
	struct error error = {0};

	assert_int_equal(file_read_at(place->directory, "journal", text, &error), 0);
}

static void put_text(struct place *place, const struct buffer *text, size_t size)
{
	struct error error = {0};

	assert_int_equal(file_replace_at(place->directory, "journal", text->data, size, 0644, &error), 0);
}

/* Cut at every byte of the last line: what is left is the state before it, and writing goes on from there. */
static void test_torn_tail(void **state)
{
	struct place *place = *state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	struct error error = {0};

	write_some(place);
	read_text(place, &text);
	size_t last = text.size - 1;
	while (text.data[last - 1] != '\n')
		last--;
	for (size_t size = last; size < text.size; size += 7) {
		CLEANUP(journal_free) struct journal *journal = NULL;
		CLEANUP(journal_free) struct journal *again = NULL;
		put_text(place, &text, size);
		assert_int_equal(journal_open(place->directory, JOURNAL_READ, &journal, &error), 0);
		assert_int_equal(journal_state(journal)->seq, 5);
		journal_free(&journal);
		assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
		assert_int_equal(journal_begin(journal, "switch", &error), 0);
		assert_int_equal(journal_open(place->directory, JOURNAL_READ, &again, &error), 0);
		check_some(journal_state(again));
	}
}

/* Any byte altered in any line but a torn last one is found, and nothing of it is believed. */
static void test_tampered_line(void **state)
{
	struct place *place = *state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);

	write_some(place);
	read_text(place, &text);
	for (size_t at = 0; at < text.size - 1; at += 5) {
		CLEANUP(journal_free) struct journal *journal = NULL;
		struct error error = {0};
		uint8_t kept = text.data[at];
		text.data[at] = kept == '1' ? '2' : '1';
		put_text(place, &text, text.size);
		text.data[at] = kept;
		int status = journal_open(place->directory, JOURNAL_READ, &journal, &error);
		/* The last line may have become unreadable, which is a torn one. */
		if (status == 0)
			assert_int_equal(journal_state(journal)->seq, 5);
		else
			assert_string_equal(error.name, "journal");
	}
}

static void test_missing_line(void **state)
{
	struct place *place = *state;
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};

	write_some(place);
	read_text(place, &text);
	const uint8_t *second = memchr(text.data, '\n', text.size);
	buffer_consume(&text, (size_t)(second - text.data) + 1);
	put_text(place, &text, text.size);
	assert_int_equal(journal_open(place->directory, JOURNAL_READ, &journal, &error), -ERROR_DATA);
	assert_string_equal(error.name, "journal");
}

static void test_only_the_edges_of_the_design(void **state)
{
	struct place *place = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(buffer_free) struct buffer before = BUFFER_INIT(0);
	CLEANUP(buffer_free) struct buffer after = BUFFER_INIT(0);
	struct error error = {0};

	write_some(place);
	read_text(place, &before);
	assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
	assert_int_equal(journal_enter_take(journal, JOURNAL_COMMITTED, NULL, &error), -ERROR_BUG);
	assert_int_equal(journal_enter_take(journal, JOURNAL_CHECKING, NULL, &error), -ERROR_BUG);
	assert_int_equal(journal_enter_take(journal, JOURNAL_STAGED, NULL, &error), -ERROR_BUG);
	assert_int_equal(journal_end(journal, "stop", "ok", 1, NULL, &error), -ERROR_BUG);
	read_text(place, &after);
	assert_int_equal(before.size, after.size);
	enter(journal, JOURNAL_SWITCHED, NULL);
	enter(journal, JOURNAL_CHECKING, NULL);
	enter(journal, JOURNAL_COMMITTED, json_pack("{s:s}", "fallback", "1.0"));
	assert_int_equal(journal_state(journal)->run.outcome, JOURNAL_COMMITTED);
	assert_string_equal(journal_state(journal)->fallback, "1.0");
	/* A new run forgets the steps of the old one, not the fallback. */
	enter(journal, JOURNAL_PREPARING, json_pack("{s:s}", "upgrade", "up-2"));
	assert_int_equal(journal_state(journal)->run.step_count, 0);
	assert_string_equal(journal_state(journal)->run.to, "");
	assert_string_equal(journal_state(journal)->fallback, "1.0");
}

static void test_bounds(void **state)
{
	struct place *place = *state;
	CLEANUP(journal_free) struct journal *journal = NULL;
	struct error error = {0};
	char longer[JOURNAL_LINE_MOST + 1];

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(journal_open(place->directory, JOURNAL_WRITE, &journal, &error), 0);
	assert_true(journal_enter_take(journal, JOURNAL_RECEIVING, json_pack("{s:s}", "staged", longer), &error) < 0);
	assert_int_equal(journal_state(journal)->seq, 0);
	enter(journal, JOURNAL_PREPARING, json_pack("{s:s}", "upgrade", "up-1"));
	for (int i = 0; i < JOURNAL_STEPS_MOST + 10; i++) {
		assert_int_equal(journal_begin(journal, "again", &error), 0);
		assert_int_equal(journal_end(journal, "again", "failed", i, "text \xff", &error), 0);
	}
	assert_int_equal(journal_state(journal)->run.step_count, JOURNAL_STEPS_MOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_folds),
		TEST(test_turns),
		TEST(test_missing_is_idle),
		TEST(test_torn_tail),
		TEST(test_tampered_line),
		TEST(test_missing_line),
		TEST(test_only_the_edges_of_the_design),
		TEST(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
