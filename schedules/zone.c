#include "schedules/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedules/tzif.h"

#define DAY       86400
#define TIME_MOST ((int64_t)1 << 55)

struct zone {
	char name[ZONE_NAME_MOST + 1];
	struct tzif *file;
};

int zone_parse(const void *bytes, size_t size, const char *name, struct zone **ret_zone, struct error *error)
{
	CLEANUP(zone_free) struct zone *zone = calloc(1, sizeof *zone);

	if (!zone)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for time zone %s", name);
	if (strlen(name) > ZONE_NAME_MOST)
		return error_set(error, ERROR_DATA, "zone", "a time zone's name is longer than %d bytes",
				 ZONE_NAME_MOST);
	snprintf(zone->name, sizeof zone->name, "%s", name);
	int status = tzif_parse(bytes, size, name, &zone->file, error);
	if (status == 0)
		*ret_zone = TAKE(zone);
	return status;
}

void zone_free(struct zone **zone)
{
	if (!*zone)
		return;
	tzif_free(&(*zone)->file);
	free(*zone);
	*zone = NULL;
}

const char *zone_name(const struct zone *zone)
{
	return zone->name;
}

/* How many transitions lie at or before `time`. */
static size_t transitions_until(const struct tzif *file, int64_t time)
{
	size_t low = 0, high = file->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (file->times[middle] <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The stretch around `time` with one offset. The footer rules from the last transition on, and alone when there is none
 * (RFC 9636 §3.2: before the first transition it is type 0). */
static struct posixtz_span span_at(const struct zone *zone, int64_t time)
{
	const struct tzif *file = zone->file;
	size_t passed = transitions_until(file, time);

	if (passed == file->count && file->has_rule) {
		struct posixtz_span span = posixtz_span(&file->rule, time);
		if (passed > 0 && span.start < file->times[passed - 1])
			span.start = file->times[passed - 1];
		return span;
	}
	const struct tzif_type *type = &file->types[passed > 0 ? file->time_types[passed - 1] : 0];
	return (struct posixtz_span){
		.start = passed > 0 ? file->times[passed - 1] : INT64_MIN,
		.end = passed < file->count ? file->times[passed] : INT64_MAX,
		.offset = type->offset,
		.abbreviation = file->abbreviations + type->abbreviation,
	};
}

static int64_t clamp(int64_t time)
{
	return time > TIME_MOST ? TIME_MOST : time < -TIME_MOST ? -TIME_MOST : time;
}

/* Walks the spans that can hold the wall-clock time: an offset is at most 26 hours. In the first and in the second span
 * that holds it, it is a unique or a repeated time. Where none does it is skipped, by the first transition that has it
 * past the end of one span and before the start of the next. */
struct zone_resolution zone_resolve(const struct zone *zone, struct civil civil)
{
	int64_t wall = clamp(civil_to_seconds(civil));
	struct zone_resolution held = {ZONE_SKIPPED}, skipped = {ZONE_UNIQUE}; /* until their own kind is set */
	struct posixtz_span span = span_at(zone, wall - 2 * DAY);
	int64_t earlier = wall - span.offset; /* by the offset of the span before */
	bool past_end = false;                /* of the span before */

	for (;;) {
		int64_t time = wall - span.offset;
		bool holds = time >= span.start && time < span.end;
		if (holds && held.kind == ZONE_UNIQUE)
			return (struct zone_resolution){ZONE_REPEATED, held.before, time, span.start};
		if (holds)
			held = (struct zone_resolution){ZONE_UNIQUE, time, time, time};
		if (past_end && time < span.start && skipped.kind != ZONE_SKIPPED)
			skipped = (struct zone_resolution){ZONE_SKIPPED, earlier, time, span.start};
		if (span.end > wall + 2 * DAY)
			return held.kind == ZONE_UNIQUE ? held : skipped;
		past_end = time >= span.end;
		earlier = time;
		span = span_at(zone, span.end);
	}
}

struct civil zone_local(const struct zone *zone, int64_t time, int *ret_offset, const char **ret_abbreviation)
{
	struct posixtz_span span = span_at(zone, clamp(time));

	if (ret_offset)
		*ret_offset = span.offset;
	if (ret_abbreviation)
		*ret_abbreviation = span.abbreviation;
	return civil_from_seconds(clamp(time) + span.offset);
}

void zone_format(const struct zone *zone, int64_t time, char text[static ZONE_TEXT_SIZE])
{
	static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
	struct civil local = zone_local(zone, time, NULL, NULL);
	int weekday = civil_weekday(civil_to_days(local.year, local.month, local.day));

	snprintf(text, ZONE_TEXT_SIZE, "%s %04d-%02d-%02d %02d:%02d %s", days[weekday], local.year, local.month,
		 local.day, local.hour, local.minute, zone->name);
}

/* Midnight may be skipped (the date ends when the clock jumps) or come twice (it ends with the second when the clock
 * goes back into the date, else with the first). */
int zone_date_end(const struct zone *zone, const char *date, int64_t *ret_end, struct error *error)
{
	struct civil day;

	if (!civil_parse_date(date, &day))
		return error_set(error, ERROR_DATA, "zone", "\"%.40s\" is not a date of the form 2027-01-31", date);
	int64_t next = civil_to_days(day.year, day.month, day.day) + 1;
	struct zone_resolution midnight = zone_resolve(zone, civil_from_seconds(next * DAY));
	switch (midnight.kind) {
	case ZONE_UNIQUE:
		*ret_end = midnight.before;
		break;
	case ZONE_SKIPPED:
		*ret_end = midnight.transition;
		break;
	case ZONE_REPEATED: {
		struct civil again = zone_local(zone, midnight.transition, NULL, NULL);
		bool goes_back = civil_to_days(again.year, again.month, again.day) < next;
		*ret_end = goes_back ? midnight.after : midnight.before;
		break;
	}
	}
	return 0;
}
