#include "release/delta_map.h"

#include <stdlib.h>

void delta_map_free(struct delta_map *map)
{
	free(map->regions[DELTA_OLD]);
	free(map->regions[DELTA_NEW]);
	free(map->shifts.list);
	free(map->tables[DELTA_OLD].list);
	free(map->tables[DELTA_NEW].list);
	*map = (struct delta_map){0};
}

uint64_t delta_map_address(const struct delta_map *map, uint64_t address)
{
	const bool is_shared = address >= REFERENCE_SHARED && map->shared != NULL;
	const struct delta_shifts *shifts = is_shared ? map->shared : &map->shifts;
	size_t low = 0, high = shifts->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (shifts->list[middle].from <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? address : address + shifts->list[low - 1].shift;
}

int delta_map_move_tables(struct delta_map *map, struct error *error)
{
	const struct delta_tables *old = &map->tables[DELTA_OLD];
	struct delta_tables *new = &map->tables[DELTA_NEW];

	new->list = calloc(old->count + 1, sizeof(*new->list));
	if (new->list == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	for (size_t i = 0; i < old->count; i++)
		new->list[i] = delta_map_address(map, old->list[i]);
	new->count = old->count;
	return 0;
}

static void write_moved(void *context, const struct reference *reference)
{
	reference_write(reference, delta_map_address(context, reference->target));
}

static void write_as_it_is(void *context, const struct reference *reference)
{
	(void)context;
	reference_write(reference, reference->target);
}

static void restore(void *context, const struct reference *reference)
{
	(void)context;
	reference_restore(reference);
}

static struct reference_view view_of(const struct delta_map *map, enum delta_side side, uint8_t *bytes, size_t size,
				     uint64_t offset)
{
	return (struct reference_view){.bytes = bytes,
				       .size = size,
				       .offset = offset,
				       .regions = map->regions[side],
				       .count = map->region_counts[side],
				       .tables = map->tables[side].list,
				       .table_count = map->tables[side].count};
}

int delta_map_rewrite(const struct delta_map *map, enum delta_side side, uint8_t *bytes, size_t size, uint64_t offset,
		      struct error *error)
{
	struct reference_view view = view_of(map, side, bytes, size, offset);
	return reference_walk(&view, side == DELTA_OLD ? write_moved : write_as_it_is, (void *)(uintptr_t)map, error);
}

int delta_map_restore(const struct delta_map *map, uint8_t *bytes, size_t size, uint64_t offset, struct error *error)
{
	struct reference_view view = view_of(map, DELTA_NEW, bytes, size, offset);
	view.rewritten = true;
	return reference_walk(&view, restore, NULL, error);
}

uint64_t delta_map_effort(const struct delta_map *map, enum delta_side side, uint64_t size)
{
	return (size + 64 + 16 * (uint64_t)map->tables[side].count) * (map->region_counts[side] + 1);
}

void delta_maps_free(struct delta_maps *maps)
{
	for (size_t i = 0; i < maps->count; i++)
		delta_map_free(&maps->maps[i]);
	free(maps->maps);
	if (maps->shared != NULL)
		free(maps->shared->list);
	free(maps->shared);
	free(maps->places[DELTA_OLD]);
	free(maps->places[DELTA_NEW]);
	*maps = (struct delta_maps){0};
}

const struct delta_map *delta_maps_find(const struct delta_maps *maps, enum delta_side side, size_t content)
{
	uint32_t place = content < maps->place_counts[side] ? maps->places[side][content] : 0;
	return place == 0 ? NULL : &maps->maps[place - 1];
}

static int make_places(struct delta_maps *maps, const size_t counts[2], struct error *error)
{
	for (int side = 0; side < 2 && maps->count == 0; side++) {
		free(maps->places[side]);
		maps->places[side] = calloc(counts[side] + 1, sizeof(*maps->places[side]));
		if (maps->places[side] == NULL)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
		maps->place_counts[side] = counts[side];
	}
	return 0;
}

int delta_maps_add(struct delta_maps *maps, struct delta_map *map, const size_t counts[2], struct error *error)
{
	CLEANUP(delta_map_free) struct delta_map taken = *map;

	*map = (struct delta_map){0};
	for (int side = 0; side < 2; side++)
		if (taken.contents[side] >= counts[side] ||
		    delta_maps_find(maps, (enum delta_side)side, taken.contents[side]) != NULL)
			return error_set(error, ERROR_DATA, "delta", "two maps of a delta are for one file");
	int result = make_places(maps, counts, error);
	if (result < 0)
		return result;
	struct delta_map *larger = reallocarray(maps->maps, maps->count + 1, sizeof(*larger));
	if (larger == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	maps->maps = larger;
	taken.shared = maps->shared;
	maps->maps[maps->count++] = taken;
	for (int side = 0; side < 2; side++)
		maps->places[side][taken.contents[side]] = (uint32_t)maps->count;
	taken = (struct delta_map){0};
	return 0;
}
