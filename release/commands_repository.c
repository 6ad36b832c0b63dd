#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "release/commands.h"
#include "release/repository.h"

#define KEYS_MOST     64
#define CHANNELS_MOST 16

static int fail(const struct error *error)
{
	return (int)error->code;
}

static bool is_public(const char *path)
{
	size_t size = strlen(path);
	return size > 4 && strcmp(path + size - 4, ".pub") == 0;
}

/* The public half: of K.pub, of K with K.pub beside it, of cmd:K. Its person's name is the file's. */
static int read_public(const char *path, json_t *names, struct key **ret_key, struct error *error)
{
	CLEANUP(free_pointer) char *file = NULL;
	CLEANUP(key_free) struct key *key = NULL;
	const char *plain = strncmp(path, "cmd:", 4) == 0 ? path + 4 : path;

	if (asprintf(&file, "%s%s", plain, is_public(plain) ? "" : ".pub") < 0)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for a path");
	int result = key_read_file(file, &key, error);
	if (result < 0)
		return result;
	char *name = basename(file);
	name[strlen(name) - 4] = '\0';
	/* A name that is no UTF-8 is left out: it is only for messages. */
	if (names != NULL)
		(void)json_object_set_new(names, key_id(key), json_string(name));
	*ret_key = TAKE(key);
	return 0;
}

/* Every value of an option as a key; the threshold of `threshold` (NULL: 1). */
static int read_set(const struct command_line *line, const char *option, const char *threshold, json_t *names,
		    struct key_set *ret_set, struct error *error)
{
	CLEANUP(key_set_free) struct key_set set = {.threshold = 1};
	const char *text = threshold != NULL ? command_option(line, threshold) : NULL;
	const char *path = NULL;

	set.keys = calloc(KEYS_MOST, sizeof(struct key *));
	if (set.keys == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for keys");
	for (int i = 0; (path = command_option_at(line, option, i)) != NULL; i++) {
		if (set.count == KEYS_MOST)
			return error_set(error, ERROR_USAGE, "keys", "%s takes %d keys at most", option, KEYS_MOST);
		int result = read_public(path, names, &set.keys[set.count], error);
		if (result < 0)
			return result;
		set.count++;
	}
	if (text != NULL) {
		char *end = NULL;
		long value = strtol(text, &end, 10);
		if (*text == '\0' || *end != '\0' || value < 1 || value > (long)set.count)
			return error_set(error, ERROR_USAGE, "threshold", "%s is a number from 1 to the %zu keys of %s",
					 threshold, set.count, option);
		set.threshold = (unsigned)value;
	}
	*ret_set = set;
	set = (struct key_set){0};
	return 0;
}

struct secrets {
	struct key_secret *keys[KEYS_MOST];
	size_t count;
};

static void free_secrets(struct secrets *secrets)
{
	for (size_t i = 0; i < secrets->count; i++)
		key_secret_free(&secrets->keys[i]);
}

/* The secret keys among an option's values; public ones are passed over. */
static int load_secrets(const struct command_line *line, const char *option, struct secrets *secrets,
			struct error *error)
{
	const struct key_passphrase passphrase = commands_passphrase(line);
	const char *path = NULL;

	for (int i = 0; (path = command_option_at(line, option, i)) != NULL; i++) {
		if (is_public(path))
			continue;
		if (secrets->count == KEYS_MOST)
			return error_set(error, ERROR_USAGE, "keys", "%s takes %d keys at most", option, KEYS_MOST);
		int result = key_secret_load(path, &passphrase, &secrets->keys[secrets->count], error);
		if (result < 0)
			return result;
		secrets->count++;
	}
	return 0;
}

static int open_for_writing(const struct command_line *line, struct repository **ret_repository, struct error *error)
{
	return repository_open(command_argument(line, 0), REPOSITORY_WRITE, ret_repository, error);
}

/* "signed by alice (…); missing bob (…)" */
static void print_signatures(const char *what, long long version, const json_t *who)
{
	const json_t *missing = json_object_get(who, "missing");
	printf("%s %lld: %lld of %lld signatures", what, version, json_integer_value(json_object_get(who, "count")),
	       json_integer_value(json_object_get(who, "threshold")));
	if (json_integer_value(json_object_get(who, "count")) < json_integer_value(json_object_get(who, "threshold")))
		for (size_t i = 0; i < json_array_size(missing); i++) {
			const json_t *key = json_array_get(missing, i);
			const char *name = json_string_value(json_object_get(key, "name"));
			printf("%s%s%s%.8s%s", i == 0 ? ", missing " : ", ", name != NULL ? name : "",
			       name != NULL ? " (" : "", json_string_value(json_object_get(key, "id")),
			       name != NULL ? ")" : "");
		}
	printf("\n");
}

static void print_staged(const json_t *status)
{
	const json_t *staged = json_object_get(status, "staged");
	const json_t *root = json_object_get(staged, "root"), *targets = json_object_get(staged, "targets");

	if (root != NULL) {
		long long version = json_integer_value(json_object_get(root, "version"));
		if (json_object_get(root, "before") != NULL)
			print_signatures("staged root, by the keys before it,", version,
					 json_object_get(root, "before"));
		print_signatures("staged root", version, json_object_get(root, "own"));
	}
	if (targets != NULL)
		print_signatures("staged targets", json_integer_value(json_object_get(targets, "version")), targets);
}

static void print_roles(const json_t *status)
{
	static const char *const order[] = {"root", "targets", "snapshot", "timestamp"};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const json_t *role = json_object_get(json_object_get(status, "roles"), order[i]);
		if (role == NULL) {
			printf("%-10s none\n", order[i]);
			continue;
		}
		long long days = json_integer_value(json_object_get(role, "days_left"));
		printf("%-10s version %lld, expires %s (%lld days)%s%s\n", order[i],
		       json_integer_value(json_object_get(role, "version")),
		       json_string_value(json_object_get(role, "expires")), days < 0 ? 0 : days,
		       days < 0                                      ? ", EXPIRED"
		       : json_is_true(json_object_get(role, "warn")) ? ", renew soon"
								     : "",
		       json_is_false(json_object_get(role, "signed")) ? ", under its threshold: sign again" : "");
	}
}

static void print_releases(const json_t *status)
{
	const json_t *releases = json_object_get(status, "releases");
	for (size_t i = 0; i < json_array_size(releases); i++) {
		const json_t *release = json_array_get(releases, i);
		const json_t *channels = json_object_get(release, "channels");
		const char *yanked = json_string_value(json_object_get(release, "yanked"));
		printf("%s, published %s, channels", json_string_value(json_object_get(release, "version")),
		       json_string_value(json_object_get(release, "published")));
		for (size_t j = 0; j < json_array_size(channels); j++)
			printf(" %s", json_string_value(json_array_get(channels, j)));
		printf("%s%s%s%s\n", json_is_true(json_object_get(release, "stop")) ? ", stop" : "",
		       json_is_true(json_object_get(release, "staged")) ? ", staged" : "",
		       yanked != NULL ? ", withdrawn: " : "", yanked != NULL ? yanked : "");
	}
}

/* After each change: what is missing until it can be published. */
int commands_report_staged(struct repository *repository, struct error *error)
{
	CLEANUP(jsonio_free) json_t *status = NULL;
	if (repository_status(repository, &status, error) < 0)
		return fail(error);
	print_staged(status);
	return 0;
}

int commands_status(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(jsonio_free) json_t *status = NULL;

	(void)context;
	if (repository_open(command_argument(line, 0), REPOSITORY_READ, &repository, error) < 0 ||
	    repository_status(repository, &status, error) < 0)
		return fail(error);
	if (command_flag(line, "--json"))
		return commands_print(line, status, error);
	printf("product    %s\n", repository_product(repository));
	print_roles(status);
	print_staged(status);
	print_releases(status);
	return 0;
}

struct setup {
	struct repository_setup parts;
	json_t *names;
	struct secrets signers;
};

static void free_setup(struct setup *setup)
{
	for (int kind = 0; kind < ROLE_KINDS; kind++)
		key_set_free(&setup->parts.roles[kind]);
	authority_free(&setup->parts.authority);
	free_secrets(&setup->signers);
	jsonio_free(&setup->names);
}

int commands_init(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(free_setup) struct setup setup = {.names = json_object()};
	CLEANUP(repository_free) struct repository *repository = NULL;
	const struct {
		const char *option, *threshold;
		struct key_set *set;
	} sets[] = {
		{"--root-key", "--root-threshold", &setup.parts.roles[ROLE_ROOT]},
		{"--targets-key", "--targets-threshold", &setup.parts.roles[ROLE_TARGETS]},
		{"--snapshot-key", NULL, &setup.parts.roles[ROLE_SNAPSHOT]},
		{"--timestamp-key", NULL, &setup.parts.roles[ROLE_TIMESTAMP]},
		{"--order-key", NULL, &setup.parts.authority.order},
		{"--entitlement-key", NULL, &setup.parts.authority.entitlement},
	};

	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		if (read_set(line, sets[i].option, sets[i].threshold, setup.names, sets[i].set, error) < 0)
			return fail(error);
	if (load_secrets(line, "--root-key", &setup.signers, error) < 0)
		return fail(error);
	setup.parts.product = command_option(line, "--product");
	setup.parts.names = setup.names;
	setup.parts.signers = setup.signers.keys;
	setup.parts.signer_count = setup.signers.count;
	if (repository_init(command_argument(line, 0), &setup.parts, error) < 0 ||
	    repository_open(command_argument(line, 0), REPOSITORY_READ, &repository, error) < 0)
		return fail(error);
	printf("%s: repository of %s\n", command_argument(line, 0), setup.parts.product);
	return commands_report_staged(repository, error);
}

int commands_add(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	const char *channels[CHANNELS_MOST] = {"stable"};
	struct repository_addition addition = {
		.channels = channels, .channel_count = 1, .published = command_option(line, "--published")};

	(void)context;
	for (int i = 0; command_option_at(line, "--channel", i) != NULL; i++) {
		if (i == CHANNELS_MOST)
			return -error_set(error, ERROR_USAGE, "usage", "--channel may be given %d times",
					  CHANNELS_MOST);
		channels[i] = command_option_at(line, "--channel", i);
		addition.channel_count = (size_t)i + 1;
	}
	if (open_for_writing(line, &repository, error) < 0)
		return fail(error);
	for (int i = 1; i < command_argument_count(line); i++) {
		char version[MANIFEST_NAME_MOST + 1], name[DELTA_NAME_MOST];
		addition.bundle = command_argument(line, i);
		if (repository_is_delta(addition.bundle)) {
			if (repository_add_delta(repository, addition.bundle, name, error) < 0)
				return fail(error);
			printf("staged %s\n", name);
			continue;
		}
		if (repository_add(repository, &addition, version, error) < 0)
			return fail(error);
		printf("staged %s %s\n", repository_product(repository), version);
	}
	return commands_report_staged(repository, error);
}

int commands_sign(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(free_secrets) struct secrets secrets = {0};
	struct repository_signed done;

	(void)context;
	if (load_secrets(line, "--key", &secrets, error) < 0)
		return fail(error);
	if (secrets.count != 1)
		return -error_set(error, ERROR_USAGE, "keys",
				  "--key takes the engineer's secret key, not the .pub file");
	if (open_for_writing(line, &repository, error) < 0 ||
	    repository_sign(repository, secrets.keys[0], command_flag(line, "--renew"), &done, error) < 0)
		return fail(error);
	if (done.renewed)
		printf("nothing was staged: the published targets were staged anew\n");
	if (done.root)
		printf("signed the root%s\n", done.root_stands ? ", which stands now" : "");
	if (done.targets)
		printf("signed the targets%s\n", done.targets_ready ? ", which may be published" : "");
	return commands_report_staged(repository, error);
}

int commands_publish(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(free_secrets) struct secrets snapshot = {0};
	CLEANUP(free_secrets) struct secrets timestamp = {0};
	CLEANUP(jsonio_free) json_t *status = NULL;

	(void)context;
	if (load_secrets(line, "--snapshot-key", &snapshot, error) < 0 ||
	    load_secrets(line, "--timestamp-key", &timestamp, error) < 0 ||
	    open_for_writing(line, &repository, error) < 0)
		return fail(error);
	if (repository_publish(repository, snapshot.keys, snapshot.count,
			       timestamp.count > 0 ? timestamp.keys[0] : NULL, error) < 0 ||
	    repository_status(repository, &status, error) < 0)
		return fail(error);
	print_roles(status);
	if (timestamp.count == 0)
		fprintf(stderr, "no timestamp was issued: the orchestrator's signer does so at import\n");
	return 0;
}

int commands_promote(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	const char *channel = command_option(line, "--channel");

	(void)context;
	if (open_for_writing(line, &repository, error) < 0 ||
	    repository_promote(repository, command_argument(line, 1), channel != NULL ? channel : "stable", error) < 0)
		return fail(error);
	return commands_report_staged(repository, error);
}

int commands_yank(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	const char *reason = command_option(line, "--reason"), *channel = command_option(line, "--channel");
	const char *version = command_argument(line, 1);

	(void)context;
	if (channel != NULL && reason != NULL)
		return -error_set(error, ERROR_USAGE, "usage",
				  "--reason is for a release that is withdrawn altogether, without --channel");
	if (open_for_writing(line, &repository, error) < 0)
		return fail(error);
	int result = channel != NULL ? repository_leave(repository, version, channel, error)
				     : repository_yank(repository, version,
						       reason != NULL ? reason : "withdrawn by the vendor", error);
	return result < 0 ? fail(error) : commands_report_staged(repository, error);
}

int commands_authority(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(authority_free) struct authority change = {0};

	(void)context;
	if (read_set(line, "--order-key", NULL, NULL, &change.order, error) < 0 ||
	    read_set(line, "--entitlement-key", NULL, NULL, &change.entitlement, error) < 0)
		return fail(error);
	if (change.order.count == 0 && change.entitlement.count == 0)
		return -error_set(error, ERROR_USAGE, "usage", "give --order-key, --entitlement-key or both");
	if (open_for_writing(line, &repository, error) < 0 || repository_authority(repository, &change, error) < 0)
		return fail(error);
	return commands_report_staged(repository, error);
}

static int read_role(const struct command_line *line, enum role_kind *ret_role, struct error *error)
{
	const char *name = command_option(line, "--role");
	*ret_role = ROLE_ROOT;
	for (int kind = 0; name != NULL && kind < ROLE_KINDS; kind++)
		if (strcmp(name, role_names[kind]) == 0) {
			*ret_role = (enum role_kind)kind;
			return 0;
		}
	return name == NULL ? 0
			    : error_set(error, ERROR_USAGE, "usage", "--role is root, targets, snapshot or timestamp");
}

/* What --remove names: an id, its beginning, a name, or the key's file. */
static int read_removals(const struct command_line *line, struct key_set *files, const char *ret_ids[static KEYS_MOST],
			 size_t *ret_count, struct error *error)
{
	const char *given = NULL;
	files->keys = calloc(KEYS_MOST, sizeof(struct key *));
	if (files->keys == NULL)
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for keys");
	for (int i = 0; (given = command_option_at(line, "--remove", i)) != NULL; i++) {
		if (i == KEYS_MOST)
			return error_set(error, ERROR_USAGE, "keys", "--remove takes %d keys at most", KEYS_MOST);
		ret_ids[i] = given;
		*ret_count = (size_t)i + 1;
		if (strchr(given, '/') == NULL && !is_public(given))
			continue;
		int result = read_public(given, NULL, &files->keys[files->count], error);
		if (result < 0)
			return result;
		ret_ids[i] = key_id(files->keys[files->count++]);
	}
	return 0;
}

int commands_rotate(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	CLEANUP(jsonio_free) json_t *names = json_object();
	CLEANUP(key_set_free) struct key_set added = {0};
	CLEANUP(key_set_free) struct key_set removed_files = {0};
	const char *removed[KEYS_MOST], *threshold = command_option(line, "--threshold");
	struct repository_rotation rotation = {.remove = removed, .names = names};

	(void)context;
	if (read_role(line, &rotation.role, error) < 0 || read_set(line, "--add", NULL, names, &added, error) < 0 ||
	    read_removals(line, &removed_files, removed, &rotation.remove_count, error) < 0)
		return fail(error);
	if (threshold != NULL) {
		char *end = NULL;
		long value = strtol(threshold, &end, 10);
		if (*threshold == '\0' || *end != '\0' || value < 1 || value > KEYS_MOST)
			return -error_set(error, ERROR_USAGE, "threshold", "--threshold is a number from 1 on");
		rotation.threshold = (unsigned)value;
	}
	rotation.add = added.keys;
	rotation.add_count = added.count;
	if (open_for_writing(line, &repository, error) < 0 || repository_rotate(repository, &rotation, error) < 0)
		return fail(error);
	return commands_report_staged(repository, error);
}

int commands_export(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(repository_free) struct repository *repository = NULL;
	const char *output = command_option(line, "-o");

	(void)context;
	if (repository_open(command_argument(line, 0), REPOSITORY_READ, &repository, error) < 0 ||
	    repository_export(repository, command_argument(line, 1), output, error) < 0)
		return fail(error);
	printf("%s: %s %s with its chain\n", output, repository_product(repository), command_argument(line, 1));
	return 0;
}
