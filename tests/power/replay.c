#include "tests/power/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/power/cut.h"
#include "tests/unit/act/fixture.h"

#define SHOWN_MOST 5  /* failures of a story that are told in full */
#define EXAMINED   16 /* every so manieth disk is looked at by its own checker */

static void show(const struct errand *errand, const struct cut *cut, const char *what, const char *why,
		 struct tally *tally)
{
	/* Past what print_message can hold. */
	if (tally->shown++ < SHOWN_MOST)
		printf("%s, %s, %s, entries %zu and %zu to %zu: %s: %s\n", errand->storage->name, errand->story->name,
		       cut_name(cut->kind), cut->since[0], cut->since[1], cut->until, what, why);
}

static void examine(const struct errand *errand, const struct cut *cut, const struct images *images,
		    struct tally *tally)
{
	for (unsigned i = 0; i < storage_disks(errand->storage); i++) {
		const struct filesystem *filesystem = errand->storage->disks[i];
		CLEANUP(free_pointer) char *found = NULL;
		tally->examined++;
		if (storage_examine(filesystem, images->files[i], &found))
			continue;
		tally->damaged++;
		show(errand, cut, filesystem->name, found, tally);
	}
}

static void come_up(const struct errand *errand, const struct tape *tape, const struct cut *cut,
		    const struct images *images, struct tally *tally)
{
	struct errand_found found = errand_come_up(errand, tape, cut->until, images);
	CLEANUP(free_pointer) char *said = found.said;
	size_t nth = tally->flushes + tally->torn;

	*(cut->kind == CUT_FLUSHED ? &tally->flushes : &tally->torn) += 1;
	tally->verdicts[found.verdict]++;
	tally->alike += found.alike;
	if (found.verdict >= WHOLE_MIXED)
		show(errand, cut, whole_name(found.verdict), said, tally);
	else if (nth % EXAMINED == 0)
		examine(errand, cut, images, tally);
}

/* One cut in so many, others each day. */
struct pace {
	size_t flushed, torn;
	size_t again; /* of those that are taken, ones that are resumed and cut in their resume; 0: none */
};

static struct pace find_pace(const struct storage *storage, bool again)
{
	static const struct pace paces[2][2] = {{{12, 12, 9}, {25, 25, 0}}, {{1, 4, 64}, {4, 12, 0}}};
	bool whole = getenv("NIGHTSHIFT_SWEEP") != NULL;
	struct pace pace = paces[whole][again];

	pace.flushed *= whole ? storage->share : 1;
	pace.torn *= whole ? storage->share : 1;
	return pace;
}

static bool is_taken(const struct cut *cut, size_t nth[CUT_KINDS], const struct pace *pace)
{
	bool flushed = cut->kind == CUT_FLUSHED;
	size_t stride = flushed ? pace->flushed : pace->torn;
	size_t *count = &nth[flushed ? CUT_FLUSHED : CUT_PREFIX];

	/* The torn ones elsewhere than the flushed ones. */
	return (*count)++ % stride == ((size_t)(clock_now() / 86400) + (flushed ? 0 : stride / 2)) % stride;
}

/* The cuts of a tape whose disks began as `base`, from entry `first` on. */
static void replay(const struct errand *errand, const struct tape *tape, const struct images *base, size_t first,
		   const struct pace *pace, struct tally *tally)
{
	CLEANUP(images_close) struct images durable = images_copy(base);
	CLEANUP(free_pointer) struct cut *cuts = NULL;
	size_t played[TAPE_DISKS] = {0}, nth[CUT_KINDS] = {0}, taken = 0, count = cut_plan(tape, first, &cuts);

	for (size_t i = 0; i < count; i++) {
		if (!is_taken(&cuts[i], nth, pace))
			continue;
		for (unsigned n = 0; n < storage_disks(errand->storage); n++) {
			cut_play(tape, n, played[n], cuts[i].since[n], durable.files[n]);
			played[n] = cuts[i].since[n];
		}
		CLEANUP(images_close) struct images images = images_copy(&durable);
		for (unsigned n = 0; n < storage_disks(errand->storage); n++)
			cut_make(tape, &cuts[i], n, errand->storage->disks[n]->sector, images.files[n]);
		if (pace->again && taken++ % pace->again == pace->again / 2) {
			const struct pace again = find_pace(errand->storage, true);
			struct tape *second = errand_record(errand, ERRAND_RESUME, &images);
			replay(errand, second, &images, 0, &again, tally);
			tape_free(&second);
			tally->resumes++;
		}
		come_up(errand, tape, &cuts[i], &images, tally);
	}
}

static size_t find_begun(const struct tape *tape)
{
	size_t at = 0;

	while (tape_entry(tape, at)->kind != TAPE_MARK || tape_entry(tape, at)->offset != STORY_BEGUN)
		at++;
	return at;
}

/* A run, which a cut leaves open. */
static bool is_resumed(const struct story *story)
{
	return story->from[0] && !story->keeps &&
	       (story->ends == JOURNAL_COMMITTED || story->ends == JOURNAL_ROLLED_BACK);
}

void replay_story(const struct errand *errand, struct tally *tally)
{
	CLEANUP(images_close) struct images blank = images_blank(errand->storage);
	struct tape *tape = errand_record(errand, ERRAND_RECORD, &blank);
	struct pace pace = find_pace(errand->storage, false);

	if (!is_resumed(errand->story))
		pace.again = 0;
	replay(errand, tape, &blank, find_begun(tape), &pace, tally);
	tape_free(&tape);
}

void tally_add(struct tally *all, const struct tally *one)
{
	all->flushes += one->flushes;
	all->torn += one->torn;
	all->resumes += one->resumes;
	all->examined += one->examined;
	all->damaged += one->damaged;
	all->alike += one->alike;
	for (size_t i = 0; i < WHOLE_VERDICTS; i++)
		all->verdicts[i] += one->verdicts[i];
}

void tally_tell(const char *what, const struct tally *tally)
{
	print_message("%s: %zu flush points, %zu torn points, %zu alike, %zu resumes cut:", what, tally->flushes,
		      tally->torn, tally->alike, tally->resumes);
	for (size_t i = 0; i < WHOLE_VERDICTS; i++)
		print_message(" %zu %s%s", tally->verdicts[i], whole_name((enum whole_verdict)i),
			      i + 1 < WHOLE_VERDICTS ? "," : ";");
	print_message(" %zu file systems examined, %zu damaged\n", tally->examined, tally->damaged);
}
