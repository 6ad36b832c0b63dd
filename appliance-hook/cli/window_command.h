/* `window set | show | clear`: the window that the customer keeps at the appliance. Nothing starts outside it, whatever
 * an order says. */
#ifndef CLI_WINDOW_COMMAND_H
#define CLI_WINDOW_COMMAND_H

#include "base/command.h"

int window_command_set(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int window_command_show(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int window_command_clear(const struct command_line *line, void *context, struct error *error) MUST_CHECK;

#endif
