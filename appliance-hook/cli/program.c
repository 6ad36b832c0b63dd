#include "appliance-hook/cli/program.h"

#include "appliance-hook/act/watcher.h"
#include "appliance-hook/cli/join.h"
#include "appliance-hook/cli/local.h"
#include "appliance-hook/cli/part.h"
#include "appliance-hook/cli/serve.h"
#include "appliance-hook/cli/tunnel.h"
#include "appliance-hook/cli/update.h"
#include "appliance-hook/cli/window_command.h"
#include "base/log.h"
#include "base/secret.h"

int program_settings(const struct command_line *line, struct hook_settings *ret_settings, struct error *error)
{
	return hook_settings_load(command_option(line, "--config"), ret_settings, error);
}

static int run_serve(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	return serve_run(&settings, error);
}

/* A part is started by serve with its descriptors in place; anywhere else it ends at its first read. */
static int run_part(const struct command_line *line, void *context UNUSED, struct error *error)
{
	CLEANUP(hook_settings_free) struct hook_settings settings = {0};
	if (program_settings(line, &settings, error) < 0)
		return -(int)error->code;
	return part_run(command_argument(line, 0), &settings, error);
}

static const struct command_option everywhere[] = {
	{"--config", "FILE", .help = "appliance-hook.conf; " HOOK_SETTINGS_DEFAULT_FILE " unless said"},
	{"--json", NULL, .help = "the answer as JSON"},
	{.name = NULL},
};
static const struct command_option adopt_options[] = {
	{"--tree", "DIR", .help = "the tree that stands already; without it the bundle is unpacked"},
	{.name = NULL},
};
static const struct command_option open_options[] = {
	{"--for", "TIME", .help = "45m, 8h (unless said), 72h at most"},
	{"--scope", "LIST", .help = "of status, upgrade, shell; status,upgrade unless said"},
	{"--reason", "TEXT", .help = "for whoever reads the log"},
	{.name = NULL},
};
static const struct command_option pull_options[] = {
	{"--to", "V", .help = "this version and no other"},
	{"--from", "URL", .help = "a mirror of the repository, instead of the support centre"},
	{"--insecure", NULL, .help = "a mirror by plain http:// that is not on this machine"},
	{.name = NULL},
};
static const struct command_option receipt_options[] = {
	{"-o", "FILE", .help = "there; stdout unless said"},
	{.name = NULL},
};
static const struct command_option rollback_options[] = {
	{"--data", "restore", .help = "bring back the snapshot of the data too; says how many hours are lost"},
	{"--yes", NULL, .help = "lose them"},
	{.name = NULL},
};
static const struct command_option clear_options[] = {
	{"--reason", "TEXT", .required = true, .help = "what was mended, kept in the journal"},
	{.name = NULL},
};

/* A command's own function. What it returns decides: a refusal that it met and got over on its way is none. */
struct verb {
	int (*run)(const struct command_line *line, void *context, struct error *error);
};

static int run_verb(const struct command_line *line, void *context, struct error *error)
{
	const struct verb *verb = command_row(line)->data;
	int code = verb->run(line, context, error);
	if (code >= 0)
		*error = (struct error){0};
	return code;
}

#define VERB(function)                                                                                                 \
	run_verb, &(const struct verb)                                                                                 \
	{                                                                                                              \
		function                                                                                               \
	}

/* A row without help is the program's own: not for people. */
static const struct command commands[] = {
	{"adopt", "P-V.bundle", 1, 1, adopt_options, "factory use, once: the version that the box came with",
	 VERB(local_adopt)},
	{"join", "CODE", 1, 1, NULL, "make this appliance's key and join the support centre of the code",
	 VERB(join_command)},
	{"tunnel open", "", 0, 0, open_options, "let the support centre in, for a scope and a time", VERB(tunnel_open)},
	{"tunnel close", "", 0, 0, NULL, "let nobody in, at once", VERB(tunnel_close)},
	{"tunnel status", "", 0, 0, NULL, "whether it is open, for what, since when and until when",
	 VERB(tunnel_status)},
	{"tunnel permanent", "on|off", 1, 1, NULL, "keep it open for status and upgrades", VERB(tunnel_permanent)},
	{"status", "", 0, 0, NULL, "what runs, what was done last, what is quarantined", VERB(local_status)},
	{"check", "", 0, 0, pull_options, "what a pull would install now, check by check", VERB(update_check)},
	{"pull", "", 0, 0, pull_options, "fetch and install what this appliance may have", VERB(update_pull)},
	{"apply", "FILE", 1, 1, NULL, "install from a file that the support centre exported for this appliance",
	 VERB(update_apply)},
	{"rollback", "", 0, 0, rollback_options, "back to the release that ran before", VERB(local_rollback)},
	{"resume", "", 0, 0, NULL, "finish or undo what an interruption left; at boot, before the product",
	 VERB(local_resume)},
	{"clear", "", 0, 0, clear_options, "end `inconsistent`, once the tree was re-hashed and is whole",
	 VERB(local_clear)},
	{"quarantine list", "", 0, 0, NULL, "releases that were rolled back here", VERB(local_quarantine_list)},
	{"quarantine remove", "HASH|V", 1, 1, NULL, "let one be tried again", VERB(local_quarantine_remove)},
	{"window set", "FILE.ini", 1, 1, NULL, "nothing starts here outside these windows", VERB(window_command_set)},
	{"window show", "", 0, 0, NULL, "the next times of this appliance's own window", VERB(window_command_show)},
	{"window clear", "", 0, 0, NULL, "no window of its own", VERB(window_command_clear)},
	{"receipt list", "", 0, 0, NULL, "what each upgrade and rollback did", VERB(local_receipt_list)},
	{"receipt export", "", 0, 0, receipt_options, "the signed ones, for `nightshift receipt import`",
	 VERB(local_receipt_export)},
	{"serve", "", 0, 0, NULL, "run link, check and act, until stopped", VERB(run_serve)},
	{"watch", "UPGRADE PID START DEADLINE", WATCHER_WORDS, WATCHER_WORDS, NULL, "", VERB(local_watch)},
	{"part", "NAME", 1, 1, NULL, "", VERB(run_part)},
	{.words = NULL},
};

static const struct command_program program = {
	.name = "appliance-hook",
	.summary = "the appliance's side of its upgrades. Exit codes: 0 done, 64 usage, 65 bad or unauthorised data, "
		   "69 the "
		   "tunnel is closed or serve is down, 73 cannot create, 75 not now, 77 not entitled, 78 configuration",
	.options = everywhere,
	.commands = commands,
};

int program_main(int argc, char **argv)
{
	struct error error = {0};
	log_start("appliance-hook", LOG_LEVEL_NOTICE);
	if (secret_start(&error) < 0) {
		log_failure("starting", &error);
		return (int)error.code;
	}
	return command_main(&program, argc, argv, NULL);
}
