/* Upgrades: booking, the legal steps of their life, claim and lease. Every change writes its upgrade_event and an audit
 * row in the same transaction. */
#ifndef STORE_STORE_UPGRADE_H
#define STORE_STORE_UPGRADE_H

#include "orchestrator/store/store.h"
#include "orchestrator/store/upgrade_edges.h"

#define STORE_UPGRADE_ID_SIZE 17 /* 16 hexadecimal digits; random, so that a restored store never reuses one */

struct store_upgrade {
	char id[STORE_UPGRADE_ID_SIZE];
	char appliance[STORE_NAME_SIZE];
	bool rollback; /* action: upgrade or rollback */
	char product[STORE_NAME_SIZE], from_version[STORE_NAME_SIZE], to_version[STORE_NAME_SIZE];
	enum upgrade_state state;
	char held_for[16];            /* entitlement, freeze, ha-group, rollout, halt, tunnel, paused */
	enum upgrade_state held_from; /* where it goes back to */
	char needs[64];               /* whose approval is wanted: "approver", "customer", "approver,customer" */
	char why[STORE_TEXT_SIZE];    /* one sentence: why it is not running, or what came of it */
	int code;                     /* the exit code that goes with `why`: 0, 65, 69, 75, 77 */
	char requested_by[STORE_NAME_SIZE], approved_by[STORE_NAME_SIZE];
	char window_name[STORE_NAME_SIZE], zone[STORE_NAME_SIZE], local_start[32], tzdata[16];
	bool fixed;            /* booked with --at: never rebooked by itself */
	bool hold_when_missed; /* the window's missed = hold */
	bool finish_overrun;
	int64_t starts, ends, last_start; /* S, E, L */
	char ha_group[STORE_NAME_SIZE];   /* "": none */
	int64_t fence;
	char owner[STORE_NAME_SIZE];
	int64_t lease_until;
	int64_t blobs, blobs_done, bytes, bytes_done;
	char step[32]; /* the hook's own state word while running */
	bool abort;    /* someone asked while the hook was at it */
	int64_t retry_at;
	int64_t created, changed;
};

/* Takes appliance, rollback, product, versions, needs, requested_by, window_name, zone, local_start, tzdata, fixed,
 * hold_when_missed, finish_overrun, starts, ends, last_start and why; the rest is set here (HA group from the
 * appliance). Without `needs` it is booked at once. A second unfinished upgrade of the appliance is ERROR_NOT_NOW
 * "booked". */
int store_upgrade_book(struct store *store, const struct store_upgrade *booking, const char *actor, int64_t now,
		       char ret_id[static STORE_UPGRADE_ID_SIZE], struct error *error) MUST_CHECK;

/* ERROR_DATA "unknown-upgrade". A unique beginning of the id, six digits or more, will do. */
int store_upgrade_get(struct store *store, const char *id, struct store_upgrade *ret_upgrade,
		      struct error *error) MUST_CHECK;
/* The appliance's unfinished one: *ret_found. */
int store_upgrade_current(struct store *store, const char *appliance, struct store_upgrade *ret_upgrade,
			  bool *ret_found, struct error *error) MUST_CHECK;
/* All that are not in a final state, by start; caller frees with free(). */
int store_upgrade_open(struct store *store, struct store_upgrade **ret_upgrades, size_t *ret_count,
		       struct error *error) MUST_CHECK;

/* One step of its life. */
struct store_upgrade_step {
	enum upgrade_state to;
	enum upgrade_owner owner;
	const char *actor;    /* "technician:NAME", "engine", "hook:APPLIANCE" */
	const char *text;     /* becomes `why` and the event's text */
	int code;             /* goes with `why` */
	const char *held_for; /* when `to` is UPGRADE_HELD */
	int64_t fence;        /* >= 0: the row must have this fence (a worker's write after its claim) */
	int64_t retry_at;     /* for the engine; 0: at once */
	int64_t now;
};
/* Refusals: ERROR_NOT_NOW "state" names the state and what can be done from it; ERROR_NOT_NOW "fence". Leaving `held`
 * goes to held_from when `to` is UPGRADE_HELD's own origin; see store_upgrade_resume. */
int store_upgrade_step(struct store *store, const char *id, const struct store_upgrade_step *step,
		       struct error *error) MUST_CHECK;
/* From held back to where it was (step->to is ignored; staging goes back to booked). `held_for` not NULL: only that
 * reason. */
int store_upgrade_resume(struct store *store, const char *id, const struct store_upgrade_step *step,
			 struct error *error) MUST_CHECK;

/* An approval: `approver` may not be who asked, nor `actor` who chose the hour (ERROR_NOT_PERMITTED "approval"). Takes
 * `what` ("approver" or "customer") out of `needs`; when nothing is left the upgrade is booked. Decline is a step to
 * UPGRADE_CANCELLED. */
int store_upgrade_approve(struct store *store, const char *id, const char *what, const char *approver,
			  const char *actor, int64_t now, struct error *error) MUST_CHECK;

/* Another occurrence: window_name, zone, local_start, tzdata, fixed, hold_when_missed, finish_overrun, starts, ends,
 * last_start and needs of `booking`. From requested, booked, staged, held, due and missed; requested (when the new hour
 * needs nobody), due and missed become booked. */
int store_upgrade_reschedule(struct store *store, const char *id, const struct store_upgrade *booking,
			     enum upgrade_owner owner, const char *actor, const char *text, int64_t now,
			     struct error *error) MUST_CHECK;

/* Asks for an end: before running it is cancelled at once (and the engine tells the hook); while running `abort` is set
 * and the engine asks the hook, which can refuse once it has switched. */
int store_upgrade_abort(struct store *store, const char *id, const char *actor, const char *text, int64_t now,
			struct error *error) MUST_CHECK;

/* One conditional update: due → running under a new fence, one more than the larger of the store's and `reported`, with
 * a lease. ERROR_NOT_NOW "claimed" (another has it, or it is not due any more), "ha-group" (a node of the pair is
 * busy), "window" (not between S and L). */
int store_upgrade_claim(struct store *store, const char *id, const char *owner, int64_t reported, int64_t lease_until,
			int64_t now, int64_t *ret_fence, struct error *error) MUST_CHECK;
/* As claim for one that is running or unknown and whose lease has run out or is ours: a new fence, no new state. */
int store_upgrade_reclaim(struct store *store, const char *id, const char *owner, int64_t reported, int64_t lease_until,
			  int64_t now, int64_t *ret_fence, struct error *error) MUST_CHECK;
/* ERROR_NOT_NOW "fence" when it is ours no more. */
int store_upgrade_renew(struct store *store, const char *id, const char *owner, int64_t fence, int64_t lease_until,
			struct error *error) MUST_CHECK;

/* How often it was claimed since a person last sent it on. */
int store_upgrade_claims(struct store *store, const char *id, int64_t *ret_count, struct error *error) MUST_CHECK;

/* Whether another node of its HA group holds the slot now; claim is what decides. */
int store_upgrade_slot_taken(struct store *store, const struct store_upgrade *upgrade, bool *ret_taken,
			     struct error *error) MUST_CHECK;

/* Without an event: progress of a staging, the hook's step word, the sentence (written only when it differs). */
int store_upgrade_progress(struct store *store, const char *id, int64_t blobs, int64_t blobs_done, int64_t bytes,
			   int64_t bytes_done, int64_t now, struct error *error) MUST_CHECK;
int store_upgrade_why(struct store *store, const char *id, const char *why, int code, struct error *error) MUST_CHECK;
/* With an event (from = to): what the hook says on the way. */
int store_upgrade_note(struct store *store, const char *id, const char *step, const char *actor, const char *text,
		       int64_t now, struct error *error) MUST_CHECK;

/* The signed receipt as it came; kept once. */
int store_upgrade_receipt(struct store *store, const char *id, const char *appliance, const char *document, int64_t now,
			  struct error *error) MUST_CHECK;

/* Listings: every column by its name; `state` and `appliance` may be NULL. Newest last. */
int store_upgrade_list(struct store *store, const char *appliance, const char *state, json_t **ret_rows,
		       struct error *error) MUST_CHECK;
/* The row with `events` [{seq, at, actor, from, to, fence, text}] and `receipt` (the envelope, or null). */
int store_upgrade_show(struct store *store, const char *id, json_t **ret_object, struct error *error) MUST_CHECK;

#endif
