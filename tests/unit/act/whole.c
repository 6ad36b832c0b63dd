#include "tests/unit/act/whole.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance-hook/act/adopt.h"
#include "appliance-hook/act/quarantine.h"
#include "appliance-hook/act/receipts.h"
#include "appliance-hook/act/stage.h"
#include "base/file.h"
#include "release/bundle.h"

#define NEXT_VERSION "1.9"
#define RESUME_MS    60000

struct looking {
	struct fixture *fixture;
	const struct whole *whole;
	char version[LAYOUT_VERSION_SIZE]; /* that runs */
	struct journal *journal;
	char *text;
};

static enum whole_verdict say(struct looking *looking, enum whole_verdict verdict, const char *format, ...)
	PRINTF_LIKE(3, 4);

static enum whole_verdict say(struct looking *looking, enum whole_verdict verdict, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vsnprintf(looking->text, WHOLE_TEXT_SIZE, format, words);
	va_end(words);
	return verdict;
}

const char *whole_name(enum whole_verdict verdict)
{
	static const char *const names[WHOLE_VERDICTS] = {"old", "new", "mixed", "lost", "untrue", "stuck"};

	return names[verdict];
}

/* A step of the look: WHOLE_OLD when there is nothing to say. */
typedef enum whole_verdict look(struct looking *looking);

static enum whole_verdict resume(struct looking *looking)
{
	struct resume_report report = {0};
	struct error error = {0};

	if (resume_run(&looking->fixture->layout, RESUME_MS, &report, &error) < 0)
		return say(looking, WHOLE_STUCK, "resume: %s", error.text);
	if (journal_open(looking->fixture->layout.state, JOURNAL_READ, &looking->journal, &error) < 0)
		return say(looking, WHOLE_UNTRUE, "%s", error.text);
	enum journal_stage stage = journal_state(looking->journal)->stage;
	if (journal_stage_is_open(stage) || stage == JOURNAL_INCONSISTENT)
		return say(looking, WHOLE_STUCK, "after resume the state is %s: %s", journal_stage_name(stage),
			   report.text);
	return WHOLE_OLD;
}

static enum whole_verdict look_at_trees(struct looking *looking)
{
	const struct layout *layout = &looking->fixture->layout;
	const struct whole *whole = looking->whole;
	const struct journal_state *state = journal_state(looking->journal);
	struct error error = {0};

	if (layout_current(layout, looking->version, &error) < 0)
		return say(looking, WHOLE_MIXED, "%s", error.text);
	if (strcmp(looking->version, whole->before) != 0 && strcmp(looking->version, whole->after) != 0)
		return say(looking, WHOLE_MIXED, "%s runs", looking->version);
	if (looking->version[0] && layout_verify(layout, looking->version, &error) < 0)
		return say(looking, WHOLE_MIXED, "%s", error.text);
	if (state->stage == JOURNAL_STAGED && layout_verify(layout, state->staged, &error) < 0)
		return say(looking, WHOLE_UNTRUE, "%s is called staged: %s", state->staged, error.text);
	if (state->fallback[0] && layout_verify(layout, state->fallback, &error) < 0)
		return say(looking, WHOLE_UNTRUE, "%s is called the fallback: %s", state->fallback, error.text);
	return WHOLE_OLD;
}

static int is_leftover(const struct dirent *entry)
{
	return strncmp(entry->d_name, ".data.", 6) == 0;
}

static enum whole_verdict look_for_leftovers(struct looking *looking)
{
	struct dirent **found = NULL;
	int count = scandir(looking->fixture->directory, &found, is_leftover, NULL);
	enum whole_verdict verdict =
		count > 0 ? say(looking, WHOLE_LOST, "half-restored data lies about: %s", found[0]->d_name) : WHOLE_OLD;

	for (int i = 0; i < count; i++)
		free(found[i]);
	free(found);
	return verdict;
}

/* Data is that of the version that runs, or of none that was started yet; what a newer version had written before it
 * was gone back from is kept. */
static enum whole_verdict look_at_data(struct looking *looking)
{
	const struct journal_run *run = &journal_state(looking->journal)->run;
	CLEANUP(free_pointer) char *precious = fixture_text(looking->fixture, "data/precious");
	CLEANUP(free_pointer) char *file = fixture_text(looking->fixture, "data/file");
	CLEANUP(free_pointer) char *units = fixture_text(looking->fixture, "units.log");
	char expected[LAYOUT_VERSION_SIZE + 1], path[256];

	if (strcmp(precious, looking->whole->precious) != 0)
		return say(looking, WHOLE_LOST, "data was lost: \"%s\"", precious);
	snprintf(expected, sizeof expected, "%s\n", looking->version);
	if (strcmp(file, "factory\n") != 0 && strcmp(file, expected) != 0)
		return say(looking, WHOLE_LOST, "%s runs on the data of %s", looking->version, file);
	if (run->outcome != JOURNAL_ROLLED_BACK || !run->snapshot[0] || !strstr(units, "start 1.1"))
		return WHOLE_OLD;
	snprintf(path, sizeof path, "state/shop/discarded/%s.%lld/0/file", run->upgrade, (long long)run->started);
	CLEANUP(free_pointer) char *discarded = fixture_text(looking->fixture, path);
	if (strcmp(discarded, "1.1\n") != 0)
		return say(looking, WHOLE_LOST, "what 1.1 wrote is not kept aside: \"%s\"", discarded);
	return WHOLE_OLD;
}

static bool is_run(const struct journal_run *run)
{
	return run->upgrade[0] && strcmp(run->upgrade, "adopt") != 0;
}

static enum whole_verdict look_at_journal(struct looking *looking)
{
	const struct journal_run *run = &journal_state(looking->journal)->run;
	const char *stands = run->requested ? run->to : run->outcome == JOURNAL_COMMITTED ? run->to : run->from;
	bool quarantined = false;
	struct error error = {0};

	if (run->upgrade[0] && strcmp(stands, looking->version) != 0)
		return say(looking, WHOLE_UNTRUE, "%s stands, but the journal says that %s is %s", looking->version,
			   run->upgrade, journal_stage_name(run->outcome));
	if (!is_run(run))
		return WHOLE_OLD;
	if (!run->ended || run->ended < run->started)
		return say(looking, WHOLE_UNTRUE, "%s began at %lld and ended at %lld", run->upgrade,
			   (long long)run->started, (long long)run->ended);
	if ((run->outcome == JOURNAL_ROLLED_BACK) != (run->reason[0] != '\0'))
		return say(looking, WHOLE_UNTRUE, "%s: reason \"%s\"", journal_stage_name(run->outcome), run->reason);
	if (quarantine_has(&looking->fixture->layout, run->sha256, &quarantined, &error) < 0)
		return say(looking, WHOLE_UNTRUE, "%s", error.text);
	bool sick = strstr(run->reason, "probe well") && run->outcome == JOURNAL_ROLLED_BACK;
	if (sick && !quarantined)
		return say(looking, WHOLE_UNTRUE, "gone back for \"%s\", and not in quarantine", run->reason);
	return WHOLE_OLD;
}

static enum whole_verdict look_at_receipt(struct looking *looking)
{
	const struct journal_run *run = &journal_state(looking->journal)->run;
	CLEANUP(jsonio_free) json_t *receipt = NULL;
	struct error error = {0};

	if (!is_run(run))
		return WHOLE_OLD;
	if (receipts_read(&looking->fixture->layout, run, &receipt, &error) < 0 || !receipt)
		return say(looking, WHOLE_UNTRUE, "there is no receipt");
	const json_t *document = jsonio_member(receipt, "signed");
	if (strcmp(jsonio_string(document, "outcome"), journal_stage_name(run->outcome)) != 0 ||
	    strcmp(jsonio_string(document, "reason"), run->reason) != 0 ||
	    json_array_size(jsonio_member(document, "steps")) != run->step_count)
		return say(looking, WHOLE_UNTRUE, "the receipt says something else than the journal");
	return WHOLE_OLD;
}

static enum whole_verdict resume_again(struct looking *looking)
{
	struct resume_report report = {0};
	struct error error = {0};

	if (resume_run(&looking->fixture->layout, RESUME_MS, &report, &error) < 0)
		return say(looking, WHOLE_STUCK, "a second resume: %s", error.text);
	return report.acted ? say(looking, WHOLE_STUCK, "a second resume did something: %s", report.text) : WHOLE_OLD;
}

/* Where nothing was adopted yet, that is done first. */
static enum whole_verdict adopt(struct looking *looking)
{
	CLEANUP(bundle_free) struct bundle *bundle = NULL;
	char path[256], adopted[LAYOUT_VERSION_SIZE];
	struct error error = {0};

	if (looking->version[0])
		return WHOLE_OLD;
	snprintf(path, sizeof path, "%s/%s.bundle", looking->fixture->directory, looking->whole->after);
	if (bundle_open(path, &bundle, &error) < 0 ||
	    adopt_bundle(&looking->fixture->layout, bundle, -1, adopted, &error) < 0)
		return say(looking, WHOLE_STUCK, "adopting again: %s", error.text);
	return WHOLE_OLD;
}

static enum whole_verdict upgrade(struct looking *looking)
{
	CLEANUP(run_result_free) struct run_result result = {0};
	char sha256[HASH_HEX_SIZE], version[LAYOUT_VERSION_SIZE];
	struct fixture *fixture = looking->fixture;
	struct error error = {0};

	if (fixture_receive(fixture, NEXT_VERSION, NULL, sha256, &error) < 0 ||
	    stage_seal(&fixture->layout, NEXT_VERSION, sha256, &error) < 0)
		return say(looking, WHOLE_STUCK, "the next upgrade: %s", error.text);
	const struct switch_request request = fixture_order(fixture, "up-9", NEXT_VERSION, sha256);
	if (switch_run(&fixture->layout, &request, NULL, NULL, &result, &error) < 0)
		return say(looking, WHOLE_STUCK, "the next upgrade: %s", error.text);
	if (result.outcome != JOURNAL_COMMITTED || !result.receipt)
		return say(looking, WHOLE_STUCK, "the next upgrade is %s: %s", journal_stage_name(result.outcome),
			   result.reason);
	if (layout_current(&fixture->layout, version, &error) < 0 || strcmp(version, NEXT_VERSION) != 0 ||
	    layout_verify(&fixture->layout, version, &error) < 0)
		return say(looking, WHOLE_MIXED, "after the next upgrade %s stands: %s", version, error.text);
	return WHOLE_OLD;
}

enum whole_verdict whole_check(struct fixture *fixture, const struct whole *whole, char ret_text[WHOLE_TEXT_SIZE])
{
	static look *const looks[] = {resume,       look_at_trees,   look_for_leftovers,
				      look_at_data, look_at_journal, look_at_receipt,
				      resume_again, adopt,           upgrade};
	struct looking looking = {.fixture = fixture, .whole = whole, .text = ret_text};
	enum whole_verdict verdict = WHOLE_OLD;

	ret_text[0] = '\0';
	for (size_t i = 0; verdict == WHOLE_OLD && i < ARRAY_SIZE(looks); i++)
		verdict = looks[i](&looking);
	journal_free(&looking.journal);
	if (verdict == WHOLE_OLD && strcmp(looking.version, whole->before) != 0)
		verdict = WHOLE_NEW;
	return verdict;
}
