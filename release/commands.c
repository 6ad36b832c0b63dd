#include "release/commands.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "keys/role.h"
#include "release/inspect.h"
#include "release/pack.h"
#include "release/verify.h"

struct key_passphrase commands_passphrase(const struct command_line *line)
{
	return (struct key_passphrase){.file = command_option(line, "--passphrase-file")};
}

/* Names and values, two spaces a level; strings keep to their line. */
static void print_value(const char *name, const json_t *value, int depth)
{
	const char *key;
	json_t *member;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		printf("%*s%s:\n", 2 * depth, "", name);
		json_object_foreach((json_t *)(uintptr_t)value, key, member) print_value(key, member, depth + 1);
		break;
	case JSON_ARRAY:
		printf("%*s%s:%s\n", 2 * depth, "", name, json_array_size(value) == 0 ? " none" : "");
		for (size_t i = 0; i < json_array_size(value); i++)
			print_value("-", json_array_get(value, i), depth + 1);
		break;
	case JSON_STRING:
		printf("%*s%s: %s\n", 2 * depth, "", name, json_string_value(value));
		break;
	case JSON_INTEGER:
		printf("%*s%s: %lld\n", 2 * depth, "", name, (long long)json_integer_value(value));
		break;
	default:
		printf("%*s%s: %s\n", 2 * depth, "", name, json_is_true(value) ? "yes" : "no");
	}
}

int commands_print(const struct command_line *line, const json_t *report, struct error *error)
{
	CLEANUP(buffer_free) struct buffer text = BUFFER_INIT(0);
	const char *key;
	json_t *member;

	if (!command_flag(line, "--json")) {
		json_object_foreach((json_t *)(uintptr_t)report, key, member) print_value(key, member, 0);
		return 0;
	}
	if (jsonio_write(report, true, &text, error) < 0)
		return (int)error->code;
	printf("%s", (const char *)text.data);
	return 0;
}

int commands_key_new(const struct command_line *line, void *context, struct error *error)
{
	struct key_passphrase passphrase = commands_passphrase(line);
	CLEANUP(key_free) struct key *key = NULL;
	CLEANUP(free_pointer) char *public_path = NULL;
	const char *path = command_argument(line, 0);

	(void)context;
	passphrase.confirm = true;
	int result = key_secret_create(path, command_flag(line, "--no-passphrase") ? NULL : &passphrase, error);
	if (result == 0 && asprintf(&public_path, "%s.pub", path) < 0)
		result = error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	if (result == 0)
		result = key_read_file(public_path, &key, error);
	if (result < 0)
		return (int)error->code;
	printf("%s\n", key_id(key));
	fprintf(stderr, "%s keep secret, %s give away\n", path, public_path);
	return 0;
}

static void show_progress(void *context, size_t done, size_t count)
{
	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rcompressed %zu of %zu blobs%s", done, count, done == count ? "\n" : "");
}

static int read_seconds(const struct command_line *line, const char *option, int64_t *ret_seconds, struct error *error)
{
	const char *text = command_option(line, option);
	if (text == NULL)
		return 0;
	int result = config_parse_seconds(text, ret_seconds, error);
	if (result < 0 || *ret_seconds < 1 || *ret_seconds > 7 * 86400)
		return error_set(error, ERROR_USAGE, "usage", "%s takes 1s to 7d, not \"%.40s\"", option, text);
	return 0;
}

int commands_pack(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(manifest_free) struct manifest *manifest = NULL;
	const char *class = command_option(line, "--class");
	struct pack_options options = {
		.input = command_argument(line, 0),
		.output = command_option(line, "-o"),
		.product = command_option(line, "--product"),
		.version = command_option(line, "--version"),
		.min_from = command_option(line, "--min-from"),
		.hooks = command_option(line, "--hooks"),
		.notes = command_option(line, "--notes"),
		.sbom = command_option(line, "--sbom"),
		.security = class != NULL && strcmp(class, "security") == 0,
		.stop = command_flag(line, "--stop"),
		.reboot = command_flag(line, "--reboot"),
		.network = command_flag(line, "--network"),
		.data_migration = command_flag(line, "--data-migration"),
		.progress = show_progress,
	};

	(void)context;
	if (class != NULL && strcmp(class, "feature") != 0 && strcmp(class, "security") != 0)
		return -error_set(error, ERROR_USAGE, "usage", "--class is feature or security, not \"%.40s\"", class);
	int result = read_seconds(line, "--apply-time", &options.apply_seconds, error);
	if (result == 0)
		result = read_seconds(line, "--rollback-time", &options.rollback_seconds, error);
	if (result == 0)
		result = pack_run(&options, &manifest, error);
	if (result < 0)
		return (int)error->code;
	uint64_t stored = 0;
	for (size_t i = 0; i < manifest->blob_count; i++)
		stored += manifest->blobs[i].stored;
	printf("%s: %s %s, %zu entries, %zu blobs, %llu bytes\n", options.output, manifest->product, manifest->version,
	       manifest->entry_count, manifest->blob_count, (unsigned long long)stored);
	return 0;
}

int commands_inspect(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(jsonio_free) json_t *report = NULL;
	(void)context;
	return inspect_file(command_argument(line, 0), &report, error) < 0 ? (int)error->code
									   : commands_print(line, report, error);
}

int commands_verify(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(jsonio_free) json_t *report = NULL;

	(void)context;
	int result = file_read_at(AT_FDCWD, command_option(line, "--root"), &root, error);
	if (result == 0)
		result = verify_run(command_argument(line, 0), root.data, root.size, &report, error);
	if (result < 0)
		return (int)error->code;
	if (!json_is_true(json_object_get(report, "timestamp")))
		fprintf(stderr, "there is no timestamp here: whether this is the newest set cannot be told\n");
	return commands_print(line, report, error);
}
