#include "program.h"
#include "releases.h"

#include "release/blob.h"
#include "release/delta_number.h"
#include "release/delta_plan.h"

/* Text of `lines` lines, no two alike, which nothing else has; the line `edited` differs (-1: none). */
static void put_lines(const char *path, int lines, int seed, int edited)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	struct error error;
	unsigned value = (unsigned)seed;
	for (int i = 0; i < lines; i++) {
		value = value * 1103515245u + 12345u;
		assert_done(
			buffer_printf(&text, &error, "%d: %08x %s\n", i, value, i == edited ? "edited" : "as ever"));
	}
	put_bytes(path, text.data, text.size, 0644);
}

/* An executable in which functions moved apart. */
static void put_program(const char *path, uint16_t machine, size_t every)
{
	struct program program = program_make(machine, every, 11);
	put_bytes(path, program.bytes, program.size, 0755);
	free(program.bytes);
}

static void put_sparse(const char *path, off_t size, const char *mark)
{
	put_text(path, mark);
	assert_int_equal(truncate(path, size), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, mark, strlen(mark), size - 100), (ssize_t)strlen(mark));
	CLEANUP(buffer_free) struct buffer text = get_bytes("one/same.txt");
	assert_int_equal(pwrite(fd, text.data, 4096, 30000000), 4096);
	close(fd);
}

static void make_trees(void)
{
	put_lines("one/edited.txt", 5000, 1, -1);
	put_lines("two/edited.txt", 5000, 1, 2500);
	put_lines("one/lib/moved.txt", 3000, 2, -1);
	put_lines("two/share/deep/moved.txt", 3000, 2, -1);
	put_lines("one/lib-1.0/renamed-1.0.txt", 3000, 3, -1);
	put_lines("two/lib-1.1/renamed-1.1.txt", 3000, 3, 77);
	put_lines("one/removed.txt", 100, 4, -1);
	put_lines("two/added.txt", 100, 5, -1);
	put_lines("one/same.txt", 1000, 6, -1);
	put_lines("two/same.txt", 1000, 6, -1);
	put_text("one/was-empty", "");
	put_text("two/was-empty", "no more");
	put_text("one/becomes-empty", "something");
	put_text("two/becomes-empty", "");
	put_lines("two/twice/a", 200, 7, -1);
	put_lines("two/twice/b", 200, 7, -1);
	put_program("one/bin/program", EM_X86_64, 0);
	put_program("two/bin/program", EM_X86_64, 50);
	put_program("one/bin/other", EM_AARCH64, 40);
	put_program("two/bin/other", EM_AARCH64, 0);
	put_sparse("one/disk", (off_t)52 << 20, "old");
	put_sparse("two/disk", (off_t)53 << 20, "new");
	assert_int_equal(symlink("edited.txt", "two/link"), 0);
	manifest_free(&(struct manifest *){pack_tree("one", "1", "one.bundle")});
	manifest_free(&(struct manifest *){pack_tree("two", "2", "two.bundle")});
}

static int start(void **state)
{
	struct error error;
	struct delta_made made;
	const struct delta_make make = {.old = "one.bundle", .new = "two.bundle", .output = "1..2.delta"};
	if (fixture_start(state) != 0)
		return -1;
	make_trees();
	assert_done(delta_make(&make, &made, &error));
	assert_int_equal(made.contents, 8);
	return 0;
}

static void round_trip(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	struct unpack_made made;
	struct stat status;
	assert_int_equal(releases_build(&releases, "staging", "one", "1..2.delta", &made), 0);
	assert_int_equal(made.contents, 8);
	assert_int_equal(made.missed, 0);
	assert_int_equal(made.refused.code, 0);
	releases_same("two", "staging");
	/* 1.2 MB of changed files and a disk of 53 MiB: the added ones are all that has to be sent. */
	assert_int_equal(stat("1..2.delta", &status), 0);
	assert_true(status.st_size < 120000);
	/* Without a delta the same tree comes from the blobs. */
	assert_true(releases_build(&releases, "staging", "one", NULL, &made) > 0);
	releases_same("two", "staging");
}

static void same_bytes(void **state)
{
	(void)state;
	struct error error;
	struct delta_made made;
	const struct delta_make make = {.old = "one.bundle", .new = "two.bundle", .output = "again.delta"};
	assert_done(delta_make(&make, &made, &error));
	assert_true(same_files("1..2.delta", "again.delta"));
}

static void no_delta_between(void **state)
{
	(void)state;
	struct error error;
	struct delta_made made;
	const struct delta_make same = {.old = "one.bundle", .new = "one.bundle", .output = "x.delta"};
	assert_refused(delta_make(&same, &made, &error), "version");
	const struct delta_make missing = {.old = "no.bundle", .new = "one.bundle", .output = "x.delta"};
	assert_refused(delta_make(&missing, &made, &error), "missing");
	assert_int_not_equal(access("x.delta", F_OK), 0);
}

static void manifest_by_patch(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	CLEANUP(buffer_free) struct buffer file = get_bytes("1..2.delta");
	CLEANUP(buffer_free) struct buffer manifest = BUFFER_INIT(MANIFEST_BYTES_MOST);
	const struct buffer *old = bundle_manifest(releases.bundles[0]), *new = bundle_manifest(releases.bundles[1]);
	struct delta_head head;
	struct error error;

	assert_done(delta_read_head(file.data, file.size, &head, &error));
	assert_string_equal(head.from, "1");
	assert_string_equal(head.to, "2");
	assert_true(head.size < new->size / 2);
	assert_done(delta_manifest(file.data, head.size, old, &manifest, &error));
	assert_int_equal(manifest.size, new->size);
	assert_memory_equal(manifest.data, new->data, new->size);
	buffer_clear(&manifest);
	assert_refused(delta_manifest(file.data, head.size, new, &manifest, &error), "base");
	assert_refused(delta_manifest(file.data, head.size - 1, old, &manifest, &error), "delta");
	file.data[head.size - 1] ^= 1;
	assert_refused(delta_manifest(file.data, head.size, old, &manifest, &error), "hash");
	assert_int_equal(manifest.size, 0);
	assert_refused(delta_read_head("hello", 5, &head, &error), "delta");
}

static void damaged_base(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	struct unpack_made made;
	run_command("rm -rf hurt && cp -a one hurt && sed -i '2000s/as ever/as once/' hurt/edited.txt");
	assert_int_equal(releases_mend(&releases, "hurt", "edited.txt", "1..2.delta", "two"), 7);
	/* Gone, cut off, a directory: the same. Like files share a prefix, so others may have drawn on these too. */
	run_command("rm hurt/edited.txt && truncate -s 1000 hurt/bin/program && rm hurt/lib-1.0/* && "
		    "mkdir hurt/lib-1.0/renamed-1.0.txt");
	releases_build(&releases, "staging", "hurt", "1..2.delta", &made);
	assert_true(made.missed >= 3 && made.missed + made.contents == 8);
	releases_same("two", "staging");
	/* A piece of a large file. */
	run_command("rm -rf hurt && cp -a one hurt && printf x | dd of=hurt/disk bs=1 seek=30001000 conv=notrunc "
		    "2>/dev/null");
	assert_int_equal(releases_mend(&releases, "hurt", "disk", "1..2.delta", "two"), 7);
}

/* Whatever is altered, the tree comes out right, from the blobs at the worst. */
static void altered_delta(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	CLEANUP(buffer_free) struct buffer file = get_bytes("1..2.delta");
	CLEANUP(file_close) int fd = -1;
	struct unpack_made made;
	struct error error;
	size_t refused = 0;

	for (size_t i = 0; i < 60; i++) {
		size_t at = i * (file.size - 1) / 59;
		CLEANUP(delta_free) struct delta *delta = NULL;
		file.data[at] ^= 0x10;
		put_bytes("bad.delta", file.data, file.size, 0644);
		file.data[at] ^= 0x10;
		fd = open("bad.delta", O_RDONLY | O_CLOEXEC);
		int result = delta_open(fd, releases.manifests[0], releases.manifests[1], &delta, &error);
		if (result == 0)
			result = delta_check(delta, &error);
		refused += result < 0 ? 1 : 0;
		assert_true(result == 0 || error.code == ERROR_DATA);
		file_close(&fd);
	}
	/* All but those in the manifest's patch, whose hash is not asked for here. */
	assert_true(refused > 50);
	put_bytes("bad.delta", file.data, file.size - 1, 0644);
	releases_build(&releases, "staging", "one", "bad.delta", &made);
	releases_same("two", "staging");
	file.data[file.size - 1] ^= 1;
	put_bytes("bad.delta", file.data, file.size, 0644);
	assert_true(releases_build(&releases, "staging", "one", "bad.delta", &made) > 0);
	assert_string_equal(made.refused.name, "hash");
	releases_same("two", "staging");
}

static int read_index(const struct releases *releases, const uint8_t *bytes, size_t size, struct error *error)
{
	struct delta_plan plan = {0};
	int result = delta_plan_read(bytes, size, releases->manifests[0], releases->manifests[1], &plan, error);
	delta_plan_free(&plan);
	return result;
}

static void bounds(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	CLEANUP(buffer_free) struct buffer frame = BUFFER_INIT(0);
	CLEANUP(free_pointer) uint8_t *zeros = calloc(1, 10 << 20);
	uint8_t small[64];
	struct error error;

	/* A bomb: ten MiB in a few bytes, where 64 are said. */
	assert_done(blob_patch((struct blob_prefix){NULL, 0}, zeros, 10 << 20, true, &frame, &error));
	assert_true(frame.size < 2000);
	assert_refused(
		blob_unpatch((struct blob_prefix){NULL, 0}, frame.data, frame.size, small, sizeof(small), &error),
		"length");
	assert_refused(blob_unpatch((struct blob_prefix){NULL, 0}, frame.data, frame.size - 1, zeros, 10 << 20, &error),
		       "format");

	static const struct {
		const char *bytes;
		size_t size;
		const char *why;
	} indexes[] = {
		{"", 0, "delta"},
		{"\xff\xff\xff\xff\x7f", 5, "delta"},                                      /* so many maps */
		{"\x01\xff\xff\xff\x7f", 5, "delta"},                                      /* so many shifts for all */
		{"\x01\x00\x00\x00\x41", 5, "delta"},                                      /* so many regions */
		{"\x01\x00\x00\x00\x01\x0b\x00\x01\x00\x00", 10, "delta"},                 /* a region of no kind */
		{"\x01\x00\x00\x00\x01\x00\x01\x01\x00\x00", 10, "delta"},                 /* one before the file */
		{"\x01\x00\xff\x7f\x00\x00\x00\x00", 8, "delta"},                          /* a map of no content */
		{"\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 14, "delta"}, /* two of one */
		{"\x01\x00\x00\x00\x00\x00\xff\xff\xff\x7f", 10, "delta"},                 /* so many shifts */
		{"\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00", 11, "delta"},             /* out of order */
		{"\x01\x00\x00\x00\x00\x00\x02\x00\x01\x00", 10, "delta"},                 /* ends in them */
		{"\x01\x00\x00\x00\x00\x00\x00\xff\xff\xff\x7f", 11, "delta"},             /* so many tables */
		{"\x01\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 17, "delta"}, /* nowhere */
		{"\x00\xff\xff\xff\xff\x7f", 6, "delta"},     /* so many parts */
		{"\x00\x01", 2, "delta"},                     /* ends early */
		{"\x00\x01\x09\x00\x01", 5, "delta"},         /* a shape that is none */
		{"\x00\x01\x00\x00\x00", 5, "delta"},         /* makes nothing */
		{"\x00\x01\x00\x00\x01\x04", 6, "delta"},     /* backwards from the first */
		{"\x00\x01\x00\x00\x01\xfc\x7f", 7, "delta"}, /* a content that is not there */
		{"\x00\x00\x00", 3, "delta"},                 /* goes on */
	};
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
		assert_refused(read_index(&releases, (const uint8_t *)indexes[i].bytes, indexes[i].size, &error),
			       indexes[i].why);
	/* One part over all of the disk, more than any part makes. */
	for (size_t i = 0; i < releases.manifests[1]->content_count; i++) {
		CLEANUP(buffer_free) struct buffer index = BUFFER_INIT(0);
		if (releases.manifests[1]->contents[i].size < DELTA_PLAIN_MOST)
			continue;
		assert_done(buffer_append(&index, "\x00\x01\x00\x00\x01", 5, &error));
		assert_done(delta_number_write(&index, (uint64_t)i << 3, &error));
		assert_refused(read_index(&releases, index.data, index.size, &error), "length");
	}
}

static size_t content_of(const struct manifest *manifest, const char *path)
{
	const struct manifest_entry *entry = manifest_find(manifest, MANIFEST_TREE, path);
	return (size_t)(manifest_find_content(manifest, entry->hash) - manifest->contents);
}

/* `parts` of so many stretches of a byte of the disk, each part from all of the old disk. */
static struct delta_plan slow_plan(const struct releases *releases, size_t parts, size_t stretches)
{
	const size_t old = content_of(releases->manifests[0], "disk"), new = content_of(releases->manifests[1], "disk");
	const struct delta_stretch whole = {
		.content = old, .size = releases->manifests[0]->contents[old].size, .source = DELTA_PATCHED};
	struct delta_plan plan = {0};
	struct error error;
	uint64_t at = 0;

	for (size_t i = 0; i < parts; i++) {
		assert_done(delta_plan_begin(&plan, &error));
		assert_done(delta_plan_add(&plan, false, whole, &error));
		for (size_t j = 0; j < stretches; j++, at++) {
			const struct delta_stretch byte = {
				.content = new, .offset = at, .size = 1, .source = DELTA_PATCHED};
			assert_done(delta_plan_add(&plan, true, byte, &error));
		}
		plan.parts[i].stored = 1;
	}
	return plan;
}

static int read_plan(const struct releases *releases, const struct delta_plan *plan, struct error *error)
{
	CLEANUP(buffer_free) struct buffer index = BUFFER_INIT(0);

	assert_int_equal(delta_plan_write(plan, releases->manifests[0], releases->manifests[1], &index, error), 0);
	return read_index(releases, index.data, index.size, error);
}

/* What is small on disk and would be gone through for days. */
static void effort(void **state)
{
	(void)state;
	CLEANUP(releases_end) struct releases releases = releases_load("one.bundle", "two.bundle");
	const size_t counts[2] = {releases.manifests[0]->content_count, releases.manifests[1]->content_count};
	CLEANUP(delta_plan_free) struct delta_plan few = slow_plan(&releases, 2, 1);
	CLEANUP(delta_plan_free) struct delta_plan many = slow_plan(&releases, 40, 1);
	CLEANUP(delta_plan_free) struct delta_plan cut = slow_plan(&releases, 1, 20000);
	struct delta_map map = {{content_of(releases.manifests[0], "disk"), content_of(releases.manifests[1], "disk")}};
	struct error error;

	/* What is wrong with these is only that they are not all of it. */
	assert_refused(read_plan(&releases, &few, &error), "delta");
	assert_refused(read_plan(&releases, &cut, &error), "delta");
	assert_refused(read_plan(&releases, &many, &error), "length");
	map.tables[DELTA_OLD].count = DELTA_MAPS_TABLES_MOST;
	map.tables[DELTA_OLD].list = calloc(DELTA_MAPS_TABLES_MOST, sizeof(uint64_t));
	assert_non_null(map.tables[DELTA_OLD].list);
	for (size_t i = 0; i < DELTA_MAPS_TABLES_MOST; i++)
		map.tables[DELTA_OLD].list[i] = 4 * i;
	assert_done(delta_maps_add(&cut.maps, &map, counts, &error));
	assert_refused(read_plan(&releases, &cut, &error), "delta");
	cut.parts[0].rewritten = true;
	assert_refused(read_plan(&releases, &cut, &error), "length");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),       cmocka_unit_test(same_bytes),
		cmocka_unit_test(no_delta_between), cmocka_unit_test(manifest_by_patch),
		cmocka_unit_test(damaged_base),     cmocka_unit_test(altered_delta),
		cmocka_unit_test(bounds),           cmocka_unit_test(effort),
	};
	return cmocka_run_group_tests_name("delta", tests, start, fixture_end);
}
