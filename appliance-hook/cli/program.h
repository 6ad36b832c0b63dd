/* The `appliance-hook` program: its commands as a table. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include "appliance-hook/settings.h"
#include "base/command.h"

int program_main(int argc, char **argv);

/* The settings that --config names, loaded anew; free with hook_settings_free. */
int program_settings(const struct command_line *line, struct hook_settings *ret_settings,
		     struct error *error) MUST_CHECK;

#endif
