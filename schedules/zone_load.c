/* Zones by name from the system's zone data. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "schedules/tzif.h"
#include "schedules/zone.h"

#define INDEX_SIZE_MOST (2 * 1024 * 1024)

static const char *zone_directory(void)
{
	const char *directory = getenv("TZDIR");

	return directory && directory[0] == '/' ? directory : "/usr/share/zoneinfo";
}

/* Components of letters, digits, '+', '-' and '_' that begin with a letter: no dots, so none climbs. "localtime" and
 * "posixrules" are whatever this machine is set to, not a customer's zone. */
static bool name_is_safe(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_";

	if (strlen(name) > ZONE_NAME_MOST || strcmp(name, "localtime") == 0 || strcmp(name, "posixrules") == 0)
		return false;
	for (;;) {
		size_t size = strspn(name, others);
		if (size == 0 || !strchr(letters, name[0]))
			return false;
		if (name[size] == 0)
			return true;
		if (name[size] != '/')
			return false;
		name += size + 1;
	}
}

/* Links are followed: zone data is full of them, and its directory is the administrator's. O_NONBLOCK, so that a FIFO
 * does not hold us. */
static int read_file(const char *file_name, struct buffer *ret_content, struct error *error)
{
	CLEANUP(free_pointer) char *path = file_join(zone_directory(), file_name);
	CLEANUP(file_close) int fd = -1;
	struct stat status;

	if (!path)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for time zone %s", file_name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return error_set(error, ERROR_DATA, "missing", "%s is missing", path);
	if (fd < 0)
		return error_set_errno(error, ERROR_DATA, "zone", "cannot read %s", path);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return error_set(error, ERROR_DATA, "missing", "%s is no file", path);
	return file_read_fd(fd, path, ret_content, error);
}

/* Calls `found` with each zone's name in tzdata.zi ("Z NAME offset …" and "L TARGET NAME") until it returns true. */
static void each_name(bool (*found)(void *context, const char *name), void *context)
{
	CLEANUP(buffer_free) struct buffer index = BUFFER_INIT(INDEX_SIZE_MOST);
	struct error ignored;
	char *rest = NULL;

	if (read_file("tzdata.zi", &index, &ignored) < 0 || !index.data)
		return;
	for (char *line = strtok_r((char *)index.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char name[ZONE_NAME_MOST + 1];
		const char *form = line[0] == 'Z' ? "Z %64[^ ]" : line[0] == 'L' ? "L %*s %64[^ ]" : NULL;
		if (form && sscanf(line, form, name) == 1 && found(context, name))
			return;
	}
}

/* How many letters must be changed, put in or left out to make one of the other; letter case does not count. */
static size_t distance(const char *a, const char *b)
{
	size_t row[ZONE_NAME_MOST + 1];
	size_t width = strlen(b);

	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 1; j <= width; j++) {
			size_t changed = diagonal + (strncasecmp(&a[i], &b[j - 1], 1) != 0);
			diagonal = row[j];
			size_t added = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = changed < added ? changed : added;
		}
	}
	return row[width];
}

struct nearest {
	const char *wanted;
	char name[ZONE_NAME_MOST + 1];
	size_t distance;
};

static bool compare(void *context, const char *name)
{
	struct nearest *nearest = context;
	const char *city = strrchr(name, '/');
	size_t here = distance(nearest->wanted, name);

	/* "London" is near to Europe/London. */
	if (city && !strchr(nearest->wanted, '/') && strcasecmp(city + 1, nearest->wanted) == 0)
		here = 0;
	if (here < nearest->distance) {
		nearest->distance = here;
		snprintf(nearest->name, sizeof nearest->name, "%s", name);
	}
	return here == 0;
}

static int refuse_unknown(const char *name, struct error *error)
{
	struct nearest nearest = {.wanted = name, .distance = 4};

	each_name(compare, &nearest);
	if (nearest.name[0])
		return error_set(error, ERROR_DATA, "zone", "there is no time zone \"%s\"; the nearest name is %s",
				 name, nearest.name);
	return error_set(error, ERROR_DATA, "zone",
			 "there is no time zone \"%s\"; names are like Europe/London, and %s must hold the zone data",
			 name, zone_directory());
}

int zone_load(const char *name, struct zone **ret_zone, struct error *error)
{
	CLEANUP(buffer_free) struct buffer content = BUFFER_INIT(TZIF_SIZE_MOST);
	struct error why;

	if (!name_is_safe(name))
		return error_set(error, ERROR_DATA, "zone",
				 "\"%s\" is no name of a time zone; names are like Europe/London",
				 strlen(name) <= ZONE_NAME_MOST ? name : "…");
	int status = read_file(name, &content, &why);
	if (status < 0 && strcmp(why.name, "missing") == 0)
		return refuse_unknown(name, error);
	if (status < 0) {
		*error = why;
		return status;
	}
	return zone_parse(content.data ? content.data : (const uint8_t *)"", content.size, name, ret_zone, error);
}

/* tzdata.zi begins "# version 2026f". */
void zone_data_version(char ret_version[static 16])
{
	CLEANUP(free_pointer) char *path = file_join(zone_directory(), "tzdata.zi");
	FILE *file = path ? fopen(path, "re") : NULL;
	char version[16];

	snprintf(ret_version, 16, "unknown");
	if (!file)
		return;
	if (fscanf(file, "# version %15[0-9a-zA-Z.+-]", version) == 1)
		snprintf(ret_version, 16, "%s", version);
	fclose(file);
}
