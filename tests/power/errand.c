#include "tests/power/errand.h"

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

#define JOURNAL_SHOWN 6000
/* Of a machine: its tape, the boxes that were judged, then its disks, or a /dev/fuse for each. */
#define TAPE_FILE  3
#define ALIKE_FILE 4
#define DISK_FILE  5
/* Exit codes of one that came up: the verdict and one of these. */
#define VERDICTS       100
#define VERDICTS_ALIKE 150

/* What it is told on its command line, and what it found. */
struct task {
	struct errand errand;
	size_t until;
	struct promise_found found;
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

static void tell_recorded(const struct errand *errand,
			  void (*tell)(const struct story *story, const char *box, struct tape *tape))
{
	struct tape *tape = power_on_recorded(errand);
	char box[64];

	box_of(errand, box);
	tell(errand->story, box, tape);
	rig_end(errand->directory);
}

static void record(void **state)
{
	const struct task *task = *state;

	tell_recorded(&task->errand, story_record);
}

static void resume(void **state)
{
	const struct task *task = *state;

	tell_recorded(&task->errand, story_resume);
}

static void come_up(void **state)
{
	struct task *task = *state;
	const struct errand *errand = &task->errand;
	struct tape *tape = tape_open(TAPE_FILE);
	char box[64];

	rig_begin(errand->directory);
	for (unsigned i = 0; i < storage_disks(errand->storage); i++)
		power_on(errand, i, DISK_FILE + (int)i);
	box_of(errand, box);
	promise_check(errand->story, box, tape, task->until, errand->alike, &task->found);
	if (task->found.verdict >= WHOLE_MIXED) {
		CLEANUP(free_pointer) char *journal = story_journal(box);
		size_t length = strlen(journal);
		printf("%s\n%s", task->found.text, journal + (length > JOURNAL_SHOWN ? length - JOURNAL_SHOWN : 0));
	}
	rig_end(errand->directory);
}

static const struct part {
	const char *name;
	void (*play)(void **state);
} parts[] = {{"record", record}, {"resume", resume}, {"come-up", come_up}};

/* PART DIRECTORY STORAGE STORY UNTIL */
int errand_main(int argc, char **argv)
{
	if (argc != 6 || getpid() != 1)
		return -1;
	struct task task = {
		.errand = {argv[2], storage_find(argv[3]), story_find(argv[4]), alike_open(ALIKE_FILE)},
		.until = (size_t)strtoull(argv[5], NULL, 10),
	};
	struct CMUnitTest test = {.name = argv[1], .initial_state = &task};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(parts[i].name, argv[1]) == 0)
			test.test_func = parts[i].play;
	if (!test.test_func || !task.errand.storage || !task.errand.story)
		return 64;
	int failed = _cmocka_run_group_tests("rig", &test, 1, NULL, NULL);
	return failed ? 1 : (task.found.alike ? VERDICTS_ALIKE : VERDICTS) + (int)task.found.verdict;
}

void images_close(struct images *images)
{
	for (unsigned i = 0; i < TAPE_DISKS; i++)
		file_close(&images->files[i]);
}

struct images images_blank(const struct storage *storage)
{
	return (struct images){
		{storage_blank(storage->disks[0]), storage->disks[1] ? storage_blank(storage->disks[1]) : -1}};
}

struct images images_copy(const struct images *images)
{
	return (struct images){{cut_copy(images->files[0]), images->files[1] >= 0 ? cut_copy(images->files[1]) : -1}};
}

static struct rig start(const struct errand *errand, const char *part, const struct tape *tape, size_t until,
			const struct images *disks)
{
	char entry[24];
	const char *const words[] = {part, errand->directory, errand->storage->name, errand->story->name, entry, NULL};
	const int files[] = {tape_fd(tape), alike_fd(errand->alike), disks->files[0], disks->files[1]};

	snprintf(entry, sizeof entry, "%zu", until);
	return rig_start(words, files, DISK_FILE - TAPE_FILE + storage_disks(errand->storage));
}

struct tape *errand_record(const struct errand *errand, enum errand_part part, const struct images *base)
{
	CLEANUP(free_pointer) char *said = NULL;
	CLEANUP(images_close) struct images images = images_copy(base);
	CLEANUP(images_close) struct images fuses = {{-1, -1}};
	unsigned count = storage_disks(errand->storage);
	struct tape *tape = tape_new();
	struct tape_disk disks[TAPE_DISKS];

	for (unsigned i = 0; i < count; i++) {
		fuses.files[i] = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		assert_true(fuses.files[i] >= 0);
		disks[i] = (struct tape_disk){fuses.files[i], images.files[i], errand->storage->disks[i]->size};
	}
	struct rig rig = start(errand, parts[part].name, tape, 0, &fuses);
	tape_serve(tape, disks, count, rig.pidfd);
	if (rig_wait(&rig, &said) < VERDICTS)
		fail_msg("%s: %s of %s: %s", errand->storage->name, parts[part].name, errand->story->name, said);
	return tape;
}

struct errand_found errand_come_up(const struct errand *errand, const struct tape *tape, size_t until,
				   const struct images *images)
{
	/* One that could not even say what it is, is stuck. */
	struct errand_found found = {.verdict = WHOLE_STUCK};
	struct rig rig = start(errand, "come-up", tape, until, images);
	int code = rig_wait(&rig, &found.said);

	found.alike = code >= VERDICTS_ALIKE;
	code -= found.alike ? VERDICTS_ALIKE : VERDICTS;
	if (code >= 0 && code < WHOLE_VERDICTS)
		found.verdict = (enum whole_verdict)code;
	return found;
}
