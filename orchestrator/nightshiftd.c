/* nightshiftd: the thin main. Its commands, and the roles that the supervisor starts as `nightshiftd role NAME`. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "base/log.h"
#include "base/secret.h"
#include "orchestrator/api/api.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/hub/hub.h"
#include "orchestrator/import/import.h"
#include "orchestrator/settings.h"
#include "orchestrator/signer/signer.h"
#include "orchestrator/supervisor/init.h"
#include "orchestrator/supervisor/supervisor.h"

static int import_role(int result_fd)
{
	return import_main(result_fd, result_fd + 1, result_fd + 2);
}

static const struct {
	const char *name;
	int (*run)(int supervisor_fd);
} roles[] = {
	{"hub", hub_main}, {"engine", engine_main}, {"api", api_main}, {"signer", signer_main}, {"import", import_role},
};

#define ROLE_FIRST_FD 3

static int run_role(const struct command_line *line, void *context UNUSED, struct error *error)
{
	const char *name = command_argument(line, 0);

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (strcmp(name, roles[i].name) == 0)
			return roles[i].run(ROLE_FIRST_FD);
	return error_set(error, ERROR_USAGE, "usage", "there is no role \"%s\"", name);
}

static int load(const struct command_line *line, struct settings *ret_settings, struct error *error)
{
	int status = secret_start(error);

	return status < 0 ? status : settings_load(command_option(line, "--config"), ret_settings, error);
}

static int init_keys_command(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(settings_free) struct settings settings = {0};
	int status = load(line, &settings, error);

	return status < 0 ? status : init_keys(&settings, error);
}

static int show_keys_command(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(settings_free) struct settings settings = {0};
	int status = load(line, &settings, error);

	return status < 0 ? status : init_show_keys(&settings, error);
}

static int run_daemon(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(settings_free) struct settings settings = {0};
	const char *admin = command_option(line, "--admin"), *login = command_option(line, "--login");
	int status = load(line, &settings, error);

	if (status < 0)
		return status;
	if (command_flag(line, "--init")) {
		if (!admin || !login)
			return error_set(error, ERROR_USAGE, "usage", "--init needs --admin NAME and --login UNIXUSER");
		return init_centre(&settings, admin, login, error);
	}
	if (admin || login)
		return error_set(error, ERROR_USAGE, "usage", "--admin and --login belong to --init");
	if (command_flag(line, "--check")) {
		printf("the configuration is good\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	log_start("nightshiftd", LOG_LEVEL_INFO);
	return supervisor_run(&settings, error);
}

static const struct command_option common[] = {
	{"--config", "FILE", false, false, false, "configuration (" SETTINGS_DEFAULT_FILE ")"},
	{0},
};
static const struct command_option daemon_options[] = {
	{"--check", NULL, false, false, false, "only read the configuration"},
	{"--init", NULL, false, false, false, "make directories, the hub's host key and the store, once"},
	{"--admin", "NAME", false, false, false, "with --init: the first admin"},
	{"--login", "UNIXUSER", false, false, false, "with --init: the admin's unix user"},
	{0},
};
static const struct command commands[] = {
	{"", "", 0, 0, daemon_options, "run the service", run_daemon, NULL},
	{"keys init", "", 0, 0, NULL, "make the order, timestamp and entitlement keys", init_keys_command, NULL},
	{"keys show", "", 0, 0, NULL, "their ids and .pub files, for nightshift-release repo init", show_keys_command,
	 NULL},
	{"role", "NAME", 1, 1, NULL, "", run_role, NULL},
	{0},
};
static const struct command_program program = {
	.name = "nightshiftd",
	.summary = "the support centre's service: hub, api, engine, signer and import as processes of their own",
	.options = common,
	.commands = commands,
};

int main(int argc, char **argv)
{
	return command_main(&program, argc, argv, NULL);
}
