/* The commands of nightshift-release: one function a row of the table in main.c. */
#ifndef RELEASE_COMMANDS_H
#define RELEASE_COMMANDS_H

#include "base/command.h"
#include "base/jsonio.h"
#include "keys/key.h"
#include "release/repository.h"

typedef int commands_run(const struct command_line *line, void *context, struct error *error);

commands_run commands_key_new, commands_pack, commands_delta, commands_inspect, commands_verify;
commands_run commands_init, commands_add, commands_sign, commands_publish, commands_promote, commands_yank,
	commands_rotate, commands_authority, commands_technicians, commands_status, commands_export;

/* Fills the passphrase source from --passphrase-file. */
struct key_passphrase commands_passphrase(const struct command_line *line);
/* --json or people's text of a report, on stdout. Returns the exit code. */
int commands_print(const struct command_line *line, const json_t *report, struct error *error);
/* What is staged and who is missing, after a change. Returns the exit code. */
int commands_report_staged(struct repository *repository, struct error *error);

#endif
