/* One upgrade or rollback under way: its journal, who hears of it, and how a step is done. switch.c, rollback.c and
 * resume.c are lists of steps; this is the one dispatcher. */
#ifndef ACT_RUN_H
#define ACT_RUN_H

#include "appliance-hook/act/journal.h"
#include "appliance-hook/act/layout.h"

/* Told of each state and step. False when nobody is there any more; the run goes on all the same. */
typedef bool run_listener(void *context, const char *state, const char *step, const char *text);

struct run {
	const struct layout *layout;
	struct journal *journal;
	run_listener *listener; /* may be NULL */
	void *context;
	int64_t end_ticks; /* of the window, by clock_ticks_ms: a clock that is set meanwhile moves no end */
	int64_t started;   /* clock_ticks_ms once the units were; 0: not by this process */
	bool heard;        /* every word so far was heard: what "confirmed" means where the tunnel does not count */
	bool reached;      /* the tunnel was found up afterwards: what it means where it does */
	bool restarted;    /* the machine has, since the run began */
	bool booting;      /* and the product's units start by themselves afterwards */
};

/* How a run ended, for the one who asked. */
struct run_result {
	enum journal_stage outcome; /* COMMITTED, ROLLED_BACK, INCONSISTENT */
	char reason[JOURNAL_TEXT_SIZE];
	json_t *receipt; /* the envelope, NULL when none could be written; owned */
};
void run_result_free(struct run_result *result); /* also the CLEANUP function */

typedef int run_step(struct run *run, struct error *error);

/* Passes the fault points "act.NAME.begin" and "act.NAME.end". Intent is durable before, the result after. */
int run_do(struct run *run, const char *name, run_step *step, struct error *error) MUST_CHECK;
/* As run_do, but what cannot be written down does not keep it from being done: for the way back. */
int run_do_anyway(struct run *run, const char *name, run_step *step, struct error *error) MUST_CHECK;

/* The next state, with its fields (consumed). */
int run_enter_take(struct run *run, enum journal_stage stage, json_t *fields, struct error *error) MUST_CHECK;

const struct journal_run *run_now(const struct run *run); /* borrowed */

/* Pull and offline: no order key has signed it. */
#define RUN_LOCAL_PREFIX "local-"
bool run_is_local(const char *upgrade);
/* clock_ticks_ms at that UTC time, as the clock stands now. Centuries are as good as no end. */
int64_t run_ticks_at(int64_t time);

/* After the last state: the receipt, and the result from the journal. What fails here is logged: the outcome stands. */
void run_conclude(struct run *run, struct run_result *ret_result);

/* What every operation that begins something asks first: nothing open (ERROR_NOT_NOW "unfinished"), not inconsistent
 * (ERROR_NOT_NOW "inconsistent"). */
int run_may_begin(const struct journal_state *state, struct error *error) MUST_CHECK;

#endif
