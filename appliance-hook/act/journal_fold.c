#include "appliance-hook/act/journal_fold.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define RUN(member)   offsetof(struct journal_state, run.member)
#define STATE(member) offsetof(struct journal_state, member)
#define ROOM(member)  sizeof(((struct journal_state *)0)->member)

/* What a state line may carry and where it goes. */
static const struct binding {
	const char *name;
	enum jsonio_type type;
	size_t offset;
	size_t size;
} bindings[] = {
	{"upgrade", JSONIO_STRING, RUN(upgrade), ROOM(run.upgrade)},
	{"from", JSONIO_STRING, RUN(from), ROOM(run.from)},
	{"to", JSONIO_STRING, RUN(to), ROOM(run.to)},
	{"sha256", JSONIO_STRING, RUN(sha256), ROOM(run.sha256)},
	{"requested", JSONIO_BOOLEAN, RUN(requested), sizeof(bool)},
	{"migration", JSONIO_BOOLEAN, RUN(migration), sizeof(bool)},
	{"snapshot", JSONIO_STRING, RUN(snapshot), ROOM(run.snapshot)},
	{"restore", JSONIO_BOOLEAN, RUN(restore), sizeof(bool)},
	{"end", JSONIO_INTEGER, RUN(end), sizeof(int64_t)},
	{"finish", JSONIO_BOOLEAN, RUN(finish), sizeof(bool)},
	{"reboot", JSONIO_BOOLEAN, RUN(reboot), sizeof(bool)},
	{"tunnel", JSONIO_BOOLEAN, RUN(tunnel), sizeof(bool)},
	{"booted_new", JSONIO_BOOLEAN, RUN(booted_new), sizeof(bool)},
	{"audit_head", JSONIO_STRING, RUN(audit_head), ROOM(run.audit_head)},
	{"confirmed", JSONIO_BOOLEAN, RUN(confirmed), sizeof(bool)},
	{"blamed", JSONIO_BOOLEAN, RUN(blamed), sizeof(bool)},
	{"run_boot", JSONIO_STRING, RUN(boot), ROOM(run.boot)},
	{"reason", JSONIO_STRING, RUN(reason), ROOM(run.reason)},
	{"staged", JSONIO_STRING, STATE(staged), ROOM(staged)},
	{"staged_sha256", JSONIO_STRING, STATE(staged_sha256), ROOM(staged_sha256)},
	{"fallback", JSONIO_STRING, STATE(fallback), ROOM(fallback)},
	{"fallback_snapshot", JSONIO_STRING, STATE(fallback_snapshot), ROOM(fallback_snapshot)},
	{"fallback_migrated", JSONIO_BOOLEAN, STATE(fallback_migrated), sizeof(bool)},
	{"fallback_reboot", JSONIO_BOOLEAN, STATE(fallback_reboot), sizeof(bool)},
	{"fallback_time", JSONIO_INTEGER, STATE(fallback_time), sizeof(int64_t)},
};

static const char *const stage_names[JOURNAL_STAGES] = {
	"idle",     "receiving", "staged",       "preparing",   "switched",     "rebooting",
	"checking", "committed", "rolling-back", "rolled-back", "inconsistent",
};

#define BIT(stage) (1U << JOURNAL_##stage)
/* Where a new thing may begin. */
#define BEGINNINGS (BIT(RECEIVING) | BIT(STAGED) | BIT(PREPARING) | BIT(ROLLING_BACK) | BIT(COMMITTED))

static const unsigned edges[JOURNAL_STAGES] = {
	[JOURNAL_IDLE] = BEGINNINGS,
	[JOURNAL_RECEIVING] = BEGINNINGS | BIT(IDLE),
	[JOURNAL_STAGED] = BEGINNINGS | BIT(IDLE),
	[JOURNAL_PREPARING] = BIT(SWITCHED) | BIT(ROLLING_BACK),
	[JOURNAL_SWITCHED] = BIT(REBOOTING) | BIT(CHECKING) | BIT(ROLLING_BACK),
	[JOURNAL_REBOOTING] = BIT(CHECKING) | BIT(ROLLING_BACK),
	[JOURNAL_CHECKING] = BIT(COMMITTED) | BIT(ROLLING_BACK),
	[JOURNAL_COMMITTED] = BEGINNINGS | BIT(IDLE),
	[JOURNAL_ROLLING_BACK] = BIT(ROLLED_BACK) | BIT(INCONSISTENT),
	[JOURNAL_ROLLED_BACK] = BEGINNINGS | BIT(IDLE),
	[JOURNAL_INCONSISTENT] = BIT(IDLE),
};

const char *journal_stage_name(enum journal_stage stage)
{
	return stage_names[stage];
}

bool journal_stage_is_open(enum journal_stage stage)
{
	return ((BIT(PREPARING) | BIT(SWITCHED) | BIT(REBOOTING) | BIT(CHECKING) | BIT(ROLLING_BACK)) >> stage) & 1;
}

static bool allows(enum journal_stage from, enum journal_stage to)
{
	return (edges[from] >> to) & 1;
}

/* The last one of that name, or NULL. */
static const struct journal_step *find_step(const struct journal_run *run, const char *name)
{
	for (size_t i = run->step_count; i > 0; i--)
		if (strcmp(run->steps[i - 1].name, name) == 0)
			return &run->steps[i - 1];
	return NULL;
}

size_t journal_step_count(const struct journal_run *run, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < run->step_count; i++)
		count += strcmp(run->steps[i].name, name) == 0;
	return count;
}

bool journal_step_begun(const struct journal_run *run, const char *name)
{
	return find_step(run, name) != NULL;
}

bool journal_step_is_last(const struct journal_run *run, const char *name)
{
	return run->step_count > 0 && strcmp(run->steps[run->step_count - 1].name, name) == 0;
}

bool journal_step_is_ok(const struct journal_run *run, const char *name)
{
	const struct journal_step *step = find_step(run, name);

	return step && strcmp(step->result, "ok") == 0;
}

static int malformed(struct error *error, const char *what)
{
	return error_set(error, ERROR_DATA, "journal", "%s", what);
}

static int find_stage(const char *name, enum journal_stage *ret_stage)
{
	for (size_t i = 0; i < JOURNAL_STAGES; i++)
		if (strcmp(name, stage_names[i]) == 0) {
			*ret_stage = (enum journal_stage)i;
			return 0;
		}
	return -1;
}

static int bind_field(struct journal_state *state, const struct binding *binding, const json_t *value,
		      struct error *error)
{
	char *slot = (char *)state + binding->offset;

	switch (binding->type) {
	case JSONIO_STRING:
		if (!json_is_string(value) || json_string_length(value) >= binding->size)
			return malformed(error, binding->name);
		snprintf(slot, binding->size, "%s", json_string_value(value));
		return 0;
	case JSONIO_INTEGER:
		if (!json_is_integer(value))
			return malformed(error, binding->name);
		*(int64_t *)(void *)slot = json_integer_value(value);
		return 0;
	default:
		if (!json_is_boolean(value))
			return malformed(error, binding->name);
		*(bool *)slot = json_is_true(value);
		return 0;
	}
}

static int bind_fields(struct journal_state *state, const json_t *line, struct error *error)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(bindings); i++) {
		const json_t *value = json_object_get(line, bindings[i].name);
		if (value)
			status = bind_field(state, &bindings[i], value, error);
	}
	return status;
}

static int fold_state(struct journal_state *state, const json_t *line, struct error *error)
{
	const char *name = json_string_value(json_object_get(line, "state"));
	enum journal_stage next;

	if (!name || find_stage(name, &next) < 0)
		return malformed(error, "a state that is not known");
	if (!allows(state->stage, next))
		return error_set(error, ERROR_DATA, "journal", "there is no way from %s to %s",
				 stage_names[state->stage], stage_names[next]);
	int64_t time = json_integer_value(json_object_get(line, "time"));
	if (!journal_stage_is_open(state->stage) && json_object_get(line, "upgrade")) {
		state->run = (struct journal_run){0};
		state->run.started = time;
		text_copy(state->run.boot, sizeof state->run.boot, json_string_value(json_object_get(line, "boot")));
	}
	int status = bind_fields(state, line, error);
	if (status < 0)
		return status;
	if (next == JOURNAL_COMMITTED || next == JOURNAL_ROLLED_BACK || next == JOURNAL_INCONSISTENT) {
		state->run.outcome = next;
		state->run.ended = time;
	}
	state->stage = next;
	return 0;
}

static int fold_step(struct journal_state *state, const json_t *line, struct error *error)
{
	const char *name = json_string_value(json_object_get(line, "step"));
	const char *result = json_string_value(json_object_get(line, "result"));
	struct journal_run *run = &state->run;

	if (!name || !*name || strlen(name) >= sizeof run->steps[0].name)
		return malformed(error, "a step without its name");
	if (!result) {
		/* Past the bound the oldest give way: what is asked of the list is always about the latest. */
		if (run->step_count == JOURNAL_STEPS_MOST)
			memmove(&run->steps[0], &run->steps[1], --run->step_count * sizeof run->steps[0]);
		struct journal_step *step = &run->steps[run->step_count++];
		*step = (struct journal_step){.began = json_integer_value(json_object_get(line, "time"))};
		snprintf(step->name, sizeof step->name, "%s", name);
		return 0;
	}
	struct journal_step *step = run->step_count ? &run->steps[run->step_count - 1] : NULL;
	if (!step || strcmp(step->name, name) != 0 || strlen(result) >= sizeof step->result)
		return malformed(error, "a step ends that was not begun");
	snprintf(step->result, sizeof step->result, "%s", result);
	step->ms = json_integer_value(json_object_get(line, "ms"));
	return 0;
}

static json_t *value_of(const struct journal_state *state, const struct binding *binding)
{
	const char *slot = (const char *)state + binding->offset;

	switch (binding->type) {
	case JSONIO_STRING:
		return json_string(slot);
	case JSONIO_INTEGER:
		return json_integer(*(const int64_t *)(const void *)slot);
	default:
		return json_boolean(*(const bool *)(const void *)slot);
	}
}

json_t *journal_fold_base(const struct journal_state *state)
{
	const struct journal_run *run = &state->run;
	CLEANUP(jsonio_free) json_t *steps = json_array();
	CLEANUP(jsonio_free)
	json_t *line = json_pack("{s:s,s:s,s:s,s:I,s:I}", "kind", "base", "state", stage_names[state->stage], "outcome",
				 stage_names[run->outcome], "started", (json_int_t)run->started, "ended",
				 (json_int_t)run->ended);
	bool good = line && steps;

	for (size_t i = 0; good && i < ARRAY_SIZE(bindings); i++)
		good = json_object_set_new(line, bindings[i].name, value_of(state, &bindings[i])) == 0;
	for (size_t i = 0; good && i < run->step_count; i++)
		good = json_array_append_new(steps, json_pack("[s,s,I,I]", run->steps[i].name, run->steps[i].result,
							      (json_int_t)run->steps[i].ms,
							      (json_int_t)run->steps[i].began)) == 0;
	return good && json_object_set(line, "steps", steps) == 0 ? TAKE(line) : NULL;
}

static int fold_base(struct journal_state *state, const json_t *line, struct error *error)
{
	struct journal_run *run = &state->run;
	const char *stage = json_string_value(json_object_get(line, "state"));
	const char *outcome = json_string_value(json_object_get(line, "outcome"));
	const json_t *steps = json_object_get(line, "steps");

	if (state->seq != 0 || !stage || !outcome || find_stage(stage, &state->stage) < 0 ||
	    find_stage(outcome, &run->outcome) < 0 || json_array_size(steps) > JOURNAL_STEPS_MOST)
		return malformed(error, "a base that is none");
	int status = bind_fields(state, line, error);
	if (status < 0)
		return status;
	run->started = json_integer_value(json_object_get(line, "started"));
	run->ended = json_integer_value(json_object_get(line, "ended"));
	for (; run->step_count < json_array_size(steps); run->step_count++) {
		struct journal_step *step = &run->steps[run->step_count];
		const json_t *row = json_array_get(steps, run->step_count);
		const char *name = json_string_value(json_array_get(row, 0));
		const char *result = json_string_value(json_array_get(row, 1));
		if (!name || !result || strlen(name) >= sizeof step->name || strlen(result) >= sizeof step->result)
			return malformed(error, "a step without its name");
		text_copy(step->name, sizeof step->name, name);
		text_copy(step->result, sizeof step->result, result);
		step->ms = json_integer_value(json_array_get(row, 2));
		step->began = json_integer_value(json_array_get(row, 3));
	}
	return 0;
}

/* Whether the release that this run would go back from stands, or may. */
static bool stands_new(const struct journal_run *run)
{
	return (run->requested || journal_step_begun(run, "switch")) && !journal_step_is_ok(run, "back-switch");
}

int journal_fold_line(struct journal_state *state, const json_t *line, struct error *error)
{
	const char *kind = json_string_value(json_object_get(line, "kind"));
	const char *boot = json_string_value(json_object_get(line, "boot"));
	json_int_t seq = json_integer_value(json_object_get(line, "seq"));
	struct journal_state next = *state;

	bool base = kind && strcmp(kind, "base") == 0;
	if (seq <= 0 || (!base && (uint64_t)seq != state->seq + 1))
		return malformed(error, "a line is missing before it");
	if (!kind || !boot || strlen(boot) >= sizeof next.boot)
		return malformed(error, "no line of a journal");
	/* The first line after a restart: what stood then is what was started. */
	if (journal_stage_is_open(state->stage) && boot[0] && strcmp(boot, state->boot) != 0)
		next.run.booted_new = stands_new(&state->run);
	int status = base                         ? fold_base(&next, line, error)
		     : strcmp(kind, "state") == 0 ? fold_state(&next, line, error)
		     : strcmp(kind, "step") == 0  ? fold_step(&next, line, error)
						  : malformed(error, "a kind of line that is not known");
	if (status < 0)
		return status;
	next.seq = (uint64_t)seq;
	snprintf(next.boot, sizeof next.boot, "%s", boot);
	*state = next;
	return 0;
}
