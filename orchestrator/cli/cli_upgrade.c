#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "orchestrator/cli/cli_commands.h"

#define POLL_US      300000
#define PLAN_WAIT_MS 60000
#define BAR_WIDTH    30
#define PATH_BYTES   256

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = jsonio_string(object, name);

	return text ? text : "";
}

static enum error_code code_of(const json_t *object)
{
	int64_t code = jsonio_integer(object, "code");

	return code > 0 && code < 256 && error_code_is_known((int)code) ? (enum error_code)code : ERROR_NOT_NOW;
}

/* --- plan --- */

/* The appliance's own answer; a plan without it is still worth reading. */
static int wait_for_task(struct cli *cli, const struct command_line *line, int64_t task, json_t **ret_result,
			 struct error *error)
{
	int64_t deadline = clock_ticks_ms() + PLAN_WAIT_MS;
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/v1/tasks/%lld", (long long)task);
	while (clock_ticks_ms() < deadline) {
		CLEANUP(jsonio_free) json_t *answer = NULL;
		int result = cli_request_call(cli, line, "GET", path, NULL, &answer, error);
		if (result < 0)
			return result;
		if (jsonio_boolean(answer, "done")) {
			const json_t *found = jsonio_member(answer, "result");
			*ret_result = found ? json_incref((json_t *)found) : json_null();
			return 0;
		}
		usleep(POLL_US);
	}
	return error_set(error, ERROR_UNREACHABLE, "timeout", "the appliance has not answered the plan in time");
}

/* One list of checks, the store's first. What the appliance could not be asked is a check that failed. */
static int merge_checks(json_t *plan, const json_t *found, const struct error *refusal, struct error *error)
{
	json_t *checks = json_object_get(plan, "checks");
	const json_t *other = jsonio_member(found, "error");
	int failed = 0;

	if (refusal->code)
		failed = json_array_append_new(checks, json_pack("{s:s,s:b,s:i,s:s}", "name", "tunnel", "ok", 0, "code",
								 (int)refusal->code, "text", refusal->text));
	else if (other)
		failed = json_array_append_new(
			checks, json_pack("{s:s,s:b,s:I,s:s}", "name", text_of(other, "name"), "ok", 0, "code",
					  (json_int_t)jsonio_integer(other, "code"), "text", text_of(other, "text")));
	else if (jsonio_member(found, "checks"))
		failed = json_array_extend(checks, (json_t *)jsonio_member(found, "checks"));
	return failed ? error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the plan") : 0;
}

static const struct cli_column check_columns[] = {{"CHECK", "name"},  {"OK", "ok", CLI_YESNO}, {"VALUE", "value"},
						  {"LIMIT", "limit"}, {"WHY", "text"},         {0}};

int cli_upgrade_plan(const struct command_line *line, void *context, struct error *error)
{
	static const struct cli_part parts[] = {{"1", "appliance"}, {"--to", "to"}, {0}};
	CLEANUP(jsonio_free) json_t *body = NULL, *plan = NULL, *found = NULL;
	struct error refusal = {0};
	enum error_code worst = ERROR_NONE;
	size_t index;
	const json_t *check;
	int result = cli_request_body(line, parts, &body, error);

	if (result == 0)
		result = cli_request_call(context, line, "POST", "/v1/plans", body, &plan, error);
	if (result < 0)
		return -result;
	if (wait_for_task(context, line, jsonio_integer(plan, "task"), &found, &refusal) < 0 &&
	    strcmp(refusal.name, "timeout") != 0) {
		*error = refusal;
		return (int)refusal.code;
	}
	result = merge_checks(plan, found, &refusal, error);
	json_array_foreach(jsonio_member(plan, "checks"), index, check)
	{
		if (!jsonio_boolean(check, "ok") && worst == ERROR_NONE)
			worst = code_of(check);
	}
	json_object_del(plan, "task");
	json_object_set_new(plan, "ok", json_boolean(worst == ERROR_NONE));
	if (result == 0)
		result = command_flag(line, "--json")
				 ? cli_output_json(plan, error)
				 : cli_output_table(jsonio_member(plan, "checks"), check_columns, error);
	return result < 0 ? -result : (int)worst;
}

/* --- watch --- */

struct watch {
	int64_t seen; /* the last event that was printed */
	int tenth;    /* of the transfer, as it was last said */
	bool bar;     /* one stands on the terminal */
	char why[512];
};

/* Where it stays until somebody does something. */
static const char *const ends[] = {"committed", "rolled-back", "cancelled", "missed", "needs-human"};

static void clear_bar(struct watch *watch)
{
	if (watch->bar)
		fputs("\r\033[K", stderr);
	watch->bar = false;
}

static void show_progress(struct watch *watch, const json_t *upgrade)
{
	int64_t total = jsonio_integer(upgrade, "bytes"), done = jsonio_integer(upgrade, "bytes_done");
	char done_text[32], total_text[32];

	if (total <= 0 || strcmp(text_of(upgrade, "state"), "staging") != 0)
		return;
	if (done > total)
		done = total;
	cli_output_format(json_object_get(upgrade, "bytes_done"), CLI_BYTES, done_text, sizeof(done_text));
	cli_output_format(json_object_get(upgrade, "bytes"), CLI_BYTES, total_text, sizeof(total_text));
	if (cli_output_is_terminal(STDERR_FILENO)) {
		int filled = (int)(done * BAR_WIDTH / total);
		fprintf(stderr, "\r\033[K[%.*s%.*s] %3d%%  %s of %s", filled, "##############################",
			BAR_WIDTH - filled, "..............................", (int)(done * 100 / total), done_text,
			total_text);
		fflush(stderr);
		watch->bar = true;
	} else if ((int)(done * 10 / total) != watch->tenth) {
		watch->tenth = (int)(done * 10 / total);
		fprintf(stderr, "staging %d%%, %s of %s\n", watch->tenth * 10, done_text, total_text);
	}
}

static void show_events(struct watch *watch, const json_t *upgrade)
{
	const char *last = "";
	size_t index;
	const json_t *event;

	json_array_foreach(jsonio_member(upgrade, "events"), index, event)
	{
		char at[32], line[1024];
		last = text_of(event, "text");
		if (jsonio_integer(event, "seq") <= watch->seen)
			continue;
		watch->seen = jsonio_integer(event, "seq");
		cli_output_format(json_object_get(event, "at"), CLI_TIME, at, sizeof(at));
		snprintf(line, sizeof(line), "%s  %s  %s", at, text_of(event, "to"), text_of(event, "text"));
		clear_bar(watch);
		cli_output_text(line);
	}
	fflush(stdout);
	/* What it waits for, where no event says so. */
	const char *why = text_of(upgrade, "why");
	if (strncmp(watch->why, why, sizeof(watch->why) - 1) == 0)
		return;
	snprintf(watch->why, sizeof(watch->why), "%s", why);
	if (why[0] && strcmp(why, last) != 0) {
		clear_bar(watch);
		cli_output_note(why);
	}
}

static bool has_ended(const char *state, const char *until)
{
	if (until && strcmp(state, until) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (strcmp(ends[i], state) == 0)
			return true;
	return false;
}

/* 0 for committed (or a way back that was asked for and done); else the code that the store keeps with the reason. */
static int exit_code(const json_t *upgrade, const char *until)
{
	const char *state = text_of(upgrade, "state");

	if (strcmp(state, "committed") == 0 || (until && strcmp(state, until) == 0))
		return 0;
	if (strcmp(state, "rolled-back") == 0 && strcmp(text_of(upgrade, "action"), "rollback") == 0)
		return 0;
	return (int)code_of(upgrade);
}

int cli_upgrade_watch(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(buffer_free) struct buffer path = BUFFER_INIT(4096);
	const char *until = command_option(line, "--until"), *limit = command_option(line, "--for");
	struct watch watch = {.tenth = -1};
	int64_t seconds = 0, begun = clock_ticks_ms();
	int result = cli_request_expand(line, "/v1/upgrades/$1", CLI_REQUEST_ESCAPE, &path, error);

	if (result == 0 && limit && config_parse_seconds(limit, &seconds, error) < 0)
		return -error_set(error, ERROR_USAGE, "usage", "--for \"%.40s\" must be a duration, as 90s or 2h",
				  limit);
	while (result == 0) {
		CLEANUP(jsonio_free) json_t *upgrade = NULL;
		result = cli_request_call(context, line, "GET", (const char *)path.data, NULL, &upgrade, error);
		if (result < 0)
			break;
		if (!command_flag(line, "--json"))
			show_events(&watch, upgrade);
		if (has_ended(text_of(upgrade, "state"), until)) {
			clear_bar(&watch);
			if (command_flag(line, "--json"))
				result = cli_output_json(upgrade, error);
			return result < 0 ? -result : exit_code(upgrade, until);
		}
		show_progress(&watch, upgrade);
		if (limit && clock_ticks_ms() - begun >= seconds * 1000)
			result = error_set(error, ERROR_NOT_NOW, "timeout", "upgrade %s is %s after %s: %s",
					   text_of(upgrade, "id"), text_of(upgrade, "state"), limit,
					   text_of(upgrade, "why"));
		else
			usleep(POLL_US);
	}
	clear_bar(&watch);
	return -result;
}

/* --- report --- */

static const struct cli_column report_columns[] = {{"upgrade", "id"},
						   {"appliance", "appliance"},
						   {"product", "product"},
						   {"action", "action"},
						   {"from", "from_version"},
						   {"to", "to_version"},
						   {"outcome", "state"},
						   {"reason", "why"},
						   {"asked by", "requested_by"},
						   {"approved by", "approved_by"},
						   {"window", "window_name"},
						   {"local start", "local_start"},
						   {"zone", "zone"},
						   {"booked", "created", CLI_TIME},
						   {"ended", "changed", CLI_TIME},
						   {0}};
static const struct cli_column event_columns[] = {
	{"AT", "at", CLI_TIME}, {"STATE", "to"}, {"BY", "actor"}, {"TEXT", "text"}, {0}};
static const struct cli_nested report_nested[] = {{"what happened", "events", event_columns}, {0}};

int cli_upgrade_report(const struct command_line *line, void *context, struct error *error)
{
	CLEANUP(buffer_free) struct buffer path = BUFFER_INIT(4096);
	CLEANUP(jsonio_free) json_t *upgrade = NULL;
	int result = cli_request_expand(line, "/v1/upgrades/$1", CLI_REQUEST_ESCAPE, &path, error);

	if (result == 0)
		result = cli_request_call(context, line, "GET", (const char *)path.data, NULL, &upgrade, error);
	if (result < 0)
		return -result;
	if (command_flag(line, "--json"))
		return -cli_output_json(upgrade, error);
	result = cli_output_object(upgrade, report_columns, report_nested, error);
	const json_t *receipt = json_object_get(upgrade, "receipt");
	if (result == 0 && json_is_object(receipt)) {
		puts("\nreceipt, signed by the appliance");
		result = cli_output_json(receipt, error);
	} else if (result == 0) {
		puts("\nno receipt yet");
	}
	return -result;
}
