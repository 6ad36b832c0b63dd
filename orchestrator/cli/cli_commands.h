/* The table of commands, and those of them that are more than one call. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "orchestrator/cli/cli_request.h"

extern const struct command cli_commands[];

/* cli_release.c */
int cli_release_import(const struct command_line *line, void *context, struct error *error);

/* cli_offline.c */
int cli_offline_export(const struct command_line *line, void *context, struct error *error);
int cli_offline_receipts(const struct command_line *line, void *context, struct error *error);

/* cli_window.c */
int cli_window_export(const struct command_line *line, void *context, struct error *error);

/* cli_upgrade.c */
int cli_upgrade_plan(const struct command_line *line, void *context, struct error *error);
int cli_upgrade_watch(const struct command_line *line, void *context, struct error *error);
int cli_upgrade_report(const struct command_line *line, void *context, struct error *error);

#endif
