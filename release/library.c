#include "release/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define REFUSE(error, ...) error_set((error), ERROR_DATA, "library", __VA_ARGS__)

static const struct jsonio_field custom_fields[] = {
	{"product", JSONIO_STRING, true, MANIFEST_NAME_MOST},
	{"version", JSONIO_STRING, true, MANIFEST_NAME_MOST},
	{"sequence", JSONIO_INTEGER, true, INT64_C(1) << 53},
	{"published", JSONIO_STRING, true, 10},
	{"channels", JSONIO_ARRAY, true, LIBRARY_CHANNELS_MOST},
	{"class", JSONIO_STRING, true, 16},
	{"min_from", JSONIO_STRING, false, MANIFEST_NAME_MOST},
	{"stop", JSONIO_BOOLEAN, false},
	{"yanked", JSONIO_OBJECT, false, 16},
	{NULL},
};
static const struct jsonio_field yanked_fields[] = {
	{"reason", JSONIO_STRING, true, 127},
	{"date", JSONIO_STRING, true, 10},
	{NULL},
};

static int parse_date(const char *date, int64_t *ret_time, struct error *error)
{
	char text[CLOCK_UTC_SIZE];
	if (strlen(date) != 10)
		return REFUSE(error, "\"%s\" is no date", date);
	snprintf(text, sizeof(text), "%sT00:00:00Z", date);
	return clock_parse_utc(text, ret_time, error);
}

static int check_channels(const json_t *channels, const char *target, struct error *error)
{
	for (size_t i = 0; i < json_array_size(channels); i++) {
		const char *name = json_string_value(json_array_get(channels, i));
		if (name == NULL || !manifest_name_is_safe(name))
			return REFUSE(error, "target %s has a channel that is no name", target);
	}
	return 0;
}

static int read_release(const json_t *targets, const char *path, struct library_release *ret_release,
			struct error *error)
{
	struct library_release release = {.sequence = -1};
	struct role_target target;
	bool named = false;

	int result = role_target_read(targets, path, &target, &named, error);
	if (result < 0)
		return result;
	if (!named || target.custom == NULL)
		return REFUSE(error, "target %s does not say which release it is", path);
	result = jsonio_check_open(target.custom, custom_fields, path, error);
	if (result < 0)
		return result;
	const char *product = jsonio_string(target.custom, "product"),
		   *version = jsonio_string(target.custom, "version");
	const char *min_from = jsonio_string(target.custom, "min_from"), *class = jsonio_string(target.custom, "class");
	const json_t *yanked = jsonio_member(target.custom, "yanked");

	if (!manifest_name_is_safe(product) || !manifest_name_is_safe(version) ||
	    (min_from != NULL && !manifest_name_is_safe(min_from)))
		return REFUSE(error, "target %s has a product or version that is no name", path);
	snprintf(release.product, sizeof(release.product), "%s", product);
	snprintf(release.version, sizeof(release.version), "%s", version);
	snprintf(release.min_from, sizeof(release.min_from), "%s", min_from != NULL ? min_from : "");
	snprintf(release.target, sizeof(release.target), "%s/%s/manifest.json", product, version);
	if (strcmp(release.target, path) != 0)
		return REFUSE(error, "target %s says that it is %s", path, release.target);
	if (strcmp(class, "feature") != 0 && strcmp(class, "security") != 0)
		return REFUSE(error, "target %s is neither of class feature nor security", path);
	if (target.length <= 0 || target.length > MANIFEST_BYTES_MOST)
		return error_set(error, ERROR_DATA, "length", "target %s has a length out of bounds", path);
	memcpy(release.sha256, target.sha256, HASH_SIZE);
	release.length = target.length;
	release.sequence = jsonio_integer(target.custom, "sequence");
	release.security = strcmp(class, "security") == 0;
	release.stop = jsonio_boolean(target.custom, "stop");
	release.channels = jsonio_member(target.custom, "channels");
	release.yanked = yanked != NULL;
	result = parse_date(jsonio_string(target.custom, "published"), &release.published, error);
	if (result == 0)
		result = check_channels(release.channels, path, error);
	if (result == 0 && yanked != NULL) {
		result = jsonio_check_open(yanked, yanked_fields, path, error);
		if (result == 0)
			snprintf(release.yank_reason, sizeof(release.yank_reason), "%s",
				 jsonio_string(yanked, "reason"));
	}
	if (result < 0)
		return error_prefix(error, "target %s", path);
	*ret_release = release;
	return 0;
}

/* "P/V/manifest.json"; the others (authority.json, …) are no releases. */
static bool is_release(const char *path, const char *product)
{
	const char *slash = strchr(path, '/');
	const char *name = strrchr(path, '/');
	if (slash == NULL || name == slash || strcmp(name, "/manifest.json") != 0)
		return false;
	size_t size = (size_t)(slash - path);
	return product == NULL || (strlen(product) == size && memcmp(product, path, size) == 0);
}

static int by_sequence(const void *a, const void *b)
{
	const struct library_release *x = a, *y = b;
	int order = strcmp(x->product, y->product);
	return order != 0 ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

int library_list(const json_t *targets, const char *product, struct library_release **ret_releases, size_t *ret_count,
		 struct error *error)
{
	const json_t *map = json_object_get(targets, "targets");
	CLEANUP(free_pointer) struct library_release *releases = calloc(json_object_size(map) + 1, sizeof(*releases));
	const char *path;
	json_t *value;
	size_t count = 0;

	if (releases == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the list of releases");
	json_object_foreach((json_t *)(uintptr_t)map, path, value)
	{
		if (!is_release(path, product))
			continue;
		int result = read_release(targets, path, &releases[count], error);
		if (result < 0)
			return result;
		count++;
	}
	qsort(releases, count, sizeof(*releases), by_sequence);
	for (size_t i = 1; i < count; i++)
		if (by_sequence(&releases[i - 1], &releases[i]) == 0)
			return REFUSE(error, "releases %s and %s have the same sequence", releases[i - 1].version,
				      releases[i].version);
	*ret_releases = TAKE(releases);
	*ret_count = count;
	return 0;
}

int library_find(const json_t *targets, const char *product, const char *version, struct library_release *ret_release,
		 struct error *error)
{
	char path[sizeof(ret_release->target)];

	if (!manifest_name_is_safe(product) || !manifest_name_is_safe(version))
		return error_set(error, ERROR_DATA, "unknown-release", "that is no name of a release");
	snprintf(path, sizeof(path), "%s/%s/manifest.json", product, version);
	if (json_object_get(json_object_get(targets, "targets"), path) == NULL)
		return error_set(error, ERROR_DATA, "unknown-release", "%s %s is not among the published releases",
				 product, version);
	return read_release(targets, path, ret_release, error);
}

static const struct library_release *pick(const struct library_release *releases, size_t count, const char *version)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(releases[i].version, version) == 0)
			return &releases[i];
	return NULL;
}

int library_path_allows(const json_t *targets, const char *product, const char *from, const char *to,
			struct error *error)
{
	CLEANUP(free_pointer) struct library_release *releases = NULL;
	size_t count = 0;

	int result = library_list(targets, product, &releases, &count, error);
	if (result < 0)
		return result;
	const struct library_release *start = pick(releases, count, from), *end = pick(releases, count, to);
	if (start == NULL || end == NULL)
		return error_set(error, ERROR_DATA, "unknown-release", "%s %s is not among the published releases",
				 product, end == NULL ? to : from);
	if (end->yanked)
		return error_set(error, ERROR_DATA, "yanked", "%s %s was withdrawn (%s); choose another version",
				 product, to, end->yank_reason);
	if (end->sequence < start->sequence)
		return error_set(error, ERROR_DATA, "older",
				 "%s %s is older than %s, which runs; upgrades never go back", product, to, from);
	if (end->min_from[0] != '\0') {
		const struct library_release *least = pick(releases, count, end->min_from);
		if (least == NULL || start->sequence < least->sequence)
			return error_set(error, ERROR_DATA, "min-from",
					 "%s %s installs over %s or newer, not over %s; go to %s "
					 "first",
					 product, to, end->min_from, from, end->min_from);
	}
	for (size_t i = 0; i < count; i++)
		if (releases[i].stop && !releases[i].yanked && releases[i].sequence > start->sequence &&
		    releases[i].sequence < end->sequence)
			return error_set(error, ERROR_DATA, "stop",
					 "%s %s must not be skipped on the way from %s to %s; go to %s "
					 "first",
					 product, releases[i].version, from, to, releases[i].version);
	return 0;
}
