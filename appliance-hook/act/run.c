#include "appliance-hook/act/run.h"

#include <stdio.h>
#include <string.h>

#include "appliance-hook/act/point.h"
#include "appliance-hook/act/receipts.h"
#include "base/log.h"

void run_result_free(struct run_result *result)
{
	jsonio_free(&result->receipt);
}

const struct journal_run *run_now(const struct run *run)
{
	return &journal_state(run->journal)->run;
}

static void tell(struct run *run, const char *step, const char *text)
{
	const char *state = journal_stage_name(journal_state(run->journal)->stage);

	log_write(LOG_LEVEL_NOTICE, "%s: %s%s%s%s%s", run_now(run)->upgrade, state, *step ? " " : "", step,
		  text ? ": " : "", text ? text : "");
	if (!run->listener || !run->listener(run->context, state, step, text))
		run->heard = false;
}

int run_enter_take(struct run *run, enum journal_stage stage, json_t *fields, struct error *error)
{
	char point[64];
	int status = journal_enter_take(run->journal, stage, fields, error);

	if (status < 0)
		return status;
	tell(run, "", NULL);
	snprintf(point, sizeof point, "act.state.%s", journal_stage_name(stage));
	return point_pass(point, error);
}

static int pass(const char *name, const char *when, struct error *error)
{
	char point[64];

	snprintf(point, sizeof point, "act.%s.%s", name, when);
	return point_pass(point, error);
}

/* The step's own failure is kept before that of writing it down. */
static int finish(struct run *run, const char *name, int status, int64_t began, struct error *error)
{
	struct error journal_error = {0};
	int written = journal_end(run->journal, name, status == 0 ? "ok" : "failed", clock_ticks_ms() - began,
				  status == 0 ? NULL : error->text, &journal_error);

	if (status < 0) {
		tell(run, name, error->text);
		return status;
	}
	if (written < 0)
		*error = journal_error;
	return written;
}

int run_do(struct run *run, const char *name, run_step *step, struct error *error)
{
	int64_t began = clock_ticks_ms();
	int status = journal_begin(run->journal, name, error);

	if (status < 0)
		return status;
	tell(run, name, NULL);
	status = pass(name, "begin", error);
	if (status == 0)
		status = step(run, error);
	if (status == 0)
		status = pass(name, "end", error);
	return finish(run, name, status, began, error);
}

int run_do_anyway(struct run *run, const char *name, run_step *step, struct error *error)
{
	int64_t began = clock_ticks_ms();
	struct error unwritten = {0};
	bool begun = journal_begin(run->journal, name, &unwritten) == 0;

	if (!begun)
		log_failure("journal", &unwritten);
	tell(run, name, NULL);
	struct error fault = {0};
	/* A fault here is one of the disk: the way back does not wait for room. */
	if (pass(name, "begin", &fault) < 0)
		log_failure(name, &fault);
	int status = step(run, error);
	if (pass(name, "end", &fault) < 0)
		log_failure(name, &fault);
	if (begun && journal_end(run->journal, name, status == 0 ? "ok" : "failed", clock_ticks_ms() - began,
				 status == 0 ? NULL : error->text, &unwritten) < 0)
		log_failure("journal", &unwritten);
	if (status < 0)
		tell(run, name, error->text);
	return status;
}

bool run_is_local(const char *upgrade)
{
	return strncmp(upgrade, RUN_LOCAL_PREFIX, strlen(RUN_LOCAL_PREFIX)) == 0;
}

int64_t run_ticks_at(int64_t time)
{
	int64_t left = time - clock_now();

	return clock_ticks_ms() + 1000 * (left < INT32_MAX ? left : INT32_MAX);
}

void run_conclude(struct run *run, struct run_result *ret_result)
{
	const struct journal_run *now = run_now(run);
	struct error error = {0};

	*ret_result = (struct run_result){.outcome = now->outcome};
	snprintf(ret_result->reason, sizeof ret_result->reason, "%s", now->reason);
	if (receipts_ensure(run->layout, journal_state(run->journal), &error) < 0 ||
	    receipts_read(run->layout, now, &ret_result->receipt, &error) < 0)
		log_failure("receipt", &error);
}

int run_may_begin(const struct journal_state *state, struct error *error)
{
	if (journal_stage_is_open(state->stage))
		return error_set(error, ERROR_NOT_NOW, "unfinished",
				 "upgrade %s was interrupted while %s; \"appliance-hook resume\" ends it first",
				 state->run.upgrade, journal_stage_name(state->stage));
	if (state->stage == JOURNAL_INCONSISTENT)
		return error_set(
			error, ERROR_NOT_NOW, "inconsistent",
			"this appliance is inconsistent since upgrade %s; \"appliance-hook clear\" after it was mended",
			state->run.upgrade);
	return 0;
}
