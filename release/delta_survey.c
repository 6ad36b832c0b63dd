#include "release/delta_survey.h"

#include <stdlib.h>
#include <string.h>

#include "base/crew.h"
#include "base/crew_memory.h"
#include "release/delta.h"
#include "release/delta_map_make.h"
#include "release/delta_match.h"
#include "release/executable.h"

/* A smaller file has too few references for what its map takes. */
#define SURVEY_LEAST ((uint64_t)4 * 1024)
/* Votes on what is shared that are counted, and shifts of it that are kept. */
#define SHARED_MOST        ((size_t)1 << 22)
#define SHARED_SHIFTS_MOST (DELTA_MAPS_SHIFTS_MOST / 4)

struct survey {
	const struct delta_source *sides[2];
	struct delta_map *maps;       /* one for each pair; without regions when it is not worth it */
	struct delta_ballots *shared; /* of each */
	size_t count;
	struct crew_memory memory;
};

static void survey_end(struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++)
		delta_map_free(&survey->maps[i]);
	for (size_t i = 0; survey->shared != NULL && i < survey->count; i++)
		delta_ballots_free(&survey->shared[i]);
	free(survey->maps);
	free(survey->shared);
	crew_memory_end(&survey->memory);
}

static uint64_t size_of(const struct survey *survey, const struct delta_map *map, enum delta_side side)
{
	return survey->sides[side]->manifest->contents[map->contents[side]].size;
}

static size_t memory_of(const struct survey *survey, const struct delta_map *map)
{
	size_t old = (size_t)size_of(survey, map, DELTA_OLD), new = (size_t)size_of(survey, map, DELTA_NEW);
	return delta_map_memory(old, new);
}

static int read_side(const struct survey *survey, const struct delta_map *map, enum delta_side side, void *bytes,
		     size_t size, struct error *error)
{
	const struct delta_source *source = survey->sides[side];
	return spool_read(&source->plain, source->manifest->contents[map->contents[side]].offset, bytes, size, error);
}

static int suits(const struct survey *survey, const struct delta_map *map, bool *ret_suits, struct error *error)
{
	uint8_t head[EXECUTABLE_HEAD];

	*ret_suits = false;
	for (int side = 0; side < 2; side++) {
		uint64_t size = size_of(survey, map, (enum delta_side)side);
		if (size < SURVEY_LEAST || size > DELTA_ALIGN_MOST)
			return 0;
		int result = read_side(survey, map, (enum delta_side)side, head, sizeof(head), error);
		if (result < 0 || !executable_suits(head, sizeof(head)))
			return result;
	}
	*ret_suits = memory_of(survey, map) <= survey->memory.most;
	return 0;
}

/* The executables that are matched; an old one with the first that is like it. */
static int find_pairs(struct survey *survey, const size_t *matches, struct error *error)
{
	const struct manifest *old = survey->sides[DELTA_OLD]->manifest, *new = survey->sides[DELTA_NEW]->manifest;
	CLEANUP(free_pointer) bool *taken = calloc(old->content_count + 1, sizeof(*taken));
	int result = 0;

	survey->maps = calloc(new->content_count + 1, sizeof(*survey->maps));
	if (survey->maps == NULL || taken == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
	for (size_t i = 0; result == 0 && i < new->content_count; i++) {
		struct delta_map map = {.contents = {matches[i], i}};
		bool is_pair = matches[i] < old->content_count && !taken[matches[i]];
		if (is_pair)
			result = suits(survey, &map, &is_pair, error);
		if (result < 0 || !is_pair)
			continue;
		taken[matches[i]] = true;
		survey->maps[survey->count++] = map;
	}
	return result;
}

struct pair {
	const struct survey *survey;
	const struct delta_map *map;
};

static int read_whole(void *context, enum delta_side side, uint8_t *bytes, struct error *error)
{
	const struct pair *pair = context;
	return read_side(pair->survey, pair->map, side, bytes, (size_t)size_of(pair->survey, pair->map, side), error);
}

static int make_map(const struct survey *survey, struct delta_map *map, struct delta_ballots *ret_shared,
		    struct error *error)
{
	const struct delta_map whose = *map;
	struct pair pair = {survey, &whose};
	const struct delta_map_files files = {
		.sizes = {(size_t)size_of(survey, map, DELTA_OLD), (size_t)size_of(survey, map, DELTA_NEW)},
		.are_cut = size_of(survey, map, DELTA_OLD) > DELTA_PREFIX_MOST ||
			   size_of(survey, map, DELTA_NEW) > DELTA_PLAIN_MOST,
		.read = read_whole,
		.context = &pair,
	};

	int result = delta_map_make(&files, map, ret_shared, error);
	memcpy(map->contents, whose.contents, sizeof(map->contents));
	return result;
}

static int work(void *context, size_t worker, size_t index, struct error *error)
{
	struct survey *survey = context;
	struct delta_map *map = &survey->maps[index];
	size_t memory = memory_of(survey, map);

	(void)worker;
	crew_memory_take(&survey->memory, memory);
	int result = make_map(survey, map, &survey->shared[index], error);
	crew_memory_give(&survey->memory, memory);
	return result;
}

/* What all files say together of what they share. */
static int vote_shared(const struct survey *survey, struct delta_shifts *ret_shifts, struct error *error)
{
	CLEANUP(delta_ballots_free) struct delta_ballots all = {0};
	int result = 0;

	for (size_t i = 0; result == 0 && i < survey->count && all.count < SHARED_MOST; i++)
		result = delta_ballots_append(&all, survey->shared[i].list, survey->shared[i].count, error);
	if (result == 0)
		result = delta_vote(&all, &ret_shifts->list, &ret_shifts->count, error);
	if (result == 0 && ret_shifts->count > SHARED_SHIFTS_MOST)
		ret_shifts->count = SHARED_SHIFTS_MOST;
	return result;
}

static int gather(struct survey *survey, struct delta_maps *ret_maps, struct error *error)
{
	const size_t counts[2] = {survey->sides[DELTA_OLD]->manifest->content_count,
				  survey->sides[DELTA_NEW]->manifest->content_count};
	size_t regions_left = DELTA_MAPS_REGIONS_MOST, shifts_left = DELTA_MAPS_SHIFTS_MOST;
	size_t tables_left = DELTA_MAPS_TABLES_MOST;
	int result = 0;

	ret_maps->shared = calloc(1, sizeof(*ret_maps->shared));
	if (ret_maps->shared == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
	result = vote_shared(survey, ret_maps->shared, error);
	shifts_left -= ret_maps->shared->count;
	for (size_t i = 0; result == 0 && i < survey->count && ret_maps->count < DELTA_MAPS_MOST; i++) {
		struct delta_map *map = &survey->maps[i];
		size_t regions = map->region_counts[DELTA_OLD] + map->region_counts[DELTA_NEW];
		if (regions == 0 || regions > regions_left || map->shifts.count > shifts_left ||
		    map->tables[DELTA_OLD].count > tables_left)
			continue;
		regions_left -= regions;
		shifts_left -= map->shifts.count;
		tables_left -= map->tables[DELTA_OLD].count;
		result = delta_maps_add(ret_maps, map, counts, error);
	}
	return result;
}

int delta_survey(const struct delta_source *old, const struct delta_source *new, const size_t *matches, size_t memory,
		 struct delta_maps *ret_maps, struct error *error)
{
	CLEANUP(survey_end)
	struct survey survey = {.sides = {old, new}, .memory = CREW_MEMORY_INIT(memory)};
	CLEANUP(delta_maps_free) struct delta_maps maps = {0};

	int result = find_pairs(&survey, matches, error);
	survey.shared = calloc(survey.count + 1, sizeof(*survey.shared));
	if (result == 0 && survey.shared == NULL)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory to compare executables");
	if (result == 0)
		result = crew_run(CREW_MOST, survey.count, 1, work, &survey, error);
	if (result == 0)
		result = gather(&survey, &maps, error);
	if (result < 0)
		return result;
	*ret_maps = maps;
	maps = (struct delta_maps){0};
	return 0;
}
