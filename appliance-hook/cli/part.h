/* link, check and act: how serve starts each, and what each does before its own main. A part begins as serve's user,
 * opens what it may have, then becomes its own user for good. */
#ifndef CLI_PART_H
#define CLI_PART_H

#include <sys/types.h>

#include "appliance-hook/cli/places.h"
#include "appliance-hook/link/link.h"

enum part { PART_LINK, PART_CHECK, PART_ACT, PARTS };
extern const char *const part_titles[PARTS]; /* "appliance-hook: link", … as ps shows them */

/* Starts the part with `fds` at 3, 4, …: link: serve, check, STATE/link, the listening hook.sock (absent: none) ·
 * check: serve, link, act · act: serve, check. */
int part_start(enum part part, const struct hook_settings *settings, const int *fds, size_t fd_count, pid_t *ret_pid,
	       struct error *error) MUST_CHECK;

/* Borrowed from the settings. */
struct link_settings part_link_settings(const struct hook_settings *settings);

/* In the new process: `name` is "link", "check" or "act". Returns when the part ends. */
int part_run(const char *name, const struct hook_settings *settings, struct error *error) MUST_CHECK;

#endif
