/* The window that the customer set at the appliance itself: nothing starts outside it, whatever an order says. */
#ifndef CHECK_OWNWINDOW_H
#define CHECK_OWNWINDOW_H

#include "schedules/window.h"

#define OWNWINDOW_FILE "window.ini" /* in STATE/PRODUCT */
#define OWNWINDOW_MOST (64 * 1024)

/* When a run may start and must end, UTC. */
struct ownwindow {
	bool is_set; /* false: no window at this appliance, the rest is zero */
	int64_t start, end, last_start;
	bool finish; /* overrun = finish */
};
/* ERROR_NOT_NOW "window" outside it, naming when the next one opens. A file that cannot be read is a refusal. `need` is
 * seconds for the upgrade and its rollback. */
int ownwindow_open(int product, int64_t need, bool security, int64_t now, struct ownwindow *ret_window,
		   struct error *error) MUST_CHECK;

#endif
