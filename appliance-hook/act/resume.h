/* What an interruption left is brought to whole old or whole new; and the word of a person that an inconsistent
 * appliance was mended. */
#ifndef ACT_RESUME_H
#define ACT_RESUME_H

#include "appliance-hook/act/run.h"

struct resume_report {
	bool acted;                 /* something was open */
	bool goes_on;               /* and still is: the machine came back, a watcher looks at units and health */
	enum journal_stage outcome; /* of it */
	char version[LAYOUT_VERSION_SIZE]; /* that stands now */
	char text[2 * JOURNAL_TEXT_SIZE];  /* what was done and why, one sentence */
};

/* Called at boot before the product's units, and by hand; any number of times. Waits at most `wait_ms` for the lock. A
 * run whose health was found good is committed; one that restarted the machine and came back goes on; every other one
 * goes back. What needs the product's units or the tunnel is left to a watcher, for both are started after this. */
int resume_run(const struct layout *layout, int wait_ms, struct resume_report *ret_report,
	       struct error *error) MUST_CHECK;

/* The watcher's own: to the end. */
int resume_to_end(const struct layout *layout, int wait_ms, struct resume_report *ret_report,
		  struct error *error) MUST_CHECK;

/* Ends `inconsistent`, or sets a damaged journal aside, once the tree that `current` names has been re-hashed and is
 * whole (ERROR_DATA "tree" otherwise). `reason` is kept in the journal. */
int resume_clear(const struct layout *layout, const char *reason, struct error *error) MUST_CHECK;

#endif
