/* `pull` and `check`: the appliance asks for itself, the support centre or a mirror. serve connects, check verifies, act switches. */
#ifndef CLI_UPDATE_H
#define CLI_UPDATE_H

#include "base/command.h"

int update_pull(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
/* What a pull would do now; nothing is fetched but metadata and the manifest. */
int update_check(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
/* The same from a file that was carried here, without a network. */
int update_apply(const struct command_line *line, void *context, struct error *error) MUST_CHECK;

#endif
