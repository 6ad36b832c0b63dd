#include "schedules/window_instant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "+01:00" */
#define OFFSET_SIZE 16
static void format_offset(int offset, char text[static OFFSET_SIZE])
{
	int minutes = abs(offset) / 60;

	snprintf(text, OFFSET_SIZE, "%c%02d:%02d", offset < 0 ? '-' : '+', minutes / 60 % 100, minutes % 60);
}

/* The last minute before the gap and the first behind it. */
static int refuse_gap(const struct zone *zone, const char *text, int64_t transition, struct error *error)
{
	char before[CIVIL_SIZE], after[CIVIL_SIZE];

	civil_format(zone_local(zone, transition - 60, NULL, NULL), before);
	civil_format(zone_local(zone, transition, NULL, NULL), after);
	return error_set(
		error, ERROR_DATA, "window",
		"%s does not exist in %s, where the clock is put forward over it; the nearest times are %s and %s",
		text, zone_name(zone), before, after);
}

static int refuse_offset(const struct zone *zone, const char *text, int given, const struct zone_resolution *resolution,
			 struct error *error)
{
	char wrong[OFFSET_SIZE], first[OFFSET_SIZE], second[OFFSET_SIZE];
	bool twice = resolution->kind == ZONE_REPEATED;
	int offset;

	format_offset(given, wrong);
	zone_local(zone, resolution->before, &offset, NULL);
	format_offset(offset, first);
	zone_local(zone, resolution->after, &offset, NULL);
	format_offset(offset, second);
	return error_set(error, ERROR_DATA, "window", "%s%s is no time of %s, which is then at %s%s%s", text, wrong,
			 zone_name(zone), first, twice ? " and again at " : "", twice ? second : "");
}

int window_instant_civil(const struct zone *zone, struct civil civil, const int *offset, int64_t *ret_time,
			 struct error *error)
{
	struct zone_resolution resolution = zone_resolve(zone, civil);
	char text[CIVIL_SIZE];

	civil_format(civil, text);
	if (resolution.kind == ZONE_SKIPPED)
		return refuse_gap(zone, text, resolution.transition, error);
	int64_t time = offset ? civil_to_seconds(civil) - *offset : resolution.before;
	if (time != resolution.before && time != resolution.after)
		return refuse_offset(zone, text, *offset, &resolution, error);
	*ret_time = time;
	return 0;
}

int window_instant(const struct zone *zone, const char *text, int64_t *ret_time, struct error *error)
{
	struct civil civil;
	bool has_offset;
	int offset;

	if (!civil_parse(text, &civil, &has_offset, &offset))
		return error_set(error, ERROR_DATA, "window",
				 "\"%s\" is not a local time of the form 2027-01-03T01:30 or 2027-01-03T01:30+01:00",
				 strlen(text) <= 60 ? text : "…");
	return window_instant_civil(zone, civil, has_offset ? &offset : NULL, ret_time, error);
}
