#include "fixture.h"
#include "module.h"

#include "release/blob.h"
#include "release/delta_map_make.h"
#include "release/executable.h"

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 20;
}

static void free_module(struct module *module)
{
	free(module->bytes);
}

static int read_bytes(void *context, enum delta_side side, uint8_t *bytes, struct error *error)
{
	const struct module *modules = context;
	(void)error;
	memcpy(bytes, modules[side].bytes, modules[side].size);
	return 0;
}

static struct delta_map make_map(const struct module *old, const struct module *new, struct delta_ballots *ret_shared)
{
	struct module sides[2] = {*old, *new};
	const struct delta_map_files files = {.sizes = {old->size, new->size}, .read = read_bytes, .context = sides};
	struct delta_map map = {0};
	struct error error;
	assert_done(delta_map_make(&files, &map, ret_shared, &error));
	return map;
}

static size_t patch_size(const struct module *old, const struct module *new)
{
	CLEANUP(buffer_free) struct buffer patch = BUFFER_INIT(0);
	struct error error;
	assert_done(
		blob_patch((struct blob_prefix){old->bytes, old->size}, new->bytes, new->size, true, &patch, &error));
	return patch.size;
}

static void rewrite(const struct delta_map *map, struct module *old, struct module *new)
{
	struct error error;
	CLEANUP(free_pointer) uint8_t *whole = malloc(new->size);
	memcpy(whole, new->bytes, new->size);
	assert_done(delta_map_rewrite(map, DELTA_NEW, new->bytes, new->size, 0, &error));
	assert_done(delta_map_restore(map, new->bytes, new->size, 0, &error));
	assert_memory_equal(new->bytes, whole, new->size);
	assert_done(delta_map_rewrite(map, DELTA_NEW, new->bytes, new->size, 0, &error));
	assert_done(delta_map_rewrite(map, DELTA_OLD, old->bytes, old->size, 0, &error));
}

static uint64_t link_to(uint64_t symbol, uint64_t addend)
{
	return REFERENCE_LINKS + (symbol << 32 | (uint32_t)addend);
}

/* A symbol more, a function more in the middle, types and names of the module's own behind those of another kernel. */
static void moved_symbols(void **state)
{
	(void)state;
	CLEANUP(free_module) struct module old = module_make(0, 3);
	CLEANUP(free_module) struct module new = module_make(1, 3);
	CLEANUP(delta_ballots_free) struct delta_ballots shared = {0};
	CLEANUP(delta_map_free) struct delta_map map = make_map(&old, &new, &shared);
	assert_int_equal(map.region_counts[DELTA_OLD], 3);
	assert_int_equal(map.region_counts[DELTA_NEW], 1);
	/* The section's own symbol stays the first; functions behind the new one moved by it. */
	assert_int_equal(delta_map_address(&map, link_to(1, 100 * MODULE_FUNCTION - 4)),
			 link_to(1, 100 * MODULE_FUNCTION - 4));
	assert_int_equal(delta_map_address(&map, link_to(1, 300 * MODULE_FUNCTION - 4)),
			 link_to(1, 301 * MODULE_FUNCTION - 4));
	assert_int_equal(delta_map_address(&map, link_to(700, UINT64_MAX - 3)), link_to(701, UINT64_MAX - 3));
	const uint64_t types = REFERENCE_NUMBERS(REFERENCE_TYPE_NUMBERS), kernel = MODULE_KERNEL_TYPES + 100;
	assert_int_equal(delta_map_address(&map, types + kernel + 20), types + kernel + 27);
	assert_true(shared.count > MODULE_TYPES);
	for (size_t i = 0; i < map.shifts.count; i++)
		assert_true(map.shifts.list[i].from < REFERENCE_SHARED);
	size_t before = patch_size(&old, &new);
	rewrite(&map, &old, &new);
	assert_true(patch_size(&old, &new) < before / 2);
}

/* What one module knows of its kernel helps with another one. */
static void shared_types(void **state)
{
	(void)state;
	CLEANUP(delta_ballots_free) struct delta_ballots all = {0};
	CLEANUP(delta_map_free) struct delta_map last = {0};
	struct delta_shifts shifts = {0};
	struct error error;
	for (uint64_t seed = 10; seed < 40; seed++) {
		CLEANUP(free_module) struct module old = module_make(0, seed);
		CLEANUP(free_module) struct module new = module_make(1, seed);
		CLEANUP(delta_ballots_free) struct delta_ballots shared = {0};
		struct delta_map map = make_map(&old, &new, &shared);
		delta_map_free(&map);
		assert_done(delta_ballots_append(&all, shared.list, shared.count, &error));
	}
	assert_done(delta_vote(&all, &shifts.list, &shifts.count, &error));
	const struct delta_map map = {.shared = &shifts};
	size_t right = 0;
	for (uint32_t i = 100; i < 4000; i++)
		right += delta_map_address(&map, REFERENCE_SHARED | REFERENCE_NUMBERS(REFERENCE_TYPE_NUMBERS) | i) ==
					 (REFERENCE_SHARED | REFERENCE_NUMBERS(REFERENCE_TYPE_NUMBERS) |
					  module_kernel_type(i, 1))
				 ? 1
				 : 0;
	assert_true(right > 3800);

	CLEANUP(free_module) struct module old = module_make(0, 99);
	CLEANUP(free_module) struct module new = module_make(1, 99);
	CLEANUP(delta_ballots_free) struct delta_ballots ignored = {0};
	last = make_map(&old, &new, &ignored);
	CLEANUP(free_module) struct module alone = module_make(0, 99);
	CLEANUP(free_module) struct module again = module_make(1, 99);
	rewrite(&last, &alone, &again);
	last.shared = &shifts;
	rewrite(&last, &old, &new);
	assert_true(patch_size(&old, &new) < patch_size(&alone, &again) / 2);
	free(shifts.list);
}

/* Headers and types that say anything. */
static void mutated_modules(void **state)
{
	(void)state;
	uint64_t seed = 5;
	size_t none = 0, some = 0;
	for (int i = 0; i < 400; i++) {
		CLEANUP(free_module) struct module module = module_make(0, 7);
		struct reference_region regions[DELTA_MAP_REGIONS_MOST];
		size_t size = i % 7 == 0 ? next_random(&seed) % module.size : module.size;
		size_t headers = module.size - MODULE_SECTIONS * sizeof(Elf64_Shdr), at = next_random(&seed) % 64;
		if (i % 3 == 1)
			at = headers + next_random(&seed) % (module.size - headers);
		else if (i % 3 == 2)
			at = module.types - 24 + next_random(&seed) % 2000;
		module.bytes[at] = (uint8_t)next_random(&seed);
		CLEANUP(free_pointer) uint8_t *bytes = malloc(size + 1);
		memcpy(bytes, module.bytes, size);
		size_t count = executable_regions(bytes, size, regions, ARRAY_SIZE(regions));
		assert_true(count <= ARRAY_SIZE(regions));
		for (size_t j = 0; j < count; j++)
			assert_true(regions[j].offset <= size && regions[j].size <= size - regions[j].offset);
		none += count == 0 ? 1 : 0;
		some += count > 0 ? 1 : 0;
		struct delta_shift shift = {0, 4096};
		struct delta_map map = {.regions = {regions, regions},
					.region_counts = {count, count},
					.shifts = {.list = &shift, .count = 1}};
		struct error error;
		for (size_t from = 0; from < size; from += size / 3 + 1) {
			size_t length = size - from < size / 2 ? size - from : size / 2;
			CLEANUP(free_pointer) uint8_t *piece = malloc(length + 1);
			memcpy(piece, bytes + from, length);
			assert_done(delta_map_rewrite(&map, DELTA_NEW, piece, length, from, &error));
			assert_done(delta_map_restore(&map, piece, length, from, &error));
			assert_memory_equal(piece, bytes + from, length);
			assert_done(delta_map_rewrite(&map, DELTA_OLD, piece, length, from, &error));
		}
	}
	assert_true(none > 10 && some > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_symbols),
		cmocka_unit_test(shared_types),
		cmocka_unit_test(mutated_modules),
	};
	return cmocka_run_group_tests_name("delta_object", tests, NULL, NULL);
}
