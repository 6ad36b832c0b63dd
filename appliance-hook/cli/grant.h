/* The tunnel's grant: what the customer opened, for how long, and why. Kept in STATE/tunnel.json; a reboot closes it
 * unless it is permanent. */
#ifndef CLI_GRANT_H
#define CLI_GRANT_H

#include "base/clock.h"
#include "base/jsonio.h"

#define GRANT_SCOPE_MOST    32
#define GRANT_REASON_MOST   200
#define GRANT_FOR_DEFAULT   (8 * 60 * 60)
#define GRANT_FOR_MOST      (72 * 60 * 60)
#define GRANT_SCOPE_DEFAULT "status,upgrade"

struct grant {
	bool open, permanent;
	char scope[GRANT_SCOPE_MOST + 1];
	int64_t since, until; /* UTC; until 0: permanent */
	char reason[GRANT_REASON_MOST + 1];
	char boot[CLOCK_BOOT_ID_SIZE];
};

/* Checks words and times: ERROR_USAGE. `seconds` 0: the default. */
int grant_make(const char *scope, int64_t seconds, const char *reason, int64_t now, struct grant *ret_grant,
	       struct error *error) MUST_CHECK;
void grant_make_permanent(int64_t now, struct grant *ret_grant);
bool grant_is_good(const struct grant *grant, int64_t now);

/* What is stored and still good; a closed one when there is none, when its time is over, or when the box was booted
 * since. */
int grant_load(int state, int64_t now, struct grant *ret_grant, struct error *error) MUST_CHECK;
int grant_store(int state, const struct grant *grant, struct error *error) MUST_CHECK;
json_t *grant_json(const struct grant *grant);

#endif
