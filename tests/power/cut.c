#include "tests/power/cut.h"

#include "tests/unit/act/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

static const char *const names[CUT_KINDS] = {
	[CUT_FLUSHED] = "flushed", [CUT_PREFIX] = "prefix",   [CUT_TORN] = "torn",
	[CUT_WRITES] = "writes",   [CUT_SECTORS] = "sectors",
};

const char *cut_name(enum cut_kind kind)
{
	return names[kind];
}

/* SplitMix64 (Steele, Lea, Flood 2014): the same seed, the same cut. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

struct plan {
	struct cut *cuts;
	size_t count, room;
};

static void add(struct plan *plan, enum cut_kind kind, const size_t since[TAPE_DISKS], size_t until)
{
	if (plan->count == plan->room) {
		plan->room = plan->room ? 2 * plan->room : 256;
		plan->cuts = realloc(plan->cuts, plan->room * sizeof *plan->cuts);
		assert_non_null(plan->cuts);
	}
	struct cut *cut = &plan->cuts[plan->count++];
	*cut = (struct cut){.kind = kind, .until = until, .seed = plan->count};
	memcpy(cut->since, since, sizeof cut->since);
}

size_t cut_plan(const struct tape *tape, size_t first, struct cut **ret_cuts)
{
	struct plan plan = {0};
	size_t since[TAPE_DISKS] = {first, first}, writes[TAPE_DISKS] = {0}, turn = 0;

	for (size_t i = first; i <= tape_count(tape); i++) {
		const struct tape_entry *entry = i < tape_count(tape) ? tape_entry(tape, i) : NULL;
		if (entry && entry->kind == TAPE_WRITE)
			writes[entry->disk]++;
		if (entry && (entry->kind != TAPE_FLUSH || writes[entry->disk] == 0))
			continue;
		/* Up to this flush nothing more is durable, and all that is promised meanwhile must hold. */
		add(&plan, CUT_FLUSHED, since, i);
		if (entry || writes[0] || writes[1])
			add(&plan, CUT_PREFIX + turn++ % (CUT_KINDS - 1), since, i);
		if (entry) {
			since[entry->disk] = i + 1;
			writes[entry->disk] = 0;
		}
	}
	*ret_cuts = plan.cuts;
	return plan.count;
}

static void write_at(int file, const uint8_t *bytes, size_t size, uint64_t offset)
{
	assert_int_equal(pwrite(file, bytes, size, (off_t)offset), (ssize_t)size);
}

static void play(const struct tape *tape, const struct tape_entry *entry, size_t size, int file)
{
	write_at(file, tape_bytes(tape, entry), size, entry->offset);
}

/* The entry at `index` when it is a write to that disk, or NULL. */
static const struct tape_entry *find_write(const struct tape *tape, unsigned disk, size_t index)
{
	const struct tape_entry *entry = tape_entry(tape, index);

	return entry->kind == TAPE_WRITE && entry->disk == disk ? entry : NULL;
}

void cut_play(const struct tape *tape, unsigned disk, size_t from, size_t to, int file)
{
	for (size_t i = from; i < to; i++) {
		const struct tape_entry *entry = find_write(tape, disk, i);
		if (entry)
			play(tape, entry, entry->size, file);
	}
}

static void play_sectors(const struct tape *tape, const struct tape_entry *entry, size_t sector, uint64_t *state,
			 int file)
{
	const uint8_t *bytes = tape_bytes(tape, entry);

	for (size_t at = 0; at < entry->size; at += sector)
		if (draw(state) & 1)
			write_at(file, bytes + at, entry->size - at < sector ? entry->size - at : sector,
				 entry->offset + at);
}

void cut_make(const struct tape *tape, const struct cut *cut, unsigned disk, size_t sector, int file)
{
	uint64_t state = cut->seed * TAPE_DISKS + disk;
	size_t writes = 0, nth = 0;

	for (size_t i = cut->since[disk]; i < cut->until; i++)
		writes += find_write(tape, disk, i) != NULL;
	size_t kept = writes ? (size_t)(draw(&state) % writes) : 0;
	for (size_t i = cut->since[disk]; cut->kind != CUT_FLUSHED && i < cut->until; i++) {
		const struct tape_entry *entry = find_write(tape, disk, i);
		if (!entry)
			continue;
		bool ordered = cut->kind == CUT_PREFIX || cut->kind == CUT_TORN;
		if (ordered ? nth < kept : cut->kind == CUT_WRITES && (draw(&state) & 1))
			play(tape, entry, entry->size, file);
		else if (cut->kind == CUT_TORN && nth == kept)
			play(tape, entry, (size_t)(draw(&state) % (entry->size / sector + 1)) * sector, file);
		else if (cut->kind == CUT_SECTORS)
			play_sectors(tape, entry, sector, &state, file);
		nth++;
	}
}

int cut_blank(uint64_t size)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Holes stay holes. */
int cut_copy(int image)
{
	off_t size = lseek(image, 0, SEEK_END);
	int copy = cut_blank((uint64_t)size);

	for (off_t at = lseek(image, 0, SEEK_DATA); at >= 0 && at < size; at = lseek(image, at, SEEK_DATA)) {
		off_t hole = lseek(image, at, SEEK_HOLE);
		assert_int_equal(lseek(copy, at, SEEK_SET), at);
		while (at < hole)
			assert_true(sendfile(copy, image, &at, (size_t)(hole - at)) > 0);
	}
	return copy;
}
