#include "release/delta_map_make.h"

#include <stdlib.h>
#include <string.h>

#include "release/blob.h"
#include "release/delta_vote.h"
#include "release/executable.h"

/* What is found in a second round, when the references that are known help to compare the rest, is worth its time; a
 * third round is not. */
#define ROUNDS 2
/* References of a file that are looked at. */
#define PLACES_MOST ((size_t)1 << 24)
/* Jump tables that are told of. */
#define TABLES_MOST (DELTA_MAPS_TABLES_MOST / 2)

struct side {
	uint8_t *bytes; /* of the file; in the shape that is compared */
	size_t size;
	struct delta_places places;
	size_t room;
	bool failed;
};

struct making {
	const struct delta_map_files *files;
	struct side sides[2];
	struct delta_map map;
	struct delta_segment *segments;
	size_t segment_count;
	struct delta_ballots ballots;
};

static void making_end(struct making *making)
{
	for (int i = 0; i < 2; i++) {
		free(making->sides[i].bytes);
		free(making->sides[i].places.list);
	}
	free(making->segments);
	delta_ballots_free(&making->ballots);
	delta_map_free(&making->map);
}

static int no_memory(struct error *error)
{
	return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
}

static int read_side(struct making *making, enum delta_side index, struct error *error)
{
	return making->files->read(making->files->context, index, making->sides[index].bytes, error);
}

static void note(struct side *side, const struct reference *reference)
{
	struct delta_places *places = &side->places;
	if (places->count == side->room && places->count < PLACES_MOST) {
		size_t room = side->room == 0 ? 4096 : 2 * side->room;
		struct delta_place *larger = reallocarray(places->list, room, sizeof(*larger));
		side->failed |= larger == NULL;
		places->list = larger != NULL ? larger : places->list;
		side->room = larger != NULL ? room : side->room;
	}
	if (places->count < side->room)
		places->list[places->count++] =
			(struct delta_place){(uint32_t)(reference->at - side->bytes), reference->target};
}

/* Nothing but what is the same wherever things lie. */
static void mask(void *context, const struct reference *reference)
{
	struct side *side = context;
	if (reference->form != REFERENCE_STEP)
		note(side, reference);
	reference_write(reference, 0);
}

static int by_place(const void *a, const void *b)
{
	const struct delta_place *x = a, *y = b;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return (x->target > y->target) - (x->target < y->target);
}

static int mask_side(struct making *making, enum delta_side index, struct error *error)
{
	struct side *side = &making->sides[index];
	struct reference_view view = {.bytes = side->bytes,
				      .size = side->size,
				      .regions = making->map.regions[index],
				      .count = making->map.region_counts[index]};
	int result = read_side(making, index, error);
	if (result == 0)
		result = reference_walk(&view, mask, side, error);
	if (result == 0 && side->failed)
		result = no_memory(error);
	if (result == 0 && side->places.count > 0)
		qsort(side->places.list, side->places.count, sizeof(*side->places.list), by_place);
	return result;
}

static int rewrite_side(struct making *making, enum delta_side index, struct error *error)
{
	struct side *side = &making->sides[index];
	int result = read_side(making, index, error);
	return result < 0 ? result : delta_map_rewrite(&making->map, index, side->bytes, side->size, 0, error);
}

static int find_shifts(struct making *making, struct error *error)
{
	struct side *old = &making->sides[DELTA_OLD], *new = &making->sides[DELTA_NEW];

	free(TAKE(making->segments));
	int result = delta_align((struct delta_side_bytes){old->bytes, old->size},
				 (struct delta_side_bytes){new->bytes, new->size}, &making->segments,
				 &making->segment_count, error);
	if (result < 0)
		return result;
	free(making->map.shifts.list);
	making->map.shifts = (struct delta_shifts){0};
	making->ballots.count = 0;
	result = delta_ballots_cast(&making->ballots, &old->places, &new->places, making->segments,
				    making->segment_count, error);
	return result < 0 ? result
			  : delta_vote(&making->ballots, &making->map.shifts.list, &making->map.shifts.count, error);
}

static int find_map(struct making *making, struct error *error)
{
	int result = 0;
	for (int round = 0; result == 0 && round < ROUNDS; round++) {
		for (int side = 0; result == 0 && side < 2; side++)
			result = round == 0 ? mask_side(making, (enum delta_side)side, error)
					    : rewrite_side(making, (enum delta_side)side, error);
		if (result == 0)
			result = find_shifts(making, error);
	}
	for (int side = 0; result == 0 && side < 2; side++)
		result = rewrite_side(making, (enum delta_side)side, error);
	return result;
}

/* In a part the code that speaks of a table may be missing. */
static int find_tables(struct making *making, struct error *error)
{
	struct delta_map *map = &making->map;
	struct side *old = &making->sides[DELTA_OLD];
	const struct reference_view view = {.bytes = old->bytes,
					    .size = old->size,
					    .regions = map->regions[DELTA_OLD],
					    .count = map->region_counts[DELTA_OLD]};
	struct delta_tables *tables = &map->tables[DELTA_OLD];

	int result = read_side(making, DELTA_OLD, error);
	if (result == 0)
		result = reference_tables(&view, &tables->list, &tables->count, error);
	if (tables->count > TABLES_MOST)
		tables->count = TABLES_MOST;
	return result == 0 ? delta_map_move_tables(map, error) : result;
}

/* What is shared is for all maps together to say. */
static int split_shared(struct making *making, struct delta_ballots *ret_shared, struct error *error)
{
	const struct delta_ballots *ballots = &making->ballots;
	struct delta_shifts *shifts = &making->map.shifts;
	size_t first = ballots->count;
	while (first > 0 && ballots->list[first - 1].target >= REFERENCE_SHARED)
		first--;
	while (shifts->count > 0 && shifts->list[shifts->count - 1].from >= REFERENCE_SHARED)
		shifts->count--;
	return delta_ballots_append(ret_shared, ballots->list + first, ballots->count - first, error);
}

/* In new files these are as they are in rewritten ones: who restores them need not know where they are. */
static void drop_lasting(struct delta_map *map)
{
	size_t kept = 0;
	for (size_t i = 0; i < map->region_counts[DELTA_NEW]; i++) {
		const struct reference_region region = map->regions[DELTA_NEW][i];
		if (region.kind != REFERENCE_SYMBOLS && region.kind != REFERENCE_OBJECT_SYMBOLS &&
		    region.kind != REFERENCE_TYPES)
			map->regions[DELTA_NEW][kept++] = region;
	}
	map->region_counts[DELTA_NEW] = kept;
}

static int quick_size(const struct side sides[2], size_t *ret_size, struct error *error)
{
	CLEANUP(buffer_free) struct buffer patch = BUFFER_INIT(0);
	const struct side *old = &sides[DELTA_OLD], *new = &sides[DELTA_NEW];
	int result =
		blob_patch((struct blob_prefix){old->bytes, old->size}, new->bytes, new->size, true, &patch, error);
	*ret_size = patch.size;
	return result;
}

/* A look at how small the patch would be both ways; the files lie in the shape of the map. Those that are cut are taken
 * to gain. */
static int is_worth_it(struct making *making, bool *ret_is, struct error *error)
{
	CLEANUP(buffer_free) struct buffer code = BUFFER_INIT(0), packed = BUFFER_INIT(0);
	struct delta_maps maps = {.maps = &making->map, .count = 1};
	size_t without = 0, with = 0;

	*ret_is = true;
	if (making->sides[DELTA_OLD].size > BLOB_WINDOW_MOST - making->sides[DELTA_NEW].size)
		return 0;
	int result = quick_size(making->sides, &with, error);
	for (int side = 0; result == 0 && side < 2; side++)
		result = read_side(making, (enum delta_side)side, error);
	if (result == 0)
		result = quick_size(making->sides, &without, error);
	if (result == 0)
		result = delta_maps_write(&maps, &code, error);
	if (result == 0)
		result = blob_patch((struct blob_prefix){NULL, 0}, code.data, code.size, true, &packed, error);
	*ret_is = with + packed.size < without;
	return result;
}

static int find_regions(struct making *making, struct error *error)
{
	for (int i = 0; i < 2; i++) {
		struct side *side = &making->sides[i];
		side->bytes = malloc(side->size + 1);
		making->map.regions[i] = calloc(DELTA_MAP_REGIONS_MOST, sizeof(*making->map.regions[i]));
		if (side->bytes == NULL || making->map.regions[i] == NULL)
			return no_memory(error);
		int result = read_side(making, (enum delta_side)i, error);
		if (result < 0)
			return result;
		making->map.region_counts[i] =
			executable_regions(side->bytes, side->size, making->map.regions[i], DELTA_MAP_REGIONS_MOST);
	}
	return 0;
}

size_t delta_map_memory(size_t old_size, size_t new_size)
{
	/* A reference is some ten bytes of code, and so much in each list of them. */
	return 2 * (old_size + new_size) + delta_align_memory(old_size);
}

int delta_map_make(const struct delta_map_files *files, struct delta_map *ret_map, struct delta_ballots *ret_shared,
		   struct error *error)
{
	CLEANUP(making_end)
	struct making making = {.files = files,
				.sides = {{.size = files->sizes[DELTA_OLD]}, {.size = files->sizes[DELTA_NEW]}}};
	bool is_worth = false;

	CLEANUP(delta_ballots_free) struct delta_ballots shared = {0};

	*ret_map = (struct delta_map){0};
	*ret_shared = (struct delta_ballots){0};
	int result = find_regions(&making, error);
	if (result < 0 || making.map.region_counts[DELTA_OLD] == 0 || making.map.region_counts[DELTA_NEW] == 0)
		return result;
	result = find_map(&making, error);
	if (result == 0)
		result = split_shared(&making, &shared, error);
	if (result == 0 && files->are_cut)
		result = find_tables(&making, error);
	drop_lasting(&making.map);
	if (result == 0)
		result = is_worth_it(&making, &is_worth, error);
	if (result < 0 || !is_worth)
		return result;
	*ret_map = making.map;
	making.map = (struct delta_map){0};
	*ret_shared = shared;
	shared = (struct delta_ballots){0};
	return 0;
}
