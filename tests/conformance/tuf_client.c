/* The protocol of the public TUF conformance suite over keys/trust.h and release/mirror.h:
 *
 *   tuf-client --metadata-dir D init ROOT.json
 *   tuf-client --metadata-dir D --metadata-url U refresh
 *   tuf-client --metadata-dir D --metadata-url U --target-name T… --target-base-url B --target-dir X download
 *
 * Exit 0 or 1. As the protocol has it, D/root.json is the anchor, both the one given to `init` and the newest one that
 * was accepted since; an appliance never takes its anchor from a directory that it writes to. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "release/mirror.h"

#define TARGETS_MOST 256
#define NAME_MOST    256

struct call {
	const char *metadata_dir, *metadata_url, *target_base_url, *target_dir, *stall, *authorities;
	const char *targets[TARGETS_MOST];
	size_t target_count;
	const char *command, *argument;
};

struct session {
	int metadata;
	struct mirror *mirror;
	struct trust *trust;
	struct trust_source source;
	int64_t now;
};

static const struct option {
	const char *name;
	size_t offset; /* in struct call */
} options[] = {
	{"--metadata-dir", offsetof(struct call, metadata_dir)},
	{"--metadata-url", offsetof(struct call, metadata_url)},
	{"--target-base-url", offsetof(struct call, target_base_url)},
	{"--target-dir", offsetof(struct call, target_dir)},
	/* Ours: seconds of patience with a slow server, and whom to believe about certificates. */
	{"--stall", offsetof(struct call, stall)},
	{"--authorities", offsetof(struct call, authorities)},
};

static void session_close(struct session *session)
{
	trust_free(&session->trust);
	mirror_free(&session->mirror);
	file_close(&session->metadata);
}

static int run_init(const struct call *call, struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	CLEANUP(file_close) int directory = -1;
	int r = file_read_at(AT_FDCWD, call->argument, &root, error);

	if (!r)
		r = file_open_directory(call->metadata_dir, &directory, error);
	return r ? r : file_replace_at(directory, "root.json", root.data, root.size, 0644, error);
}

/* One updater: the time is fixed once, and so is the connection. */
static int session_open(const struct call *call, struct session *session, struct error *error)
{
	CLEANUP(buffer_free) struct buffer root = BUFFER_INIT(ROLE_ROOT_MOST);
	const struct mirror_settings settings = {
		.metadata_url = call->metadata_url,
		.targets_url = call->target_base_url,
		.stall_seconds = call->stall ? atoi(call->stall) : 0,
		.authorities = call->authorities,
	};
	int r = file_open_directory(call->metadata_dir, &session->metadata, error);

	session->now = clock_now();
	if (!r)
		r = file_read_at(session->metadata, "root.json", &root, error);
	if (!r)
		r = trust_open(session->metadata, root.data, root.size, &session->trust, error);
	if (!r)
		r = mirror_open(&settings, &session->mirror, error);
	if (r)
		return r;
	session->source = mirror_source(session->mirror);
	return trust_refresh(session->trust, session->source, TRUST_ALL, session->now, error);
}

static int run_refresh(const struct call *call, struct error *error)
{
	CLEANUP(session_close) struct session session = {.metadata = -1};

	return session_open(call, &session, error);
}

/* The target's path, percent-quoted, so that it is one name and no path. */
static int file_name(const char *path, char ret_name[static NAME_MOST], struct error *error)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t at = 0;

	for (const char *c = path; *c; c++) {
		if (at + 4 > NAME_MOST)
			return error_set(error, ERROR_DATA, "path", "%.200s is too long for a file name", path);
		if (strchr(plain, *c))
			ret_name[at++] = *c;
		else
			at += (size_t)snprintf(ret_name + at, 4, "%%%02X", (unsigned)(unsigned char)*c);
	}
	ret_name[at] = '\0';
	return 0;
}

static bool is_there_already(int directory, const char *name, const struct role_target *target)
{
	CLEANUP(buffer_free) struct buffer bytes = BUFFER_INIT((size_t)target->length + 1);
	struct error ignored;

	return !file_read_at(directory, name, &bytes, &ignored) &&
	       !role_target_check(target, name, bytes.data, bytes.size, &ignored);
}

static int download(struct session *session, int directory, const char *path, struct error *error)
{
	CLEANUP(buffer_free) struct buffer bytes = {0};
	struct role_target target;
	char name[NAME_MOST];
	bool named;
	int r = trust_target(session->trust, session->source, path, session->now, &target, &named, error);

	if (!r && !named)
		r = error_set(error, ERROR_DATA, "missing", "the repository has no target %.200s", path);
	if (!r)
		r = file_name(path, name, error);
	if (r || is_there_already(directory, name, &target))
		return r;
	r = trust_fetch_target(session->trust, session->source, path, &target, &bytes, error);
	return r ? r : file_replace_at(directory, name, bytes.data, bytes.size, 0644, error);
}

static int run_download(const struct call *call, struct error *error)
{
	CLEANUP(session_close) struct session session = {.metadata = -1};
	CLEANUP(file_close) int directory = -1;
	int r = file_open_directory(call->target_dir, &directory, error);

	if (!r)
		r = session_open(call, &session, error);
	for (size_t i = 0; !r && i < call->target_count; i++)
		r = download(&session, directory, call->targets[i], error);
	return r;
}

static const struct command {
	const char *name;
	int (*run)(const struct call *call, struct error *error);
	bool wants_argument, wants_url, wants_targets;
} commands[] = {
	{"init", run_init, .wants_argument = true},
	{"refresh", run_refresh, .wants_url = true},
	{"download", run_download, .wants_url = true, .wants_targets = true},
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* "--target-name A --target-name B" and "--target-name A B" alike. */
static bool take_targets(struct call *call, int argc, char **argv, int *at)
{
	bool first = true;

	while (*at + 1 < argc && (first || (argv[*at + 1][0] != '-' && !find_command(argv[*at + 1])))) {
		if (call->target_count == TARGETS_MOST)
			return false;
		call->targets[call->target_count++] = argv[++*at];
		first = false;
	}
	return !first;
}

static bool take_option(struct call *call, int argc, char **argv, int *at)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(argv[*at], options[i].name) && *at + 1 < argc) {
			*(const char **)((char *)call + options[i].offset) = argv[++*at];
			return true;
		}
	return false;
}

static bool read_call(int argc, char **argv, struct call *call)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--target-name")) {
			if (!take_targets(call, argc, argv, &i))
				return false;
		} else if (!strncmp(argv[i], "--", 2)) {
			if (!take_option(call, argc, argv, &i))
				return false;
		} else if (!call->command) {
			call->command = argv[i];
		} else if (!call->argument) {
			call->argument = argv[i];
		} else {
			return false;
		}
	}
	return call->command && call->metadata_dir;
}

static bool is_complete(const struct call *call, const struct command *command)
{
	return command && !command->wants_argument == !call->argument && (!command->wants_url || call->metadata_url) &&
	       (!command->wants_targets || (call->target_count && call->target_dir && call->target_base_url));
}

int main(int argc, char **argv)
{
	struct call call = {0};
	struct error error = {0};
	const struct command *command = read_call(argc, argv, &call) ? find_command(call.command) : NULL;

	if (!is_complete(&call, command)) {
		fputs("usage: tuf-client --metadata-dir D init ROOT.json\n"
		      "       tuf-client --metadata-dir D --metadata-url U refresh\n"
		      "       tuf-client --metadata-dir D --metadata-url U --target-name T... --target-base-url B "
		      "--target-dir X download\n",
		      stderr);
		return 1;
	}
	if (command->run(&call, &error)) {
		fprintf(stderr, "tuf-client: %s: %s\n", error.name, error.text);
		return 1;
	}
	return 0;
}
