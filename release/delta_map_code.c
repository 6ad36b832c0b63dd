#include <stdlib.h>

#include "release/delta_map.h"
#include "release/delta_number.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "delta", __VA_ARGS__)

/* Numbers in a row, those that may go down as differences. */
static int write_numbers(struct buffer *bytes, const uint64_t *numbers, size_t count, struct error *error)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = delta_number_write(bytes, numbers[i], error);
	return result;
}

static int write_regions(const struct reference_region *regions, size_t count, struct buffer *ret_bytes,
			 struct error *error)
{
	uint64_t end = 0;
	int result = delta_number_write(ret_bytes, count, error);
	for (size_t i = 0; result == 0 && i < count; i++) {
		const struct reference_region *region = &regions[i];
		const uint64_t numbers[] = {(uint64_t)region->kind, delta_number_fold(region->offset - end),
					    region->size, delta_number_fold(region->address - region->offset),
					    delta_number_fold(region->base)};
		result = write_numbers(ret_bytes, numbers, ARRAY_SIZE(numbers), error);
		end = region->offset + region->size;
	}
	return result;
}

/* Where they begin, then how far they go: like stands by like. */
static int write_shifts(const struct delta_shifts *shifts, struct buffer *ret_bytes, struct error *error)
{
	uint64_t last = 0;
	int result = delta_number_write(ret_bytes, shifts->count, error);
	for (size_t i = 0; result == 0 && i < shifts->count; i++) {
		result = delta_number_write(ret_bytes, shifts->list[i].from - last, error);
		last = shifts->list[i].from;
	}
	last = 0;
	for (size_t i = 0; result == 0 && i < shifts->count; i++) {
		result = delta_number_write(ret_bytes, delta_number_fold(shifts->list[i].shift - last), error);
		last = shifts->list[i].shift;
	}
	return result;
}

/* In steps of the four bytes that an entry has. */
static int write_tables(const struct delta_tables *tables, struct buffer *ret_bytes, struct error *error)
{
	uint64_t last = 0;
	int result = delta_number_write(ret_bytes, tables->count, error);
	for (size_t i = 0; result == 0 && i < tables->count; i++) {
		result = delta_number_write(ret_bytes, (tables->list[i] - last) / 4, error);
		last = tables->list[i];
	}
	return result;
}

int delta_maps_write(const struct delta_maps *maps, struct buffer *ret_bytes, struct error *error)
{
	const struct delta_shifts none = {0};
	int result = delta_number_write(ret_bytes, maps->count, error);
	if (result == 0 && maps->count > 0)
		result = write_shifts(maps->shared != NULL ? maps->shared : &none, ret_bytes, error);
	for (size_t i = 0; result == 0 && i < maps->count; i++) {
		const struct delta_map *map = &maps->maps[i];
		const uint64_t contents[] = {map->contents[DELTA_OLD], map->contents[DELTA_NEW]};
		result = write_numbers(ret_bytes, contents, 2, error);
		for (int side = 0; result == 0 && side < 2; side++)
			result = write_regions(map->regions[side], map->region_counts[side], ret_bytes, error);
		if (result == 0)
			result = write_shifts(&map->shifts, ret_bytes, error);
		if (result == 0)
			result = write_tables(&map->tables[DELTA_OLD], ret_bytes, error);
	}
	return result;
}

struct reader {
	const uint8_t *at, *end;
	size_t regions_left, shifts_left, tables_left;
};

static bool take(struct reader *reader, uint64_t *ret_number)
{
	return delta_number_take(&reader->at, reader->end, ret_number);
}

static int read_region(struct reader *reader, uint64_t end, struct reference_region *ret_region, struct error *error)
{
	uint64_t kind = 0, offset = 0, size = 0, address = 0, base = 0;

	if (!take(reader, &kind) || !take(reader, &offset) || !take(reader, &size) || !take(reader, &address) ||
	    !take(reader, &base) || kind >= REFERENCE_KINDS)
		return REFUSE(error, "a map of the delta has a region of no known kind");
	offset = end + delta_number_unfold(offset);
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return REFUSE(error, "a map of the delta has a region that no file has");
	*ret_region = (struct reference_region){.kind = (enum reference_kind)kind,
						.offset = offset,
						.size = size,
						.address = offset + delta_number_unfold(address),
						.base = delta_number_unfold(base)};
	return 0;
}

static int read_regions(struct reader *reader, struct delta_map *map, enum delta_side side, struct error *error)
{
	uint64_t count = 0, end = 0;

	if (!take(reader, &count) || count > DELTA_MAP_REGIONS_MOST || count > reader->regions_left)
		return REFUSE(error, "a map of the delta has too many regions");
	reader->regions_left -= (size_t)count;
	map->regions[side] = calloc((size_t)count + 1, sizeof(*map->regions[side]));
	if (map->regions[side] == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	for (size_t i = 0; i < count; i++) {
		struct reference_region *region = &map->regions[side][i];
		int result = read_region(reader, end, region, error);
		if (result < 0)
			return result;
		end = region->offset + region->size;
		map->region_counts[side]++;
	}
	return 0;
}

static int read_shifts(struct reader *reader, struct delta_shifts *shifts, struct error *error)
{
	uint64_t count = 0, from = 0, shift = 0, step = 0;

	if (!take(reader, &count) || count > reader->shifts_left || count > (uint64_t)(reader->end - reader->at))
		return REFUSE(error, "a map of the delta has too many shifts");
	reader->shifts_left -= (size_t)count;
	shifts->list = calloc((size_t)count + 1, sizeof(*shifts->list));
	if (shifts->list == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	shifts->count = (size_t)count;
	for (size_t i = 0; i < count; i++) {
		if (!take(reader, &step) || (i > 0 && step == 0) || step > UINT64_MAX - from)
			return REFUSE(error, "the shifts in a map of the delta are out of order");
		shifts->list[i].from = from += step;
	}
	for (size_t i = 0; i < count; i++) {
		if (!take(reader, &step))
			return REFUSE(error, "a map of the delta ends early");
		shifts->list[i].shift = shift += delta_number_unfold(step);
	}
	return 0;
}

static int read_tables(struct reader *reader, struct delta_map *map, struct error *error)
{
	struct delta_tables *tables = &map->tables[DELTA_OLD];
	uint64_t count = 0, at = 0, step = 0;

	if (!take(reader, &count) || count > reader->tables_left || count > (uint64_t)(reader->end - reader->at))
		return REFUSE(error, "a map of the delta has too many tables");
	reader->tables_left -= (size_t)count;
	if (count == 0)
		return 0;
	tables->list = calloc((size_t)count, sizeof(*tables->list));
	if (tables->list == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	for (size_t i = 0; i < count; i++) {
		if (!take(reader, &step) || step > (INT64_MAX - at) / 4)
			return REFUSE(error, "the tables in a map of the delta are nowhere");
		tables->list[i] = at += 4 * step;
	}
	tables->count = (size_t)count;
	return delta_map_move_tables(map, error);
}

static int read_map(struct reader *reader, struct delta_map *map, struct error *error)
{
	uint64_t contents[2] = {0};

	if (!take(reader, &contents[DELTA_OLD]) || !take(reader, &contents[DELTA_NEW]))
		return REFUSE(error, "a map of the delta ends early");
	map->contents[DELTA_OLD] = (size_t)contents[DELTA_OLD];
	map->contents[DELTA_NEW] = (size_t)contents[DELTA_NEW];
	int result = read_regions(reader, map, DELTA_OLD, error);
	if (result == 0)
		result = read_regions(reader, map, DELTA_NEW, error);
	if (result == 0)
		result = read_shifts(reader, &map->shifts, error);
	return result == 0 ? read_tables(reader, map, error) : result;
}

int delta_maps_read(const uint8_t **at, const uint8_t *end, const size_t counts[2], struct delta_maps *ret_maps,
		    struct error *error)
{
	struct reader reader = {*at, end, DELTA_MAPS_REGIONS_MOST, DELTA_MAPS_SHIFTS_MOST, DELTA_MAPS_TABLES_MOST};
	CLEANUP(delta_maps_free) struct delta_maps maps = {0};
	uint64_t count = 0;

	if (!take(&reader, &count) || count > DELTA_MAPS_MOST)
		return REFUSE(error, "the index of the delta does not say how many maps there are");
	maps.shared = calloc(1, sizeof(*maps.shared));
	if (maps.shared == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the maps of a delta");
	int result = count > 0 ? read_shifts(&reader, maps.shared, error) : 0;
	if (result < 0)
		return result;
	for (uint64_t i = 0; i < count; i++) {
		CLEANUP(delta_map_free) struct delta_map map = {0};
		result = read_map(&reader, &map, error);
		if (result == 0)
			result = delta_maps_add(&maps, &map, counts, error);
		if (result < 0)
			return result;
	}
	*ret_maps = maps;
	maps = (struct delta_maps){0};
	*at = reader.at;
	return 0;
}
