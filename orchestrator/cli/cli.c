#include "orchestrator/cli/cli.h"

#include "base/log.h"
#include "orchestrator/cli/cli_commands.h"

static const struct command_option options[] = {
	{"--config", "FILE", .help = "nightshiftd.conf; " SETTINGS_DEFAULT_FILE " unless said"},
	{"--json", NULL, .help = "the answer as JSON"},
	{.name = NULL},
};

static const struct command_program program = {
	.name = "nightshift",
	.summary =
		"upgrades appliances at the hour their customers chose. Exit codes: 0 done, 64 usage or an unknown "
		"object, 65 bad data, 69 nightshiftd or a tunnel is unreachable, 73 cannot create, 75 not now, 77 not "
		"permitted or not entitled, 78 configuration",
	.options = options,
	.commands = cli_commands,
};

static void cli_end(struct cli *cli)
{
	if (cli->loaded)
		settings_free(&cli->settings);
}

int cli_main(int argc, char **argv)
{
	CLEANUP(cli_end) struct cli cli = {0};

	log_start("nightshift", LOG_LEVEL_WARNING);
	return command_main(&program, argc, argv, &cli);
}
