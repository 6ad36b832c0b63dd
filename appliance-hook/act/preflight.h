/* May this release be switched to, as things stand on this appliance? Each check has a name, a value, a limit and a
 * sentence. Asked at booking, before staging and at the window. */
#ifndef ACT_PREFLIGHT_H
#define ACT_PREFLIGHT_H

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

#define PREFLIGHT_MARGIN (16 * 1024 * 1024) /* bytes that stay free on each file system */

struct preflight_request {
	const char *version;
	uint64_t bytes; /* that staging it from nothing takes; what is staged already is taken off */
	bool data_migration, reboot;
	const struct manifest *manifest; /* NULL: not staged yet */
};

/* All checks, whatever fails: an array of {name, ok, value, limit, text}. Caller owns *ret_checks. */
int preflight_run(const struct layout *layout, const struct journal_state *state,
		  const struct preflight_request *request, json_t **ret_checks, bool *ret_ok,
		  struct error *error) MUST_CHECK;

/* The first check that fails, as an error by its name: ERROR_CANNOT_CREATE for room, otherwise ERROR_NOT_NOW. */
int preflight_require(const struct layout *layout, const struct journal_state *state,
		      const struct preflight_request *request, struct error *error) MUST_CHECK;

#endif
