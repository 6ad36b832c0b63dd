/* Foreign TZif bytes, then questions at random places: whatever parses must answer, and what it answers must hold
 * together. The first 8 bytes are where to ask, the rest is the file. */
#include <stdlib.h>
#include <string.h>

#include "schedules/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void ask(const struct zone *zone, int64_t time)
{
	const char *abbreviation = NULL;
	int offset = 0;
	struct civil local = zone_local(zone, time, &offset, &abbreviation);

	expect(abbreviation && strlen(abbreviation) < 512);
	expect(offset >= -89999 && offset <= 93599 + 3600);
	struct zone_resolution resolution = zone_resolve(zone, local);
	/* A wall clock that was read off an instant exists; its first pass is that instant or an earlier one. */
	expect(resolution.kind != ZONE_SKIPPED);
	expect(resolution.before <= resolution.after);
	if (time > -((int64_t)1 << 54) && time < (int64_t)1 << 54) {
		expect(resolution.before <= time);
		expect(civil_to_seconds(zone_local(zone, resolution.before, NULL, NULL)) == civil_to_seconds(local));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *zone = NULL;
	struct error error;
	int64_t time = 0, end = 0;

	if (size < sizeof time)
		return 0;
	memcpy(&time, data, sizeof time);
	if (zone_parse(data + sizeof time, size - sizeof time, "Fuzz/Zone", &zone, &error) < 0) {
		expect(!zone && error.text[0]);
		return 0;
	}
	static const int64_t places[] = {0, 1711846800, 1798761600, 253402300799, -5000000000};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		ask(zone, places[i]);
	ask(zone, time);
	for (int day = 1; day <= 31; day++) {
		struct civil civil = {
			(int)(1970 + (uint64_t)time % 400), 1 + (int)((uint64_t)time % 12), day, 2, 30, 0};
		zone_resolve(zone, civil);
	}
	expect(zone_date_end(zone, "2027-03-28", &end, &error) == 0);
	zone_free(&zone);
	return 0;
}
