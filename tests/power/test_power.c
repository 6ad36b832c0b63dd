/* The power goes: an upgrade runs on a disk that is recorded below its file system; for every moment of it the disk is
 * made again as a power cut would have left it, mounted, and brought up with `resume`, which is cut again in its turn.
 * The box is whole old or whole new, with data to match; what had been told and answered is there; the next upgrade
 * succeeds.
 *
 * The program is the test, the machine that is recorded and the machine that comes up again (see main). */
#include "tests/unit/act/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/power/cut.h"
#include "tests/power/promise.h"
#include "tests/power/rig.h"
#include "tests/power/storage.h"
#include "tests/unit/act/machine.h"

#define JOURNAL_SHOWN 6000
#define SHOWN_MOST    5  /* failures that are told in full */
#define EXAMINED      16 /* every so manieth disk is looked at by its own checker */
#define TAPE_FILE     3  /* of a rig; then its disks, or a /dev/fuse for each */
#define DISK_FILE     4
#define VERDICTS      100 /* exit codes of a rig that came up: this and the verdict */

/* What a rig is told on its command line. */
struct errand {
	const char *directory;
	const struct storage *storage;
	const struct story *story;
	size_t until;
	enum whole_verdict verdict; /* what it found */
};

static void box_of(const struct errand *errand, char path[static 64])
{
	snprintf(path, 64, "%s/box", errand->directory);
}

static void power_on(const struct errand *errand, unsigned disk, int backing)
{
	const struct filesystem *filesystem = errand->storage->disks[disk];
	char device[32];
	int loop = rig_attach(backing, device);

	if (rig_mount(errand->directory, disk, device, filesystem->name, filesystem->options) < 0)
		fail_msg("%s does not mount: %s", filesystem->name, strerror(errno));
	close(loop);
	close(backing);
}

static struct tape *power_on_recorded(const struct errand *errand)
{
	struct tape *tape = tape_open(TAPE_FILE);
	char path[96];

	rig_begin(errand->directory);
	for (unsigned i = 0; i < storage_disks(errand->storage); i++) {
		snprintf(path, sizeof path, "%s/disk%u", errand->directory, i);
		tape_mount(DISK_FILE + (int)i, path);
		int file = open(path, O_RDWR | O_CLOEXEC);
		assert_true(file >= 0);
		close(DISK_FILE + (int)i);
		power_on(errand, i, file);
	}
	return tape;
}

static void rig_records(void **state)
{
	const struct errand *errand = *state;
	struct tape *tape = power_on_recorded(errand);
	char box[64];

	box_of(errand, box);
	story_record(errand->story, box, tape);
	rig_end(errand->directory);
}

static void rig_resumes(void **state)
{
	const struct errand *errand = *state;
	struct tape *tape = power_on_recorded(errand);
	char box[64];

	box_of(errand, box);
	story_resume(errand->story, box, tape);
	rig_end(errand->directory);
}

static void rig_comes_up(void **state)
{
	struct errand *errand = *state;
	struct tape *tape = tape_open(TAPE_FILE);
	char box[64], text[WHOLE_TEXT_SIZE];

	rig_begin(errand->directory);
	for (unsigned i = 0; i < storage_disks(errand->storage); i++)
		power_on(errand, i, DISK_FILE + (int)i);
	box_of(errand, box);
	errand->verdict = promise_check(errand->story, box, tape, errand->until, text);
	if (errand->verdict >= WHOLE_MIXED) {
		CLEANUP(free_pointer) char *journal = story_journal(box);
		size_t length = strlen(journal);
		printf("%s\n%s", text, journal + (length > JOURNAL_SHOWN ? length - JOURNAL_SHOWN : 0));
	}
	rig_end(errand->directory);
}

static const struct part {
	const char *name;
	void (*play)(void **state);
} parts[] = {{"record", rig_records}, {"resume", rig_resumes}, {"come-up", rig_comes_up}};

static const struct story *find_story(const char *name)
{
	for (size_t i = 0; i < story_count; i++)
		if (strcmp(stories[i].name, name) == 0)
			return &stories[i];
	return NULL;
}

/* PART DIRECTORY STORAGE STORY UNTIL */
static int run_rig(char **argv)
{
	struct errand errand = {
		.directory = argv[2], .until = (size_t)strtoull(argv[5], NULL, 10), .verdict = WHOLE_OLD};
	struct CMUnitTest test = {.name = argv[1], .initial_state = &errand};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(parts[i].name, argv[1]) == 0)
			test.test_func = parts[i].play;
	errand.storage = storage_find(argv[3]);
	errand.story = find_story(argv[4]);
	if (!test.test_func || !errand.storage || !errand.story)
		return 64;
	int failed = _cmocka_run_group_tests("rig", &test, 1, NULL, NULL);
	return failed ? 1 : VERDICTS + (int)errand.verdict;
}

/* What came of it all. */
struct tally {
	size_t flushes, torn, resumes, examined, damaged;
	size_t verdicts[WHOLE_VERDICTS];
	size_t shown;
};

/* Files in memory, one a disk; -1 where there is none. */
struct images {
	int files[TAPE_DISKS];
};

static void close_images(struct images *images)
{
	for (unsigned i = 0; i < TAPE_DISKS; i++)
		file_close(&images->files[i]);
}

static struct images blank_images(const struct storage *storage)
{
	return (struct images){
		{storage_blank(storage->disks[0]), storage->disks[1] ? storage_blank(storage->disks[1]) : -1}};
}

static struct images copy_images(const struct images *images)
{
	return (struct images){{cut_copy(images->files[0]), images->files[1] >= 0 ? cut_copy(images->files[1]) : -1}};
}

/* What is written to `base` from now on, onto a new tape. */
static struct tape *record(const struct errand *errand, const char *part, const struct images *base)
{
	CLEANUP(free_pointer) char *said = NULL;
	CLEANUP(close_images) struct images images = copy_images(base);
	CLEANUP(close_images) struct images fuses = {{-1, -1}};
	const char *const words[] = {part, errand->directory, errand->storage->name, errand->story->name, "0", NULL};
	unsigned count = storage_disks(errand->storage);
	struct tape *tape = tape_new();
	struct tape_disk disks[TAPE_DISKS];
	int files[1 + TAPE_DISKS] = {tape_fd(tape)};

	for (unsigned i = 0; i < count; i++) {
		files[1 + i] = fuses.files[i] = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		assert_true(fuses.files[i] >= 0);
		disks[i] = (struct tape_disk){fuses.files[i], images.files[i], errand->storage->disks[i]->size};
	}
	struct rig rig = rig_start(words, files, 1 + count);
	tape_serve(tape, disks, count, rig.pidfd);
	if (rig_wait(&rig, &said) < VERDICTS)
		fail_msg("%s: %s of %s: %s", errand->storage->name, part, errand->story->name, said);
	return tape;
}

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
	CLEANUP(free_pointer) char *said = NULL;
	char until[24];
	const char *const words[] = {"come-up", errand->directory, errand->storage->name, errand->story->name, until,
				     NULL};
	const int files[] = {tape_fd(tape), images->files[0], images->files[1]};
	size_t nth = tally->flushes + tally->torn;

	snprintf(until, sizeof until, "%zu", cut->until);
	struct rig rig = rig_start(words, files, 1 + storage_disks(errand->storage));
	int code = rig_wait(&rig, &said);
	/* One that could not even say what it is, is stuck. */
	enum whole_verdict verdict = code >= VERDICTS && code < VERDICTS + WHOLE_VERDICTS
					     ? (enum whole_verdict)(code - VERDICTS)
					     : WHOLE_STUCK;
	*(cut->kind == CUT_FLUSHED ? &tally->flushes : &tally->torn) += 1;
	tally->verdicts[verdict]++;
	if (verdict >= WHOLE_MIXED)
		show(errand, cut, whole_name(verdict), said, tally);
	else if (nth % EXAMINED == 0)
		examine(errand, cut, images, tally);
}

/* One cut in so many, others each day. */
struct pace {
	size_t flushed, torn;
	size_t again; /* of those that are taken, ones that are resumed and cut in their resume; 0: none */
};

/* All flush points with NIGHTSHIFT_SWEEP=1 in the environment, otherwise some. */
static struct pace find_pace(const struct storage *storage, bool again)
{
	static const struct pace paces[2][2] = {{{25, 25, 6}, {25, 25, 0}}, {{1, 4, 64}, {4, 12, 0}}};
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
	CLEANUP(close_images) struct images durable = copy_images(base);
	CLEANUP(free_pointer) struct cut *cuts = NULL;
	size_t played[TAPE_DISKS] = {0}, nth[CUT_KINDS] = {0}, taken = 0, count = cut_plan(tape, first, &cuts);

	for (size_t i = 0; i < count; i++) {
		if (!is_taken(&cuts[i], nth, pace))
			continue;
		for (unsigned n = 0; n < storage_disks(errand->storage); n++) {
			cut_play(tape, n, played[n], cuts[i].since[n], durable.files[n]);
			played[n] = cuts[i].since[n];
		}
		CLEANUP(close_images) struct images images = copy_images(&durable);
		for (unsigned n = 0; n < storage_disks(errand->storage); n++)
			cut_make(tape, &cuts[i], n, errand->storage->disks[n]->sector, images.files[n]);
		if (pace->again && taken++ % pace->again == pace->again / 2) {
			const struct pace again = find_pace(errand->storage, true);
			struct tape *second = record(errand, "resume", &images);
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

static void tell_tally(const char *what, const struct tally *tally)
{
	print_message("%s: %zu flush points, %zu torn points, %zu resumes cut:", what, tally->flushes, tally->torn,
		      tally->resumes);
	for (size_t i = 0; i < WHOLE_VERDICTS; i++)
		print_message(" %zu %s%s", tally->verdicts[i], whole_name((enum whole_verdict)i),
			      i + 1 < WHOLE_VERDICTS ? "," : ";");
	print_message(" %zu file systems examined, %zu damaged\n", tally->examined, tally->damaged);
}

static void add_tally(struct tally *all, const struct tally *one)
{
	all->flushes += one->flushes;
	all->torn += one->torn;
	all->resumes += one->resumes;
	all->examined += one->examined;
	all->damaged += one->damaged;
	for (size_t i = 0; i < WHOLE_VERDICTS; i++)
		all->verdicts[i] += one->verdicts[i];
}

/* A run, which a cut leaves open. */
static bool is_resumed(const struct story *story)
{
	return story->from[0] && (story->ends == JOURNAL_COMMITTED || story->ends == JOURNAL_ROLLED_BACK);
}

static void test_power(void **state)
{
	const struct errand *any = *state;
	struct tally all = {0};
	char what[96];

	for (size_t i = 0; i < story_count; i++) {
		if (any->story && any->story != &stories[i])
			continue;
		const struct errand errand = {any->directory, any->storage, &stories[i], 0, WHOLE_OLD};
		CLEANUP(close_images) struct images blank = blank_images(errand.storage);
		struct tape *tape = record(&errand, "record", &blank);
		struct tally tally = {0};
		struct pace pace = find_pace(errand.storage, false);
		if (!is_resumed(&stories[i]))
			pace.again = 0;
		replay(&errand, tape, &blank, find_begun(tape), &pace, &tally);
		tape_free(&tape);
		snprintf(what, sizeof what, "power, %s, %s", errand.storage->name, stories[i].name);
		tell_tally(what, &tally);
		add_tally(&all, &tally);
	}
	/* This one is for whoever reads the report of all tests. */
	snprintf(what, sizeof what, "sweep: power, %s", any->storage->name);
	tell_tally(what, &all);
	assert_true(any->story || all.flushes + all.torn >= 50);
	assert_int_equal(all.verdicts[WHOLE_OLD] + all.verdicts[WHOLE_NEW], all.flushes + all.torn);
	assert_int_equal(all.damaged, 0);
}

static int run_on_storage(const struct storage *storage, const struct story *story)
{
	char directory[] = "/tmp/power-XXXXXX";
	struct errand errand = {.directory = directory, .storage = storage, .story = story};
	const struct CMUnitTest test = {.name = storage->name, .test_func = test_power, .initial_state = &errand};

	if (!mkdtemp(directory))
		return 73;
	int failed = _cmocka_run_group_tests("power", &test, 1, NULL, NULL);
	rmdir(directory);
	return failed;
}

/* A machine's part, a watcher, or the test: STORAGE [STORY]. */
int main(int argc, char **argv)
{
	int watched = fixture_watch(argc, argv);

	if (watched >= 0)
		return watched;
	if (argc == 6 && getpid() == 1)
		return run_rig(argv);
	const struct storage *storage = argc == 2 || argc == 3 ? storage_find(argv[1]) : NULL;
	const struct story *story = argc == 3 ? find_story(argv[2]) : NULL;
	if (!storage || (argc == 3 && !story))
		return 64;
	const char *lacks = rig_lacks() ? rig_lacks() : storage_lacks(storage);
	if (!lacks)
		return run_on_storage(storage, story);
	print_message("skipped: power/%s (%s)\n", storage->name, lacks);
	return 77;
}
