/* The hooks of a release: STATE/PRODUCT/hooks/V/{preflight,pre-switch,post-switch,undo}. Closed environment, ten
 * minutes, exit 75 = not now. What they print is kept in STATE/PRODUCT/output/UPGRADE.HOOK. */
#ifndef ACT_HOOKS_H
#define ACT_HOOKS_H

#include "appliance-hook/act/layout.h"

#define HOOKS_TIMEOUT_MS  (10 * 60 * 1000)
#define HOOKS_OUTPUT_MOST (256 * 1024)

struct hooks_call {
	const char *version; /* whose hook */
	const char *hook;    /* "pre-switch" */
	const char *upgrade, *from, *to;
};

/* 0 when it ended well or the release has no such hook. ERROR_NOT_NOW "hook" for exit 75, ERROR_NOT_NOW "timeout",
 * otherwise ERROR_DATA "hook". */
int hooks_run(const struct layout *layout, const struct hooks_call *call, struct error *error) MUST_CHECK;

#endif
