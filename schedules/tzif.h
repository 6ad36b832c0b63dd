/* The table of a TZif file, versions 1 to 4 (RFC 9636). Foreign bytes: every count is bounded before it is used. */
#ifndef SCHEDULES_TZIF_H
#define SCHEDULES_TZIF_H

#include "schedules/posixtz.h"

#define TZIF_SIZE_MOST          (256 * 1024)
#define TZIF_TRANSITIONS_MOST   8192
#define TZIF_TYPES_MOST         256
#define TZIF_ABBREVIATIONS_MOST 512

struct tzif_type {
	int32_t offset;       /* seconds east, -89,999 to 93,599 */
	uint8_t abbreviation; /* where it starts in `abbreviations` */
};

struct tzif {
	size_t count;
	int64_t *times;      /* UTC, strictly ascending */
	uint8_t *time_types; /* the type from times[i] on; before the first it is type 0 */
	size_t type_count;
	struct tzif_type types[TZIF_TYPES_MOST];
	char abbreviations[TZIF_ABBREVIATIONS_MOST + 1];
	bool has_rule;
	struct posixtz rule; /* for the times after the last transition */
};

/* ERROR_DATA "zone" with the reason. Files that count leap seconds are refused. */
int tzif_parse(const void *bytes, size_t size, const char *name, struct tzif **ret_file,
	       struct error *error) MUST_CHECK;
void tzif_free(struct tzif **file);

#endif
