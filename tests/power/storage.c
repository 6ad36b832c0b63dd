#include "tests/power/storage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "tests/power/cut.h"
#include "tests/unit/act/fixture.h"

#define MIB            ((uint64_t)1024 * 1024)
#define HOLE           16384
#define PROGRAM_MS     60000
#define SAID_MOST      (64 * 1024)
#define FILESYSTEMS_IN "/proc/filesystems"

/* Its superblock is a KiB, and counts on that much. */
static const struct filesystem ext4 = {
	.name = "ext4",
	.size = 128 * MIB,
	.sector = 1024,
	.options = "",
	.make = {"mkfs.ext4", "-q", "-F", "-J", "size=4", "-N", "2048", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	.examine = {"e2fsck", "-f", "-n"},
};
/* Two with the same number may be mounted at the same time: other tests' own. */
static const struct filesystem xfs = {
	.name = "xfs",
	.size = 320 * MIB,
	.sector = 512,
	.options = "nouuid",
	.make = {"mkfs.xfs", "-q", "-f", "-m", "reflink=1"},
	.examine = {"xfs_repair", "-n", "-f"},
};
static const struct filesystem btrfs = {
	.name = "btrfs",
	.size = 256 * MIB,
	.sector = 4096,
	.options = "",
	.make = {"mkfs.btrfs", "-q", "-f", "-n", "4096", "-m", "single", "-d", "single"},
	.examine = {"btrfs", "check"},
};

static const struct storage storages[] = {
	{"ext4", {&ext4}, 1},
	{"xfs", {&xfs}, 1},
	{"btrfs", {&btrfs}, 1},
	{"ext4-and-xfs", {&ext4, &xfs}, 2},
	{"btrfs-and-ext4", {&btrfs, &ext4}, 2},
};

const struct storage *storage_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(storages); i++)
		if (strcmp(storages[i].name, name) == 0)
			return &storages[i];
	return NULL;
}

unsigned storage_disks(const struct storage *storage)
{
	return storage->disks[1] ? 2 : 1;
}

static bool has_program(const char *name)
{
	static const char *const directories[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		snprintf(path, sizeof path, "%s/%s", directories[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* As "\tNAME\n" in the kernel's list. */
static bool kernel_has(const char *filesystem)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(SAID_MOST);
	struct error ignored;
	char line[64];

	snprintf(line, sizeof line, "\t%s\n", filesystem);
	return file_read_at(AT_FDCWD, FILESYSTEMS_IN, &text, &ignored) == 0 &&
	       buffer_append(&text, "", 1, &ignored) == 0 && strstr((const char *)text.data, line);
}

const char *storage_lacks(const struct storage *storage)
{
	static const struct {
		const struct filesystem *filesystem;
		const char *in_kernel, *program;
	} needs[] = {
		{&ext4, "needs a kernel with ext4", "needs mkfs.ext4 and e2fsck"},
		{&xfs, "needs a kernel with xfs", "needs mkfs.xfs and xfs_repair"},
		{&btrfs, "needs a kernel with btrfs", "needs mkfs.btrfs and btrfs"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		const struct filesystem *filesystem = needs[i].filesystem;
		if (storage->disks[0] != filesystem && storage->disks[1] != filesystem)
			continue;
		if (!kernel_has(filesystem->name))
			return needs[i].in_kernel;
		if (!has_program(filesystem->make[0]) || !has_program(filesystem->examine[0]))
			return needs[i].program;
	}
	return NULL;
}

/* With `file` as its last word. */
static bool run_on(const char *const words[static STORAGE_WORDS], int file, struct buffer *said)
{
	const char *argv[STORAGE_WORDS + 2] = {0};
	char path[64];
	size_t count = 0;
	struct error error = {0};
	int code = -1;

	for (; count < STORAGE_WORDS && words[count]; count++)
		argv[count] = words[count];
	snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), file);
	argv[count] = path;
	return process_run(argv, NULL, "/", PROGRAM_MS, said, &code, &error) == 0 && code == 0;
}

/* A log that was filled with zeros is not copied for every cut. */
static void dig_holes(int disk, uint64_t size)
{
	static const uint8_t zeros[HOLE];
	uint8_t bytes[HOLE];

	for (off_t at = lseek(disk, 0, SEEK_DATA); at >= 0 && (uint64_t)at < size;
	     at = lseek(disk, at + HOLE, SEEK_DATA)) {
		at -= at % HOLE;
		assert_int_equal(pread(disk, bytes, sizeof bytes, at), sizeof bytes);
		if (memcmp(bytes, zeros, sizeof bytes) == 0)
			assert_int_equal(fallocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, HOLE), 0);
	}
}

int storage_blank(const struct filesystem *filesystem)
{
	CLEANUP(buffer_free) struct buffer said = BUFFER_INIT(SAID_MOST);
	int disk = cut_blank(filesystem->size);

	if (!run_on(filesystem->make, disk, &said))
		fail_msg("%s: %.*s", filesystem->make[0], (int)said.size, (const char *)said.data);
	dig_holes(disk, filesystem->size);
	return disk;
}

bool storage_examine(const struct filesystem *filesystem, int image, char **ret_found)
{
	CLEANUP(buffer_free) struct buffer said = BUFFER_INIT(SAID_MOST);

	if (run_on(filesystem->examine, image, &said))
		return true;
	*ret_found = strndup(said.size ? (const char *)said.data : "", said.size);
	return false;
}
