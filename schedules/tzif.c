#include "schedules/tzif.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 44
#define TYPE_SIZE   6

/* What is still to be read; `error` speaks of `name`. */
struct reader {
	const uint8_t *at;
	size_t left;
	const char *name;
	struct error *error;
};

struct header {
	char version; /* 0, '2', '3', '4' */
	uint32_t ut_count, standard_count, leap_count, time_count, type_count, abbreviation_size;
};

static int refuse(struct reader *reader, const char *why)
{
	return error_set(reader->error, ERROR_DATA, "zone", "time zone %s: its TZif file %s", reader->name, why);
}

/* The next `size` bytes, or NULL when there are fewer. */
static const uint8_t *take(struct reader *reader, size_t size)
{
	const uint8_t *bytes = reader->at;

	if (size > reader->left)
		return NULL;
	reader->at += size;
	reader->left -= size;
	return bytes;
}

static uint32_t big_endian_32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t big_endian_signed(const uint8_t *bytes, size_t width)
{
	if (width == 4)
		return (int32_t)big_endian_32(bytes);
	return (int64_t)((uint64_t)big_endian_32(bytes) << 32 | big_endian_32(bytes + 4));
}

/* RFC 9636 §3.1. The bounds make every product below fit. */
static int read_header(struct reader *reader, struct header *ret_header)
{
	const uint8_t *bytes = take(reader, HEADER_SIZE);

	if (!bytes || memcmp(bytes, "TZif", 4) != 0)
		return refuse(reader, "does not begin with a TZif header");
	struct header header = {
		.version = (char)bytes[4],
		.ut_count = big_endian_32(bytes + 20),
		.standard_count = big_endian_32(bytes + 24),
		.leap_count = big_endian_32(bytes + 28),
		.time_count = big_endian_32(bytes + 32),
		.type_count = big_endian_32(bytes + 36),
		.abbreviation_size = big_endian_32(bytes + 40),
	};
	if (header.version != 0 && (header.version < '2' || header.version > '4'))
		return refuse(reader, "has a version other than 1 to 4");
	if (header.type_count == 0 || header.type_count > TZIF_TYPES_MOST)
		return refuse(reader, "has no local time type, or more than 256");
	if (header.abbreviation_size == 0 || header.abbreviation_size > TZIF_ABBREVIATIONS_MOST)
		return refuse(reader, "has no abbreviations, or more than 512 bytes of them");
	if (header.time_count > TZIF_TRANSITIONS_MOST || header.leap_count > TZIF_TRANSITIONS_MOST)
		return refuse(reader, "has more than 8,192 transitions");
	if ((header.ut_count != 0 && header.ut_count != header.type_count) ||
	    (header.standard_count != 0 && header.standard_count != header.type_count))
		return refuse(reader, "has indicators that do not fit its types");
	*ret_header = header;
	return 0;
}

static size_t block_size(const struct header *header, size_t width)
{
	return header->time_count * (width + 1) + header->type_count * TYPE_SIZE + header->abbreviation_size +
	       header->leap_count * (width + 4) + header->standard_count + header->ut_count;
}

static int read_transitions(struct reader *reader, const struct header *header, size_t width, struct tzif *file)
{
	const uint8_t *times = take(reader, header->time_count * width);
	const uint8_t *types = take(reader, header->time_count);

	file->count = header->time_count;
	file->times = calloc(file->count + 1, sizeof *file->times);
	file->time_types = calloc(file->count + 1, 1);
	if (!file->times || !file->time_types)
		return error_set(reader->error, ERROR_CANNOT_CREATE, "memory", "no memory for time zone %s",
				 reader->name);
	for (size_t i = 0; i < file->count; i++) {
		file->times[i] = big_endian_signed(times + i * width, width);
		file->time_types[i] = types[i];
		if (i > 0 && file->times[i] <= file->times[i - 1])
			return refuse(reader, "has transitions that do not ascend");
		if (types[i] >= header->type_count)
			return refuse(reader, "has a transition to a type that it lacks");
	}
	return 0;
}

static int read_types(struct reader *reader, const struct header *header, struct tzif *file)
{
	const uint8_t *bytes = take(reader, header->type_count * TYPE_SIZE);
	const uint8_t *abbreviations = take(reader, header->abbreviation_size);

	memcpy(file->abbreviations, abbreviations, header->abbreviation_size);
	file->type_count = header->type_count;
	for (size_t i = 0; i < file->type_count; i++, bytes += TYPE_SIZE) {
		int32_t offset = (int32_t)big_endian_32(bytes);
		if (offset < -89999 || offset > 93599)
			return refuse(reader, "has an offset of more than a day");
		if (bytes[4] > 1)
			return refuse(reader, "has a summer time mark that is neither 0 nor 1");
		if (bytes[5] >= header->abbreviation_size ||
		    !memchr(abbreviations + bytes[5], 0, header->abbreviation_size - bytes[5]))
			return refuse(reader, "has an abbreviation without an end");
		file->types[i] = (struct tzif_type){offset, bytes[5]};
	}
	return 0;
}

/* RFC 9636 §3.2. The caller made sure that the whole block is there. */
static int read_block(struct reader *reader, const struct header *header, size_t width, struct tzif *file)
{
	if (header->leap_count > 0)
		return refuse(reader,
			      "counts leap seconds, which no clock here does; take the zone without \"right/\"");
	int status = read_transitions(reader, header, width, file);
	if (status == 0)
		status = read_types(reader, header, file);
	const uint8_t *standard = take(reader, header->standard_count), *ut = take(reader, header->ut_count);
	for (size_t i = 0; status == 0 && i < header->type_count; i++) {
		unsigned is_standard = header->standard_count ? standard[i] : 0, is_ut = header->ut_count ? ut[i] : 0;
		if (is_standard > 1 || is_ut > is_standard)
			status = refuse(reader, "has indicators that contradict each other");
	}
	return status;
}

/* RFC 9636 §3.3: the rule between two newlines; may be empty. */
static int read_footer(struct reader *reader, char version, struct tzif *file)
{
	if (reader->left < 2 || reader->at[0] != '\n' || reader->at[reader->left - 1] != '\n')
		return refuse(reader, "lacks its footer, or something stands behind it");
	const char *rule = (const char *)reader->at + 1;
	size_t size = reader->left - 2;
	if (size > 0 && !posixtz_parse(rule, size, version, &file->rule))
		return refuse(reader, "has a footer that is no POSIX TZ rule");
	file->has_rule = size > 0;
	return 0;
}

/* From version 2 on the first block is there for old readers and is stepped over. */
static int read_file(struct reader *reader, struct tzif *file)
{
	struct header header;
	size_t width = 4;
	int status = read_header(reader, &header);

	if (status == 0 && header.version != 0) {
		char version = header.version;
		width = 8;
		if (!take(reader, block_size(&header, 4)))
			return refuse(reader, "ends within its first block");
		status = read_header(reader, &header);
		if (status == 0 && header.version != version)
			return refuse(reader, "has two headers of different versions");
	}
	if (status < 0)
		return status;
	if (reader->left < block_size(&header, width))
		return refuse(reader, "is cut short");
	status = read_block(reader, &header, width, file);
	if (status < 0)
		return status;
	if (header.version != 0)
		return read_footer(reader, header.version, file);
	return reader->left == 0 ? 0 : refuse(reader, "has bytes behind its end");
}

int tzif_parse(const void *bytes, size_t size, const char *name, struct tzif **ret_file, struct error *error)
{
	struct reader reader = {.at = bytes, .left = size, .name = name, .error = error};
	CLEANUP(tzif_free) struct tzif *file = calloc(1, sizeof *file);

	if (!file)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for time zone %s", name);
	if (size > TZIF_SIZE_MOST)
		return refuse(&reader, "is longer than 256 KiB");
	int status = read_file(&reader, file);
	if (status == 0)
		*ret_file = TAKE(file);
	return status;
}

void tzif_free(struct tzif **file)
{
	if (!*file)
		return;
	free((*file)->times);
	free((*file)->time_types);
	free(*file);
	*file = NULL;
}
