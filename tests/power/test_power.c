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
#include "base/process.h"
#include "tests/power/cut.h"
#include "tests/power/rig.h"
#include "tests/power/story.h"
#include "tests/unit/act/machine.h"

#define MIB        ((uint64_t)1024 * 1024)
#define WORDS_MOST 12
#define SHOWN_MOST 5   /* failures that are told in full */
#define EXAMINED   16  /* every so manieth disk is looked at by its own checker */
#define FIRST_FILE 3   /* of a rig: the disk or /dev/fuse; then the tape */
#define VERDICTS   100 /* exit codes of a rig that came up: this and the verdict */

static const struct filesystem {
	const char *name;
	uint64_t size;
	size_t sector; /* written whole or not at all */
	const char *options;
	const char *make[WORDS_MOST], *examine[WORDS_MOST];
} filesystems[] = {
	/* Its superblock is a KiB, and counts on that much. */
	{"ext4",
	 128 * MIB,
	 1024,
	 "",
	 {"mkfs.ext4", "-q", "-F", "-J", "size=4", "-N", "2048", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	 {"e2fsck", "-f", "-n"}},
	{"xfs", 320 * MIB, 512, "nouuid", {"mkfs.xfs", "-q", "-f", "-m", "reflink=1"}, {"xfs_repair", "-n", "-f"}},
	{"btrfs",
	 256 * MIB,
	 4096,
	 "",
	 {"mkfs.btrfs", "-q", "-f", "-n", "4096", "-m", "single", "-d", "single"},
	 {"btrfs", "check"}},
};

/* What a rig is told on its command line. */
struct errand {
	const char *directory;
	const struct filesystem *filesystem;
	const struct story *story;
	size_t until;
	enum whole_verdict verdict; /* what it found */
};

static void box_of(const struct errand *errand, char path[static 64])
{
	snprintf(path, 64, "%s/box", errand->directory);
}

static void power_on(const struct errand *errand, int backing)
{
	char device[32];
	int loop = rig_attach(backing, device);

	if (rig_mount(errand->directory, device, errand->filesystem->name, errand->filesystem->options) < 0)
		fail_msg("stuck: the file system does not mount: %s", strerror(errno));
	close(loop);
	close(backing);
}

static struct tape *power_on_recorded(const struct errand *errand)
{
	struct tape *tape = tape_open(FIRST_FILE + 1);
	char path[96];

	rig_begin(errand->directory);
	snprintf(path, sizeof path, "%s/disk", errand->directory);
	tape_mount(FIRST_FILE, path);
	int disk = open(path, O_RDWR | O_CLOEXEC);
	assert_true(disk >= 0);
	close(FIRST_FILE);
	power_on(errand, disk);
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
	story_resume(box, tape);
	rig_end(errand->directory);
}

static void rig_comes_up(void **state)
{
	struct errand *errand = *state;
	struct tape *tape = tape_open(FIRST_FILE + 1);
	char box[64], text[WHOLE_TEXT_SIZE];

	rig_begin(errand->directory);
	power_on(errand, FIRST_FILE);
	box_of(errand, box);
	errand->verdict = story_check(errand->story, box, tape, errand->until, text);
	if (errand->verdict >= WHOLE_MIXED)
		print_message("%s\n", text);
	rig_end(errand->directory);
}

static const struct part {
	const char *name;
	void (*play)(void **state);
} parts[] = {{"record", rig_records}, {"resume", rig_resumes}, {"come-up", rig_comes_up}};

/* PART DIRECTORY FILESYSTEM STORY UNTIL */
static int run_rig(char **argv)
{
	struct errand errand = {
		.directory = argv[2], .until = (size_t)strtoull(argv[5], NULL, 10), .verdict = WHOLE_OLD};
	struct CMUnitTest test = {.name = argv[1], .initial_state = &errand};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(parts[i].name, argv[1]) == 0)
			test.test_func = parts[i].play;
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
		if (strcmp(filesystems[i].name, argv[3]) == 0)
			errand.filesystem = &filesystems[i];
	for (size_t i = 0; i < story_count; i++)
		if (strcmp(stories[i].name, argv[4]) == 0)
			errand.story = &stories[i];
	if (!test.test_func || !errand.filesystem || !errand.story)
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

/* A foreign program with `file` as its last word. */
static bool run_on(const char *const words[static WORDS_MOST], int file, struct buffer *said)
{
	const char *argv[WORDS_MOST + 2] = {0};
	char path[64];
	size_t count = 0;
	struct error error = {0};
	int code = -1;

	for (; count < WORDS_MOST && words[count]; count++)
		argv[count] = words[count];
	snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), file);
	argv[count] = path;
	return process_run(argv, NULL, "/", 60000, said, &code, &error) == 0 && code == 0;
}

static int blank_disk(const struct filesystem *filesystem)
{
	CLEANUP(buffer_free) struct buffer said = BUFFER_INIT(4096);
	int disk = cut_blank(filesystem->size);

	if (!run_on(filesystem->make, disk, &said))
		fail_msg("%s: %.*s", filesystem->make[0], (int)said.size, (const char *)said.data);
	return disk;
}

/* What is written to `base` from now on, onto a new tape. */
static struct tape *record(const struct errand *errand, const char *part, int base)
{
	CLEANUP(free_pointer) char *said = NULL;
	CLEANUP(file_close) int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	CLEANUP(file_close) int disk = cut_copy(base);
	const char *const words[] = {part, errand->directory, errand->filesystem->name, errand->story->name, "0", NULL};
	struct tape *tape = tape_new();
	const int files[] = {fuse, tape_fd(tape)};

	assert_true(fuse >= 0);
	struct rig rig = rig_start(words, files, ARRAY_SIZE(files));
	tape_serve(tape, fuse, disk, errand->filesystem->size, rig.pidfd);
	if (rig_wait(&rig, &said) < VERDICTS)
		fail_msg("%s: %s of %s: %s", errand->filesystem->name, part, errand->story->name, said);
	return tape;
}

static void show(const struct errand *errand, const struct cut *cut, const char *what, const char *why,
		 struct tally *tally)
{
	if (tally->shown++ < SHOWN_MOST)
		print_message("%s, %s, %s, entries %zu to %zu: %s: %s\n", errand->filesystem->name, errand->story->name,
			      cut_name(cut->kind), cut->since, cut->until, what, why);
}

static void examine(const struct errand *errand, const struct cut *cut, int image, struct tally *tally)
{
	CLEANUP(buffer_free) struct buffer found = BUFFER_INIT(4096);
	struct error ignored;

	tally->examined++;
	if (run_on(errand->filesystem->examine, image, &found))
		return;
	tally->damaged++;
	if (buffer_append(&found, "", 1, &ignored) == 0)
		show(errand, cut, errand->filesystem->examine[0], (const char *)found.data, tally);
}

static void come_up(const struct errand *errand, const struct tape *tape, const struct cut *cut, int image,
		    struct tally *tally)
{
	CLEANUP(free_pointer) char *said = NULL;
	char until[24];
	const char *const words[] = {"come-up", errand->directory, errand->filesystem->name, errand->story->name, until,
				     NULL};
	const int files[] = {image, tape_fd(tape)};
	size_t nth = tally->flushes + tally->torn;

	snprintf(until, sizeof until, "%zu", cut->until);
	struct rig rig = rig_start(words, files, ARRAY_SIZE(files));
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
		examine(errand, cut, image, tally);
}

/* All of them with NIGHTSHIFT_SWEEP=1 in the environment, otherwise some, others each day. */
struct pace {
	unsigned torn; /* cuts between two flushes */
	size_t stride; /* of the cuts */
	size_t again;  /* of those, the ones whose resume is cut, too */
};

static struct pace pace(void)
{
	return getenv("NIGHTSHIFT_SWEEP") ? (struct pace){.torn = 1, .stride = 1, .again = 48}
					  : (struct pace){.torn = 1, .stride = 25, .again = 6};
}

/* The cuts of a tape whose disk began as `base`, from entry `first` on. With `again`, one in so many is resumed and cut
 * in its resume. */
static void replay(const struct errand *errand, const struct tape *tape, int base, size_t first, size_t again,
		   struct tally *tally)
{
	CLEANUP(file_close) int durable = cut_copy(base);
	CLEANUP(free_pointer) struct cut *cuts = NULL;
	size_t played = 0, count = cut_plan(tape, first, pace().torn, &cuts), stride = pace().stride;
	size_t day = (size_t)(clock_now() / 86400);

	for (size_t i = day % stride; i < count; i += stride) {
		cut_play(tape, played, cuts[i].since, durable);
		played = cuts[i].since;
		CLEANUP(file_close) int image = cut_copy(durable);
		cut_make(tape, &cuts[i], errand->filesystem->sector, image);
		if (again && (i / stride) % again == 0) {
			struct tape *second = record(errand, "resume", image);
			replay(errand, second, image, 0, 0, tally);
			tape_free(&second);
			tally->resumes++;
		}
		come_up(errand, tape, &cuts[i], image, tally);
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
	print_message("sweep: power, %s: %zu flush points, %zu torn points, %zu resumes cut:", what, tally->flushes,
		      tally->torn, tally->resumes);
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
		const struct errand errand = {any->directory, any->filesystem, &stories[i], 0, WHOLE_OLD};
		CLEANUP(file_close) int blank = blank_disk(errand.filesystem);
		struct tape *tape = record(&errand, "record", blank);
		struct tally tally = {0};
		replay(&errand, tape, blank, find_begun(tape), is_resumed(&stories[i]) ? pace().again : 0, &tally);
		tape_free(&tape);
		snprintf(what, sizeof what, "%s, %s", errand.filesystem->name, stories[i].name);
		tell_tally(what, &tally);
		add_tally(&all, &tally);
	}
	tell_tally(any->filesystem->name, &all);
	assert_true(all.flushes + all.torn >= 50);
	assert_int_equal(all.verdicts[WHOLE_OLD] + all.verdicts[WHOLE_NEW], all.flushes + all.torn);
	assert_int_equal(all.damaged, 0);
}

static bool kernel_has(const char *filesystem)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(65536);
	struct error ignored;
	char line[64];

	snprintf(line, sizeof line, "\t%s\n", filesystem);
	return file_read_at(AT_FDCWD, "/proc/filesystems", &text, &ignored) == 0 &&
	       buffer_append(&text, "", 1, &ignored) == 0 && strstr((const char *)text.data, line);
}

static int run_on_filesystem(const struct filesystem *filesystem)
{
	char directory[] = "/tmp/power-XXXXXX";
	struct errand errand = {.directory = directory, .filesystem = filesystem};
	const struct CMUnitTest test = {.name = filesystem->name, .test_func = test_power, .initial_state = &errand};
	const char *lacks = rig_lacks();

	if (!lacks && !kernel_has(filesystem->name))
		lacks = "this kernel does not have it";
	if (lacks || !mkdtemp(directory)) {
		print_message("skipped: power/%s (%s)\n", filesystem->name, lacks ? lacks : "no room in /tmp");
		return 77;
	}
	int failed = _cmocka_run_group_tests("power", &test, 1, NULL, NULL);
	rmdir(directory);
	return failed;
}

int main(int argc, char **argv)
{
	int watched = fixture_watch(argc, argv);

	if (watched >= 0)
		return watched;
	if (argc == 6 && getpid() == 1)
		return run_rig(argv);
	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(filesystems); i++)
		if (strcmp(filesystems[i].name, argv[1]) == 0)
			return run_on_filesystem(&filesystems[i]);
	return 64;
}
