/* `join CODE`: the appliance makes its own key, shows it once to the hub that the code names, and pins that hub. */
#ifndef CLI_JOIN_H
#define CLI_JOIN_H

#include "base/command.h"

int join_command(const struct command_line *line, void *context, struct error *error) MUST_CHECK;

#endif
