/* `appliance-hook serve`: the parent of link, check and act, keeper of the tunnel's grant, and what the command line
 * talks to. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "appliance-hook/cli/door.h"
#include "appliance-hook/settings.h"

/* Until SIGTERM or SIGINT. A switch that act has begun goes on after it. */
int serve_run(const struct hook_settings *settings, struct error *error) MUST_CHECK;

/* What is to be installed, and from where. */
struct serve_wish {
	const char *to;     /* NULL: the newest */
	const char *mirror; /* a repository's URL; NULL: the support centre */
	int file;           /* an offline file, borrowed; -1: none. Then the rest counts for nothing */
	bool dry;
};

/* One pull without a running serve: link, check and act for as long as it takes. No tunnel is opened and nobody else is
 * heard. As door_ask. ERROR_NOT_NOW "busy" when a serve runs. */
int serve_once(const struct hook_settings *settings, const struct serve_wish *wish, door_event *event, void *context,
	       json_t **ret_result, struct error *error) MUST_CHECK;

#endif
