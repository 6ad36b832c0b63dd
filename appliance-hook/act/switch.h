/* From the staged release to the committed one, or back. Design section 6. */
#ifndef ACT_SWITCH_H
#define ACT_SWITCH_H

#include "appliance-hook/act/run.h"

struct switch_request {
	const char *upgrade; /* "local-…" for pull and offline: no fence */
	const char *version;
	const char *sha256;             /* of its manifest, hexadecimal */
	int64_t start, end, last_start; /* UTC */
	bool finish;                    /* overrun = finish */
	int64_t fence;
	const char *order_key;
	const char *audit_head; /* "" none */
};

/* Takes the lock for the whole run. A refusal before anything was changed is an error (65, 73, 75); once the product
 * was touched it returns 0 and *ret_result says how it ended. The request of an upgrade that has ended already, under
 * the same fence, gets its result again. */
int switch_run(const struct layout *layout, const struct switch_request *request, run_listener *listener, void *context,
	       struct run_result *ret_result, struct error *error) MUST_CHECK;

#endif
