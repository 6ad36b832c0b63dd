/* The way back: by itself before a commit, on request after one. Needs neither entitlement nor tunnel nor window. */
#ifndef ACT_ROLLBACK_H
#define ACT_ROLLBACK_H

#include "appliance-hook/act/run.h"

enum rollback_blame { ROLLBACK_BLAMELESS, ROLLBACK_QUARANTINE };

/* Brings the open run to rolled-back, or to inconsistent when that fails too: units, the release's `undo`, code, the
 * snapshot of the data, health. Every step asks what stands, so an interrupted one is simply called again. An error
 * means that not even the outcome could be written down: the state stays open and the watcher or `resume` tries again.
 * At boot, before the product's units, it stays open without an error: a watcher asks for health once they run. */
int rollback_finish(struct run *run, const char *reason, enum rollback_blame blame, struct error *error) MUST_CHECK;

struct rollback_request {
	const char *upgrade; /* its own id */
	const char *version; /* NULL: the fallback; another one is refused */
	/* Of the order, whose window was held against the orchestrator's clock: a wrong one here never stops a
	 * rollback. NULL key: asked at the appliance, which needs none. */
	int64_t fence;
	const char *order_key;
	bool restore_data;
	const char *audit_head;
};

/* What a rollback would do, to say it before it is asked for. ERROR_NOT_NOW "fallback" when there is nowhere to go. */
struct rollback_plan {
	char from[LAYOUT_VERSION_SIZE], to[LAYOUT_VERSION_SIZE];
	bool migrated;        /* the data cannot be read by `to` */
	bool can_restore;     /* the snapshot is there */
	int64_t lost_seconds; /* written since then, and lost by restoring */
};
int rollback_plan(const struct layout *layout, struct rollback_plan *ret_plan, struct error *error) MUST_CHECK;

/* After a commit. ERROR_NOT_NOW "data" where data was migrated and restore_data is not asked for. Takes the lock. */
int rollback_run(const struct layout *layout, const struct rollback_request *request, run_listener *listener,
		 void *context, struct run_result *ret_result, struct error *error) MUST_CHECK;

#endif
