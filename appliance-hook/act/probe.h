/* Is the product well? Each try runs in a process of its own without privileges where it opens a connection, so that
 * act itself never holds a network socket and never reads what a product answers over one. */
#ifndef ACT_PROBE_H
#define ACT_PROBE_H

#include "appliance-hook/settings.h"

#define PROBE_TRY_MS 10000 /* the longest that one try may take */

/* One try. ERROR_NOT_NOW "health" says what was wrong. `version` replaces "{version}". */
int probe_try(const struct hook_settings *settings, const struct hook_probe *probe, const char *version,
	      int64_t timeout_ms, struct error *error) MUST_CHECK;

/* Every probe once, for preflight. */
int probe_all_once(const struct hook_settings *settings, const char *version, struct error *error) MUST_CHECK;

/* Every probe good `times` in a row before its deadline, counted from now; `until` (clock_ticks_ms, INT64_MAX: none) ends it
 * earlier with ERROR_NOT_NOW "window". ERROR_NOT_NOW "health" names the probe. */
int probe_wait(const struct hook_settings *settings, const char *version, int64_t until,
	       struct error *error) MUST_CHECK;

#endif
