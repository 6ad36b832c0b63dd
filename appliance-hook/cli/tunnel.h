/* `tunnel open | close | status | permanent`: the customer's word on whether anybody may come in. Only serve acts on
 * it. */
#ifndef CLI_TUNNEL_H
#define CLI_TUNNEL_H

#include "base/command.h"

int tunnel_open(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int tunnel_close(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int tunnel_status(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int tunnel_permanent(const struct command_line *line, void *context, struct error *error) MUST_CHECK;

#endif
