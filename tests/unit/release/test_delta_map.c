#include "fixture.h"
#include "program.h"

#include <glob.h>

#include "release/blob.h"
#include "release/delta_map_make.h"
#include "release/executable.h"
#include "release/x86.h"

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 20;
}

/* A map from a file to itself under which everything moved by a page. */
static struct delta_map shifting_map(const uint8_t *bytes, size_t size)
{
	struct delta_map map = {.shifts = {.count = 1}};
	for (int side = 0; side < 2; side++) {
		map.regions[side] = calloc(DELTA_MAP_REGIONS_MOST, sizeof(*map.regions[side]));
		map.region_counts[side] = executable_regions(bytes, size, map.regions[side], DELTA_MAP_REGIONS_MOST);
	}
	map.shifts.list = calloc(1, sizeof(*map.shifts.list));
	map.shifts.list[0].shift = 4096;
	CLEANUP(free_pointer) uint8_t *copy = malloc(size);
	struct error error;
	memcpy(copy, bytes, size);
	const struct reference_view view = {
		.bytes = copy, .size = size, .regions = map.regions[DELTA_OLD], .count = map.region_counts[DELTA_OLD]};
	assert_done(reference_tables(&view, &map.tables[DELTA_OLD].list, &map.tables[DELTA_OLD].count, &error));
	assert_memory_equal(copy, bytes, size);
	assert_done(delta_map_move_tables(&map, &error));
	return map;
}

/* A piece of a file there and back. */
static void comes_back(const struct delta_map *map, const uint8_t *file, size_t from, size_t to)
{
	struct error error;
	CLEANUP(free_pointer) uint8_t *bytes = malloc(to - from + 1);
	memcpy(bytes, file + from, to - from);
	assert_done(delta_map_rewrite(map, DELTA_NEW, bytes, to - from, from, &error));
	assert_done(delta_map_restore(map, bytes, to - from, from, &error));
	assert_memory_equal(bytes, file + from, to - from);
	assert_done(delta_map_rewrite(map, DELTA_OLD, bytes, to - from, from, &error));
}

static struct buffer get_executable(const char *path)
{
	CLEANUP(free_pointer) char *real = realpath(path, NULL);
	assert_non_null(real);
	return get_bytes(real);
}

/* What the machine itself runs: this program, and libraries. */
static void real_executables(void **state)
{
	(void)state;
	glob_t found;
	size_t seen = 0, tables = 0;
	assert_int_equal(glob("/proc/self/exe", 0, NULL, &found), 0);
	glob("/usr/lib/*-linux-gnu/lib[abcp]*.so.*", GLOB_APPEND, NULL, &found);
	glob("/usr/bin/[abc]*", GLOB_APPEND, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc && seen < 40; i++) {
		struct stat status;
		if (stat(found.gl_pathv[i], &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > 4 << 20)
			continue;
		CLEANUP(buffer_free) struct buffer file = get_executable(found.gl_pathv[i]);
		if (!executable_suits(file.data, file.size))
			continue;
		CLEANUP(delta_map_free) struct delta_map map = shifting_map(file.data, file.size);
		assert_true(map.region_counts[DELTA_NEW] > 0);
		tables += map.tables[DELTA_NEW].count;
		comes_back(&map, file.data, 0, file.size);
		comes_back(&map, file.data, 0, file.size / 3);
		comes_back(&map, file.data, file.size / 3 + 1, file.size / 2);
		comes_back(&map, file.data, file.size / 2, file.size);
		seen++;
	}
	globfree(&found);
	assert_true(seen > 0);
#ifdef __x86_64__
	assert_true(tables > 0);
#endif
}

static size_t patch_size(const uint8_t *old, size_t old_size, const uint8_t *new, size_t new_size)
{
	CLEANUP(buffer_free) struct buffer patch = BUFFER_INIT(0);
	struct error error;
	assert_done(blob_patch((struct blob_prefix){old, old_size}, new, new_size, true, &patch, &error));
	return patch.size;
}

static int read_bytes(void *context, enum delta_side side, uint8_t *bytes, struct error *error)
{
	const struct delta_side_bytes *sides = context;
	(void)error;
	memcpy(bytes, sides[side].bytes, sides[side].size);
	return 0;
}

static struct delta_map make_map(const uint8_t *old, size_t old_size, const uint8_t *new, size_t new_size)
{
	struct delta_side_bytes sides[2] = {{old, old_size}, {new, new_size}};
	const struct delta_map_files files = {.sizes = {old_size, new_size}, .read = read_bytes, .context = sides};
	CLEANUP(delta_ballots_free) struct delta_ballots shared = {0};
	struct delta_map map = {0};
	struct error error;
	assert_done(delta_map_make(&files, &map, &shared, &error));
	assert_int_equal(shared.count, 0);
	return map;
}

static void free_program(struct program *program)
{
	free(program->bytes);
}

/* Functions moved apart: once both speak of the new addresses, what is left are those that are new. */
static void moved_functions(void **state)
{
	(void)state;
	static const uint16_t machines[] = {EM_X86_64, EM_AARCH64};
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		CLEANUP(free_program) struct program old = program_make(machines[i], 0, 3);
		CLEANUP(free_program) struct program new = program_make(machines[i], 100, 3);
		CLEANUP(delta_map_free)
		struct delta_map map = make_map(old.bytes, old.size, new.bytes, new.size);
		struct error error;
		size_t before = patch_size(old.bytes, old.size, new.bytes, new.size);
		assert_int_equal(map.region_counts[DELTA_NEW], 2);
		assert_true(map.shifts.count >= PROGRAM_FUNCTIONS / 100 && map.shifts.count < PROGRAM_FUNCTIONS / 10);
		/* Function 150 lies behind one new one, the data behind all. */
		uint64_t address = PROGRAM_ADDRESS + program_function(150, 0);
		assert_int_equal(delta_map_address(&map, address), address + PROGRAM_FUNCTION);
		comes_back(&map, new.bytes, 0, new.size);
		comes_back(&map, new.bytes, 10001, new.size - 777);
		assert_done(delta_map_rewrite(&map, DELTA_OLD, old.bytes, old.size, 0, &error));
		assert_done(delta_map_rewrite(&map, DELTA_NEW, new.bytes, new.size, 0, &error));
		size_t after = patch_size(old.bytes, old.size, new.bytes, new.size);
		assert_true(before > 8000);
		assert_true(after < 3000);
	}
}

static void no_executables(void **state)
{
	(void)state;
	CLEANUP(free_program) struct program old = program_make(EM_X86_64, 0, 3);
	CLEANUP(free_pointer) uint8_t *text = malloc(100000);
	memset(text, 'x', 100000);
	struct delta_map map = make_map(old.bytes, old.size, text, 100000);
	assert_int_equal(map.region_counts[DELTA_NEW], 0);
	map = make_map(text, 100000, old.bytes, old.size);
	assert_int_equal(map.region_counts[DELTA_NEW], 0);
}

static struct delta_maps make_maps(const struct program *old, const struct program *new)
{
	struct delta_maps maps = {0};
	struct delta_map map = make_map(old->bytes, old->size, new->bytes, new->size);
	struct error error;
	const size_t counts[2] = {7, 9};
	map.tables[DELTA_OLD] = (struct delta_tables){calloc(3, sizeof(uint64_t)), 3};
	for (size_t i = 0; i < 3; i++)
		map.tables[DELTA_OLD].list[i] = PROGRAM_ADDRESS + program_function(100 * i, 0);
	assert_done(delta_map_move_tables(&map, &error));
	map.contents[DELTA_OLD] = 6;
	map.contents[DELTA_NEW] = 8;
	assert_done(delta_maps_add(&maps, &map, counts, &error));
	assert_ptr_equal(delta_maps_find(&maps, DELTA_OLD, 6), &maps.maps[0]);
	assert_null(delta_maps_find(&maps, DELTA_OLD, 5));
	assert_null(delta_maps_find(&maps, DELTA_NEW, 100));
	return maps;
}

static void same_tables(const struct delta_tables *a, const struct delta_tables *b)
{
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->list, b->list, a->count * sizeof(*a->list));
}

static void same_map(const struct delta_map *a, const struct delta_map *b)
{
	for (int side = 0; side < 2; side++) {
		same_tables(&a->tables[side], &b->tables[side]);
		assert_int_equal(a->contents[side], b->contents[side]);
		assert_int_equal(a->region_counts[side], b->region_counts[side]);
		for (size_t i = 0; i < a->region_counts[side]; i++) {
			const struct reference_region *x = &a->regions[side][i], *y = &b->regions[side][i];
			assert_true(x->kind == y->kind && x->offset == y->offset && x->size == y->size &&
				    x->address == y->address && x->base == y->base);
		}
	}
	assert_int_equal(a->shifts.count, b->shifts.count);
	for (size_t i = 0; i < a->shifts.count; i++)
		assert_true(a->shifts.list[i].from == b->shifts.list[i].from &&
			    a->shifts.list[i].shift == b->shifts.list[i].shift);
}

/* Whatever a map says, nothing outside the bytes is touched, and what is read is what was written. */
static void mutated_maps(void **state)
{
	(void)state;
	CLEANUP(free_program) struct program old = program_make(EM_X86_64, 0, 3);
	CLEANUP(free_program) struct program new = program_make(EM_X86_64, 100, 3);
	CLEANUP(delta_maps_free) struct delta_maps maps = make_maps(&old, &new);
	CLEANUP(buffer_free) struct buffer code = BUFFER_INIT(0);
	CLEANUP(delta_maps_free) struct delta_maps again = {0};
	const size_t counts[2] = {7, 9};
	struct error error;
	uint64_t seed = 77;
	size_t refused = 0, taken = 0;

	assert_done(delta_maps_write(&maps, &code, &error));
	const uint8_t *at = code.data;
	assert_done(delta_maps_read(&at, code.data + code.size, counts, &again, &error));
	assert_ptr_equal(at, code.data + code.size);
	same_map(&maps.maps[0], &again.maps[0]);
	for (int i = 0; i < 600; i++) {
		CLEANUP(free_pointer) uint8_t *bytes = malloc(code.size);
		CLEANUP(delta_maps_free) struct delta_maps bad = {0};
		/* The regions stand in the first bytes. */
		memcpy(bytes, code.data, code.size);
		for (uint64_t j = next_random(&seed) % 3; j < 3; j++)
			bytes[next_random(&seed) % (i % 2 == 0 ? 40 : code.size)] = (uint8_t)next_random(&seed);
		size_t size = i % 5 == 0 ? next_random(&seed) % code.size : code.size;
		at = bytes;
		if (delta_maps_read(&at, bytes + size, counts, &bad, &error) < 0) {
			assert_string_equal(error.name, "delta");
			refused++;
			continue;
		}
		size_t from = next_random(&seed) % 70000, length = next_random(&seed) % 20000 + 1;
		CLEANUP(free_pointer) uint8_t *piece = malloc(length);
		for (size_t j = 0; j < bad.count; j++) {
			memcpy(piece, old.bytes + from, length);
			assert_done(delta_map_rewrite(&bad.maps[j], DELTA_OLD, piece, length, from, &error));
			assert_done(delta_map_restore(&bad.maps[j], piece, length, from, &error));
		}
		taken++;
	}
	assert_true(refused > 50 && taken > 50);
}

/* Every kind of region over any bytes, and over any part of them. */
static void any_bytes(void **state)
{
	(void)state;
	enum { SIZE = 5000 };
	struct error error;
	uint64_t seed = 9;
	for (int i = 0; i < 800; i++) {
		struct reference_region regions[3];
		struct delta_shift shift = {next_random(&seed), next_random(&seed)};
		struct delta_map map = {.regions = {regions, regions}, .region_counts = {1, 1}, .shifts = {&shift, 1}};
		CLEANUP(free_pointer) uint8_t *bytes = malloc(SIZE);
		for (size_t j = 0; j < SIZE; j++)
			bytes[j] = i % 2 == 0 ? (uint8_t)next_random(&seed) : (uint8_t)(next_random(&seed) % 5 * 4);
		regions[0] =
			(struct reference_region){(enum reference_kind)(i % REFERENCE_KINDS), next_random(&seed) % SIZE,
						  next_random(&seed) % SIZE, next_random(&seed), next_random(&seed)};
		size_t from = next_random(&seed) % SIZE, size = next_random(&seed) % (SIZE - from) + 1;
		uint64_t offset = i % 3 == 0 ? next_random(&seed) % 1000 : from;
		CLEANUP(free_pointer) uint8_t *piece = malloc(size);
		memcpy(piece, bytes + from, size);
		assert_done(delta_map_rewrite(&map, DELTA_NEW, piece, size, offset, &error));
		assert_done(delta_map_restore(&map, piece, size, offset, &error));
		assert_memory_equal(piece, bytes + from, size);
		assert_done(delta_map_rewrite(&map, DELTA_OLD, piece, size, offset, &error));
	}
}

/* Headers that say anything: who makes the delta reads them, and he survives it. */
static void mutated_headers(void **state)
{
	(void)state;
	CLEANUP(buffer_free) struct buffer file = get_executable("/proc/self/exe");
	uint64_t seed = 5, table = 0;
	size_t none = 0;
	assert_true(executable_suits(file.data, file.size));
	memcpy(&table, file.data + offsetof(Elf64_Ehdr, e_shoff), sizeof(table));
	for (int i = 0; i < 300; i++) {
		struct reference_region regions[8];
		size_t size = i % 7 == 0 ? next_random(&seed) % file.size : file.size;
		size_t at = i % 2 == 0 ? 16 + next_random(&seed) % 1000 : table + next_random(&seed) % 2000;
		uint8_t before = at < file.size ? file.data[at] : 0;
		if (at < file.size)
			file.data[at] = (uint8_t)next_random(&seed);
		size_t count = executable_regions(file.data, size, regions, ARRAY_SIZE(regions));
		assert_true(count <= ARRAY_SIZE(regions));
		for (size_t j = 0; j < count; j++)
			assert_true(regions[j].offset <= size && regions[j].size <= size - regions[j].offset);
		none += count == 0 ? 1 : 0;
		if (at < file.size)
			file.data[at] = before;
	}
	assert_true(none > 0);
}

static void instructions(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint8_t size, operand;
		bool is_address;
	} rows[] = {
		{"\x90", 1, 0, false},                                      /* nop */
		{"\xe8\x01\x02\x03\x04", 5, 1, false},                      /* call */
		{"\x66\x0f\x1f\x84\x00\x00\x00\x00\x00", 9, 0, false},      /* nop word [rax + rax + 0] */
		{"\x0f\x84\x01\x02\x03\x04", 6, 0, false},                  /* je */
		{"\x48\x8d\x05\x01\x02\x03\x04", 7, 3, true},               /* lea rax, [rip + d] */
		{"\x48\x8b\x0d\x01\x02\x03\x04", 7, 3, false},              /* mov rcx, [rip + d] */
		{"\xc7\x05\x01\x02\x03\x04\x05\x06\x07\x08", 10, 2, false}, /* mov dword [rip + d], i */
		{"\x66\xc7\x05\x01\x02\x03\x04\x05\x06", 9, 3, false},      /* mov word [rip + d], i */
		{"\xf6\x05\x01\x02\x03\x04\x80", 7, 2, false},              /* test byte [rip + d], i */
		{"\xf7\x15\x01\x02\x03\x04", 6, 2, false},                  /* not dword [rip + d] */
		{"\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", 10, 0, false}, /* mov rax, i64 */
		{"\xc5\xfc\x28\x05\x01\x02\x03\x04", 8, 4, false},          /* vmovaps ymm0, [rip + d] */
		{"\xc4\xe3\x7d\x18\x05\x01\x02\x03\x04\x01", 10, 5, false}, /* vinsertf128 …, [rip + d], 1 */
		{"\x62\xf1\x7c\x48\x28\x05\x01\x02\x03\x04", 10, 6, false}, /* vmovaps zmm0, [rip + d] */
		{"\xc5\xf8\x77", 3, 0, false},                              /* vzeroupper */
		{"\xff\x24\xc5\x01\x02\x03\x04", 7, 0, false},              /* jmp [rax * 8 + d] */
		{"\x66\x0f\x3a\x0f\x05\x01\x02\x03\x04\x08", 10, 5, false}, /* palignr xmm0, [rip + d], 8 */
	};
	struct x86_instruction instruction;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
		assert_true(x86_decode(bytes, rows[i].size, &instruction));
		assert_int_equal(instruction.size, rows[i].size);
		assert_int_equal(instruction.operand, rows[i].operand);
		assert_int_equal(instruction.is_address, rows[i].is_address);
		for (size_t size = 0; size < rows[i].size; size++) {
			CLEANUP(free_pointer) uint8_t *copy = malloc(size + 1);
			memcpy(copy, bytes, size);
			assert_false(x86_decode(copy, size, &instruction));
		}
	}
	assert_false(x86_decode((const uint8_t *)"\x06", 1, &instruction));
	assert_false(x86_decode((const uint8_t *)"ffffffffffffffffffff", 20, &instruction));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_executables), cmocka_unit_test(moved_functions),
		cmocka_unit_test(no_executables),   cmocka_unit_test(mutated_maps),
		cmocka_unit_test(any_bytes),        cmocka_unit_test(mutated_headers),
		cmocka_unit_test(instructions),
	};
	return cmocka_run_group_tests_name("delta_map", tests, NULL, NULL);
}
