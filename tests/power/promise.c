#include "tests/power/promise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct promise {
	const struct tape_entry *told; /* NULL: nothing yet */
	bool answered;
	int kept; /* the number that was acknowledged last */
};

static struct promise find_promise(const struct story *story, const struct tape *tape, size_t until)
{
	struct promise promise = {.kept = story->keeps ? story->keeps->first : 0};

	for (size_t i = 0; i < until; i++) {
		const struct tape_entry *entry = tape_entry(tape, i);
		if (entry->kind == TAPE_MARK && entry->offset == STORY_TOLD)
			promise.told = entry;
		if (entry->kind == TAPE_MARK && entry->offset == STORY_ANSWERED)
			promise.answered = true;
		if (entry->kind == TAPE_MARK && entry->offset == STORY_KEPT)
			memcpy(&promise.kept, tape_bytes(tape, entry), sizeof promise.kept);
	}
	return promise;
}

/* What the journal had told is in it, and after the answer the box is as was answered: before anything is resumed. */
static bool is_kept(const struct story *story, struct fixture *fixture, const struct tape *tape,
		    const struct promise *promise, char ret_text[WHOLE_TEXT_SIZE])
{
	CLEANUP(journal_free) struct journal *journal = NULL;
	CLEANUP(free_pointer) char *text = fixture_text(fixture, "state/shop/journal");
	const struct tape_entry *told = promise->told;
	struct error error = {0};
	char version[LAYOUT_VERSION_SIZE];

	if (told && (strlen(text) < told->size || memcmp(text, tape_bytes(tape, told), told->size) != 0)) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "of %u bytes that the journal had told %zu are there", told->size,
			 strlen(text));
		return false;
	}
	if (story->keeps && !story->keeps->holds(fixture, promise->kept, ret_text))
		return false;
	if (!promise->answered)
		return true;
	if (journal_open(fixture->layout.state, JOURNAL_READ, &journal, &error) < 0 ||
	    layout_current(&fixture->layout, version, &error) < 0) {
		snprintf(ret_text, WHOLE_TEXT_SIZE, "%s", error.text);
		return false;
	}
	const struct journal_state *state = journal_state(journal);
	snprintf(ret_text, WHOLE_TEXT_SIZE, "it was answered, and now %s stands, %s, staged \"%s\"", version,
		 journal_stage_name(state->stage), state->staged);
	return state->stage == story->ends && strcmp(version, story->stands) == 0 &&
	       strcmp(state->staged, story->staged) == 0;
}

/* What was promised is looked at in each box; what becomes of it, once in those that are alike. */
void promise_check(const struct story *story, const char *box, const struct tape *tape, size_t until,
		   struct alike *alike, struct promise_found *found)
{
	const struct promise promise = find_promise(story, tape, until);
	uint8_t print[HASH_SIZE];
	struct fixture fixture;
	int verdict = WHOLE_UNTRUE;

	alike_print(box, story_inputs, promise.answered, print);
	story_open(&fixture, box, "10\n");
	if (is_kept(story, &fixture, tape, &promise, found->text)) {
		found->alike = alike_find(alike, print, &verdict);
		if (!found->alike) {
			CLEANUP(free_pointer) char *precious = story_ledger();
			const struct whole whole = {story->from, story->to, precious};
			story_go_on(story, &fixture);
			verdict = (int)whole_check(&fixture, &whole, found->text);
			if (verdict < WHOLE_MIXED && story->again && !promise.answered)
				story->again(&fixture);
			if (verdict < WHOLE_MIXED)
				alike_note(alike, print, verdict);
		}
	}
	found->verdict = (enum whole_verdict)verdict;
	fixture_close(&fixture);
}
