/* TZif files made by hand, for what the installed zone data does not hold. */
#ifndef TESTS_SCHEDULES_TZFILE_H
#define TESTS_SCHEDULES_TZFILE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct tzfile {
	uint8_t bytes[1024];
	size_t size;
};

static inline void tzfile_put(struct tzfile *file, const void *bytes, size_t size)
{
	memcpy(file->bytes + file->size, bytes, size);
	file->size += size;
}

static inline void tzfile_number(struct tzfile *file, uint64_t number, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		uint8_t byte = (uint8_t)(number >> 8 * i);
		tzfile_put(file, &byte, 1);
	}
}

static inline void tzfile_header(struct tzfile *file, char version, uint32_t times, uint32_t types, uint32_t chars)
{
	uint32_t counts[] = {0, 0, 0, times, types, chars};

	tzfile_put(file, "TZif", 4);
	tzfile_put(file, &version, 1);
	tzfile_put(file, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
	for (size_t i = 0; i < 6; i++)
		tzfile_number(file, counts[i], 4);
}

static inline void tzfile_type(struct tzfile *file, int32_t offset, uint8_t summer, uint8_t abbreviation)
{
	tzfile_number(file, (uint32_t)offset, 4);
	tzfile_put(file, &summer, 1);
	tzfile_put(file, &abbreviation, 1);
}

/* No transitions, UTC before the footer, as `zic -b slim` writes a zone of one rule. */
static inline struct tzfile tzfile_of_rule(char version, const char *rule)
{
	struct tzfile file = {.size = 0};

	for (int block = 0; block < 2; block++) {
		tzfile_header(&file, version, 0, 1, 4);
		tzfile_type(&file, 0, 0, 0);
		tzfile_put(&file, "LMT", 4);
	}
	tzfile_put(&file, "\n", 1);
	tzfile_put(&file, rule, strlen(rule));
	tzfile_put(&file, "\n", 1);
	return file;
}

#endif
