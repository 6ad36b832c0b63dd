#include "base/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/inifile.h"

#define CONFIG_STRING_MOST  190
#define CONFIG_DROPINS_MOST 100

struct loader {
	const struct config_key *keys;
	void *target;
	config_family *family;
	const char *base; /* directory of the main file, for relative paths */
	bool *given;      /* a flag a row, for the required ones */
};

static int parse_scaled(const char *text, const char *units, const int64_t *factors, int64_t *ret_number)
{
	char *end = NULL;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	int64_t number = strtoll(text, &end, 10);
	if (errno)
		return -1;
	if (*end) {
		const char *unit = strchr(units, *end);
		if (!unit || end[1] || number > INT64_MAX / factors[unit - units])
			return -1;
		number *= factors[unit - units];
	}
	*ret_number = number;
	return 0;
}

int config_parse_seconds(const char *text, int64_t *ret_seconds, struct error *error)
{
	static const int64_t factors[] = {1, 60, 3600, 86400, 604800};

	if (parse_scaled(text, "smhdw", factors, ret_seconds) < 0)
		return error_set(error, ERROR_USAGE, "duration", "\"%.40s\" is not a duration like 90s, 45m, 8h or 2d",
				 text);
	return 0;
}

static int store_number(const struct config_key *key, const char *value, void *slot, struct error *error)
{
	static const int64_t bytes[] = {1024, 1024 * 1024, 1024LL * 1024 * 1024};
	static const int64_t none[] = {0};
	int64_t number = 0;
	struct error ignored;
	int status = key->type == CONFIG_SECONDS ? config_parse_seconds(value, &number, &ignored)
		     : key->type == CONFIG_BYTES ? parse_scaled(value, "KMG", bytes, &number)
						 : parse_scaled(value, "", none, &number);

	if (status < 0 || number < key->least || number > key->most)
		return error_set(error, ERROR_CONFIG, "value", "[%s] %s = \"%s\" is not a number from %lld to %lld",
				 key->section, key->key, value, (long long)key->least, (long long)key->most);
	*(int64_t *)slot = number;
	return 0;
}

static int store_text(const struct config_key *key, const char *base, const char *value, char **slot,
		      struct error *error)
{
	size_t most = key->most > 0 ? (size_t)key->most : CONFIG_STRING_MOST;

	if (strlen(value) > most)
		return error_set(error, ERROR_CONFIG, "value", "[%s] %s is longer than %zu bytes", key->section,
				 key->key, most);
	char *text = key->type == CONFIG_PATH && value[0] && value[0] != '/' ? file_join(base, value) : strdup(value);
	if (!text)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the configuration");
	free(*slot);
	*slot = text;
	return 0;
}

static int store_value(const struct config_key *key, const char *base, const char *value, void *target,
		       struct error *error)
{
	void *slot = (char *)target + key->offset;

	switch (key->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		return store_text(key, base, value, slot, error);
	case CONFIG_INTEGER:
	case CONFIG_SECONDS:
	case CONFIG_BYTES:
		return store_number(key, value, slot, error);
	case CONFIG_BOOLEAN:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return error_set(error, ERROR_CONFIG, "value", "[%s] %s = \"%s\" is neither yes nor no",
					 key->section, key->key, value);
		*(bool *)slot = value[0] == 'y';
		return 0;
	case CONFIG_CHOICE:
		for (int i = 0; key->choices[i]; i++)
			if (strcmp(value, key->choices[i]) == 0) {
				*(int *)slot = i;
				return 0;
			}
		break;
	}
	char list[160] = "";
	for (int i = 0; key->choices && key->choices[i]; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", key->choices[i]);
	return error_set(error, ERROR_CONFIG, "value", "[%s] %s = \"%s\" is none of: %s", key->section, key->key, value,
			 list);
}

/* Whether `section` is of the row's: the same, or "probe web" for a row of "probe *". *ret_name is the family's member.
 */
static bool section_matches(const char *row, const char *section, const char **ret_name)
{
	size_t length = strlen(row);

	*ret_name = NULL;
	if (length < 2 || row[length - 1] != '*')
		return strcmp(row, section) == 0;
	if (strncmp(row, section, length - 1) != 0 || !section[length - 1])
		return false;
	*ret_name = section + length - 1;
	return true;
}

static int set_defaults(const struct config_key *keys, const char *family, const char *base, void *target,
			struct error *error)
{
	int status = 0;

	for (const struct config_key *key = keys; status == 0 && key->section; key++) {
		bool is_family = key->section[strlen(key->section) - 1] == '*';
		if (is_family != (family != NULL) || (family && strcmp(family, key->section) != 0) || !key->fallback)
			continue;
		if (!key->fallback[0] && key->type != CONFIG_STRING && key->type != CONFIG_PATH)
			continue;
		status = store_value(key, base, key->fallback, target, error);
	}
	return status;
}

static int take_pair(void *context, const char *section, const char *name, const char *value, unsigned line UNUSED,
		     struct error *error)
{
	struct loader *loader = context;
	bool section_known = false;

	for (size_t i = 0; loader->keys[i].section; i++) {
		const struct config_key *key = &loader->keys[i];
		const char *member = NULL;
		if (!section_matches(key->section, section, &member))
			continue;
		void *target = loader->target;
		if (member && !section_known) {
			struct error why = {0};
			target = loader->family(loader->target, key->section, member, &why);
			if (!target) {
				*error = why;
				return -1;
			}
		}
		section_known = true;
		if (!name)
			return 0;
		if (strcmp(name, key->key) != 0)
			continue;
		if (member)
			target = loader->family(loader->target, key->section, member, error);
		loader->given[i] = true;
		return target ? store_value(key, loader->base, value, target, error) : -1;
	}
	if (!section_known)
		return error_set(error, ERROR_CONFIG, "unknown-key", "there is no section [%s]", section);
	return error_set(error, ERROR_CONFIG, "unknown-key", "section [%s] has no key \"%s\"", section, name);
}

static int load_file(struct loader *loader, int directory, const char *path, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(INIFILE_SIZE_MOST);
	int status = file_read_at(directory, path, &text, error);

	if (status < 0) {
		error->code = ERROR_CONFIG;
		return -ERROR_CONFIG;
	}
	return inifile_parse((const char *)(text.data ? text.data : (const uint8_t *)""), text.size, path, ERROR_CONFIG,
			     take_pair, loader, error);
}

static int is_dropin(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int compare_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_dropins(struct loader *loader, const char *path, struct error *error)
{
	char directory[4096];
	struct dirent **entries = NULL;
	int status = 0;

	snprintf(directory, sizeof directory, "%s.d", path);
	int count = scandir(directory, &entries, is_dropin, compare_bytes);
	/* A drop-in that cannot be read may be the one that forbids something. */
	if (count < 0 && errno != ENOENT && errno != ENOTDIR)
		status = error_set_errno(error, ERROR_CONFIG, "read", "%s cannot be listed", directory);
	if (count > CONFIG_DROPINS_MOST)
		status = error_set(error, ERROR_CONFIG, "length", "%s holds more than %d files", directory,
				   CONFIG_DROPINS_MOST);
	for (int i = 0; i < count; i++) {
		CLEANUP(free_pointer) char *file = file_join(directory, entries[i]->d_name);
		if (status == 0)
			status = file ? load_file(loader, AT_FDCWD, file, error)
				      : error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
		free(entries[i]);
	}
	free(entries);
	return status;
}

int config_load(const char *path, const struct config_key *keys, void *target, config_family *family,
		struct error *error)
{
	size_t rows = 0;
	CLEANUP(free_pointer) char *whole = realpath(path, NULL);
	CLEANUP(free_pointer) bool *given = NULL;

	while (keys[rows].section)
		rows++;
	if (!whole)
		return error_set_errno(error, ERROR_CONFIG, "missing", "configuration %s cannot be opened", path);
	given = calloc(rows + 1, sizeof *given);
	CLEANUP(free_pointer) char *base = strdup(whole);
	if (!given || !base)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the configuration");
	*strrchr(base, '/') = 0;
	struct loader loader = {
		.keys = keys, .target = target, .family = family, .base = base[0] ? base : "/", .given = given};
	int status = set_defaults(keys, NULL, loader.base, target, error);
	if (status == 0)
		status = load_file(&loader, AT_FDCWD, whole, error);
	if (status == 0)
		status = load_dropins(&loader, whole, error);
	for (size_t i = 0; status == 0 && i < rows; i++)
		if (!keys[i].fallback && !given[i] && keys[i].section[strlen(keys[i].section) - 1] != '*')
			status = error_set(error, ERROR_CONFIG, "missing-key", "%s: section [%s] must say \"%s\" (%s)",
					   path, keys[i].section, keys[i].key, keys[i].help);
	return status;
}

int config_set_defaults(const struct config_key *keys, const char *family, void *target, struct error *error)
{
	return set_defaults(keys, family, "/", target, error);
}

void config_free(const struct config_key *keys, const char *family, void *target)
{
	for (const struct config_key *key = keys; key->section; key++) {
		bool is_family = key->section[strlen(key->section) - 1] == '*';
		if (is_family != (family != NULL) || (family && strcmp(family, key->section) != 0) ||
		    (key->type != CONFIG_STRING && key->type != CONFIG_PATH))
			continue;
		char **slot = (char **)((char *)target + key->offset);
		free(*slot);
		*slot = NULL;
	}
}
